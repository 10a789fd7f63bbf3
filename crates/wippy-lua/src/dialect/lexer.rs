//! Tokens of the dialect: those of Lua 5.4, and `?`, `!`, `@` and `->`.
//!
//! The lexer accepts whatever Lua's own accepts. What it cannot read is a token of kind
//! [`Kind::Bad`], which no grammar takes, so that Lua says what is wrong there.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the text.
    End,
    /// Neither Lua nor the dialect.
    Bad,
    Name,
    Number,
    String,
    // Keywords.
    And,
    Break,
    Do,
    Else,
    Elseif,
    EndWord,
    False,
    For,
    Function,
    Goto,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
    // Symbols that the grammar looks for.
    Assign,
    Minus,
    Hash,
    Tilde,
    Ampersand,
    Pipe,
    Less,
    Greater,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    DoubleColon,
    Semicolon,
    Colon,
    Comma,
    Dot,
    Dots,
    Question,
    Bang,
    At,
    Arrow,
    /// `!=`, which Lua writes `~=`.
    NotEqual,
    /// `>=` and `>>`: binary operators whose first half may close type arguments.
    GreaterEqual,
    ShiftRight,
    /// A binary operator that is nothing else: `+ * / // % ^ .. << == ~= <=`.
    Operator,
}

/// A token: what it is and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether a line ends between the token before and this one.
    pub(super) on_new_line: bool,
}

/// Reads tokens one by one. Copies are cheap: whoever looks ahead reads with one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'s> {
    source: &'s [u8],
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s [u8]) -> Self {
        Self { source, at: 0 }
    }

    pub(super) fn source(&self) -> &'s [u8] {
        self.source
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'s [u8] {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The next token; at the end [`Kind::End`] again and again.
    pub(super) fn next(&mut self) -> Token {
        let (on_new_line, sound) = self.skip_space();
        let start = self.at;
        let kind = if sound { self.read() } else { Kind::Bad };
        Token { kind, start, end: self.at, on_new_line }
    }

    /// Skips white space and comments: whether a line ends in it, and whether all of it ends.
    fn skip_space(&mut self) -> (bool, bool) {
        let mut new_line = false;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' | b'\r' => {
                    new_line = true;
                    self.at += 1;
                }
                b' ' | b'\t' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => {
                    self.at += 2;
                    let begun = self.at;
                    match self.long_bracket() {
                        Some(true) => {
                            let comment = self.source.get(begun..self.at).unwrap_or_default();
                            new_line |= memchr::memchr2(b'\n', b'\r', comment).is_some();
                        }
                        Some(false) => return (new_line, false),
                        None => {
                            let line = memchr::memchr2(b'\n', b'\r', self.rest());
                            self.at += line.unwrap_or(self.rest().len());
                        }
                    }
                }
                _ => break,
            }
        }
        (new_line, true)
    }

    /// Reads a text in long brackets: whether it ends; none, and nothing read, where no such
    /// text begins here.
    fn long_bracket(&mut self) -> Option<bool> {
        if self.peek(0) != Some(b'[') {
            return None;
        }
        let level = self.rest().iter().skip(1).take_while(|byte| **byte == b'=').count();
        if self.peek(level + 1) != Some(b'[') {
            return None;
        }
        self.at += level + 2;
        loop {
            match memchr::memchr(b']', self.rest()) {
                None => {
                    self.at = self.source.len();
                    return Some(false);
                }
                Some(found) => {
                    self.at += found + 1;
                    let equals = self.rest().iter().take_while(|byte| **byte == b'=').count();
                    // What was counted is not looked at again.
                    self.at += equals;
                    if equals == level && self.peek(0) == Some(b']') {
                        self.at += 1;
                        return Some(true);
                    }
                }
            }
        }
    }

    fn read(&mut self) -> Kind {
        let Some(byte) = self.peek(0) else { return Kind::End };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            b'0'..=b'9' => self.number(),
            b'"' | b'\'' => self.short_string(byte),
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'[' => match self.long_bracket() {
                Some(true) => Kind::String,
                Some(false) => Kind::Bad,
                None if self.peek(1) == Some(b'=') => {
                    self.at += 1;
                    Kind::Bad
                }
                None => self.symbol(1, Kind::OpenBracket),
            },
            _ => self.operator(byte),
        }
    }

    fn symbol(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at += bytes;
        kind
    }

    fn operator(&mut self, byte: u8) -> Kind {
        let next = self.peek(1);
        match (byte, next) {
            (b'=', Some(b'=')) | (b'~', Some(b'=')) | (b'<', Some(b'=' | b'<')) => {
                self.symbol(2, Kind::Operator)
            }
            (b'/', Some(b'/')) => self.symbol(2, Kind::Operator),
            (b'>', Some(b'=')) => self.symbol(2, Kind::GreaterEqual),
            (b'>', Some(b'>')) => self.symbol(2, Kind::ShiftRight),
            (b':', Some(b':')) => self.symbol(2, Kind::DoubleColon),
            (b'-', Some(b'>')) => self.symbol(2, Kind::Arrow),
            (b'!', Some(b'=')) if self.peek(2) != Some(b'=') => self.symbol(2, Kind::NotEqual),
            (b'.', Some(b'.')) if self.peek(2) == Some(b'.') => self.symbol(3, Kind::Dots),
            (b'.', Some(b'.')) => self.symbol(2, Kind::Operator),
            (b'+' | b'*' | b'/' | b'%' | b'^', _) => self.symbol(1, Kind::Operator),
            (b'=', _) => self.symbol(1, Kind::Assign),
            (b'-', _) => self.symbol(1, Kind::Minus),
            (b'#', _) => self.symbol(1, Kind::Hash),
            (b'~', _) => self.symbol(1, Kind::Tilde),
            (b'&', _) => self.symbol(1, Kind::Ampersand),
            (b'|', _) => self.symbol(1, Kind::Pipe),
            (b'<', _) => self.symbol(1, Kind::Less),
            (b'>', _) => self.symbol(1, Kind::Greater),
            (b'(', _) => self.symbol(1, Kind::Open),
            (b')', _) => self.symbol(1, Kind::Close),
            (b'{', _) => self.symbol(1, Kind::OpenBrace),
            (b'}', _) => self.symbol(1, Kind::CloseBrace),
            (b']', _) => self.symbol(1, Kind::CloseBracket),
            (b';', _) => self.symbol(1, Kind::Semicolon),
            (b':', _) => self.symbol(1, Kind::Colon),
            (b',', _) => self.symbol(1, Kind::Comma),
            (b'.', _) => self.symbol(1, Kind::Dot),
            (b'?', _) => self.symbol(1, Kind::Question),
            (b'!', _) => self.symbol(1, Kind::Bang),
            (b'@', _) => self.symbol(1, Kind::At),
            _ => self.symbol(1, Kind::Bad),
        }
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        self.at += self.rest().iter().take_while(is_part).count();
        match self.source.get(start..self.at).unwrap_or_default() {
            b"and" => Kind::And,
            b"break" => Kind::Break,
            b"do" => Kind::Do,
            b"else" => Kind::Else,
            b"elseif" => Kind::Elseif,
            b"end" => Kind::EndWord,
            b"false" => Kind::False,
            b"for" => Kind::For,
            b"function" => Kind::Function,
            b"goto" => Kind::Goto,
            b"if" => Kind::If,
            b"in" => Kind::In,
            b"local" => Kind::Local,
            b"nil" => Kind::Nil,
            b"not" => Kind::Not,
            b"or" => Kind::Or,
            b"repeat" => Kind::Repeat,
            b"return" => Kind::Return,
            b"then" => Kind::Then,
            b"true" => Kind::True,
            b"until" => Kind::Until,
            b"while" => Kind::While,
            _ => Kind::Name,
        }
    }

    /// A number, as greedily as Lua reads one. Whether it is well-formed is left to Lua.
    fn number(&mut self) -> Kind {
        let hexadecimal = self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X'));
        let exponent: &[u8] = if hexadecimal { b"pP" } else { b"eE" };
        if hexadecimal {
            self.at += 2;
        }
        while let Some(byte) = self.peek(0) {
            if exponent.contains(&byte) {
                self.at += 1;
                if matches!(self.peek(0), Some(b'+' | b'-')) {
                    self.at += 1;
                }
            } else if byte.is_ascii_hexdigit() || byte == b'.' {
                self.at += 1;
            } else {
                break;
            }
        }
        // A name that touches a number makes it a malformed one.
        if self.peek(0).is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return self.symbol(1, Kind::Bad);
        }
        Kind::Number
    }

    fn short_string(&mut self, quote: u8) -> Kind {
        self.at += 1;
        loop {
            let Some(found) = memchr::memchr3(quote, b'\\', b'\n', self.rest()) else {
                self.at = self.source.len();
                return Kind::Bad;
            };
            let before = self.rest().get(..found).unwrap_or_default();
            if let Some(carriage) = memchr::memchr(b'\r', before) {
                self.at += carriage;
                return Kind::Bad;
            }
            self.at += found;
            match self.peek(0) {
                Some(b'\\') => self.escape(),
                Some(byte) if byte == quote => return self.symbol(1, Kind::String),
                _ => return Kind::Bad,
            }
        }
    }

    /// What may hide a quote or the end of a line. The rest of an escape is text like other.
    fn escape(&mut self) {
        self.at += 1;
        match (self.peek(0), self.peek(1)) {
            (Some(b'\r'), Some(b'\n')) | (Some(b'\n'), Some(b'\r')) => self.at += 2,
            (Some(b'z'), _) => {
                self.at += 1;
                let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t'..=b'\r');
                self.at += self.rest().iter().take_while(is_space).count();
            }
            (Some(_), _) => self.at += 1,
            (None, _) => {}
        }
    }
}

/// Whether a number token is a number by Lua's rules.
pub(super) fn is_numeral(token: &[u8]) -> bool {
    let (digits, hexadecimal) = match token {
        [b'0', b'x' | b'X', rest @ ..] => (rest, true),
        _ => (token, false),
    };
    let letter = if hexadecimal { b'p' } else { b'e' };
    let begins_exponent = |byte: &u8| byte.to_ascii_lowercase() == letter;
    let (mantissa, exponent) = match digits.iter().position(begins_exponent) {
        Some(at) => (digits.get(..at), digits.get(at + 1..)),
        None => (Some(digits), None),
    };
    let is_digit = |byte: &u8| match hexadecimal {
        true => byte.is_ascii_hexdigit(),
        false => byte.is_ascii_digit(),
    };
    let mantissa = mantissa.unwrap_or_default();
    let dots = mantissa.iter().filter(|byte| **byte == b'.').count();
    let is_mantissa = dots <= 1
        && mantissa.len() > dots
        && mantissa.iter().all(|byte| *byte == b'.' || is_digit(byte));
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits =
            exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    });
    is_mantissa && is_exponent
}

/// The text that a string token stands for; none where an escape in it is none of Lua's.
pub(super) fn unquote(token: &[u8]) -> Option<Vec<u8>> {
    if token.first() == Some(&b'[') {
        let level = token.iter().skip(1).take_while(|byte| **byte == b'=').count();
        let inner = token.get(level + 2..token.len().checked_sub(level + 2)?)?;
        let inner = match inner {
            [b'\r', b'\n', rest @ ..] | [b'\n', b'\r', rest @ ..] => rest,
            [b'\n' | b'\r', rest @ ..] => rest,
            _ => inner,
        };
        return Some(inner.to_vec());
    }
    let mut rest = token.get(1..token.len().checked_sub(1)?)?;
    let mut text = Vec::with_capacity(rest.len());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        match escape {
            b'a' => text.push(7),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' | b'\n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'v' => text.push(11),
            b'\\' | b'"' | b'\'' => text.push(*escape),
            b'z' => {
                let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r'));
                rest = rest.get(space.count()..)?;
            }
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                text.push(u8::from_str_radix(digits, 16).ok()?);
                rest = rest.get(2..)?;
            }
            b'u' => {
                let end = rest.iter().position(|byte| *byte == b'}')?;
                let digits = std::str::from_utf8(rest.get(1..end)?).ok()?;
                let code = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                text.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(end + 1..)?;
            }
            b'0'..=b'9' => {
                let more = rest.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
                let digits = std::iter::once(escape).chain(rest.iter().take(more));
                let code = digits.fold(0_u16, |code, digit| code * 10 + u16::from(digit - b'0'));
                text.push(u8::try_from(code).ok()?);
                rest = rest.get(more..)?;
            }
            _ => return None,
        }
    }
    Some(text)
}
