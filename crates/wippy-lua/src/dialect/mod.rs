//! The dialect of scripts: Lua 5.4 with types that may be left out, in the manner of Luau.
//!
//! [`erase`] turns a text of it into plain Lua of as many lines: what is the dialect's becomes
//! spaces, and plain Lua stays as it is, byte for byte. Types are not checked against one
//! another; those that a script uses as values ([`describe`]) are what values are checked
//! against at run time (`typed.rs`). `docs/dialect.md` says what is accepted.
//!
//! Limits: [`SOURCE_BYTES_MAX`], [`types::NESTING_MAX`], [`types::PARTS_MAX`],
//! [`describe::DESCRIPTION_BYTES_MAX`], [`scope::USES_MAX`], and Lua's own of 200 levels of
//! statements and expressions. The time is linear in the size of the text, and the memory beside
//! it a few times as large at most.

mod describe;
mod lexer;
mod lua;
mod parser;
mod scope;
#[cfg(test)]
mod tests;
mod types;

use std::borrow::Cow;
use std::collections::HashSet;

use lexer::{Kind, Lexer};
use parser::{Parser, Stop};
use scope::Names;

/// Bytes of a text of the dialect.
pub(crate) const SOURCE_BYTES_MAX: usize = 16 << 20;

/// A text of plain Lua.
#[derive(Debug)]
pub(crate) struct Erased<'s> {
    pub(crate) text: Cow<'s, [u8]>,
    /// The literal that describes the types which the text uses as values, if it does. The
    /// text then needs what [`head`] gives before its first byte.
    pub(crate) types: Option<String>,
}

/// Why a text is none of the dialect.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What is wrong, and where, both counted from 1; columns in characters.
    Wrong { line: usize, column: usize, message: String },
    /// Whoever asked does not wait any longer.
    Abandoned,
}

/// The plain Lua that a text amounts to. Where that is no Lua either, compiling it says why,
/// on the right line. `go_on` is asked now and then; erasing ends where it says no.
///
/// # Errors
///
/// What is wrong in the dialect's part of the text.
pub(crate) fn erase<'s>(
    source: &'s [u8],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Erased<'s>, Refused> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the text is larger than {SOURCE_BYTES_MAX} bytes");
        return Err(Refused::Wrong { line: 1, column: 1, message });
    }
    let Some(beforehand) = look_through(source, go_on) else { return Err(Refused::Abandoned) };
    let mut parser = Parser::new(source, Names::new(beforehand.declared), go_on);
    parser.as_is_taken = beforehand.names_as;
    let outcome = parser.chunk();
    let is_sound = outcome.is_ok();
    match outcome {
        Ok(()) | Err(Stop::Plain) => {}
        Err(Stop::Abandoned) => return Err(Refused::Abandoned),
        Err(Stop::Fault { at, message }) => return Err(wrong(source, at, message)),
    }
    let (output, names, declarations, types) = parser.into_parts();
    let text = output.map_or(Cow::Borrowed(source), Cow::Owned);
    // What does not compile needs no more than to be compiled.
    let described = if is_sound && !declarations.is_empty() {
        match names.one_too_many {
            Some(at) => Err(Stop::Fault { at, message: scope::too_many() }),
            None => describe::describe(&names, &declarations, &types, go_on),
        }
    } else {
        Ok(None)
    };
    let description = match described {
        Ok(description) => description,
        Err(Stop::Fault { at, message }) => return Err(wrong(source, at, message)),
        Err(Stop::Abandoned) => return Err(Refused::Abandoned),
        Err(Stop::Plain) => None,
    };
    let Some(description) = description else { return Ok(Erased { text, types: None }) };
    if let Some(at) = memchr::memmem::find(source, describe::VARIABLE.as_bytes()) {
        let message = format!(
            "the name `{}` is taken where a script uses types as values",
            describe::VARIABLE
        );
        return Err(wrong(source, at, message));
    }
    let mut replaced = Vec::with_capacity(text.len());
    let mut from = 0;
    for (count, replacement) in (1_u32..).zip(&description.replacements) {
        if count.is_multiple_of(1024) && !go_on() {
            return Err(Refused::Abandoned);
        }
        replaced.extend_from_slice(text.get(from..replacement.start).unwrap_or_default());
        replaced.extend_from_slice(replacement.with.as_bytes());
        from = replacement.start + replacement.bytes;
    }
    replaced.extend_from_slice(text.get(from..).unwrap_or_default());
    Ok(Erased { text: Cow::Owned(replaced), types: Some(description.literal) })
}

/// What stands before a text with types as values, on its first line. Its `_ENV` is a table
/// with the function `types` and the globals; a library finds its own `require` there too.
pub(crate) fn head(types: &str, is_library: bool) -> String {
    let variable = describe::VARIABLE;
    if is_library {
        format!("local require, {variable}, _ENV = require, types({types}), _G ")
    } else {
        format!("local {variable}, _ENV = types({types}), _G ")
    }
}

/// What is known of a text before it is parsed.
#[derive(Default)]
struct Beforehand<'s> {
    /// The names of the types that it may declare.
    declared: HashSet<&'s [u8]>,
    /// Whether it names a variable `as`: where no cast can stand, or where what follows can be
    /// no type.
    names_as: bool,
}

/// Looks through the tokens of a text; none where nobody waits any longer.
fn look_through<'s>(source: &'s [u8], go_on: &mut dyn FnMut() -> bool) -> Option<Beforehand<'s>> {
    let mut found = Beforehand::default();
    let may_declare = |at: usize| {
        source.get(at + 4).is_some_and(|next| next.is_ascii_whitespace() || *next == b'-')
    };
    let is_part =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let is_as = |at: usize| {
        !is_part(at.checked_sub(1).and_then(|at| source.get(at))) && !is_part(source.get(at + 2))
    };
    if !memchr::memmem::find_iter(source, b"type").any(may_declare)
        && !memchr::memmem::find_iter(source, b"as").any(is_as)
    {
        return Some(found);
    }
    let mut lexer = Lexer::new(source);
    let (mut after_type, mut after_as, mut after_operand, mut after_dot) =
        (false, false, false, false);
    for count in 1_u32.. {
        if count.is_multiple_of(1024) && !go_on() {
            return None;
        }
        let token = lexer.next();
        found.names_as |= after_as && !begins_type(token.kind);
        if matches!(token.kind, Kind::End | Kind::Bad) {
            break;
        }
        let is_name = token.kind == Kind::Name;
        let bytes = source.get(token.start..token.end).unwrap_or_default();
        if after_type && is_name {
            found.declared.insert(bytes);
        }
        after_type = is_name && bytes == b"type";
        after_as = is_name && bytes == b"as" && !after_dot;
        found.names_as |= after_as && (token.on_new_line || !after_operand);
        after_operand = ends_operand(token.kind);
        after_dot = matches!(token.kind, Kind::Dot | Kind::Colon);
    }
    Some(found)
}

/// Whether a type may begin with such a token, and so a cast go on behind `as`.
fn begins_type(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name
            | Kind::Number
            | Kind::String
            | Kind::Minus
            | Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::Function
            | Kind::Less
            | Kind::Open
            | Kind::OpenBrace
            | Kind::Pipe
            | Kind::Ampersand
    )
}

/// Whether an operand, or the type of a cast, may end with such a token.
fn ends_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name
            | Kind::Number
            | Kind::String
            | Kind::Dots
            | Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::EndWord
            | Kind::Close
            | Kind::CloseBracket
            | Kind::CloseBrace
            | Kind::Greater
            | Kind::ShiftRight
            | Kind::Bang
            | Kind::Question
    )
}

/// What is wrong at a place, by line and column.
fn wrong(source: &[u8], at: usize, message: String) -> Refused {
    let before = source.get(..at).unwrap_or(source);
    let (mut line, mut line_start, mut place) = (1, 0, 0);
    while let Some(found) = memchr::memchr2(b'\n', b'\r', before.get(place..).unwrap_or_default()) {
        place += found;
        let pair = (before.get(place), before.get(place + 1));
        // As Lua counts them: two different ones are one end of a line.
        let is_pair = matches!(pair, (Some(b'\r'), Some(b'\n')) | (Some(b'\n'), Some(b'\r')));
        place += if is_pair { 2 } else { 1 };
        line += 1;
        line_start = place;
    }
    let in_line = before.get(line_start..).unwrap_or_default();
    let column = in_line.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
    Refused::Wrong { line, column, message }
}
