//! `time`: durations, sleeping, clocks and dates.
//!
//! - `seconds(n) milliseconds(n) minutes(n) hours(n)`, `parse_duration(text)`: Durations.
//! - `sleep(d)`; `after(d)` gives a channel that gets one value; `timer(d)` has `:channel()
//!   :stop() :reset(d)`, `ticker(d)` the same with a value every `d`.
//! - `now()`, `date(y, m, d, h, min, s, ns)` and `parse(text)` give Times (see `moment.rs`),
//!   `unix()` seconds since 1970.
//! - Constants: `NANOSECOND MICROSECOND MILLISECOND SECOND MINUTE HOUR` as nanoseconds,
//!   `RFC3339`, `RFC3339_NANO`, `DATE`, `DATE_TIME`, `TIME_ONLY` as layouts.

use std::time::SystemTime;

use crate::duration::{self, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::modules::channel;
use crate::modules::receiving::unix_ns;
use crate::moment;
use crate::state::{Key, State};
use crate::tasks::Want;

/// The metatable of timers and tickers.
static TIMER: Key = Key::new();

const LAYOUTS: [(&str, &str); 5] = [
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339_NANO", "2006-01-02T15:04:05.999999999Z07:00"),
    ("DATE", "2006-01-02"),
    ("DATE_TIME", "2006-01-02 15:04:05"),
    ("TIME_ONLY", "15:04:05"),
];

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 26);
    state.set_functions(&[
        ("milliseconds", host_fn(|s, _| duration::of_unit(s, MILLISECOND))),
        ("seconds", host_fn(|s, _| duration::of_unit(s, SECOND))),
        ("minutes", host_fn(|s, _| duration::of_unit(s, MINUTE))),
        ("hours", host_fn(|s, _| duration::of_unit(s, HOUR))),
        (
            "parse_duration",
            host_fn(|s, _| match duration::get(s, 1) {
                Ok(ns) => {
                    duration::push(s, ns);
                    Ok(Answer::Values(1))
                }
                Err(error) => failed(s, &error),
            }),
        ),
        ("sleep", host_fn(sleep)),
        (
            "after",
            host_fn(|s, _| {
                let due = due_after(s, 1)?;
                channel::push_clock_channel(s, due, None);
                Ok(Answer::Values(1))
            }),
        ),
        ("timer", host_fn(|s, _| timer(s, false))),
        ("ticker", host_fn(|s, _| timer(s, true))),
        (
            "now",
            host_fn(|s, _| {
                moment::push(s, unix_ns(SystemTime::now()));
                Ok(Answer::Values(1))
            }),
        ),
        (
            "unix",
            host_fn(|s, _| {
                s.push_integer(unix_ns(SystemTime::now()).div_euclid(SECOND));
                Ok(Answer::Values(1))
            }),
        ),
        ("date", host_fn(|s, _| moment::date(s))),
        ("parse", host_fn(|s, _| moment::parse(s))),
    ]);
    for (name, ns) in [
        ("NANOSECOND", 1),
        ("MICROSECOND", MICROSECOND),
        ("MILLISECOND", MILLISECOND),
        ("SECOND", SECOND),
        ("MINUTE", MINUTE),
        ("HOUR", HOUR),
    ] {
        state.push_integer(ns);
        state.set_field(-2, name);
    }
    for (name, layout) in LAYOUTS {
        state.push_str(layout);
        state.set_field(-2, name);
    }
}

/// The duration at `index`.
fn span(state: State<'_>, index: i32) -> Result<i64, Raised> {
    duration::get(state, index).map_err(|error| misuse(state, error))
}

/// The time on the process's clock after the duration at `index`.
fn due_after(state: State<'_>, index: i32) -> Result<i64, Raised> {
    Ok(state.core().now_ns().saturating_add(span(state, index)?.max(0)))
}

/// `sleep(d)`. The deadline is kept in the first slot.
fn sleep(state: State<'_>, again: bool) -> Outcome {
    let core = state.core();
    if !again {
        let ns = span(state, 1)?;
        if ns <= 0 {
            return Ok(Answer::Values(0));
        }
        state.push_integer(core.now_ns().saturating_add(ns));
        state.replace(1);
        state.set_top(1);
    }
    let due = state.to_exact_integer(1).unwrap_or(0);
    if again && core.now_ns() >= due {
        return Ok(Answer::Values(0));
    }
    core.want(Want { deadline: Some(core.instant(due)), ..Want::default() });
    Ok(Answer::Wait)
}

/// A timer is a table of its channel and, for a ticker, its period.
fn timer(state: State<'_>, ticks: bool) -> Outcome {
    let ns = span(state, 1)?;
    if ticks && ns <= 0 {
        return Err(misuse(state, "time.ticker takes a duration above zero"));
    }
    let due = due_after(state, 1)?;
    state.push_table(2, 0);
    channel::push_clock_channel(state, due, ticks.then_some(ns));
    state.set_position(-2, 1);
    state.push_bool(ticks);
    state.set_position(-2, 2);
    state.get_or_make(&TIMER, |state| {
        state.push_table(0, 3);
        state.push_table(0, 4);
        state.set_functions(&[
            (
                "channel",
                host_fn(|s, _| {
                    check(s)?;
                    s.get_position(1, 1);
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "response",
                host_fn(|s, _| {
                    check(s)?;
                    s.get_position(1, 1);
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "stop",
                host_fn(|s, _| {
                    check(s)?;
                    s.get_position(1, 1);
                    let armed = channel::reset_clock_channel(s, None, None);
                    s.push_bool(armed);
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "reset",
                host_fn(|s, _| {
                    check(s)?;
                    let ns = span(s, 2)?;
                    let due = due_after(s, 2)?;
                    s.get_position(1, 2);
                    let ticks = s.to_bool(-1);
                    s.pop(1);
                    s.get_position(1, 1);
                    channel::reset_clock_channel(s, Some(due), ticks.then_some(ns.max(1)));
                    Ok(Answer::Values(0))
                }),
            ),
        ]);
        state.set_field(-2, "__index");
        state.push_str("timer");
        state.set_field(-2, "__name");
        state.push_bool(false);
        state.set_field(-2, "__metatable");
    });
    state.set_metatable(-2);
    Ok(Answer::Values(1))
}

fn check(state: State<'_>) -> Result<(), Raised> {
    if state.has_metatable(1, &TIMER) {
        Ok(())
    } else {
        Err(misuse(state, "call it on a timer or ticker, as t:stop()"))
    }
}
