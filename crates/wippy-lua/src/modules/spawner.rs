//! `process.with_context{...}`: spawns with other values, another actor or another scope.
//!
//! A builder is not changed: each `:with_context(values)`, `:with_actor(actor)` and
//! `:with_scope(scope)` gives a new one. `:spawn`, `:spawn_monitored` and `:exec` take what
//! the functions of `process` take. What the actor of this process may not hand on is
//! refused there, as `nil, err`.

use std::ffi::c_int;

use wippy_model::{Context, Map, Result, Value};

use crate::convert;
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::modules::process;
use crate::modules::security::{Change, actor_from, map_from, scope_from};
use crate::state::{Key, State, Type};
use crate::work::deliver;

static BUILDER: Key = Key::new();

/// The fields of a builder's table.
const FIELDS: [&str; 3] = ["values", "actor", "scope"];

/// `process.with_context(values)`.
pub(crate) fn with_context(state: State<'_>) -> Outcome {
    let values = map_from(state, 1, "values").map_err(|error| misuse(state, error))?;
    state.push_table(0, FIELDS.len());
    set_values(state, values);
    finish(state)
}

/// Sets the values in the table on top.
fn set_values(state: State<'_>, values: Map) {
    convert::push(state, &Value::Map(values));
    state.set_field(-2, "values");
}

/// Wraps the table on top.
fn finish(state: State<'_>) -> Outcome {
    state.get_or_make(&BUILDER, |state| {
        state.push_table(0, 3);
        state.push_table(0, 6);
        state.set_functions(&[
            ("with_context", host_fn(|s, _| more_values(s))),
            ("with_actor", host_fn(|s, _| with_part(s, "actor"))),
            ("with_scope", host_fn(|s, _| with_part(s, "scope"))),
            ("spawn", host_fn(|s, again| spawn(s, again, false))),
            ("spawn_monitored", host_fn(|s, again| spawn(s, again, true))),
            ("exec", host_fn(exec)),
        ]);
        state.set_field(-2, "__index");
        state.push_str("process builder");
        state.set_field(-2, "__name");
        state.push_bool(false);
        state.set_field(-2, "__metatable");
    });
    state.pop(1);
    state.wrap_table(&BUILDER);
    Ok(Answer::Values(1))
}

/// Pushes a copy of the builder's table.
fn copy(state: State<'_>) -> Result<(), Raised> {
    if !state.get_wrapped(1, &BUILDER) {
        return Err(misuse(state, "call it on what process.with_context gave, with a colon"));
    }
    let old = state.top();
    state.push_table(0, FIELDS.len());
    for name in FIELDS {
        state.get_field(old, name);
        state.set_field(-2, name);
    }
    Ok(())
}

fn more_values(state: State<'_>) -> Outcome {
    let more = map_from(state, 2, "values").map_err(|error| misuse(state, error))?;
    copy(state)?;
    let mut values = values_of(state, state.top()).map_err(|error| misuse(state, error))?;
    values.extend(more);
    set_values(state, values);
    finish(state)
}

fn values_of(state: State<'_>, table: c_int) -> Result<Map> {
    state.get_field(table, "values");
    let values = map_from(state, state.top(), "values");
    state.pop(1);
    values
}

fn with_part(state: State<'_>, name: &str) -> Outcome {
    let fits = match name {
        "actor" => actor_from(state, 2).map(drop),
        _ => scope_from(state, 2).map(drop),
    };
    fits.map_err(|error| misuse(state, error))?;
    copy(state)?;
    state.push_copy(2);
    state.set_field(-2, name);
    finish(state)
}

/// Takes the builder off the stack, and makes its context.
fn context(state: State<'_>) -> Result<Result<Context>, Raised> {
    copy(state)?;
    let table = state.top();
    let part = |name| match state.get_field(table, name) {
        Type::Nil => None,
        _ => Some(state.top()),
    };
    let (actor, scope) = (part("actor"), part("scope"));
    let change = || -> Result<Change> {
        Ok(Change {
            values: values_of(state, table)?,
            actor: actor.map(|index| actor_from(state, index)).transpose()?,
            scope: scope.map(|index| scope_from(state, index)).transpose()?,
        })
    };
    let change = change();
    // The builder's table and its copy are above the arguments.
    state.set_top(table - 2);
    state.remove(1);
    Ok(change.and_then(|change| change.context(state)))
}

fn spawn(state: State<'_>, again: bool, monitored: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    match context(state)? {
        Ok(context) => process::spawn_in(state, context, monitored),
        Err(error) => failed(state, &error),
    }
}

fn exec(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    match context(state)? {
        Ok(context) => process::exec_in(state, context),
        Err(error) => failed(state, &error),
    }
}
