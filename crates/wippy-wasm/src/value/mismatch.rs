//! What is wrong with a value, and where: `argument 1 "users"[2].age: expected u32, got
//! string "x"`.
//!
//! The place is put together while the error travels out, so that a value without one pays
//! nothing for it. Items count from 1, as arguments and Lua sequences do. Texts and types
//! are shortened.

use std::fmt::{self, Display, Write as _};

use wippy_model::{Error, Value};

/// The most characters of a text that an error shows.
pub(super) const TEXT_CHARS_MAX: usize = 40;
/// The most characters of an expected type that an error shows.
const TYPE_CHARS_MAX: usize = 80;
/// The most keys of a map that an error shows.
const KEYS_MAX: usize = 4;

/// A value that does not fit, without the name of the parameter it is in.
#[derive(Debug)]
pub(super) struct Mismatch(Box<Body>);

#[derive(Debug)]
struct Body {
    /// Innermost first.
    path: Vec<Step>,
    text: String,
}

#[derive(Debug)]
enum Step {
    Name(String),
    Index(usize),
}

impl Mismatch {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Body { path: Vec::new(), text: text.into() }))
    }

    /// `expected u32, got string "x"`.
    pub(super) fn expected(expected: impl Display, got: &Value) -> Self {
        let expected = shorten(&expected.to_string(), TYPE_CHARS_MAX);
        Self::new(format!("expected {expected}, got {}", Described(got)))
    }

    /// The field of a record is not there.
    pub(super) fn missing(expected: impl Display) -> Self {
        let expected = shorten(&expected.to_string(), TYPE_CHARS_MAX);
        Self::new(format!("expected {expected}, but the field is missing"))
    }

    /// The same mistake, seen from the record, variant or result around it.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.0.path.push(Step::Name(name.to_owned()));
        self
    }

    /// The same mistake, seen from the list or tuple around it.
    pub(super) fn in_item(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }

    /// The error for the user; `place` says which argument it is.
    pub(super) fn at(self, place: &str) -> Error {
        Error::invalid(self.text_at(place))
    }

    /// The text of [`Mismatch::at`].
    pub(super) fn text_at(&self, place: &str) -> String {
        let mut text = place.to_owned();
        for step in self.0.path.iter().rev() {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Name(name) => write!(text, ".{name}"),
                Step::Index(index) => write!(text, "[{}]", index + 1),
            };
        }
        let colon = if text.is_empty() { "" } else { ": " };
        format!("{text}{colon}{}", self.0.text)
    }
}

/// A value in a few words.
struct Described<'a>(&'a Value);

impl Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Nil | Value::Null => f.write_str(self.0.type_name()),
            Value::Bool(value) => write!(f, "bool {value}"),
            Value::Int(value) => write!(f, "integer {value}"),
            Value::UInt(value) => write!(f, "integer {value}"),
            Value::Float(value) => write!(f, "number {value:?}"),
            Value::String(text) => write!(f, "string {}", quoted(text)),
            Value::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Value::List(items) => write!(f, "list of {}", items.len()),
            Value::Map(map) if map.is_empty() => f.write_str("empty map"),
            Value::Map(map) => {
                f.write_str("map with ")?;
                for (index, key) in map.keys().take(KEYS_MAX).enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", quoted(key))?;
                }
                f.write_str(if map.len() > KEYS_MAX { ", …" } else { "" })
            }
            Value::Handle(handle) => write!(f, "handle {}", handle.name),
        }
    }
}

/// A text in quotes, escaped and shortened.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => {
            let start = text.get(..end).unwrap_or_default();
            let mut quoted = format!("{start:?}");
            quoted.pop();
            quoted + "…\""
        }
    }
}

/// A text of at most that many characters.
pub(super) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
