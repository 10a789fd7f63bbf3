//! How `option<T>` looks as a value, at every depth of nesting.
//!
//! | type | none | some(none) | some(some(none)) | all some |
//! |---|---|---|---|---|
//! | `option<T>` | nil | | | the value |
//! | `option<option<T>>` | nil | null | | the value |
//! | three and more | nil | null | `{some = null}` | `{some = value}`, once per further level |
//!
//! On the way in null is taken for none where nothing is nested, and a plain value at
//! three or more levels is some all the way. Where nothing can be absent (items of lists
//! and tuples, payloads of variants and results) the none of a plain option comes out as
//! null: a hole in a list is null, and `{ok = nil}` would be an empty table in Lua.

use wippy_model::{Map, Value};

use super::types::Type;

static NIL: Value = Value::Nil;

/// The value of `some(payload)`; `inner` is the type of the payload.
pub(super) fn some(payload: Value, inner: &Type) -> Value {
    match inner {
        Type::Option(_) if matches!(payload, Value::Nil) => Value::Null,
        Type::Option(innermost) if innermost.is_option() => {
            Value::Map(Map::from_iter([("some".to_owned(), payload)]))
        }
        _ => payload,
    }
}

/// The payload of a value of `option<inner>`; `None` for none.
pub(super) fn payload(value: Value, inner: &Type) -> Option<Value> {
    match (value, inner) {
        (Value::Nil, _) => None,
        (Value::Null, Type::Option(_)) => Some(Value::Nil),
        (Value::Null, _) => None,
        (Value::Map(mut map), Type::Option(innermost))
            if innermost.is_option() && map.len() == 1 && map.contains_key("some") =>
        {
            map.swap_remove("some")
        }
        (value, _) => Some(value),
    }
}

/// What [`payload`] gives, borrowed.
pub(super) fn payload_ref<'a>(value: &'a Value, inner: &Type) -> Option<&'a Value> {
    match (value, inner) {
        (Value::Nil, _) => None,
        (Value::Null, Type::Option(_)) => Some(&NIL),
        (Value::Null, _) => None,
        (Value::Map(map), Type::Option(innermost)) if innermost.is_option() && map.len() == 1 => {
            Some(map.get("some").unwrap_or(value))
        }
        (value, _) => Some(value),
    }
}

/// The form of a value where nothing can be absent.
pub(super) fn present(value: Value, ty: &Type) -> Value {
    match (value, ty) {
        (Value::Nil, Type::Option(inner)) if !inner.is_option() => Value::Null,
        (value, _) => value,
    }
}
