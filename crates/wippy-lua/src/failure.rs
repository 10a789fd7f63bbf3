//! Error objects of Lua, and what an error that left a script amounts to.
//!
//! An error object is a table with the positions below and a metatable that scripts do not
//! get hold of (`modules/errors.rs` makes it). No metamethod of a script is called here: an
//! error value that misbehaves when it is looked at must not hurt the host.

use std::ffi::c_int;

use wippy_model::{Error, Kind, Stack, Value};

use crate::convert;
use crate::modules::errors;
use crate::state::{Key, State, TEXT_BYTES_MAX, Type};

/// The metatable of error objects.
pub(crate) static ERROR: Key = Key::new();

/// Positions in an error object.
pub(crate) const MESSAGE: i64 = 1;
pub(crate) const KIND: i64 = 2;
pub(crate) const RETRYABLE: i64 = 3;
pub(crate) const DETAILS: i64 = 4;
pub(crate) const STACK: i64 = 5;
pub(crate) const CAUSE: i64 = 6;

/// Pushes an error object.
pub(crate) fn push(state: State<'_>, error: &Error) {
    state.push_table(6, 0);
    state.push_str(error.message());
    state.set_position(-2, MESSAGE);
    state.push_str(error.kind().name());
    state.set_position(-2, KIND);
    if let Some(retryable) = error.retryable() {
        state.push_bool(retryable);
        state.set_position(-2, RETRYABLE);
    }
    if *error.details() != Value::Nil {
        convert::push(state, error.details());
        state.set_position(-2, DETAILS);
    }
    if let Some(stack) = error.stack() {
        state.push_str(&stack.to_string());
        state.set_position(-2, STACK);
    }
    set_metatable(state);
}

/// Makes the table on top an error object.
pub(crate) fn set_metatable(state: State<'_>) {
    state.get_or_make(&ERROR, errors::make_metatable);
    state.set_metatable(-2);
}

/// Whether the value is an error object.
pub(crate) fn is_error(state: State<'_>, index: c_int) -> bool {
    state.type_of(index) == Type::Table && state.has_metatable(index, &ERROR)
}

/// The error that an error value of a script amounts to. The stack is the object's own,
/// where it has one, else `traceback`.
pub(crate) fn from_value(state: State<'_>, index: c_int, traceback: Option<String>) -> Error {
    let index = state.absolute(index);
    let error = match state.type_of(index) {
        Type::Table if is_error(state, index) => from_object(state, index),
        Type::Table => from_table(state, index),
        Type::String | Type::Number => Error::internal(text(state, index)),
        Type::Nil | Type::None => Error::internal("the script raised nil"),
        _ => Error::internal(format!(
            "the script raised a {}; raise a text, a table or an error of errors.new",
            state.type_name(index)
        )),
    };
    match (error.stack(), traceback) {
        (None, Some(traceback)) => error.with_stack(Stack::new(traceback)),
        _ => error,
    }
}

fn from_object(state: State<'_>, index: c_int) -> Error {
    state.get_position(index, MESSAGE);
    let message = text(state, -1);
    state.get_position(index, KIND);
    let kind = state.to_str(-1).and_then(Kind::from_name).unwrap_or(Kind::Internal);
    state.pop(2);
    let mut error = Error::new(kind, message);
    if state.get_position(index, RETRYABLE) == Type::Bool {
        error = error.with_retryable(state.to_bool(-1));
    }
    state.get_position(index, DETAILS);
    error = error.with_details(convert::to_value_or_text(state, -1));
    if state.get_position(index, STACK) == Type::String {
        error = error.with_stack(Stack::new(text(state, -1)));
    }
    state.pop(3);
    error
}

/// A table that is no error object: its fields count where they have the right types.
fn from_table(state: State<'_>, index: c_int) -> Error {
    let kind = match state.get_field(index, "kind") {
        Type::String => state.to_str(-1).and_then(Kind::from_name),
        _ => None,
    };
    let message = match state.get_field(index, "message") {
        Type::String => Some(text(state, -1)),
        _ => None,
    };
    let retryable = match state.get_field(index, "retryable") {
        Type::Bool => Some(state.to_bool(-1)),
        _ => None,
    };
    state.pop(3);
    let details = convert::to_value_or_text(state, index);
    let message = message.unwrap_or_else(|| match &details {
        Value::Map(_) | Value::List(_) => {
            let json = details.to_json().to_string();
            if json.len() > 200 { "the script raised a table".to_owned() } else { json }
        }
        _ => "the script raised a table".to_owned(),
    });
    let error = Error::new(kind.unwrap_or(Kind::Internal), message).with_details(details);
    match retryable {
        Some(retryable) => error.with_retryable(retryable),
        None => error,
    }
}

/// The text of a string or number; empty for anything else. Of a long one the beginning: the
/// text of an error is for people.
pub(crate) fn text(state: State<'_>, index: c_int) -> String {
    match state.type_of(index) {
        Type::String => {
            let bytes = state.to_bytes(index).unwrap_or_default();
            let front = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
            let cut = if front.len() < bytes.len() { "..." } else { "" };
            String::from_utf8_lossy(front).into_owned() + cut
        }
        Type::Number => match (state.to_exact_integer(index), state.to_number(index)) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        },
        _ => String::new(),
    }
}
