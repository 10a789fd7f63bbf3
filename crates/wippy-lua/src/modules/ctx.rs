//! `ctx`: the values that came with the work: `get(name)`, nil where there is none, and
//! `all()`. Whoever spawned this process gave them, or inherited them.

use crate::convert;
use crate::host_fn::{Answer, host_fn, misuse};
use crate::state::State;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 2);
    state.set_functions(&[
        (
            "get",
            host_fn(|s, _| {
                let Some(name) = s.to_str(1) else {
                    return Err(misuse(s, "ctx.get takes the name of a value"));
                };
                match s.core().context.context().value(name) {
                    Some(value) => convert::push(s, value),
                    None => s.push_nil(),
                }
                Ok(Answer::Values(1))
            }),
        ),
        (
            "all",
            host_fn(|s, _| {
                s.push_table(0, 4);
                let body = s.core().context.context().body();
                for (name, value) in body.iter().flat_map(|body| &body.values) {
                    convert::push(s, value);
                    s.set_field(-2, name);
                }
                Ok(Answer::Values(1))
            }),
        ),
    ]);
}
