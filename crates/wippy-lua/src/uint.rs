//! uint64: whole numbers above 2^63-1, as a userdata.
//!
//! Arithmetic with integers and other uint64 is exact; a result that fits Lua's integer is
//! one, a larger one is a uint64, and what fits neither wraps around modulo 2^64. With a
//! float, and for `/` and `^`, the result is a float. Bitwise operators work on the 64 bits.

use std::cmp::Ordering;
use std::ffi::c_int;

use wippy_model::Error;

use crate::failure::text;
use crate::host_fn::{Answer, Outcome, Raised, host_fn, misuse, raise};
use crate::state::{Key, State, Type};

static UINT: Key = Key::new();

/// An operand.
#[derive(Clone, Copy)]
enum Operand {
    Whole(i128),
    Float(f64),
}

impl Operand {
    #[allow(clippy::cast_precision_loss, reason = "what a float operand asks for")]
    fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// Pushes a whole number: an integer where it fits.
pub(crate) fn push(state: State<'_>, number: u64) {
    if let Ok(integer) = i64::try_from(number) {
        return state.push_integer(integer);
    }
    state.push_plain(number, &UINT, make_metatable);
}

/// The number of a uint64.
pub(crate) fn get(state: State<'_>, index: c_int) -> Option<u64> {
    state.to_plain(index, &UINT)
}

fn operand(state: State<'_>, index: c_int) -> Result<Operand, Raised> {
    if let Some(number) = get(state, index) {
        return Ok(Operand::Whole(number.into()));
    }
    match (state.to_exact_integer(index), state.to_number(index)) {
        (Some(number), _) => Ok(Operand::Whole(number.into())),
        (None, Some(number)) => Ok(Operand::Float(number)),
        (None, None) => Err(misuse(
            state,
            format_args!("cannot calculate with a uint64 and a {}", state.type_name(index)),
        )),
    }
}

/// The 64 bits of an operand.
fn bits(state: State<'_>, index: c_int) -> Result<u64, Raised> {
    match operand(state, index)? {
        Operand::Whole(number) => Ok(wrap(number)),
        Operand::Float(_) => Err(misuse(state, "a float has no bits to calculate with")),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^64")]
fn wrap(number: i128) -> u64 {
    number as u64
}

fn push_whole(state: State<'_>, number: i128) -> Outcome {
    match i64::try_from(number) {
        Ok(integer) => state.push_integer(integer),
        Err(_) => push(state, wrap(number)),
    }
    Ok(Answer::Values(1))
}

fn push_float(state: State<'_>, number: f64) -> Outcome {
    state.push_number(number);
    Ok(Answer::Values(1))
}

fn calculate(
    state: State<'_>,
    whole: fn(i128, i128) -> i128,
    float: fn(f64, f64) -> f64,
) -> Outcome {
    match (operand(state, 1)?, operand(state, 2)?) {
        (Operand::Whole(a), Operand::Whole(b)) => push_whole(state, whole(a, b)),
        (a, b) => push_float(state, float(a.float(), b.float())),
    }
}

/// Division rounds down, as Lua's does.
fn divide(state: State<'_>, whole: fn(i128, i128) -> i128, float: fn(f64, f64) -> f64) -> Outcome {
    match (operand(state, 1)?, operand(state, 2)?) {
        (Operand::Whole(_), Operand::Whole(0)) => {
            Err(raise(state, &Error::invalid(format!("{}division by zero", state.position(1)))))
        }
        (Operand::Whole(a), Operand::Whole(b)) => push_whole(state, whole(a, b)),
        (a, b) => push_float(state, float(a.float(), b.float())),
    }
}

fn floor_div(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn floor_mod(a: i128, b: i128) -> i128 {
    a - floor_div(a, b) * b
}

fn compare(state: State<'_>, holds: fn(Option<Ordering>) -> bool) -> Outcome {
    let order = match (operand(state, 1)?, operand(state, 2)?) {
        (Operand::Whole(a), Operand::Whole(b)) => Some(a.cmp(&b)),
        (a, b) => a.float().partial_cmp(&b.float()),
    };
    state.push_bool(holds(order));
    Ok(Answer::Values(1))
}

fn bitwise(state: State<'_>, of: fn(u64, u64) -> u64) -> Outcome {
    let (a, b) = (bits(state, 1)?, bits(state, 2)?);
    push_whole(state, i128::from(of(a, b)))
}

fn shift_left(a: u64, by: u64) -> u64 {
    u32::try_from(by).ok().and_then(|by| a.checked_shl(by)).unwrap_or(0)
}

fn shift_right(a: u64, by: u64) -> u64 {
    u32::try_from(by).ok().and_then(|by| a.checked_shr(by)).unwrap_or(0)
}

fn shown(state: State<'_>, index: c_int) -> String {
    get(state, index).map_or_else(|| text(state, index), |number| number.to_string())
}

/// Pushes the new metatable.
fn make_metatable(state: State<'_>) {
    state.push_table(0, 24);
    state.set_functions(&[
        ("__add", host_fn(|s, _| calculate(s, |a, b| a + b, |a, b| a + b))),
        ("__sub", host_fn(|s, _| calculate(s, |a, b| a - b, |a, b| a - b))),
        ("__mul", host_fn(|s, _| calculate(s, i128::wrapping_mul, |a, b| a * b))),
        ("__idiv", host_fn(|s, _| divide(s, floor_div, |a, b| (a / b).floor()))),
        ("__mod", host_fn(|s, _| divide(s, floor_mod, |a, b| a - (a / b).floor() * b))),
        (
            "__div",
            host_fn(|s, _| {
                let number = operand(s, 1)?.float() / operand(s, 2)?.float();
                push_float(s, number)
            }),
        ),
        (
            "__pow",
            host_fn(|s, _| {
                let number = operand(s, 1)?.float().powf(operand(s, 2)?.float());
                push_float(s, number)
            }),
        ),
        (
            "__unm",
            host_fn(|s, _| match operand(s, 1)? {
                Operand::Whole(number) => push_whole(s, -number),
                Operand::Float(number) => push_float(s, -number),
            }),
        ),
        ("__band", host_fn(|s, _| bitwise(s, |a, b| a & b))),
        ("__bor", host_fn(|s, _| bitwise(s, |a, b| a | b))),
        ("__bxor", host_fn(|s, _| bitwise(s, |a, b| a ^ b))),
        ("__shl", host_fn(|s, _| bitwise(s, shift_left))),
        ("__shr", host_fn(|s, _| bitwise(s, shift_right))),
        (
            "__bnot",
            host_fn(|s, _| {
                let number = !bits(s, 1)?;
                push_whole(s, i128::from(number))
            }),
        ),
        ("__eq", host_fn(|s, _| compare(s, |order| order == Some(Ordering::Equal)))),
        ("__lt", host_fn(|s, _| compare(s, |order| order == Some(Ordering::Less)))),
        (
            "__le",
            host_fn(|s, _| {
                compare(s, |order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
            }),
        ),
        (
            "__tostring",
            host_fn(|s, _| {
                s.push_str(&shown(s, 1));
                Ok(Answer::Values(1))
            }),
        ),
        (
            "__concat",
            host_fn(|s, _| {
                for index in [1, 2] {
                    let joins = matches!(s.type_of(index), Type::String | Type::Number);
                    if !joins && get(s, index).is_none() {
                        let message = format!("cannot join a uint64 and a {}", s.type_name(index));
                        return Err(misuse(s, message));
                    }
                }
                let bytes = |index| match s.to_bytes(index) {
                    Some(bytes) => bytes.to_vec(),
                    None => shown(s, index).into_bytes(),
                };
                s.push_bytes(&[bytes(1), bytes(2)].concat());
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.push_str("uint64");
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}
