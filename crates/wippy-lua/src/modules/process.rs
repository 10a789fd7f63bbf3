//! `process`: this process and others.
//!
//! What goes wrong with a call comes back as `nil, err`. Whoever is sent to, watched, linked
//! or ended is named by a PID or a registered name. How processes are started is in
//! `spawner.rs`, how messages and events come in `receiving.rs`.
//!
//! A function has no mailbox: there, what needs one raises an error of kind `Invalid`.

use std::ffi::c_int;
use std::pin::pin;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;

use mlua::ffi::lua_CFunction;
use wippy_kernel::{Address, Options, ProcessContext};
use wippy_model::{EntryId, Error, EventKind, Kind, Message, Result, Value};

use crate::base;
use crate::bounded::RESULTS_MAX;
use crate::convert;
use crate::duration;
use crate::failure;
use crate::host_fn::{Answer, Outcome, Raised, cannot_wait, failed, host_fn, misuse};
use crate::modules::{receiving, spawner};
use crate::state::{State, Type};
use crate::work::{deliver, run};

/// The least timeout above 0 that may be a bare number, for a call: a millisecond.
const BARE_TIMEOUT_NS_MIN: f64 = 1e6;

/// What a process may say of itself.
const OPTIONS: [&str; 2] = ["trap_links", "upgradable"];

/// Pushes the module's table. What is in it is made when it is first named: few scripts name
/// more than a few of its functions, and making all of them takes as long as the rest of a VM.
pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 8);
    state.push_table(0, 2);
    state.set_functions(&[("__index", host_fn(|s, _| make(s)))]);
    state.push_bool(false);
    state.set_field(-2, "__metatable");
    state.set_metatable(-2);
}

/// The first access to a field of the module.
fn make(state: State<'_>) -> Outcome {
    let name = state.to_str(2).unwrap_or_default();
    match name {
        "event" => push_events(state),
        "registry" => push_registry(state),
        _ => match function(name)
            .or_else(|| spawner::function(name))
            .or_else(|| receiving::function(name))
        {
            Some(function) => {
                state.push_function(function);
                base::note_name(state, "process", name);
            }
            None => {
                state.push_nil();
                return Ok(Answer::Values(1));
            }
        },
    }
    state.push_copy(-1);
    state.set_field(1, name);
    Ok(Answer::Values(1))
}

/// The function of that name.
fn function(name: &str) -> Option<lua_CFunction> {
    Some(match name {
        "id" => host_fn(|s, _| push_text(s, s.core().context.entry().as_str())),
        "pid" => host_fn(|s, _| own_pid(s)),
        "send" => host_fn(|s, _| reply(s, send(s))),
        "call" => host_fn(call),
        "terminate" => host_fn(|s, _| act(s, |own, target| own.terminate(target))),
        "cancel" => host_fn(|s, _| reply(s, cancel(s))),
        "monitor" => host_fn(|s, _| bind(s, "monitor", |own, target| own.monitor(target))),
        "unmonitor" => host_fn(|s, _| bind(s, "unmonitor", |own, target| own.unmonitor(target))),
        "link" => host_fn(|s, _| bind(s, "link", |own, target| own.link(target))),
        "unlink" => host_fn(|s, _| bind(s, "unlink", |own, target| own.unlink(target))),
        "get_options" => host_fn(|s, _| get_options(s)),
        "set_options" => host_fn(|s, _| set_options(s)),
        "upgrade" => host_fn(upgrade),
        _ => return None,
    })
}

fn push_events(state: State<'_>) {
    state.push_table(0, 4);
    for (name, kind) in [
        ("EXIT", EventKind::Exit),
        ("LINK_DOWN", EventKind::LinkDown),
        ("CANCEL", EventKind::Cancel),
        ("OUTDATED", EventKind::Outdated),
    ] {
        state.push_str(kind.name());
        state.set_field(-2, name);
    }
}

fn push_registry(state: State<'_>) {
    state.push_table(0, 3);
    state.set_functions(&[
        ("register", host_fn(|s, _| register(s))),
        ("lookup", host_fn(|s, _| lookup(s))),
        (
            "unregister",
            host_fn(|s, _| {
                needs_mailbox(s, "registry.unregister")?;
                let name = text(s, 1, "a name");
                reply(s, name.and_then(|name| s.core().context.unregister(name)))
            }),
        ),
    ]);
}

// What the functions share.

pub(crate) fn push_text(state: State<'_>, text: &str) -> Outcome {
    state.push_str(text);
    Ok(Answer::Values(1))
}

/// `true`, or `nil, err`.
fn reply(state: State<'_>, result: Result<()>) -> Outcome {
    match result {
        Ok(()) => {
            state.push_bool(true);
            Ok(Answer::Values(1))
        }
        Err(error) => failed(state, &error),
    }
}

/// Raises an error in a function: what it would wait for goes to the process that calls it.
pub(crate) fn needs_mailbox(state: State<'_>, name: &str) -> Result<(), Raised> {
    let context = &state.core().context;
    if !context.is_function() {
        return Ok(());
    }
    Err(misuse(
        state,
        format_args!(
            "process.{name}: a function has no mailbox, and {} is called as one; messages and \
             events go to the process that calls it. process.exec and funcs.call wait without",
            context.entry()
        ),
    ))
}

/// The text argument at `index`, or an error that says what belongs there.
pub(crate) fn text<'s>(state: State<'s>, index: c_int, what: &str) -> Result<&'s str> {
    state.to_str(index).ok_or_else(|| {
        Error::invalid(format!("argument {index}: expected {what}, got {}", state.type_name(index)))
    })
}

/// The ID of an entry in the argument at `index`.
pub(crate) fn entry_id(state: State<'_>, index: c_int, what: &str) -> Result<EntryId> {
    let own = state.core().context.entry().namespace();
    EntryId::parse_in(own, text(state, index, what)?)
        .map_err(|error| Error::invalid(format!("argument {index}: {error}")))
}

/// The values from the argument at `first` on, which share one budget.
pub(crate) fn values(state: State<'_>, first: c_int, what: &str) -> Result<Vec<Value>> {
    let mut budget = convert::Budget::new(state);
    (first..=state.top())
        .map(|index| {
            let what = format_args!("{what} {}", index - first + 1);
            convert::to_value_within(state, index, what, &mut budget)
        })
        .collect()
}

/// The process that the first argument names: often the last one that was heard of, whose PID
/// need not be read again.
fn with_target<T>(state: State<'_>, what: impl FnOnce(Address<'_>) -> Result<T>) -> Result<T> {
    let text = text(state, 1, "a PID or a name")?;
    match &*state.core().last_pid.borrow() {
        Some((pid, known)) if **known == *text => what(Address::Pid(pid)),
        _ => what(Address::Text(text)),
    }
}

/// Does something to another process.
fn act(state: State<'_>, what: fn(&ProcessContext, Address<'_>) -> Result<()>) -> Outcome {
    let done = with_target(state, |target| what(&state.core().context, target));
    reply(state, done)
}

/// The same, where events come of it.
fn bind(
    state: State<'_>,
    name: &str,
    what: fn(&ProcessContext, Address<'_>) -> Result<()>,
) -> Outcome {
    needs_mailbox(state, name)?;
    act(state, what)
}

// This process.

fn own_pid(state: State<'_>) -> Outcome {
    receiving::push_pid(state, state.core().context.pid());
    Ok(Answer::Values(1))
}

fn get_options(state: State<'_>) -> Outcome {
    let Options { trap_links, upgradable } = state.core().context.options();
    state.push_table(0, OPTIONS.len());
    for (name, value) in OPTIONS.into_iter().zip([trap_links, upgradable]) {
        state.push_bool(value);
        state.set_field(-2, name);
    }
    Ok(Answer::Values(1))
}

/// `set_options{ trap_links = , upgradable = }`: what is not named stays.
fn set_options(state: State<'_>) -> Outcome {
    needs_mailbox(state, "set_options")?;
    let options = read_options(state);
    reply(state, options.and_then(|options| state.core().context.set_options(options)))
}

fn read_options(state: State<'_>) -> Result<Options> {
    let mut options = state.core().context.options();
    if state.type_of(1) != Type::Table {
        let found = state.type_name(1);
        return Err(Error::invalid(format!("argument 1: expected a table, got {found}")));
    }
    state.push_nil();
    while state.next(1) {
        let option = match state.to_str(-2) {
            Some("trap_links") => &mut options.trap_links,
            Some("upgradable") => &mut options.upgradable,
            _ => return Err(unknown_option(state, &OPTIONS)),
        };
        if state.type_of(-1) != Type::Bool {
            let (name, found) = (failure::text(state, -2), state.type_name(-1));
            return Err(Error::invalid(format!("{name} is true or false, not a {found}")));
        }
        *option = state.to_bool(-1);
        state.pop(1);
    }
    Ok(options)
}

/// The error of an option that nobody knows, whose key is below the top.
pub(crate) fn unknown_option(state: State<'_>, known: &[&str]) -> Error {
    let name = match state.to_str(-2) {
        Some(name) => format!("\"{name}\""),
        None => format!("of the name of a {}", state.type_name(-2)),
    };
    Error::invalid(format!("there is no option {name}; options: {}", known.join(", ")))
}

/// `upgrade(entry, ...)`: goes on as another instance. No code of this VM runs after it, so
/// what waits here is never resumed.
fn upgrade(state: State<'_>, _: bool) -> Outcome {
    if !state.can_wait() {
        return Err(cannot_wait(state));
    }
    let entry = match state.is_absent(1) {
        true => Ok(None),
        false => entry_id(state, 1, "the ID of an entry").map(Some),
    };
    let wish = entry.and_then(|entry| Ok((entry, values(state, 2, "argument")?)));
    let (entry, args) = match wish {
        Ok(wish) => wish,
        Err(error) => return failed(state, &error),
    };
    let core = state.core();
    let unread = || core.mail.borrow_mut().take_all();
    let upgrade = pin!(core.context.upgrade(entry, args, unread));
    match upgrade.poll(&mut Poller::from_waker(Waker::noop())) {
        Poll::Pending => {
            core.upgrading.set(true);
            Ok(Answer::Wait)
        }
        Poll::Ready(Ok(never)) => match never {},
        Poll::Ready(Err(error)) => failed(state, &error),
    }
}

// Messages to others.

fn send(state: State<'_>) -> Result<()> {
    with_target(state, |target| {
        let topic = text(state, 2, "a topic")?;
        let payloads = values(state, 3, "payload")?;
        state.core().context.send(target, topic, payloads)
    })
}

/// `call(target, topic, timeout, ...)`: the payloads of the reply.
fn call(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    needs_mailbox(state, "call")?;
    let request = (|| {
        let target = text(state, 1, "a PID or a name")?.to_owned();
        let topic = text(state, 2, "a topic")?.to_owned();
        let timeout = match state.is_absent(3) {
            true => None,
            false => Some(timeout(state, 3)?),
        };
        Ok((target, topic, timeout, values(state, 4, "payload")?))
    })();
    let (target, topic, timeout, payloads) = match request {
        Ok(request) => request,
        Err(error) => return failed(state, &error),
    };
    let own = state.core().context.clone();
    let work = async move { own.request(Address::Text(&target), topic, payloads, timeout).await };
    run(state, work, give_reply)
}

fn give_reply(state: State<'_>, reply: Result<Message>) -> Outcome {
    let payloads = match reply {
        Ok(reply) => reply.payloads,
        Err(error) => return failed(state, &error),
    };
    let count = c_int::try_from(payloads.len()).unwrap_or(c_int::MAX);
    if i64::from(count) > RESULTS_MAX || !state.reserve(count) {
        let message = format!(
            "the reply has {count} values; a call gives at most {RESULTS_MAX}: send them as one table"
        );
        return failed(state, &Error::new(Kind::ResourceExhausted, message));
    }
    for payload in &payloads {
        convert::push(state, payload);
    }
    Ok(Answer::Values(count))
}

/// The timeout of a call at `index`. A bare number that is so small is a payload in the place of
/// the timeout.
fn timeout(state: State<'_>, index: c_int) -> Result<Duration> {
    if state.type_of(index) == Type::Number
        && let Some(number) = state.to_number(index)
        && number > 0.0
        && number < BARE_TIMEOUT_NS_MIN
    {
        let unit = if number == 1.0 { "a nanosecond" } else { "in nanoseconds" };
        let number = failure::text(state, index);
        return Err(Error::invalid(format!(
            "timeout: {number} is {unit}; give a duration such as \"5s\" or nil"
        )));
    }
    span(state, index)
}

/// The duration at `index`; one below zero is none.
fn span(state: State<'_>, index: c_int) -> Result<Duration> {
    let ns = duration::get(state, index)
        .map_err(|error| error.context(format_args!("argument {index}")))?;
    Ok(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)))
}

/// `cancel(target, reason or deadline, ...)`, in any order.
fn cancel(state: State<'_>) -> Result<()> {
    text(state, 1, "a PID or a name")?;
    let (mut within, mut reason) = (None, None);
    for index in 2..=state.top().min(3) {
        if state.is_absent(index) {
            continue;
        }
        match (span(state, index), state.to_str(index)) {
            (Ok(span), _) => within = Some(span),
            (Err(_), Some(text)) => reason = Some(text),
            (Err(error), None) => return Err(error),
        }
    }
    with_target(state, |target| state.core().context.cancel(target, within, reason))
}

// Names.

/// `registry.register(name, [target])`
fn register(state: State<'_>) -> Outcome {
    let own = state.is_absent(2);
    if own {
        needs_mailbox(state, "registry.register")?;
    }
    let holder = match own {
        true => Ok(None),
        false => text(state, 2, "a PID or a name").map(|text| Some(Address::Text(text))),
    };
    let name = text(state, 1, "a name");
    let done = name.and_then(|name| state.core().context.register(name, holder?));
    reply(state, done)
}

/// `registry.lookup(name)`: the holder's PID.
fn lookup(state: State<'_>) -> Outcome {
    let name = text(state, 1, "a name");
    match name.and_then(|name| state.core().context.lookup(name)) {
        Ok(pid) => push_text(state, &pid.to_string()),
        Err(error) => failed(state, &error),
    }
}
