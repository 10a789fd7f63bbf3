//! What crosses between Lua, WebAssembly, JSON and the command line.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Error, Pid};

mod bounded_json;
mod json;

/// A map with text keys, in the order in which they came.
pub type Map = IndexMap<String, Value>;

/// One value, of a closed set of shapes.
///
/// `Nil` is absence, `Null` is presence of nothing: the inner none of a nested option, a
/// hole in a list, JSON's `null`. An unsigned number that fits `Int` is an `Int`, so
/// that equal numbers are equal values: make one with `Value::from(n_u64)`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Absent.
    #[default]
    Nil,
    /// Present but empty.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(#[serde(with = "bytes_form")] Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A map. An empty one is an empty list too, until a type decides.
    Map(Map),
    /// A resource of a guest; worth nothing outside its owner.
    Handle(Handle),
}

/// A resource that a guest handed out. It never leaves its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handle {
    /// The process whose instance holds the resource.
    pub owner: Pid,
    /// Its number there.
    pub index: u32,
    /// The resource's name, such as `counter`.
    pub name: Box<str>,
}

/// A value that has no binary form, or bytes that are no value.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// A handle cannot leave its node.
    #[error("a handle of {0} cannot be written down")]
    Handle(Box<str>),
    /// The bytes are no value.
    #[error("these bytes are no value: {0}")]
    Malformed(#[from] postcard::Error),
}

impl Value {
    /// How deep values nest at the most, everywhere they enter the runtime.
    pub const DEPTH_MAX: usize = 128;

    /// A map of these pairs.
    pub fn map<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// What the value is, for messages about types.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::UInt(_) => "integer",
            Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Handle(_) => "handle",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// An estimate of the memory the value holds, in bytes.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
                Self::List(_) | Self::Map(_) => self.size_of_items(),
                _ => 0,
            }
    }

    fn size_of_items(&self) -> usize {
        match self {
            Self::List(items) => items.iter().map(Self::size_bytes).sum(),
            Self::Map(map) => {
                map.iter().map(|(key, value)| 24 + key.len() + value.size_bytes()).sum()
            }
            _ => 0,
        }
    }

    /// Whether a handle is somewhere inside.
    #[inline]
    pub fn holds_handle(&self) -> Option<&Handle> {
        match self {
            Self::Handle(handle) => Some(handle),
            Self::List(_) | Self::Map(_) => self.item_that_holds_handle(),
            _ => None,
        }
    }

    fn item_that_holds_handle(&self) -> Option<&Handle> {
        match self {
            Self::List(items) => items.iter().find_map(Self::holds_handle),
            Self::Map(map) => map.values().find_map(Self::holds_handle),
            _ => None,
        }
    }

    /// The compact binary form (postcard), which [`Value::from_binary`] reads back.
    ///
    /// # Errors
    ///
    /// When a handle is inside.
    pub fn to_binary(&self) -> Result<Vec<u8>, BinaryError> {
        match self.holds_handle() {
            Some(handle) => Err(BinaryError::Handle(handle.name.clone())),
            None => Ok(postcard::to_allocvec(self)?),
        }
    }

    /// Reads the binary form. For bytes that the runtime wrote itself: nesting is not
    /// bounded here.
    ///
    /// # Errors
    ///
    /// When the bytes are no value.
    pub fn from_binary(bytes: &[u8]) -> Result<Self, BinaryError> {
        Ok(postcard::from_bytes(bytes)?)
    }

    /// The JSON form. Bytes are a list of numbers; what JSON has no number for (NaN,
    /// infinities) is `null`, as in JavaScript.
    pub fn to_json(&self) -> serde_json::Value {
        json::to_json(self)
    }

    /// The value of a JSON text's tree.
    pub fn from_json(json: serde_json::Value) -> Self {
        json::from_json(json)
    }

    /// The value of a JSON text.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, with line and column, when the text is no JSON or nests deeper
    /// than [`Value::DEPTH_MAX`].
    pub fn parse_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text)
            .map(json::from_json)
            .map_err(|error| Error::invalid(format!("this is no JSON: {error}")))
    }

    /// The value of a JSON text that somebody else wrote: it takes at most `bytes_max`, as
    /// [`Value::size_bytes`] counts.
    ///
    /// # Errors
    ///
    /// As [`Value::parse_json`]; `ResourceExhausted` when it takes more.
    pub fn read_json(json: &[u8], bytes_max: usize) -> Result<Self, Error> {
        bounded_json::read(json, bytes_max)
    }

    /// The text of [`Value::to_json`], of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when it has more.
    pub fn write_json(&self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        bounded_json::write(self, bytes_max)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Bytes(value) => write!(f, "b\"{}\"", value.escape_ascii()),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(map) => f.debug_map().entries(map).finish(),
            Self::Handle(handle) => write!(f, "<{} of {}>", handle.name, handle.owner),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::UInt(value), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::List(value)
    }
}

/// Bytes as one block and not element by element.
mod bytes_form {
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Block;
        impl<'de> Visitor<'de> for Block {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        Value::map([
            ("nil", Value::Nil),
            ("list", Value::List(vec![Value::Null, Value::Bool(true), Value::Int(-1)])),
            ("big", Value::from(u64::MAX)),
            ("bytes", Value::Bytes(vec![0, 255])),
            ("text", Value::from("ä")),
            ("float", Value::Float(1.5)),
        ])
    }

    #[test]
    fn binary_comes_back() {
        let bytes = sample().to_binary().unwrap();
        assert_eq!(Value::from_binary(&bytes).unwrap(), sample());
        assert!(Value::from_binary(&[200, 1, 2]).is_err());
    }

    #[test]
    fn a_handle_has_no_binary_form() {
        let owner = Pid::parse("{n@a:b|1.2}").unwrap();
        let handle = Value::Handle(Handle { owner, index: 1, name: "counter".into() });
        let error = Value::List(vec![handle]).to_binary().unwrap_err();
        assert_eq!(error.to_string(), "a handle of counter cannot be written down");
    }

    #[test]
    fn json_forms() {
        assert_eq!(
            sample().to_json().to_string(),
            r#"{"nil":null,"list":[null,true,-1],"big":18446744073709551615,"bytes":[0,255],"text":"ä","float":1.5}"#
        );
        assert_eq!(Value::Float(f64::NAN).to_json().to_string(), "null");
        assert_eq!(Value::parse_json("18446744073709551615").unwrap(), Value::UInt(u64::MAX));
        assert_eq!(Value::parse_json("1.0").unwrap(), Value::Float(1.0));
        let error = Value::parse_json("[1,").unwrap_err();
        assert!(error.message().contains("line 1 column 3"), "{error}");
        assert!(Value::parse_json(&"[".repeat(200)).is_err());
    }

    #[test]
    fn unsigned_numbers_that_fit_are_integers() {
        assert_eq!(Value::from(7_u64), Value::Int(7));
        assert_eq!(Value::from(u64::MAX), Value::UInt(u64::MAX));
    }
}
