//! `process`: this process and others.
//!
//! What goes wrong with a call comes back as `nil, err`. An event is a table of `type`,
//! `kind`, `from`, `at` (nanoseconds since 1970), `value`, `error` and `result` (`value`,
//! `error`); a CANCEL also has `deadline` and `reason`. A message from `receive` is such a
//! table with `topic`, `payload` (the first) and `payloads` (all); `inbox` and `listen` with
//! `{message = true}` give message objects, `listen` alone the payload. A process listens to
//! at most 1024 topics of at most 1 KiB each.
//!
//! A function has no mailbox: there, what needs one raises an error of kind `Invalid`.

use std::ffi::c_int;
use std::task::{Context as Poller, Waker};
use std::time::{Duration, SystemTime};

use wippy_kernel::{Kernel, Received, SpawnRequest, Watcher};
use wippy_model::{Context, EntryId, Error, Event, EventKind, Exit, Message, Pid, Result, Value};

use crate::convert;
use crate::duration;
use crate::failure;
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::mail::Wanted;
use crate::modules::{channel, spawner};
use crate::state::{Key, State, Type};
use crate::tasks::Want;
use crate::work::{deliver, run};

/// The metatable of message objects.
static MESSAGE: Key = Key::new();
/// The channels of `events` and `inbox`, and those of `listen` by topic.
static CHANNELS: Key = Key::new();

/// How many topics a process may listen to.
const TOPICS_MAX: usize = 1024;
/// How long each of them may be, in bytes.
const TOPIC_BYTES_MAX: usize = 1 << 10;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 19);
    state.set_functions(&[
        ("id", host_fn(|s, _| push_text(s, s.core().context.entry().as_str()))),
        ("pid", host_fn(|s, _| push_text(s, &s.core().context.pid().to_string()))),
        ("spawn", host_fn(|s, again| spawn(s, again, false))),
        ("spawn_monitored", host_fn(|s, again| spawn(s, again, true))),
        ("exec", host_fn(exec)),
        ("with_context", host_fn(|s, _| spawner::with_context(s))),
        ("send", host_fn(|s, _| reply(s, send(s)))),
        (
            "terminate",
            host_fn(|s, _| {
                reply(
                    s,
                    permitted(s, "process.terminate").and_then(|pid| kernel(s)?.terminate(&pid)),
                )
            }),
        ),
        ("cancel", host_fn(|s, _| reply(s, cancel(s)))),
        (
            "monitor",
            host_fn(|s, _| {
                needs_mailbox(s, "monitor")?;
                let target = permitted(s, "process.monitor");
                reply(s, target.and_then(|pid| kernel(s)?.monitor(&s.core().context, &pid)))
            }),
        ),
        (
            "unmonitor",
            host_fn(|s, _| {
                needs_mailbox(s, "unmonitor")?;
                reply(
                    s,
                    target(s).and_then(|pid| {
                        kernel(s)?.unmonitor(&s.core().context, &pid);
                        Ok(())
                    }),
                )
            }),
        ),
        ("receive", host_fn(receive)),
        (
            "events",
            host_fn(|s, _| {
                needs_mailbox(s, "events")?;
                s.core().mail.borrow_mut().events_open = true;
                mail_channel(s, "events", channel::EVENTS, Wanted::Events)
            }),
        ),
        (
            "inbox",
            host_fn(|s, _| {
                needs_mailbox(s, "inbox")?;
                s.core().mail.borrow_mut().inbox_open = true;
                mail_channel(s, "inbox", channel::INBOX, Wanted::Inbox)
            }),
        ),
        ("listen", host_fn(|s, _| listen(s))),
        ("unlisten", host_fn(|s, _| unlisten(s))),
    ]);
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
    state.set_field(-2, "event");
}

fn push_text(state: State<'_>, text: &str) -> Outcome {
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

fn kernel(state: State<'_>) -> Result<Kernel> {
    state.core().context.kernel().ok_or_else(|| Error::unavailable("the node is stopping"))
}

/// Raises an error in a function: what it would wait for goes to the process that calls it.
fn needs_mailbox(state: State<'_>, name: &str) -> Result<(), Raised> {
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
fn text<'s>(state: State<'s>, index: c_int, what: &str) -> Result<&'s str> {
    state.to_str(index).ok_or_else(|| {
        Error::invalid(format!("argument {index}: expected {what}, got {}", state.type_name(index)))
    })
}

fn entry_id(state: State<'_>, index: c_int, what: &str) -> Result<EntryId> {
    let own = state.core().context.entry().namespace();
    EntryId::parse_in(own, text(state, index, what)?)
        .map_err(|error| Error::invalid(format!("argument {index}: {error}")))
}

fn target(state: State<'_>) -> Result<Pid> {
    Pid::parse(text(state, 1, "a PID")?).map_err(|error| Error::invalid(error.to_string()))
}

/// The target, where this process may do this to processes of its host.
fn permitted(state: State<'_>, action: &str) -> Result<Pid> {
    let target = target(state)?;
    state.core().context.authorize(action, target.host().as_str())?;
    Ok(target)
}

/// The values from the third argument on, which share one budget.
fn values(state: State<'_>, what: &str) -> Result<Vec<Value>> {
    let mut budget = convert::Budget::new(state);
    (3..=state.top())
        .map(|index| {
            convert::to_value_within(
                state,
                index,
                format_args!("{what} {}", index - 2),
                &mut budget,
            )
        })
        .collect()
}

/// The request of `spawn(entry, host, ...)`.
fn spawn_request(state: State<'_>, context: Context) -> Result<SpawnRequest> {
    let unit = entry_id(state, 1, "the ID of an entry")?;
    let default = || kernel(state).ok()?.default_host(&unit);
    let host = match state.is_absent(2) {
        true => default().ok_or_else(|| {
            let hint = format!("no host is given; name one, or set meta.default_host of {unit}");
            Error::invalid(format!("argument 2: {hint}"))
        })?,
        false => entry_id(state, 2, "the ID of a process host")?,
    };
    let args = values(state, "argument")?;
    let mut request = SpawnRequest::new(unit, host, args);
    request.context = context;
    request.by = Some(state.core().context.context().clone());
    Ok(request)
}

fn spawn(state: State<'_>, again: bool, monitored: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    spawn_in(state, state.core().context.context().clone(), monitored)
}

/// `spawn(entry, host, ...)` in a context.
pub(crate) fn spawn_in(state: State<'_>, context: Context, monitored: bool) -> Outcome {
    if monitored {
        needs_mailbox(state, "spawn_monitored")?;
    }
    let request = spawn_request(state, context).and_then(|request| Ok((kernel(state)?, request)));
    let (kernel, mut request) = match request {
        Ok(request) => request,
        Err(error) => return failed(state, &error),
    };
    if monitored {
        request.watcher = Some(Watcher::Process(state.core().context.clone()));
    }
    run(state, async move { kernel.spawn(request).await }, |state, spawned| match spawned {
        Ok(pid) => push_text(state, &pid.to_string()),
        Err(error) => failed(state, &error),
    })
}

/// `exec(entry, host, ...)`: spawns and waits; the value, or `nil, err`.
fn exec(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    exec_in(state, state.core().context.context().clone())
}

/// `exec(entry, host, ...)` in a context.
pub(crate) fn exec_in(state: State<'_>, context: Context) -> Outcome {
    let request = spawn_request(state, context).and_then(|request| Ok((kernel(state)?, request)));
    let (kernel, request) = match request {
        Ok(request) => request,
        Err(error) => return failed(state, &error),
    };
    let work = async move {
        let (_, watch) = kernel.spawn_watched(request).await?;
        // Not held while waiting: a process must not keep its node alive.
        drop(kernel);
        Ok::<_, Error>(watch.await)
    };
    run(state, work, |state, exit| match exit {
        Ok(exit) => match exit.error() {
            None => {
                convert::push(state, exit.value().unwrap_or(&Value::Nil));
                Ok(Answer::Values(1))
            }
            Some(error) => failed(state, &error),
        },
        Err(error) => failed(state, &error),
    })
}

fn send(state: State<'_>) -> Result<()> {
    let target = target(state)?;
    let topic = text(state, 2, "a topic")?.into();
    let payloads = values(state, "payload")?;
    let context = &state.core().context;
    let message = Message {
        from: Some(context.pid().clone()),
        topic,
        payloads,
        context: context.context().clone(),
    };
    kernel(state)?.send(&target, message)
}

/// `cancel(pid, reason or deadline, ...)`, in any order.
fn cancel(state: State<'_>) -> Result<()> {
    let target = permitted(state, "process.cancel")?;
    let (mut within, mut reason) = (None, None);
    for index in 2..=state.top().min(3) {
        if state.is_absent(index) {
            continue;
        }
        match (duration::get(state, index), state.to_str(index)) {
            (Ok(ns), _) => {
                within = Some(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)));
            }
            (Err(_), Some(text)) => reason = Some(text),
            (Err(error), None) => return Err(error.context(format_args!("argument {index}"))),
        }
    }
    let from = state.core().context.pid();
    kernel(state)?.cancel(&target, Some(from), within, reason)
}

/// `receive(timeout)`. The deadline is kept in the second slot.
fn receive(state: State<'_>, again: bool) -> Outcome {
    let core = state.core();
    if !again {
        needs_mailbox(state, "receive")?;
        state.set_top(1);
        match state.is_absent(1) {
            true => state.push_nil(),
            false => match duration::get(state, 1) {
                Ok(ns) => state.push_integer(core.now_ns().saturating_add(ns)),
                Err(error) => return Err(misuse(state, error)),
            },
        }
    }
    let mut mail = core.mail.borrow_mut();
    let mut poller = Poller::from_waker(Waker::noop());
    if let Some(item) = mail.take(&core.context, Wanted::Any, &mut poller) {
        drop(mail);
        push_received(state, &item);
        return Ok(Answer::Values(1));
    }
    let lanes = mail.lanes(Wanted::Any);
    drop(mail);
    let deadline = state.to_exact_integer(2);
    if deadline.is_some_and(|deadline| core.now_ns() >= deadline) {
        state.push_nil();
        return Ok(Answer::Values(1));
    }
    if lanes == 0 && deadline.is_none() {
        return Err(misuse(
            state,
            "process.receive would wait for ever: process.events() and process.inbox() have \
             taken both kinds",
        ));
    }
    let deadline = deadline.map(|deadline| core.instant(deadline));
    core.want(Want { lanes, deadline, operation: None });
    Ok(Answer::Wait)
}

/// Pushes one of the process's channels, made at first use.
fn mail_channel(state: State<'_>, name: &str, source: i64, wanted: Wanted<'_>) -> Outcome {
    state.get_or_make(&CHANNELS, |state| state.push_table(0, 2));
    if state.get_field(-1, name) == Type::Nil {
        state.pop(1);
        let lanes = state.core().mail.borrow().lanes(wanted);
        channel::push_mail_channel(state, source, None, lanes);
        state.push_copy(-1);
        state.set_field(-3, name);
    }
    Ok(Answer::Values(1))
}

/// `listen(topic, {message = true})`.
fn listen(state: State<'_>) -> Outcome {
    needs_mailbox(state, "listen")?;
    let topic = match text(state, 1, "a topic") {
        Ok(topic) => topic,
        Err(error) => return failed(state, &error),
    };
    if topic.len() > TOPIC_BYTES_MAX {
        let message = format!("a topic to listen to has at most {TOPIC_BYTES_MAX} bytes");
        return failed(state, &Error::invalid(message));
    }
    let whole = state.get_field(2, "message") != Type::Nil && state.to_bool(-1);
    let core = state.core();
    let mut mail = core.mail.borrow_mut();
    if mail.topic_count() >= TOPICS_MAX {
        let message = format!("a process listens to at most {TOPICS_MAX} topics");
        drop(mail);
        return failed(state, &Error::new(wippy_model::Kind::ResourceExhausted, message));
    }
    if !mail.listen(topic) {
        drop(mail);
        let message = format!("this process listens to \"{topic}\" already");
        return failed(state, &Error::new(wippy_model::Kind::AlreadyExists, message));
    }
    let lanes = mail.lanes(Wanted::Topic(topic));
    drop(mail);
    let source = if whole { channel::TOPIC_MESSAGE } else { channel::TOPIC_PAYLOAD };
    channel::push_mail_channel(state, source, Some(topic), lanes);
    Ok(Answer::Values(1))
}

/// `unlisten(channel or topic)`: later messages of the topic come with the others again.
fn unlisten(state: State<'_>) -> Outcome {
    needs_mailbox(state, "unlisten")?;
    let topic = match channel::topic_of(state, 1) {
        Some(topic) => topic,
        None => match text(state, 1, "a channel of process.listen, or its topic") {
            Ok(topic) => topic.to_owned(),
            Err(error) => return failed(state, &error),
        },
    };
    let listened = state.core().mail.borrow_mut().unlisten(&topic);
    state.push_bool(listened);
    Ok(Answer::Values(1))
}

/// Pushes an item as a channel of the given source gives it.
pub(crate) fn push_mail(state: State<'_>, item: &Received, source: i64) {
    match item {
        Received::Event(event) => push_event(state, event),
        Received::Message(message) if source == channel::TOPIC_PAYLOAD => {
            convert::push(state, message.payloads.first().unwrap_or(&Value::Nil));
        }
        Received::Message(message) => push_message(state, message),
    }
}

/// Pushes an item as `receive` gives it.
fn push_received(state: State<'_>, item: &Received) {
    match item {
        Received::Event(event) => push_event(state, event),
        Received::Message(message) => {
            push_message_fields(state, message);
            state.push_str("MESSAGE");
            state.set_field(-2, "type");
        }
    }
}

fn push_event(state: State<'_>, event: &Event) {
    state.push_table(0, 8);
    state.push_str(event.kind.type_name());
    state.set_field(-2, "type");
    state.push_str(event.kind.name());
    state.set_field(-2, "kind");
    state.push_str(&event.from.to_string());
    state.set_field(-2, "from");
    state.push_integer(unix_ns(event.at));
    state.set_field(-2, "at");
    if let Some(exit) = &event.exit {
        push_exit(state, exit);
    }
    if let Some(deadline) = event.deadline {
        state.push_integer(unix_ns(deadline));
        state.set_field(-2, "deadline");
    }
    if let Some(reason) = &event.reason {
        state.push_str(reason);
        state.set_field(-2, "reason");
    }
}

/// Sets `value`, `error` and `result` in the table on top.
fn push_exit(state: State<'_>, exit: &Exit) {
    state.push_table(0, 2);
    let name = match exit.error() {
        None => {
            convert::push(state, exit.value().unwrap_or(&Value::Nil));
            "value"
        }
        Some(error) => {
            failure::push(state, &error);
            "error"
        }
    };
    state.push_copy(-1);
    state.set_field(-4, name);
    state.set_field(-2, name);
    state.set_field(-2, "result");
}

fn push_message_fields(state: State<'_>, message: &Message) {
    state.push_table(0, 6);
    if let Some(from) = &message.from {
        state.push_str(&from.to_string());
        state.set_field(-2, "from");
    }
    state.push_str(&message.topic);
    state.set_field(-2, "topic");
    state.push_table(message.payloads.len(), 0);
    for (payload, position) in message.payloads.iter().zip(1..) {
        convert::push(state, payload);
        if position == 1 {
            state.push_copy(-1);
            state.set_field(-4, "payload");
        }
        state.set_position(-2, position);
    }
    state.set_field(-2, "payloads");
}

/// Pushes a message object: the fields in its first slot, behind methods.
fn push_message(state: State<'_>, message: &Message) {
    state.push_table(1, 0);
    push_message_fields(state, message);
    state.set_position(-2, 1);
    state.get_or_make(&MESSAGE, |state| {
        state.push_table(0, 3);
        state.push_table(0, 4);
        state.set_functions(&[
            ("topic", host_fn(|s, _| message_field(s, "topic"))),
            ("from", host_fn(|s, _| message_field(s, "from"))),
            ("payload", host_fn(|s, _| message_field(s, "payload"))),
            ("payloads", host_fn(|s, _| message_field(s, "payloads"))),
        ]);
        state.set_field(-2, "__index");
        state.push_str("message");
        state.set_field(-2, "__name");
        state.push_bool(false);
        state.set_field(-2, "__metatable");
    });
    state.set_metatable(-2);
}

fn message_field(state: State<'_>, name: &str) -> Outcome {
    if !state.has_metatable(1, &MESSAGE) {
        return Err(misuse(state, format_args!("call it on a message, as msg:{name}()")));
    }
    state.get_position(1, 1);
    state.get_field(-1, name);
    Ok(Answer::Values(1))
}

/// Nanoseconds since 1970.
pub(crate) fn unix_ns(at: SystemTime) -> i64 {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}
