//! Durations: a number of nanoseconds, a text in Go's form (`1m30s`), or a Duration.
//!
//! A Duration is a userdata of nanoseconds with `+ - * / //`, comparison, `tostring` and
//! `:nanoseconds() :microseconds() :milliseconds() :seconds() :minutes() :hours()`. It adds
//! to and compares with plain nanoseconds and texts too. What leaves the 64 bits stays at
//! their ends.

use std::ffi::c_int;

use wippy_model::{Error, Result};

use crate::host_fn::{Answer, Outcome, Raised, host_fn, misuse};
use crate::state::{Key, State, Type};

static DURATION: Key = Key::new();

pub(crate) const MICROSECOND: i64 = 1_000;
pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Units of a text, those with two letters before those that begin with the same one.
const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", MICROSECOND),
    ("µs", MICROSECOND),
    ("μs", MICROSECOND),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
];

/// Reads a text such as `1m30s`, `1.5h` or `-200ms`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    let mut whole = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let (unit, ns) = UNITS.into_iter().find(|(unit, _)| tail.starts_with(unit))?;
        match number.parse::<i64>() {
            Ok(number) => whole = whole.checked_add(number.checked_mul(ns)?)?,
            #[allow(clippy::cast_precision_loss, reason = "a fraction is what a float is for")]
            Err(_) => total += number.parse::<f64>().ok()? * ns as f64,
        }
        rest = tail.strip_prefix(unit)?;
    }
    let sum = whole.saturating_add(from_float(total));
    Some(if negative { -sum } else { sum })
}

#[allow(clippy::cast_possible_truncation, reason = "a cast stays at the ends")]
fn from_float(ns: f64) -> i64 {
    ns.round() as i64
}

/// The text in Go's form.
pub(crate) fn format(ns: i64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    let sign = if ns < 0 { "-" } else { "" };
    let left = ns.unsigned_abs();
    let fraction = |unit: i64| {
        let unit = unit.unsigned_abs();
        let digits = format!("{:0width$}", left % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{digits}", left / unit)
    };
    match left {
        0..1_000 => format!("{sign}{left}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(MICROSECOND)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(MILLISECOND)),
        _ => {
            let minute = MINUTE.unsigned_abs();
            let seconds = i64::try_from(left % minute).unwrap_or(0);
            let whole_seconds = seconds / SECOND;
            let rest = format!("{:09}", seconds % SECOND);
            let rest = rest.trim_end_matches('0');
            let point = if rest.is_empty() { "" } else { "." };
            let (hours, minutes) = (left / minute / 60, left / minute % 60);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{whole_seconds}{point}{rest}s"),
                (0, _) => format!("{sign}{minutes}m{whole_seconds}{point}{rest}s"),
                _ => format!("{sign}{hours}h{minutes}m{whole_seconds}{point}{rest}s"),
            }
        }
    }
}

/// The nanoseconds of the duration at `index`.
///
/// # Errors
///
/// Of kind `Invalid`, saying what a duration is.
pub(crate) fn get(state: State<'_>, index: c_int) -> Result<i64> {
    let found = match state.type_of(index) {
        Type::Number => state
            .to_exact_integer(index)
            .or_else(|| state.to_number(index).filter(|ns| !ns.is_nan()).map(from_float)),
        Type::Userdata => state.to_plain(index, &DURATION),
        Type::String => state.to_str(index).and_then(parse),
        _ => None,
    };
    found.ok_or_else(|| {
        let got = match state.to_str(index) {
            Some(text) => format!("the text \"{text}\""),
            None => format!("a {}", state.type_name(index)),
        };
        Error::invalid(format!(
            "expected a duration (nanoseconds, a text such as \"1m30s\", or time.seconds(n)), \
             got {got}"
        ))
    })
}

/// Pushes a Duration.
pub(crate) fn push(state: State<'_>, ns: i64) {
    state.push_plain(ns, &DURATION, make_metatable);
}

/// A constructor: so many of a unit, fractions too.
pub(crate) fn of_unit(state: State<'_>, unit: i64) -> Outcome {
    #[allow(clippy::cast_precision_loss, reason = "a fraction is what a float is for")]
    let ns = match (state.to_exact_integer(1), state.to_number(1)) {
        (Some(count), _) => count.saturating_mul(unit),
        (None, Some(count)) if !count.is_nan() => from_float(count * unit as f64),
        _ => {
            return Err(misuse(
                state,
                format_args!("expected a number, got a {}", state.type_name(1)),
            ));
        }
    };
    push(state, ns);
    Ok(Answer::Values(1))
}

fn operand(state: State<'_>, index: c_int) -> std::result::Result<i64, Raised> {
    get(state, index).map_err(|error| misuse(state, error))
}

fn add(state: State<'_>, of: fn(i64, i64) -> i64) -> Outcome {
    let (a, b) = (operand(state, 1)?, operand(state, 2)?);
    push(state, of(a, b));
    Ok(Answer::Values(1))
}

fn compare(state: State<'_>, holds: fn(i64, i64) -> bool) -> Outcome {
    let holds = holds(operand(state, 1)?, operand(state, 2)?);
    state.push_bool(holds);
    Ok(Answer::Values(1))
}

/// Times and divided by a number; a Duration divided by a Duration is a number.
#[allow(clippy::cast_precision_loss, reason = "ratios are floats")]
fn scale(state: State<'_>, divide: bool) -> Outcome {
    let (a, b) = (state.to_plain::<i64>(1, &DURATION), state.to_plain::<i64>(2, &DURATION));
    let ns = match (a, b, divide) {
        (Some(a), Some(b), true) => {
            state.push_number(a as f64 / b as f64);
            return Ok(Answer::Values(1));
        }
        (Some(ns), None, _) => match (state.to_exact_integer(2), state.to_number(2), divide) {
            (Some(times), _, false) => ns.saturating_mul(times),
            (_, Some(times), false) => from_float(ns as f64 * times),
            (_, Some(by), true) => from_float(ns as f64 / by),
            _ => return Err(misuse(state, "a Duration is multiplied and divided by numbers")),
        },
        (None, Some(ns), false) => match (state.to_exact_integer(1), state.to_number(1)) {
            (Some(times), _) => ns.saturating_mul(times),
            (None, Some(times)) => from_float(ns as f64 * times),
            _ => return Err(misuse(state, "a Duration is multiplied by numbers")),
        },
        _ => return Err(misuse(state, "a Duration is multiplied and divided by numbers")),
    };
    push(state, ns);
    Ok(Answer::Values(1))
}

#[allow(clippy::cast_precision_loss, reason = "what the methods promise")]
fn in_unit(state: State<'_>, unit: i64) -> Outcome {
    let ns = operand(state, 1)?;
    match unit {
        1 | MICROSECOND | MILLISECOND => state.push_integer(ns / unit),
        _ => state.push_number(ns as f64 / unit as f64),
    }
    Ok(Answer::Values(1))
}

/// Pushes the new metatable.
fn make_metatable(state: State<'_>) {
    state.push_table(0, 16);
    state.push_table(0, 6);
    state.set_functions(&[
        ("nanoseconds", host_fn(|s, _| in_unit(s, 1))),
        ("microseconds", host_fn(|s, _| in_unit(s, MICROSECOND))),
        ("milliseconds", host_fn(|s, _| in_unit(s, MILLISECOND))),
        ("seconds", host_fn(|s, _| in_unit(s, SECOND))),
        ("minutes", host_fn(|s, _| in_unit(s, MINUTE))),
        ("hours", host_fn(|s, _| in_unit(s, HOUR))),
    ]);
    state.set_field(-2, "__index");
    state.set_functions(&[
        ("__add", host_fn(|s, _| add(s, i64::saturating_add))),
        ("__sub", host_fn(|s, _| add(s, i64::saturating_sub))),
        ("__mul", host_fn(|s, _| scale(s, false))),
        ("__div", host_fn(|s, _| scale(s, true))),
        ("__idiv", host_fn(|s, _| scale(s, true))),
        (
            "__unm",
            host_fn(|s, _| {
                let ns = operand(s, 1)?;
                push(s, ns.saturating_neg());
                Ok(Answer::Values(1))
            }),
        ),
        ("__eq", host_fn(|s, _| compare(s, |a, b| a == b))),
        ("__lt", host_fn(|s, _| compare(s, |a, b| a < b))),
        ("__le", host_fn(|s, _| compare(s, |a, b| a <= b))),
        (
            "__tostring",
            host_fn(|s, _| {
                let ns = operand(s, 1)?;
                s.push_str(&format(ns));
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.push_str("duration");
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for (text, ns) in [
            ("0s", 0),
            ("1ns", 1),
            ("1.5µs", 1_500),
            ("200ms", 200 * MILLISECOND),
            ("1.25s", 1_250 * MILLISECOND),
            ("1m30s", 90 * SECOND),
            ("2h0m0.5s", 2 * HOUR + 500 * MILLISECOND),
            ("-1m0s", -MINUTE),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
            assert_eq!(format(ns), text);
        }
        assert_eq!(parse("1.5h"), Some(90 * MINUTE));
        assert_eq!(parse("1us"), Some(1_000));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "-", "1", "s", "1x", "1..5s", "1h 2m", "99999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
