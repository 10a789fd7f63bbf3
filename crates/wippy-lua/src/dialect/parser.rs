//! What the grammars of types and of Lua stand on: the token here, the ones ahead, and the
//! text that comes out.
//!
//! A parser makes no tree. It walks over the whole of the source and blanks what is the
//! dialect's. What is wrong in plain Lua it leaves to Lua's compiler: it stops with
//! [`Stop::Plain`], and the compiler, given the text with everything before that place
//! blanked, stops there as well, or earlier.

use super::lexer::{Kind, Lexer, Token};
use super::scope::Names;
use super::types::{Parameter, Type};

/// Statements and expressions that nest deeper are left to Lua, which refuses them at 200.
pub(super) const LEVELS_MAX: u32 = 220;

/// Tokens that a look ahead may take: a list of type arguments is short, and whoever writes
/// `a<b<c<d<…` must not make this read the rest again and again.
const ATTEMPT_TOKENS: u32 = 256;

/// Tokens between two questions whether to go on.
const TICK_TOKENS: u32 = 1024;

/// Characters of the source that a message shows.
const SHOWN_CHARS_MAX: usize = 40;

/// Why a parser stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// Lua's compiler will say why.
    Plain,
    /// What is wrong, and where.
    Fault { at: usize, message: String },
    /// Whoever asked does not wait any longer.
    Abandoned,
}

pub(super) type Parse<T = ()> = Result<T, Stop>;

/// A `type` of the source.
#[derive(Debug)]
pub(super) struct Declaration<'s> {
    pub(super) name: &'s [u8],
    /// Where it begins, and so where code for it goes.
    pub(super) start: usize,
    pub(super) parameters: Vec<Parameter<'s>>,
    pub(super) body: usize,
}

pub(super) struct Parser<'s, 't> {
    lexer: Lexer<'s>,
    pub(super) token: Token,
    /// Where the token before ends.
    pub(super) before: usize,
    /// Where the last blanked piece ends.
    blanked_to: usize,
    /// The source with pieces blanked, once there are any.
    output: Option<Vec<u8>>,
    /// Statements and expressions around this place.
    pub(super) levels: u32,
    pub(super) type_levels: u32,
    /// Brackets of expressions around this place, inside the innermost function.
    pub(super) brackets: u32,
    pub(super) types: Vec<Type<'s>>,
    /// Types that are kept, and what belongs to them.
    pub(super) parts: usize,
    /// Of the declaration that is read.
    pub(super) parameter_names: Vec<&'s [u8]>,
    pub(super) declarations: Vec<Declaration<'s>>,
    pub(super) names: Names<'s>,
    /// Whether the text names a variable `as` anywhere.
    pub(super) as_is_taken: bool,
    /// Tokens left to an attempt, if one is under way.
    attempt_left: Option<u32>,
    tick_left: u32,
    go_on: &'t mut dyn FnMut() -> bool,
    abandoned: bool,
}

impl<'s, 't> Parser<'s, 't> {
    /// `go_on` is asked now and then; parsing ends where it says no.
    pub(super) fn new(
        source: &'s [u8],
        names: Names<'s>,
        go_on: &'t mut dyn FnMut() -> bool,
    ) -> Self {
        let mut lexer = Lexer::new(source);
        let token = lexer.next();
        Self {
            lexer,
            token,
            before: 0,
            blanked_to: 0,
            output: None,
            levels: 0,
            type_levels: 0,
            brackets: 0,
            types: Vec::new(),
            parts: 0,
            parameter_names: Vec::new(),
            declarations: Vec::new(),
            names,
            as_is_taken: false,
            attempt_left: None,
            tick_left: TICK_TOKENS,
            go_on,
            abandoned: false,
        }
    }

    /// The text so far, where anything was blanked, and the names in it.
    pub(super) fn into_parts(
        self,
    ) -> (Option<Vec<u8>>, Names<'s>, Vec<Declaration<'s>>, Vec<Type<'s>>) {
        (self.output, self.names, self.declarations, self.types)
    }

    pub(super) fn advance(&mut self) {
        self.before = self.token.end;
        self.token = self.lexer.next();
        self.tick_left -= 1;
        if self.tick_left == 0 {
            self.tick_left = TICK_TOKENS;
            self.abandoned |= !(self.go_on)();
        }
        let out_of_tokens = match &mut self.attempt_left {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        };
        if self.abandoned || out_of_tokens {
            self.token.kind = Kind::Bad;
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Takes a token of that kind, if it is here.
    pub(super) fn take(&mut self, kind: Kind) -> bool {
        let found = self.token.kind == kind;
        if found {
            self.advance();
        }
        found
    }

    /// Takes a token of plain Lua that must be here.
    pub(super) fn expect(&mut self, kind: Kind, what: &str) -> Parse {
        if self.take(kind) { Ok(()) } else { Err(self.plain(what)) }
    }

    pub(super) fn peek(&self) -> Token {
        let mut lexer = self.lexer;
        lexer.next()
    }

    /// The two tokens after this one.
    pub(super) fn peek_two(&self) -> (Token, Token) {
        let mut lexer = self.lexer;
        (lexer.next(), lexer.next())
    }

    pub(super) fn peek_second(&self) -> (Kind, Kind) {
        let (first, second) = self.peek_two();
        (first.kind, second.kind)
    }

    /// A lexer that stands behind this token.
    pub(super) fn ahead(&self) -> Lexer<'s> {
        self.lexer
    }

    pub(super) fn bytes_of(&self, token: Token) -> &'s [u8] {
        self.lexer.source().get(token.start..token.end).unwrap_or_default()
    }

    pub(super) fn text_of(&self, token: Token) -> String {
        String::from_utf8_lossy(self.bytes_of(token)).into_owned()
    }

    /// Takes the first byte of the token here; the rest of it is a token of `kind`.
    pub(super) fn split(&mut self, kind: Kind) {
        self.before = self.token.start + 1;
        self.token = Token { kind, start: self.before, on_new_line: false, ..self.token };
    }

    /// Reads something that may not be there: nothing is read then.
    pub(super) fn attempt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Parse<T>,
    ) -> Parse<Option<T>> {
        let (lexer, token, before) = (self.lexer, self.token, self.before);
        let (types, levels, left) = (self.types.len(), self.type_levels, self.attempt_left);
        let parts = self.parts;
        self.attempt_left = Some(left.unwrap_or(ATTEMPT_TOKENS).min(ATTEMPT_TOKENS));
        let outcome = read(self);
        self.attempt_left = left;
        if self.abandoned {
            return Err(Stop::Abandoned);
        }
        // With a last token of one too many it has failed as well.
        if let (Ok(found), true) = (outcome, self.token.kind != Kind::Bad) {
            return Ok(Some(found));
        }
        (self.lexer, self.token, self.before) = (lexer, token, before);
        self.types.truncate(types);
        self.parts = parts;
        self.type_levels = levels;
        Ok(None)
    }

    /// Reads a type that is forgotten, from `start` on, and blanks it.
    pub(super) fn forget_type(
        &mut self,
        start: usize,
        read: impl FnOnce(&mut Self) -> Parse<usize>,
    ) -> Parse {
        let (kept, parts) = (self.types.len(), self.parts);
        read(self)?;
        self.types.truncate(kept);
        self.parts = parts;
        self.blank(start);
        Ok(())
    }

    /// Blanks what was read from `start` on. Ends of lines stay.
    pub(super) fn blank(&mut self, start: usize) {
        let source = self.lexer.source();
        let output = self.output.get_or_insert_with(|| source.to_vec());
        for byte in output.get_mut(start..self.before).unwrap_or_default() {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        self.blanked_to = self.before;
    }

    /// Ends a statement where a blanked piece begins: what follows must not become a part of
    /// what stands before.
    pub(super) fn separate(&mut self, at: usize) {
        if let Some(byte) = self.output.as_mut().and_then(|output| output.get_mut(at)) {
            *byte = b';';
        }
    }

    /// What stands here is not what Lua's grammar wants. Lua says so, unless what it would
    /// see before this place is not what stands there.
    pub(super) fn plain(&self, wanted: &str) -> Stop {
        if self.abandoned {
            Stop::Abandoned
        } else if self.blanked_to > 0 && self.blanked_to == self.before {
            self.expected(wanted)
        } else {
            Stop::Plain
        }
    }

    /// What stands here is not what the dialect's grammar wants.
    pub(super) fn expected(&self, wanted: &str) -> Stop {
        let found = match self.token.kind {
            Kind::End => "the end of the text".to_owned(),
            _ => format!("`{}`", self.shown()),
        };
        self.fault_at(self.token.start, format!("expected {wanted}, found {found}"))
    }

    /// What stands here, as a message shows it.
    pub(super) fn shown(&self) -> String {
        let text = self.text_of(self.token);
        let line = text.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(SHOWN_CHARS_MAX).collect();
        let cut = if shown.len() < text.len() { "..." } else { "" };
        format!("{shown}{cut}")
    }

    pub(super) fn fault_at(&self, at: usize, message: impl Into<String>) -> Stop {
        if self.abandoned {
            return Stop::Abandoned;
        }
        Stop::Fault { at, message: message.into() }
    }
}
