//! `json`: `encode(value)` and `decode(text)`, each with `nil, error` on failure.

use crate::convert;
use crate::host_fn::{Answer, failed, host_fn};
use crate::modules::json_decode;
use crate::state::State;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 2);
    state.set_functions(&[
        (
            "encode",
            host_fn(|s, _| match convert::to_value(s, 1, "value") {
                Ok(value) => {
                    s.push_str(&value.to_json().to_string());
                    Ok(Answer::Values(1))
                }
                Err(error) => failed(s, &error),
            }),
        ),
        ("decode", host_fn(json_decode::decode)),
    ]);
}
