//! `errors`: structured errors.
//!
//! ```text
//! errors.new("text")
//! errors.new({ message = , kind = , retryable = , details = })
//! errors.new(kind, "text" [, details])
//! errors.wrap(err, "context")      -- keeps kind, retryable and details
//! errors.is(err, kind or error)    -- also down the chain of wraps
//! errors.call_stack([err])         -- a text
//! ```
//!
//! An error has `:kind() :message() :retryable() :details() :stack() :unwrap()`; `tostring`
//! gives the message. Kinds are constants: `errors.NotFound`, `errors.NOT_FOUND`.

use std::ffi::c_int;

use wippy_model::Kind;

use crate::failure::{
    CAUSE, DETAILS, KIND, MESSAGE, RETRYABLE, STACK, is_error, set_metatable, text,
};
use crate::host_fn::{Answer, Outcome, Raised, host_fn, misuse};
use crate::state::{State, Type};

/// Errors that wrap one another are looked at to this depth.
const CHAIN_MAX: usize = 64;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 5 + 2 * Kind::ALL.len());
    state.set_functions(&[
        ("new", host_fn(|s, _| new(s))),
        ("wrap", host_fn(|s, _| wrap(s))),
        ("is", host_fn(|s, _| is(s))),
        ("call_stack", host_fn(|s, _| call_stack(s))),
    ]);
    for kind in Kind::ALL {
        for name in [kind.name().to_owned(), constant_name(kind.name())] {
            state.push_str(kind.name());
            state.set_field(-2, &name);
        }
    }
}

/// `NotFound` as `NOT_FOUND`.
fn constant_name(name: &str) -> String {
    let mut constant = String::new();
    for (position, c) in name.char_indices() {
        if position > 0 && c.is_ascii_uppercase() {
            constant.push('_');
        }
        constant.push(c.to_ascii_uppercase());
    }
    constant
}

/// Pushes the new metatable of error objects.
pub(crate) fn make_metatable(state: State<'_>) {
    state.push_table(0, 5);
    state.push_table(0, 6);
    state.set_functions(&[
        ("kind", host_fn(|s, _| field(s, "kind", KIND))),
        ("message", host_fn(|s, _| field(s, "message", MESSAGE))),
        ("retryable", host_fn(|s, _| field(s, "retryable", RETRYABLE))),
        ("details", host_fn(|s, _| field(s, "details", DETAILS))),
        ("stack", host_fn(|s, _| field(s, "stack", STACK))),
        ("unwrap", host_fn(|s, _| field(s, "unwrap", CAUSE))),
    ]);
    state.set_field(-2, "__index");
    state.set_functions(&[
        (
            "__tostring",
            host_fn(|s, _| {
                s.push_bytes(shown(s, 1)?.as_bytes());
                Ok(Answer::Values(1))
            }),
        ),
        (
            "__concat",
            host_fn(|s, _| {
                let joined = shown(s, 1)? + &shown(s, 2)?;
                s.push_str(&joined);
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.push_str("error");
    state.set_field(-2, "__name");
    state.push_str("error");
    state.set_field(-2, "__metatable");
}

fn field(state: State<'_>, name: &str, position: i64) -> Outcome {
    if !is_error(state, 1) {
        return Err(misuse(
            state,
            format_args!("call it on an error, as err:{name}(), not on a {}", state.type_name(1)),
        ));
    }
    state.get_position(1, position);
    Ok(Answer::Values(1))
}

fn shown(state: State<'_>, index: c_int) -> Result<String, Raised> {
    match state.type_of(index) {
        _ if is_error(state, index) => {
            state.get_position(index, MESSAGE);
            let message = text(state, -1);
            state.pop(1);
            Ok(message)
        }
        Type::String | Type::Number if !state.is_long(index) => Ok(text(state, index)),
        _ => Err(misuse(
            state,
            format_args!("cannot join an error and a {}", state.type_name(index)),
        )),
    }
}

fn new(state: State<'_>) -> Outcome {
    // Where the message, kind, retryable and details are on the stack.
    let top = state.top();
    match (state.type_of(1), state.type_of(2)) {
        (Type::Table, _) if !is_error(state, 1) => {
            for name in ["message", "kind", "retryable", "details"] {
                state.get_field(1, name);
            }
        }
        (Type::String, Type::String) => {
            state.push_copy(2);
            state.push_copy(1);
            state.push_nil();
            state.push_copy(if top >= 3 { 3 } else { 2 });
            if top < 3 {
                state.pop(1);
                state.push_nil();
            }
        }
        (Type::String | Type::Number, _) => {
            state.push_copy(1);
            state.push_nil();
            state.push_nil();
            state.push_nil();
        }
        _ => {
            return Err(misuse(
                state,
                "errors.new takes a text, a kind and a text, or a table with message, kind, \
                 retryable and details",
            ));
        }
    }
    let base = state.top() - 4;
    let kind = match state.type_of(base + 2) {
        Type::Nil => Kind::Internal,
        _ => match state.to_str(base + 2).and_then(Kind::from_name) {
            Some(kind) => kind,
            None => return Err(unknown_kind(state, base + 2)),
        },
    };
    let message = text(state, base + 1);
    let stack = state.traceback(state.raw(), 1);
    state.push_table(6, 0);
    state.push_str(&message);
    state.set_position(-2, MESSAGE);
    state.push_str(kind.name());
    state.set_position(-2, KIND);
    if state.type_of(base + 3) == Type::Bool {
        state.push_copy(base + 3);
        state.set_position(-2, RETRYABLE);
    }
    state.push_copy(base + 4);
    state.set_position(-2, DETAILS);
    state.push_str(&stack);
    state.set_position(-2, STACK);
    set_metatable(state);
    Ok(Answer::Values(1))
}

fn unknown_kind(state: State<'_>, index: c_int) -> Raised {
    let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
    misuse(
        state,
        format_args!(
            "there is no error kind \"{}\"; kinds: {}",
            text(state, index),
            known.join(", ")
        ),
    )
}

fn wrap(state: State<'_>) -> Outcome {
    if state.type_of(2) != Type::String {
        return Err(misuse(state, "errors.wrap takes an error and a text"));
    }
    let context = text(state, 2);
    let from = is_error(state, 1);
    let cause = if from {
        shown(state, 1)?
    } else {
        match state.type_of(1) {
            Type::String | Type::Number => text(state, 1),
            Type::Nil | Type::None => return Err(misuse(state, "errors.wrap: there is no error")),
            _ => state.type_name(1).to_owned(),
        }
    };
    state.push_table(6, 0);
    state.push_str(&format!("{context}: {cause}"));
    state.set_position(-2, MESSAGE);
    if from {
        for position in [KIND, RETRYABLE, DETAILS, STACK] {
            state.get_position(1, position);
            state.set_position(-2, position);
        }
    } else {
        state.push_str(Kind::Internal.name());
        state.set_position(-2, KIND);
        let stack = state.traceback(state.raw(), 1);
        state.push_str(&stack);
        state.set_position(-2, STACK);
    }
    state.push_copy(1);
    state.set_position(-2, CAUSE);
    set_metatable(state);
    Ok(Answer::Values(1))
}

fn is(state: State<'_>) -> Outcome {
    let mut found = false;
    let kind = state.to_str(2).map(str::to_owned);
    let target = state.to_pointer(2);
    state.push_copy(1);
    for _ in 0..CHAIN_MAX {
        if !is_error(state, -1) {
            break;
        }
        state.get_position(-1, KIND);
        let same_kind = kind.as_deref().is_some_and(|kind| state.to_str(-1) == Some(kind));
        state.pop(1);
        if same_kind || (!target.is_null() && kind.is_none() && state.to_pointer(-1) == target) {
            found = true;
            break;
        }
        state.get_position(-1, CAUSE);
        state.insert(-2);
        state.pop(1);
    }
    state.push_bool(found);
    Ok(Answer::Values(1))
}

fn call_stack(state: State<'_>) -> Outcome {
    if is_error(state, 1) {
        state.get_position(1, STACK);
    } else {
        let stack = state.traceback(state.raw(), 1);
        state.push_str(&stack);
    }
    Ok(Answer::Values(1))
}
