//! Values that cross between processes: text, bytes and JSON.
//!
//! A Lua string arrives as text (as bytes where it is not UTF-8), any other Lua value as JSON.
//! On the way to Lua JSON becomes a value, text and bytes become strings.

use std::fmt;
use std::str::FromStr;

use crate::bindings::wippy::actor::process as raw;
use crate::{Error, Kind, Result};

/// How the data of a [`Payload`] is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// UTF-8.
    Text,
    /// Any bytes.
    Bytes,
    /// A JSON text.
    Json,
}

/// One value of a message, one argument of a spawn, or the value of an exit.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    format: Format,
    data: Vec<u8>,
}

impl Payload {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { format: Format::Text, data: text.into().into_bytes() }
    }

    /// Bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { format: Format::Bytes, data: bytes.into() }
    }

    /// A value that is written as JSON already. Whether it is JSON is checked by the send.
    pub fn json_text(json: impl Into<String>) -> Self {
        Self { format: Format::Json, data: json.into().into_bytes() }
    }

    /// A value as JSON.
    ///
    /// # Errors
    ///
    /// `Invalid` when it has no form in JSON.
    #[cfg(feature = "serde")]
    pub fn json(value: &impl serde::Serialize) -> Result<Self> {
        let data = serde_json::to_vec(value)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        Ok(Self { format: Format::Json, data })
    }

    /// The value that JSON stands for; a text is taken as a JSON string.
    ///
    /// # Errors
    ///
    /// `Invalid` when it is bytes, or does not fit the type.
    #[cfg(feature = "serde")]
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let value = match self.format {
            Format::Json => serde_json::from_slice(&self.data),
            Format::Text => {
                T::deserialize(serde_json::Value::from(String::from_utf8_lossy(&self.data)))
            }
            Format::Bytes => return Err(Error::new(Kind::Invalid, "bytes are no JSON")),
        };
        value.map_err(|error| Error::new(Kind::Invalid, error.to_string()))
    }

    /// How the data is to be read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The data.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The data, owned.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The text, or the JSON as it is written; none of bytes that are no UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.data).ok()
    }

    /// A number, a boolean or whatever else reads from a text, from a text or from JSON as it is
    /// written.
    ///
    /// # Errors
    ///
    /// `Invalid` when it does not read as that.
    pub fn parse<T: FromStr>(&self) -> Result<T> {
        self.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let wanted = std::any::type_name::<T>();
            Error::new(Kind::Invalid, format!("expected {wanted}, got {self:?}"))
        })
    }
}

impl fmt::Debug for Payload {
    /// The data as text where it is, the number of bytes elsewhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.format, self.as_str()) {
            (Format::Text, Some(text)) => write!(f, "{text:?}"),
            (Format::Json, Some(json)) => f.write_str(json),
            _ => write!(f, "{} bytes", self.data.len()),
        }
    }
}

impl From<raw::Payload> for Payload {
    fn from(payload: raw::Payload) -> Self {
        let format = match payload.format.as_str() {
            "text" => Format::Text,
            "json" => Format::Json,
            _ => Format::Bytes,
        };
        Self { format, data: payload.data }
    }
}

impl From<Payload> for raw::Payload {
    fn from(payload: Payload) -> Self {
        let format = match payload.format {
            Format::Text => "text",
            Format::Bytes => "bytes",
            Format::Json => "json",
        };
        Self { format: format.to_owned(), data: payload.data }
    }
}

/// What becomes the payloads of a message or the arguments of a spawn: one value, a tuple, an
/// array or a vector of them. `()` is none.
///
/// Strings become text, byte vectors bytes, numbers and booleans JSON.
pub trait Payloads {
    /// One payload for each value.
    fn into_payloads(self) -> Vec<Payload>;
}

/// None at all.
impl Payloads for () {
    fn into_payloads(self) -> Vec<Payload> {
        Vec::new()
    }
}

/// JSON's null.
impl From<()> for Payload {
    fn from((): ()) -> Self {
        Self::json_text("null")
    }
}

impl Payloads for Vec<Payload> {
    fn into_payloads(self) -> Vec<Payload> {
        self
    }
}

impl<T: Into<Payload>, const N: usize> Payloads for [T; N] {
    fn into_payloads(self) -> Vec<Payload> {
        self.into_iter().map(Into::into).collect()
    }
}

impl Payloads for Payload {
    fn into_payloads(self) -> Vec<Payload> {
        vec![self]
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(impl<$($name: Into<Payload>),+> Payloads for ($($name,)+) {
            #[allow(non_snake_case)]
            fn into_payloads(self) -> Vec<Payload> {
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        })+
    };
}

tuples!((A)(A B)(A B C)(A B C D)(A B C D E)(A B C D E F)(A B C D E F G)(A B C D E F G H));

macro_rules! values {
    ($($type:ty: $value:ident => $payload:expr;)+) => {
        $(impl From<$type> for Payload {
            fn from($value: $type) -> Self {
                $payload
            }
        }

        impl Payloads for $type {
            fn into_payloads(self) -> Vec<Payload> {
                vec![self.into()]
            }
        })+
    };
}

values! {
    &str: text => Self::text(text);
    &String: text => Self::text(text.as_str());
    String: text => Self::text(text);
    &[u8]: bytes => Self::bytes(bytes);
    Vec<u8>: bytes => Self::bytes(bytes);
    bool: value => Self::json_text(value.to_string());
    i8: value => Self::json_text(value.to_string());
    i16: value => Self::json_text(value.to_string());
    i32: value => Self::json_text(value.to_string());
    i64: value => Self::json_text(value.to_string());
    u8: value => Self::json_text(value.to_string());
    u16: value => Self::json_text(value.to_string());
    u32: value => Self::json_text(value.to_string());
    u64: value => Self::json_text(value.to_string());
    usize: value => Self::json_text(value.to_string());
    f64: value => float(value);
    f32: value => float(f64::from(value));
    &crate::Pid: pid => Self::text(pid.as_str());
    crate::Pid: pid => Self::text(pid.as_str());
}

/// JSON has no infinities and no NaN: they become null. `{:?}` keeps a fraction and an exponent.
fn float(value: f64) -> Payload {
    Payload::json_text(if value.is_finite() { format!("{value:?}") } else { "null".to_owned() })
}

pub(crate) fn to_raw(payloads: impl Payloads) -> Vec<raw::Payload> {
    payloads.into_payloads().into_iter().map(Into::into).collect()
}
