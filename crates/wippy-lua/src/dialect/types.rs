//! The grammar of types.
//!
//! Types in annotations are read and forgotten. Those of `type` declarations are kept, in
//! one arena, because values are checked against them at run time.

use super::lexer::{Kind, Token, is_numeral, unquote};
use super::parser::{Parse, Parser, Stop};
use crate::pattern::{self, Malformed, PATTERN_BYTES_MAX};

/// Types that nest deeper are refused.
pub(super) const NESTING_MAX: u32 = 100;

/// Types of declarations in one text, and parts of them: arguments, fields, parameters, words of
/// names, annotations.
pub(super) const PARTS_MAX: usize = 1 << 16;

/// How many times `?`, `[]` and `@` may follow one type.
const POSTFIXES_MAX: usize = 100;

/// The place of a type in the arena.
pub(super) type Id = usize;

/// What may be demanded of a value beside its type, in the order of [`ANNOTATIONS`].
pub(super) const ANNOTATIONS: [(&str, Argument); 5] = [
    ("min", Argument::Number),
    ("max", Argument::Number),
    ("min_len", Argument::Number),
    ("max_len", Argument::Number),
    ("pattern", Argument::Text),
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Argument {
    #[default]
    Number,
    Text,
}

/// A type of the source.
#[derive(Debug)]
pub(super) enum Type<'s> {
    Nil,
    Bool(bool),
    Number(String),
    Text(Vec<u8>),
    /// Any function: what it takes and gives cannot be told of a value.
    Function,
    Array(Id),
    Table {
        fields: Vec<Field>,
        index: Option<(Id, Id)>,
    },
    Union(Vec<Id>),
    Intersection(Vec<Id>),
    Optional(Id),
    Annotated(Id, Vec<Annotation>),
    /// A parameter of the declaration around it.
    Parameter(usize),
    /// A name, as the scope has it: a declared type, one of Lua's, or anything at all.
    Named {
        name: &'s [u8],
        scope: usize,
        arguments: Vec<Id>,
    },
    /// A field of a local variable, such as a library's type; without a variable of that
    /// name anything at all.
    Foreign {
        path: Vec<&'s [u8]>,
        is_local: bool,
        arguments: Vec<Id>,
    },
    /// Several types in parentheses, which only a function may give.
    Pack,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Vec<u8>,
    pub(super) optional: bool,
    pub(super) of: Id,
}

#[derive(Debug, Clone)]
pub(super) struct Annotation {
    /// The place in [`ANNOTATIONS`].
    pub(super) what: usize,
    pub(super) argument: Vec<u8>,
}

/// A parameter of a generic declaration.
#[derive(Debug)]
pub(super) struct Parameter<'s> {
    pub(super) name: &'s [u8],
    pub(super) default: Option<Id>,
}

/// What stands around a type that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing that matters.
    Plain,
    /// It is what a function gives: a list in parentheses will do.
    Result,
    /// It is the type of a cast: `<` may be a comparison.
    Cast,
}

impl<'s> Parser<'s, '_> {
    /// Reads a type.
    pub(super) fn type_(&mut self) -> Parse<Id> {
        self.union(Around::Plain)
    }

    /// Reads the type of a cast, which an operator of the expression may follow.
    pub(super) fn cast_type(&mut self) -> Parse<Id> {
        self.union(Around::Cast)
    }

    /// Reads what a function gives: a type or a list of types in parentheses.
    pub(super) fn result_type(&mut self) -> Parse<Id> {
        if self.take(Kind::Dots) {
            return self.type_();
        }
        self.union(Around::Result)
    }

    fn keep(&mut self, type_: Type<'s>) -> Parse<Id> {
        self.part()?;
        self.types.push(type_);
        Ok(self.types.len() - 1)
    }

    /// Counts what is kept of a type.
    fn part(&mut self) -> Parse {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(
                self.fault(format!("the types of this text have more than {PARTS_MAX} parts"))
            );
        }
        Ok(())
    }

    fn is_pack(&self, id: Id) -> bool {
        matches!(self.types.get(id), Some(Type::Pack))
    }

    fn union(&mut self, around: Around) -> Parse<Id> {
        self.type_levels += 1;
        if self.type_levels > NESTING_MAX {
            return Err(self.fault(format!("types nest deeper than {NESTING_MAX}")));
        }
        let led = matches!(self.token.kind, Kind::Pipe | Kind::Ampersand);
        if led {
            self.advance();
        }
        let first = self.intersection(around)?;
        let id = if self.token.kind == Kind::Pipe && !self.is_pack(first) {
            let mut members = vec![first];
            while self.take(Kind::Pipe) {
                members.push(self.intersection(inner(around))?);
            }
            self.keep(Type::Union(members))?
        } else {
            first
        };
        self.type_levels -= 1;
        Ok(id)
    }

    fn intersection(&mut self, around: Around) -> Parse<Id> {
        let first = self.postfix(around)?;
        if self.token.kind != Kind::Ampersand || self.is_pack(first) {
            return Ok(first);
        }
        let mut members = vec![first];
        while self.take(Kind::Ampersand) {
            members.push(self.postfix(inner(around))?);
        }
        self.keep(Type::Intersection(members))
    }

    fn postfix(&mut self, around: Around) -> Parse<Id> {
        let mut id = self.primary(around)?;
        if self.is_pack(id) {
            return Ok(id);
        }
        for _ in 0..POSTFIXES_MAX {
            match self.token.kind {
                Kind::Question => {
                    self.advance();
                    if !matches!(self.types.get(id), Some(Type::Optional(_))) {
                        id = self.keep(Type::Optional(id))?;
                    }
                }
                Kind::OpenBracket if self.peek().kind == Kind::CloseBracket => {
                    self.advance();
                    self.advance();
                    id = self.keep(Type::Array(id))?;
                }
                Kind::At => {
                    let annotations = self.annotations()?;
                    id = self.keep(Type::Annotated(id, annotations))?;
                }
                _ => return Ok(id),
            }
        }
        Err(self.fault(format!("more than {POSTFIXES_MAX} suffixes of one type")))
    }

    fn primary(&mut self, around: Around) -> Parse<Id> {
        while self.token.kind == Kind::Name && self.is_readonly() {
            self.advance();
        }
        let token = self.token;
        let type_ = match token.kind {
            Kind::Nil => Type::Nil,
            Kind::True => Type::Bool(true),
            Kind::False => Type::Bool(false),
            Kind::Function => Type::Function,
            Kind::Number => Type::Number(self.numeral()?),
            Kind::Minus => {
                self.advance();
                if self.token.kind != Kind::Number {
                    return Err(self.expected("a number"));
                }
                Type::Number(format!("-{}", self.numeral()?))
            }
            Kind::String => Type::Text(self.unquoted(token)?),
            Kind::Name => return self.named(around),
            Kind::OpenBrace => return self.table(),
            Kind::Open => return self.parentheses(around == Around::Result),
            Kind::Less => {
                self.parameters()?;
                if self.token.kind != Kind::Open {
                    return Err(self.expected("`(`"));
                }
                let id = self.parentheses(false)?;
                return match self.types.get(id) {
                    Some(Type::Function) => Ok(id),
                    _ => Err(self.expected("`->`")),
                };
            }
            _ => return Err(self.expected("a type")),
        };
        self.advance();
        self.keep(type_)
    }

    fn unquoted(&self, token: Token) -> Parse<Vec<u8>> {
        let bytes = self.bytes_of(token);
        unquote(bytes).ok_or_else(|| self.fault_at(token.start, "a string with a wrong escape"))
    }

    /// The number here, as it is written.
    fn numeral(&self) -> Parse<String> {
        let text = self.text_of(self.token);
        match is_numeral(text.as_bytes()) {
            true => Ok(text),
            false => Err(self.fault(format!("malformed number near `{}`", self.shown()))),
        }
    }

    /// The pattern here.
    fn pattern(&self) -> Parse<Vec<u8>> {
        let pattern = self.unquoted(self.token)?;
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(self.fault(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
        }
        match pattern::check(&pattern) {
            Ok(()) => Ok(pattern),
            Err(malformed) => {
                let words = malformed.words().to_string_lossy();
                Err(self.fault(match malformed {
                    Malformed::NoCapture(number) => format!("{words} %{number} in pattern"),
                    _ => words.into_owned(),
                }))
            }
        }
    }

    /// Whether the name here is the word before a type or a field that is not to be written.
    fn is_readonly(&self) -> bool {
        self.bytes_of(self.token) == b"readonly"
            && matches!(self.peek().kind, Kind::Name | Kind::OpenBrace | Kind::OpenBracket)
            && self.peek_second() != (Kind::OpenBracket, Kind::CloseBracket)
    }

    fn named(&mut self, around: Around) -> Parse<Id> {
        let name = self.bytes_of(self.token);
        self.advance();
        let mut path = vec![name];
        while self.token.kind == Kind::Dot {
            self.advance();
            self.part()?;
            path.push(self.bytes_of(self.token));
            self.expect_in_type(Kind::Name, "a name")?;
        }
        let arguments = match self.token.kind {
            Kind::Less if around == Around::Cast => {
                self.attempt(Self::type_arguments)?.unwrap_or_default()
            }
            Kind::Less if !self.is_attribute() => self.type_arguments()?,
            _ => Vec::new(),
        };
        if path.len() > 1 {
            let is_local = self.names.sees(name);
            return self.keep(Type::Foreign { path, is_local, arguments });
        }
        let parameter = self.parameter_names.iter().rposition(|known| *known == name);
        let type_ = match parameter {
            Some(place) => Type::Parameter(place),
            None => Type::Named { name, scope: self.names.scope(), arguments },
        };
        self.keep(type_)
    }

    /// Whether this is `<const>` or `<close>` of a local variable and no argument.
    fn is_attribute(&self) -> bool {
        let (word, closing) = self.peek_two();
        word.kind == Kind::Name
            && closing.kind == Kind::Greater
            && matches!(self.bytes_of(word), b"const" | b"close")
    }

    /// Reads `<A, B>`.
    pub(super) fn type_arguments(&mut self) -> Parse<Vec<Id>> {
        self.expect_in_type(Kind::Less, "`<`")?;
        let mut arguments = Vec::new();
        if self.token.kind != Kind::Greater {
            loop {
                self.take(Kind::Dots);
                self.part()?;
                arguments.push(self.union(Around::Result)?);
                self.take(Kind::Dots);
                if !self.take(Kind::Comma) {
                    break;
                }
            }
        }
        self.close_angle()?;
        Ok(arguments)
    }

    /// Reads `<T, U = string>` of a declaration: the names and what stands for each.
    pub(super) fn parameters(&mut self) -> Parse<Vec<Parameter<'s>>> {
        self.expect_in_type(Kind::Less, "`<`")?;
        let mut parameters = Vec::new();
        loop {
            let name = self.bytes_of(self.token);
            self.expect_in_type(Kind::Name, "a name")?;
            self.take(Kind::Dots);
            if self.take(Kind::Colon) {
                self.type_()?;
            }
            let default =
                if self.take(Kind::Assign) { Some(self.union(Around::Result)?) } else { None };
            self.part()?;
            parameters.push(Parameter { name, default });
            if !self.take(Kind::Comma) {
                break;
            }
        }
        self.close_angle()?;
        Ok(parameters)
    }

    /// `(T)`, `(A, B)` where a list will do, or the type of a function.
    fn parentheses(&mut self, list: bool) -> Parse<Id> {
        self.expect_in_type(Kind::Open, "`(`")?;
        let (mut first, mut count, mut named) = (None, 0, false);
        while self.token.kind != Kind::Close {
            let (next, second) = self.peek_two();
            let optional = next.kind == Kind::Question && second.kind == Kind::Colon;
            if self.token.kind == Kind::Name && (next.kind == Kind::Colon || optional) {
                named = true;
                self.advance();
                self.take(Kind::Question);
                self.advance();
            } else if self.token.kind == Kind::Dots {
                named = true;
                self.advance();
                self.take(Kind::Colon);
                if matches!(self.token.kind, Kind::Close | Kind::Comma) {
                    // `...` alone stands for anything.
                    count += 1;
                    continue;
                }
            }
            let id = self.type_()?;
            named |= self.take(Kind::Dots);
            first = first.or(Some(id));
            count += 1;
            if !self.take(Kind::Comma) {
                break;
            }
        }
        self.expect_in_type(Kind::Close, "`)`")?;
        if self.take(Kind::Arrow) {
            self.result_type()?;
            return self.keep(Type::Function);
        }
        match first {
            Some(id) if count == 1 && !named => Ok(id),
            _ if list => self.keep(Type::Pack),
            _ => Err(self.expected("`->`")),
        }
    }

    fn table(&mut self) -> Parse<Id> {
        self.advance();
        let mut fields: Vec<Field> = Vec::new();
        let mut index = None;
        while self.token.kind != Kind::CloseBrace {
            let annotations = self.annotations()?;
            let is_word = |token: Token| token.kind == Kind::Name || is_keyword(token);
            let (next, second) = self.peek_two();
            let named = is_word(self.token) || self.token.kind == Kind::String;
            let optional = next.kind == Kind::Question && second.kind == Kind::Colon;
            if named && (next.kind == Kind::Colon || optional) {
                let name = match self.token.kind {
                    Kind::String => self.unquoted(self.token)?,
                    _ => self.bytes_of(self.token).to_vec(),
                };
                self.advance();
                let optional = self.take(Kind::Question);
                self.field(&mut fields, name, optional, annotations)?;
            } else if self.token.kind == Kind::Name && self.is_readonly() && annotations.is_empty()
            {
                self.advance();
                continue;
            } else if self.token.kind == Kind::OpenBracket {
                self.advance();
                let literal = (self.token.kind == Kind::String
                    && self.peek().kind == Kind::CloseBracket)
                    .then(|| self.unquoted(self.token))
                    .transpose()?;
                let key = self.type_()?;
                self.expect_in_type(Kind::CloseBracket, "`]`")?;
                if let Some(name) = literal {
                    let optional = self.take(Kind::Question);
                    self.field(&mut fields, name, optional, annotations)?;
                } else {
                    self.expect_in_type(Kind::Colon, "`:`")?;
                    let of = self.annotated_type(annotations)?;
                    if index.replace((key, of)).is_some() {
                        return Err(self.fault("a table type has one `[key]: value` at most"));
                    }
                }
            } else {
                let of = self.annotated_type(annotations)?;
                let alone = fields.is_empty() && index.is_none();
                if !alone || self.token.kind != Kind::CloseBrace {
                    let wanted = if alone { "`}` after the type of a list" } else { "`name: T`" };
                    return Err(self.expected(wanted));
                }
                self.advance();
                return self.keep(Type::Array(of));
            }
            if !self.take(Kind::Comma) && !self.take(Kind::Semicolon) {
                break;
            }
        }
        self.expect_in_type(Kind::CloseBrace, "`,` or `}`")?;
        self.keep(Type::Table { fields, index })
    }

    fn field(
        &mut self,
        fields: &mut Vec<Field>,
        name: Vec<u8>,
        optional: bool,
        annotations: Vec<Annotation>,
    ) -> Parse {
        self.expect_in_type(Kind::Colon, "`:`")?;
        let of = self.annotated_type(annotations)?;
        self.part()?;
        fields.push(Field { name, optional, of });
        Ok(())
    }

    /// Reads the type that annotations stand before.
    fn annotated_type(&mut self, annotations: Vec<Annotation>) -> Parse<Id> {
        let id = self.type_()?;
        let id =
            if annotations.is_empty() { id } else { self.keep(Type::Annotated(id, annotations))? };
        Ok(id)
    }

    /// Reads annotations, as many as there are.
    fn annotations(&mut self) -> Parse<Vec<Annotation>> {
        let mut annotations = Vec::new();
        while self.token.kind == Kind::At {
            self.advance();
            let token = self.token;
            let name = self.bytes_of(token);
            let known = ANNOTATIONS.iter().position(|(known, _)| known.as_bytes() == name);
            let Some(what) = known.filter(|_| token.kind == Kind::Name) else {
                let known = ANNOTATIONS.map(|(name, _)| format!("@{name}")).join(", ");
                return Err(self.fault(format!("there is no such annotation; known: {known}")));
            };
            self.advance();
            let (_, wanted) = ANNOTATIONS.get(what).copied().unwrap_or_default();
            self.expect_in_type(Kind::Open, "`(`")?;
            let argument = match (self.token.kind, wanted) {
                (Kind::String, Argument::Text) => self.pattern()?,
                (Kind::Number, Argument::Number) => self.numeral()?.into_bytes(),
                (Kind::Minus, Argument::Number) if self.peek().kind == Kind::Number => {
                    self.advance();
                    format!("-{}", self.numeral()?).into_bytes()
                }
                (_, Argument::Number) => return Err(self.expected("a number")),
                (_, Argument::Text) => return Err(self.expected("a string")),
            };
            self.advance();
            self.expect_in_type(Kind::Close, "`)`")?;
            self.part()?;
            annotations.push(Annotation { what, argument });
        }
        Ok(annotations)
    }

    fn expect_in_type(&mut self, kind: Kind, what: &str) -> Parse {
        if self.take(kind) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Takes one `>`, be it the first half of another token.
    fn close_angle(&mut self) -> Parse {
        match self.token.kind {
            Kind::Greater => self.advance(),
            Kind::ShiftRight => self.split(Kind::Greater),
            Kind::GreaterEqual => self.split(Kind::Assign),
            _ => return Err(self.expected("`,` or `>`")),
        }
        Ok(())
    }

    fn fault(&self, message: impl Into<String>) -> Stop {
        self.fault_at(self.token.start, message)
    }
}

/// What stands around the later parts of a type.
fn inner(around: Around) -> Around {
    if around == Around::Cast { Around::Cast } else { Around::Plain }
}

fn is_keyword(token: Token) -> bool {
    use Kind::{
        And, Break, Do, Else, Elseif, EndWord, False, For, Function, Goto, If, In, Local, Nil, Not,
        Or, Repeat, Return, Then, True, Until, While,
    };
    matches!(
        token.kind,
        And | Break
            | Do
            | Else
            | Elseif
            | EndWord
            | False
            | For
            | Function
            | Goto
            | If
            | In
            | Local
            | Nil
            | Not
            | Or
            | Repeat
            | Return
            | Then
            | True
            | Until
            | While
    )
}
