//! `ctx`: the values that travel with the work this process or function does.
//!
//! - `ctx.get(name)`: the value, or `nil, err` where there is none of that name.
//! - `ctx.all()`: a table of all of them.
//!
//! They come from whoever spawned the process or called the function, and go on to what it
//! spawns and calls; `funcs.new():with_context{...}` adds to them. Each access makes a copy.

use wippy_model::Error;

use crate::convert;
use crate::host_fn::{Answer, Outcome, failed, host_fn, misuse};
use crate::state::State;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 2);
    state.set_functions(&[("get", host_fn(|s, _| get(s))), ("all", host_fn(|s, _| all(s)))]);
}

fn get(state: State<'_>) -> Outcome {
    let Some(name) = state.to_str(1).filter(|name| !name.is_empty()) else {
        return Err(misuse(state, "ctx.get takes the name of a value of the context"));
    };
    let body = state.core().context.context().body();
    match body.and_then(|body| body.values.get(name)) {
        Some(value) => {
            convert::push(state, value);
            Ok(Answer::Values(1))
        }
        None => failed(state, &Error::not_found(format!("the context has no value \"{name}\""))),
    }
}

fn all(state: State<'_>) -> Outcome {
    let values = state.core().context.context().body().map(|body| &body.values);
    state.push_table(0, values.map_or(0, |values| values.len()));
    for (name, value) in values.into_iter().flatten() {
        convert::push(state, value);
        state.set_field(-2, name);
    }
    Ok(Answer::Values(1))
}
