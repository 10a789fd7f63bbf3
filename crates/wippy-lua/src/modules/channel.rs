//! `channel`: Lua code over a few functions of the driver. `channel.lua` is compiled once
//! for the whole program. A selection has at most 1000 cases.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::task::{Context as Poller, Waker};
use std::time::SystemTime;

use wippy_model::Error;

use crate::host_fn::{Answer, Outcome, Raised, host_fn, raise};
use crate::mail::Wanted;
use crate::modules::receiving;
use crate::preempt::OWN_CODE;
use crate::state::{Key, State, Type};
use crate::tasks::{TaskId, Want};
use crate::vm::Compiler;

/// The module's table.
static MODULE: Key = Key::new();
/// Makes a channel of mail.
static MAIL: Key = Key::new();
/// Closes one.
static SHUT: Key = Key::new();
/// Makes a channel that the clock feeds.
static CLOCK: Key = Key::new();
/// Sets such a channel to another time.
static RESET: Key = Key::new();
/// Makes a channel that is fed once.
static FED: Key = Key::new();
/// Feeds it.
static FEED: Key = Key::new();
/// The metatable of channels.
static CHANNEL: Key = Key::new();

const SOURCE: &str = include_str!("channel.lua");

/// The sources of mail, as `take` names them.
pub(crate) const EVENTS: i64 = 1;
pub(crate) const INBOX: i64 = 2;
pub(crate) const TOPIC_PAYLOAD: i64 = 3;
pub(crate) const TOPIC_MESSAGE: i64 = 4;

fn bytecode() -> &'static [u8] {
    static BYTECODE: OnceLock<Vec<u8>> = OnceLock::new();
    BYTECODE.get_or_init(|| {
        Compiler::new().compile(SOURCE.as_bytes(), OWN_CODE).unwrap_or_else(|message| {
            // A test compiles it; without it `channel` is nil.
            tracing::error!("channel.lua does not compile: {message}");
            Vec::new()
        })
    })
}

/// Pushes the module's table.
pub(crate) fn open(state: State<'_>) {
    if state.get_registry(&MODULE) != Type::Nil {
        return;
    }
    state.pop(1);
    let base = state.top();
    if state.load(bytecode(), OWN_CODE, true) {
        push_sys(state);
        state.call_trusted(1, 8);
        state.set_registry(&CHANNEL);
        state.set_registry(&SHUT);
        state.set_registry(&FEED);
        state.set_registry(&FED);
        state.set_registry(&RESET);
        state.set_registry(&CLOCK);
        state.set_registry(&MAIL);
        state.push_copy(-1);
        state.set_registry(&MODULE);
    }
    state.set_top(base + 1);
}

fn push_sys(state: State<'_>) {
    state.push_table(0, 12);
    state.set_functions(&[
        ("park", host_fn(park)),
        (
            "wake",
            host_fn(|s, _| {
                if let Some(id) = s.to_exact_integer(1) {
                    s.core().tasks.borrow_mut().wake(TaskId::from_integer(id));
                }
                Ok(Answer::Values(0))
            }),
        ),
        ("task", host_fn(|s, _| task(s))),
        ("take", host_fn(|s, _| take(s))),
        (
            "now",
            host_fn(|s, _| {
                s.push_integer(s.core().now_ns());
                s.push_integer(receiving::unix_ns(SystemTime::now()));
                Ok(Answer::Values(2))
            }),
        ),
        ("fail", host_fn(|s, _| Err(fail(s)))),
    ]);
    // Lua's own `type` and the like are globals, which a script may have replaced by now.
    state.set_functions(&[
        (
            "wrap",
            host_fn(|s, _| {
                s.set_top(1);
                s.wrap_table(&CHANNEL);
                Ok(Answer::Values(1))
            }),
        ),
        (
            "state",
            host_fn(|s, _| {
                s.get_wrapped(1, &CHANNEL);
                Ok(Answer::Values(1))
            }),
        ),
        ("cases_of", host_fn(|s, _| cases_of(s))),
        ("case_of", host_fn(|s, _| case_of(s))),
        (
            "type",
            host_fn(|s, _| {
                s.push_str(s.type_name(1));
                Ok(Answer::Values(1))
            }),
        ),
        (
            "is_integer",
            host_fn(|s, _| {
                s.push_bool(s.to_exact_integer(1).is_some());
                Ok(Answer::Values(1))
            }),
        ),
    ]);
}

/// `cases_of(cases)`: how many cases a selection has, and its default; nothing where it is
/// no table.
fn cases_of(state: State<'_>) -> Outcome {
    if state.type_of(1) != Type::Table {
        return Ok(Answer::Values(0));
    }
    state.push_integer(i64::try_from(state.raw_len(1)).unwrap_or(i64::MAX));
    state.get_field(1, "default");
    Ok(Answer::Values(2))
}

/// `case_of(cases, position)`: the state of the case's channel, the channel, whether it
/// receives, and the value it sends; nothing where it is no case.
fn case_of(state: State<'_>) -> Outcome {
    let position = state.to_exact_integer(2).unwrap_or(0);
    state.get_position(1, position);
    let case = state.top();
    state.get_field(case, "channel");
    if !state.get_wrapped(case + 1, &CHANNEL) {
        return Ok(Answer::Values(0));
    }
    state.push_copy(case + 1);
    state.get_field(case, "receives");
    state.get_field(case, "value");
    Ok(Answer::Values(4))
}

/// The topic of the channel of `process.listen` at `index`.
pub(crate) fn topic_of(state: State<'_>, index: c_int) -> Option<String> {
    let top = state.top();
    let topic = (state.get_wrapped(index, &CHANNEL)
        && state.get_field(-1, "topic") == Type::String)
        .then(|| crate::failure::text(state, -1));
    state.set_top(top);
    topic
}

/// `park(lanes, due)`: waits until something comes on a lane, the time has come, or a wake.
fn park(state: State<'_>, again: bool) -> Outcome {
    let core = state.core();
    if again || core.tasks.borrow_mut().take_token() {
        return Ok(Answer::Values(0));
    }
    let lanes = state.to_exact_integer(1).and_then(|lanes| u8::try_from(lanes).ok());
    let deadline = state.to_exact_integer(2).map(|due| core.instant(due));
    core.want(Want { lanes: lanes.unwrap_or(0), deadline, operation: None });
    Ok(Answer::Wait)
}

/// `task()`: the ID of the running thread, which must be able to wait.
fn task(state: State<'_>) -> Outcome {
    match state.core().tasks.borrow().running() {
        Some(id) if state.can_wait() => state.push_integer(id.to_integer()),
        _ => {
            let position = state.position(2);
            return Err(raise(
                state,
                &Error::invalid(format!(
                    "{position}cannot wait here: this function is called by Lua's C code"
                )),
            ));
        }
    }
    Ok(Answer::Values(1))
}

/// `take(source, topic)`: whether there is mail of a source, and the mail.
fn take(state: State<'_>) -> Outcome {
    let core = state.core();
    let source = state.to_exact_integer(1);
    let topic = state.to_str(2).unwrap_or_default();
    let wanted = match source {
        Some(EVENTS) => Wanted::Events,
        Some(INBOX) => Wanted::Inbox,
        _ => Wanted::Topic(topic),
    };
    let mut poller = Poller::from_waker(Waker::noop());
    let item = core.mail.borrow_mut().take(&core.context, wanted, &mut poller);
    match item {
        None => {
            state.push_bool(false);
            Ok(Answer::Values(1))
        }
        Some(item) => {
            state.push_bool(true);
            receiving::push_mail(state, &item, source.unwrap_or(TOPIC_PAYLOAD));
            Ok(Answer::Values(2))
        }
    }
}

/// `fail(message)`: an error with the position of whoever called the channel's method.
fn fail(state: State<'_>) -> Raised {
    let message = crate::failure::text(state, 1);
    let position = (2..6)
        .map(|level| state.position(level))
        .find(|position| !position.is_empty() && !position.starts_with("channel:"))
        .unwrap_or_default();
    raise(state, &Error::invalid(format!("{position}{message}")))
}

/// Pushes a channel of mail.
pub(crate) fn push_mail_channel(state: State<'_>, source: i64, topic: Option<&str>, lanes: u8) {
    open(state);
    state.pop(1);
    state.get_registry(&MAIL);
    state.push_integer(source);
    match topic {
        Some(topic) => state.push_str(topic),
        None => state.push_nil(),
    }
    state.push_integer(lanes.into());
    state.call_trusted(3, 1);
}

/// Closes the channel of mail on top, which it pops: nothing comes there any more.
pub(crate) fn shut_mail_channel(state: State<'_>) {
    state.get_registry(&SHUT);
    state.insert(-2);
    state.call_trusted(1, 0);
}

/// Pushes a channel that the clock feeds.
pub(crate) fn push_clock_channel(state: State<'_>, due_ns: i64, period_ns: Option<i64>) {
    open(state);
    state.pop(1);
    state.get_registry(&CLOCK);
    state.push_integer(due_ns);
    match period_ns {
        Some(period) => state.push_integer(period),
        None => state.push_nil(),
    }
    state.call_trusted(2, 1);
}

/// Sets the clock channel on top, which it pops, to another time; `None` stops it. Whether
/// it was to be fed until now.
pub(crate) fn reset_clock_channel(
    state: State<'_>,
    due_ns: Option<i64>,
    period_ns: Option<i64>,
) -> bool {
    state.get_registry(&RESET);
    state.insert(-2);
    for time in [due_ns, period_ns] {
        match time {
            Some(ns) => state.push_integer(ns),
            None => state.push_nil(),
        }
    }
    state.call_trusted(3, 1);
    let armed = state.to_bool(-1);
    state.pop(1);
    armed
}

/// Pushes a channel that is to be fed once.
pub(crate) fn push_fed_channel(state: State<'_>) {
    open(state);
    state.pop(1);
    state.get_registry(&FED);
    state.call_trusted(0, 1);
}

/// Feeds the channel below the top the value on top, or none, and closes it; pops both. One
/// that a script has closed is left alone.
pub(crate) fn feed_channel(state: State<'_>, has_value: bool) {
    state.push_bool(has_value);
    state.insert(-2);
    state.get_registry(&FEED);
    state.insert(-4);
    state.call_trusted(3, 0);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_source_compiles() {
        assert!(!super::bytecode().is_empty());
    }
}
