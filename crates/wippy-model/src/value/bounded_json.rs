//! JSON to and from values where somebody else decides how large it is: no tree in between, and
//! a limit on what is made. Depth is bounded as in `json.rs`.

use std::cell::Cell;
use std::fmt;
use std::io;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Map, Value};
use crate::{Error, Kind};

/// What a key of a map takes beside its text, as [`Value::size_bytes`] counts it.
const KEY_BYTES: usize = 24;

/// Reads one value; `left` is what it may still take.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
}

/// The text of the error that tells a limit from bad JSON.
const TOO_LARGE: &str = "it is too large";

impl Bounded<'_> {
    fn take<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(E::custom(TOO_LARGE))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.take(size_of::<Value>())?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.take(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.take(KEY_BYTES + key.len())?;
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Map(map))
    }
}

pub(super) fn read(json: &[u8], bytes_max: usize) -> Result<Value, Error> {
    let left = Cell::new(bytes_max);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Bounded { left: &left }.deserialize(&mut reader);
    value.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
        if error.is_data() && error.to_string().starts_with(TOO_LARGE) {
            let message = format!("the value takes more than {bytes_max} bytes");
            return Error::new(Kind::ResourceExhausted, message);
        }
        Error::invalid(format!("this is no JSON: {error}"))
    })
}

/// The same form as [`Value::to_json`].
struct AsJson<'a>(&'a Value);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Nil | Value::Null => to.serialize_unit(),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Int(value) => to.serialize_i64(*value),
            Value::UInt(value) => to.serialize_u64(*value),
            // What JSON has no number for becomes `null`.
            Value::Float(value) => to.serialize_f64(*value),
            Value::String(text) => to.serialize_str(text),
            Value::Bytes(bytes) => to.collect_seq(bytes),
            Value::List(items) => to.collect_seq(items.iter().map(AsJson)),
            Value::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &AsJson(value))?;
                }
                map.end()
            }
            Value::Handle(handle) => to.collect_str(&format_args!("<{}>", handle.name)),
        }
    }
}

/// Takes so many bytes and no more.
struct Room {
    written: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.bytes_max - self.written.len() {
            return Err(io::Error::other(TOO_LARGE));
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn write(value: &Value, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut room = Room { written: Vec::new(), bytes_max };
    match serde_json::to_writer(&mut room, &AsJson(value)) {
        Ok(()) => Ok(room.written),
        // Nothing else can go wrong: keys are texts.
        Err(_) => {
            let message = format!("the value takes more than {bytes_max} bytes as JSON");
            Err(Error::new(Kind::ResourceExhausted, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_as_through_a_tree() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"ä\n"],"b":{"c":[]},"a2":1e3}"#;
        let value = read(text.as_bytes(), 1 << 20).unwrap();
        assert_eq!(value, Value::parse_json(text).unwrap());
        let mut odd = vec![value, Value::Nil, Value::Bytes(vec![0, 255])];
        odd.extend([Value::Float(f64::NAN), Value::Float(f64::NEG_INFINITY), Value::Float(2.0)]);
        let odd = Value::List(odd);
        assert_eq!(write(&odd, 1 << 20).unwrap(), odd.to_json().to_string().into_bytes());
    }

    #[test]
    fn what_is_no_json_or_too_large() {
        let text = |json: &str, max| read(json.as_bytes(), max).unwrap_err().to_string();
        assert_eq!(
            text("[1,", 1 << 20),
            "this is no JSON: EOF while parsing a value at line 1 column 3"
        );
        assert_eq!(text("1 2", 1 << 20), "this is no JSON: trailing characters at line 1 column 3");
        assert!(text(&"[".repeat(200), 1 << 20).contains("recursion limit"));
        assert!(read(&[b'"', 0xff, b'"'], 1 << 20).is_err());
        let many = format!("[{}0]", "0,".repeat(1000));
        assert_eq!(text(&many, 1000), "the value takes more than 1000 bytes");
        assert_eq!(read(many.as_bytes(), 100).unwrap_err().kind(), Kind::ResourceExhausted);
        assert!(read(many.as_bytes(), 1002 * size_of::<Value>()).is_ok());
        // A text that says so is no limit.
        let says = r#"{"it is too large": x}"#;
        assert!(text(says, 1 << 20).starts_with("this is no JSON"));
        let bytes = Value::Bytes(vec![255; 100]);
        let error = write(&bytes, 200).unwrap_err();
        assert_eq!(error.to_string(), "the value takes more than 200 bytes as JSON");
        assert_eq!(write(&bytes, 401).unwrap().len(), 401);
    }
}
