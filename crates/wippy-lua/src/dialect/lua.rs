//! The grammar of Lua 5.4, with the places where types may stand.
//!
//! Precedence does not matter here, so that an expression is a flat run of operands and
//! operators; only brackets, blocks and function bodies nest.

use super::lexer::{Kind, Token};
use super::parser::{Declaration, LEVELS_MAX, Parse, Parser, Stop};

/// What an expression that can be called or indexed is.
struct Suffixed {
    /// Where it was noted, if it is a name alone.
    name: Option<usize>,
}

impl<'s> Parser<'s, '_> {
    /// Reads the whole text.
    pub(super) fn chunk(&mut self) -> Parse {
        self.names.open();
        self.statements()?;
        match self.token.kind {
            Kind::End => Ok(()),
            _ => Err(self.plain("a statement")),
        }
    }

    fn block(&mut self) -> Parse {
        self.names.open();
        self.statements()?;
        self.names.close();
        Ok(())
    }

    fn statements(&mut self) -> Parse {
        loop {
            match self.token.kind {
                Kind::End | Kind::EndWord | Kind::Else | Kind::Elseif | Kind::Until => {
                    return Ok(());
                }
                Kind::Return => {
                    self.advance();
                    let is_end = matches!(
                        self.token.kind,
                        Kind::End
                            | Kind::EndWord
                            | Kind::Else
                            | Kind::Elseif
                            | Kind::Until
                            | Kind::Semicolon
                    );
                    if !is_end {
                        self.expressions()?;
                    }
                    self.take(Kind::Semicolon);
                    return Ok(());
                }
                _ => self.statement()?,
            }
        }
    }

    fn enter(&mut self) -> Parse {
        if self.is_abandoned() {
            return Err(Stop::Abandoned);
        }
        self.levels += 1;
        if self.levels > LEVELS_MAX { Err(Stop::Plain) } else { Ok(()) }
    }

    fn statement(&mut self) -> Parse {
        self.enter()?;
        match self.token.kind {
            Kind::Semicolon | Kind::Break => self.advance(),
            Kind::DoubleColon => {
                self.advance();
                self.expect(Kind::Name, "a name")?;
                self.expect(Kind::DoubleColon, "`::`")?;
            }
            Kind::Goto => {
                self.advance();
                self.expect(Kind::Name, "a name")?;
            }
            Kind::Do => {
                self.advance();
                self.block()?;
                self.expect(Kind::EndWord, "`end`")?;
            }
            Kind::While => {
                self.advance();
                self.expression()?;
                self.expect(Kind::Do, "`do`")?;
                self.block()?;
                self.expect(Kind::EndWord, "`end`")?;
            }
            Kind::Repeat => {
                self.advance();
                // The condition sees the variables of the block.
                self.names.open();
                self.statements()?;
                self.expect(Kind::Until, "`until`")?;
                self.expression()?;
                self.names.close();
            }
            Kind::If => self.if_()?,
            Kind::For => self.for_()?,
            Kind::Function => self.function_statement()?,
            Kind::Local => self.local()?,
            Kind::Name if self.declares_type() => self.type_declaration()?,
            _ => self.expression_statement()?,
        }
        self.levels -= 1;
        Ok(())
    }

    fn if_(&mut self) -> Parse {
        loop {
            // `if` or `elseif`.
            self.advance();
            self.expression()?;
            self.expect(Kind::Then, "`then`")?;
            self.block()?;
            match self.token.kind {
                Kind::Elseif => {}
                Kind::Else => {
                    self.advance();
                    self.block()?;
                    return self.expect(Kind::EndWord, "`end`");
                }
                _ => return self.expect(Kind::EndWord, "`end`"),
            }
        }
    }

    fn for_(&mut self) -> Parse {
        self.advance();
        let mut names = vec![self.typed_name()?];
        if self.take(Kind::Assign) {
            self.expression()?;
            self.expect(Kind::Comma, "`,`")?;
            self.expression()?;
            if self.take(Kind::Comma) {
                self.expression()?;
            }
        } else {
            while self.take(Kind::Comma) {
                names.push(self.typed_name()?);
            }
            self.expect(Kind::In, "`=` or `in`")?;
            self.expressions()?;
        }
        self.expect(Kind::Do, "`do`")?;
        self.names.open();
        for name in names {
            self.names.variable(name);
        }
        self.block()?;
        self.names.close();
        self.expect(Kind::EndWord, "`end`")
    }

    /// A name, which may have a type.
    fn typed_name(&mut self) -> Parse<&'s [u8]> {
        let name = self.name()?;
        self.annotation()?;
        Ok(name)
    }

    fn name(&mut self) -> Parse<&'s [u8]> {
        let name = self.bytes_of(self.token);
        self.expect(Kind::Name, "a name")?;
        Ok(name)
    }

    /// `: T`, if it is here.
    fn annotation(&mut self) -> Parse {
        let start = self.token.start;
        if self.take(Kind::Colon) { self.forget_type(start, Self::type_) } else { Ok(()) }
    }

    fn function_statement(&mut self) -> Parse {
        self.advance();
        let start = self.token.start;
        let name = self.name()?;
        let noted = self.names.used(name, start);
        // A type has no fields that could be set.
        self.names.assigned(noted);
        let mut method = false;
        while self.token.kind == Kind::Dot {
            self.advance();
            self.expect(Kind::Name, "a name")?;
        }
        if self.take(Kind::Colon) {
            method = true;
            self.expect(Kind::Name, "a name")?;
        }
        self.body(method)
    }

    fn local(&mut self) -> Parse {
        self.advance();
        if self.take(Kind::Function) {
            let name = self.name()?;
            self.names.variable(name);
            return self.body(false);
        }
        let mut names = Vec::new();
        loop {
            names.push(self.name()?);
            self.attribute()?;
            self.annotation()?;
            self.attribute()?;
            if !self.take(Kind::Comma) {
                break;
            }
        }
        if self.take(Kind::Assign) {
            self.expressions()?;
        }
        for name in names {
            self.names.variable(name);
        }
        Ok(())
    }

    fn attribute(&mut self) -> Parse {
        if self.take(Kind::Less) {
            self.expect(Kind::Name, "a name")?;
            self.expect(Kind::Greater, "`>`")?;
        }
        Ok(())
    }

    /// Whether a type is declared here: no statement of Lua begins with two names.
    fn declares_type(&self) -> bool {
        let (next, second) = self.peek_two();
        match self.bytes_of(self.token) {
            b"type" => next.kind == Kind::Name,
            b"export" => {
                next.kind == Kind::Name
                    && self.bytes_of(next) == b"type"
                    && second.kind == Kind::Name
            }
            _ => false,
        }
    }

    fn type_declaration(&mut self) -> Parse {
        let start = self.token.start;
        if self.bytes_of(self.token) == b"export" {
            self.advance();
        }
        self.advance();
        let name_token = self.token;
        let name = self.bytes_of(name_token);
        self.advance();
        let parameters =
            if self.token.kind == Kind::Less { self.parameters()? } else { Vec::new() };
        if !self.take(Kind::Assign) {
            return Err(self.expected("`=`"));
        }
        self.parameter_names = parameters.iter().map(|parameter| parameter.name).collect();
        let body = self.type_()?;
        self.parameter_names.clear();
        self.blank(start);
        self.separate(start);
        if !self.names.declare(name, self.declarations.len()) {
            let name = String::from_utf8_lossy(name);
            let message = format!("the type `{name}` is declared twice in this block");
            return Err(self.fault_at(name_token.start, message));
        }
        self.declarations.push(Declaration { name, start, parameters, body });
        Ok(())
    }

    fn expression_statement(&mut self) -> Parse {
        let first = self.suffixed(true)?;
        if !matches!(self.token.kind, Kind::Assign | Kind::Comma) {
            return Ok(());
        }
        self.names.assigned(first.name);
        while self.take(Kind::Comma) {
            let next = self.suffixed(false)?;
            self.names.assigned(next.name);
        }
        self.expect(Kind::Assign, "`=`")?;
        self.expressions()
    }

    fn expressions(&mut self) -> Parse {
        self.expression()?;
        while self.take(Kind::Comma) {
            self.expression()?;
        }
        Ok(())
    }

    fn expression(&mut self) -> Parse {
        self.enter()?;
        loop {
            while matches!(self.token.kind, Kind::Not | Kind::Minus | Kind::Hash | Kind::Tilde) {
                self.advance();
            }
            self.operand()?;
            self.casts()?;
            match self.token.kind {
                Kind::And
                | Kind::Or
                | Kind::Minus
                | Kind::Tilde
                | Kind::Ampersand
                | Kind::Pipe
                | Kind::Less
                | Kind::Greater
                | Kind::GreaterEqual
                | Kind::ShiftRight
                | Kind::Operator => self.advance(),
                Kind::NotEqual => {
                    let at = self.token.start;
                    return Err(self.fault_at(at, "Lua writes `~=` for `!=`"));
                }
                _ => break,
            }
        }
        self.levels -= 1;
        Ok(())
    }

    fn operand(&mut self) -> Parse {
        match self.token.kind {
            Kind::Number | Kind::String | Kind::Nil | Kind::True | Kind::False | Kind::Dots => {
                self.advance();
                self.assertions();
                Ok(())
            }
            Kind::OpenBrace => self.table_constructor(),
            Kind::Function => {
                self.advance();
                self.body(false)
            }
            _ => self.suffixed(false).map(drop),
        }
    }

    /// `expr!`, as often as it stands there.
    fn assertions(&mut self) -> bool {
        let start = self.token.start;
        let found = self.token.kind == Kind::Bang;
        while self.take(Kind::Bang) {}
        if found {
            self.blank(start);
        }
        found
    }

    fn table_constructor(&mut self) -> Parse {
        self.advance();
        self.brackets += 1;
        while self.token.kind != Kind::CloseBrace {
            if self.take(Kind::OpenBracket) {
                self.expression()?;
                self.expect(Kind::CloseBracket, "`]`")?;
                self.expect(Kind::Assign, "`=`")?;
            } else if self.token.kind == Kind::Name && self.peek().kind == Kind::Assign {
                self.advance();
                self.advance();
            }
            self.expression()?;
            if !self.take(Kind::Comma) && !self.take(Kind::Semicolon) {
                break;
            }
        }
        self.brackets -= 1;
        self.expect(Kind::CloseBrace, "`}`")
    }

    /// A name or something in parentheses, and what indexes or calls it. `statement` says
    /// that it stands where a statement begins.
    fn suffixed(&mut self, statement: bool) -> Parse<Suffixed> {
        let start = self.token;
        let mut name = None;
        match start.kind {
            Kind::Name => {
                self.advance();
                let bytes = self.bytes_of(start);
                name = self.names.used(bytes, start.start);
            }
            Kind::Open => {
                self.advance();
                self.bracketed(Kind::Close, "`)`")?;
            }
            _ => return Err(self.plain("an expression")),
        }
        loop {
            match self.token.kind {
                Kind::Dot => {
                    self.advance();
                    self.expect(Kind::Name, "a name")?;
                }
                Kind::OpenBracket => {
                    self.advance();
                    self.bracketed(Kind::CloseBracket, "`]`")?;
                }
                Kind::Colon => {
                    self.advance();
                    self.expect(Kind::Name, "a name")?;
                    if self.token.kind == Kind::Less {
                        self.call_arguments_of_types(statement)?;
                    }
                    self.arguments()?;
                }
                Kind::Open | Kind::String | Kind::OpenBrace => self.arguments()?,
                Kind::Bang => _ = self.assertions(),
                Kind::Less => {
                    if !self.call_arguments_of_types(statement)? {
                        return Ok(Suffixed { name });
                    }
                }
                _ => return Ok(Suffixed { name }),
            }
            name = None;
        }
    }

    fn bracketed(&mut self, closing: Kind, what: &str) -> Parse {
        self.brackets += 1;
        self.expression()?;
        self.brackets -= 1;
        self.expect(closing, what)
    }

    fn arguments(&mut self) -> Parse {
        match self.token.kind {
            Kind::String => {
                self.advance();
                Ok(())
            }
            Kind::OpenBrace => self.table_constructor(),
            Kind::Open => {
                self.advance();
                self.brackets += 1;
                if self.token.kind != Kind::Close {
                    self.expressions()?;
                }
                self.brackets -= 1;
                self.expect(Kind::Close, "`)`")
            }
            _ => Err(self.plain("the arguments of a call")),
        }
    }

    /// `f<T>(x)`: blanks the types. Where Lua would read comparisons they are types if
    /// there is one type alone and no space around the angle brackets.
    fn call_arguments_of_types(&mut self, statement: bool) -> Parse<bool> {
        let start = self.token.start;
        let tight = start == self.before;
        let found = self.attempt(|parser| {
            let count = parser.type_arguments()?.len();
            let closed = parser.before;
            if parser.token.kind != Kind::Open {
                return Err(Stop::Plain);
            }
            let sure = statement || parser.peek().kind == Kind::Close;
            let likely = tight && count == 1 && parser.token.start == closed;
            if sure || likely { Ok(()) } else { Err(Stop::Plain) }
        })?;
        if found.is_some() {
            self.blank(start);
        }
        Ok(found.is_some())
    }

    /// `:: T` and `as T` behind an operand.
    fn casts(&mut self) -> Parse {
        loop {
            let start = self.token.start;
            let is_cast = match self.token.kind {
                Kind::DoubleColon => !self.is_label(),
                Kind::Name => self.is_as(),
                _ => false,
            };
            if !is_cast {
                return Ok(());
            }
            self.advance();
            self.forget_type(start, Self::cast_type)?;
            // Without the cast, Lua would read a call.
            if self.token.kind == Kind::Open && self.brackets == 0 {
                self.separate(start);
            }
        }
    }

    /// Whether `::` begins the statement `::name::` and no cast. Inside brackets there is no
    /// statement. Else `:: T :: U` is two casts only where no statement can follow a label.
    fn is_label(&self) -> bool {
        let mut ahead = self.ahead();
        let (name, colons) = (ahead.next(), ahead.next());
        if self.brackets > 0 || name.kind != Kind::Name || colons.kind != Kind::DoubleColon {
            return false;
        }
        let (next, after) = (ahead.next(), ahead.next());
        let new_line = [self.token, name, colons, next].iter().any(|token| token.on_new_line);
        match next.kind {
            _ if new_line => true,
            Kind::String
            | Kind::Number
            | Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::OpenBrace => false,
            Kind::Name => begins_statement(after) && !after.on_new_line,
            _ => true,
        }
    }

    /// Whether the name here is the word `as` of a cast and no variable of that name. It
    /// stands on the line of its operand, and what follows begins a type. Where Lua would read
    /// a call of `as`, it is the word only in a text that names no such variable.
    fn is_as(&self) -> bool {
        if self.token.on_new_line || self.bytes_of(self.token) != b"as" {
            return false;
        }
        let next = self.peek();
        match next.kind {
            Kind::Name
            | Kind::Number
            | Kind::Minus
            | Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::Function
            | Kind::Less => true,
            Kind::String | Kind::Open | Kind::OpenBrace => {
                let apart = next.start > self.token.end && !next.on_new_line;
                self.brackets > 0 || apart && !self.as_is_taken
            }
            _ => false,
        }
    }

    /// The parameters and the block of a function.
    fn body(&mut self, method: bool) -> Parse {
        let brackets = std::mem::take(&mut self.brackets);
        let start = self.token.start;
        if self.token.kind == Kind::Less {
            self.forget_type(start, |parser| parser.parameters().map(|names| names.len()))?;
        }
        self.expect(Kind::Open, "`(`")?;
        self.names.open();
        if method {
            self.names.variable(b"self");
        }
        while self.token.kind != Kind::Close {
            if self.take(Kind::Dots) {
                self.annotation()?;
                break;
            }
            let name = self.name()?;
            self.names.variable(name);
            let start = self.token.start;
            if self.take(Kind::Question) {
                self.blank(start);
            }
            self.annotation()?;
            if !self.take(Kind::Comma) {
                break;
            }
            if self.token.kind == Kind::Close {
                return Err(self.plain("a name"));
            }
        }
        self.expect(Kind::Close, "`)`")?;
        let start = self.token.start;
        if self.take(Kind::Colon) {
            self.forget_type(start, Self::result_type)?;
        }
        self.block()?;
        self.names.close();
        self.expect(Kind::EndWord, "`end`")?;
        self.brackets = brackets;
        Ok(())
    }
}

/// Whether a token behind a name makes it the begin of a statement.
fn begins_statement(token: Token) -> bool {
    matches!(
        token.kind,
        Kind::Assign
            | Kind::Comma
            | Kind::Dot
            | Kind::Colon
            | Kind::OpenBracket
            | Kind::Open
            | Kind::OpenBrace
            | Kind::String
    )
}
