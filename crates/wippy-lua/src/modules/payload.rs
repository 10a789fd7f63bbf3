//! `payload`: values that plain Lua lacks.
//!
//! - `payload.null`: present but empty; JSON's `null`, a hole in a list, the inner none of a
//!   nested option.
//! - `payload.is_null(v)`.
//! - `payload.uint(v)`: a uint64 of an integer (its 64 bits) or a text.

use crate::convert;
use crate::host_fn::{Answer, host_fn, misuse};
use crate::state::{Key, State};
use crate::uint;

static NULL_META: Key = Key::new();

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 3);
    convert::push_null(state);
    state.set_field(-2, "null");
    state.set_functions(&[
        (
            "is_null",
            host_fn(|s, _| {
                s.push_bool(convert::is_null(s, 1));
                Ok(Answer::Values(1))
            }),
        ),
        (
            "uint",
            host_fn(|s, _| {
                let number = match (s.to_exact_integer(1), s.to_str(1)) {
                    (Some(integer), _) => Some(integer.cast_unsigned()),
                    (None, Some(text)) => text.trim().parse().ok(),
                    (None, None) => uint::get(s, 1),
                };
                match number {
                    Some(number) => uint::push(s, number),
                    None => {
                        return Err(misuse(
                            s,
                            "payload.uint takes an integer or a text of a whole number below 2^64",
                        ));
                    }
                }
                Ok(Answer::Values(1))
            }),
        ),
    ]);
}

/// Pushes the new value that is `payload.null`.
pub(crate) fn make_null(state: State<'_>) {
    state.push_plain(0_u8, &NULL_META, |state| {
        state.push_table(0, 3);
        state.push_function(host_fn(|s, _| {
            s.push_str("null");
            Ok(Answer::Values(1))
        }));
        state.set_field(-2, "__tostring");
        state.push_str("null");
        state.set_field(-2, "__name");
        state.push_bool(false);
        state.set_field(-2, "__metatable");
    });
}
