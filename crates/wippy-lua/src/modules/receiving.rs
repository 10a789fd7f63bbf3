//! How messages and events come to a script: `receive`, the channels of `events`, `inbox` and
//! `listen`, and the tables and objects that they give.
//!
//! An event is a table of `type`, `kind`, `from`, `at` (nanoseconds since 1970), `value`,
//! `error` and `result` (`value`, `error`); a CANCEL also has `deadline` and `reason`. A
//! message from `receive` is such a table with `topic`, `payload` (the first) and `payloads`
//! (all); `inbox` and `listen` with `{message = true}` give message objects, `listen` alone
//! the payload. A process listens to at most 1024 topics of at most 1 KiB each.

use std::task::{Context as Poller, Waker};
use std::time::SystemTime;

use mlua::ffi::lua_CFunction;
use wippy_kernel::Received;
use wippy_model::{Error, Event, Exit, Kind, Message, Pid, Value};

use crate::convert;
use crate::duration;
use crate::failure;
use crate::host_fn::{Answer, Outcome, failed, host_fn, misuse};
use crate::mail::Wanted;
use crate::modules::channel;
use crate::modules::process::{needs_mailbox, text};
use crate::state::{Key, State, Type};
use crate::tasks::Want;

/// The metatable of message objects.
static MESSAGE: Key = Key::new();
/// The channels of `events` and `inbox`.
static CHANNELS: Key = Key::new();
/// Those of `listen`, by topic.
static TOPICS: Key = Key::new();
/// The text of this process's PID, and that of the last sender.
static OWN_PID: Key = Key::new();
static LAST_PID: Key = Key::new();

/// How many topics a process may listen to.
const TOPICS_MAX: usize = 1024;
/// How long each of them may be, in bytes.
const TOPIC_BYTES_MAX: usize = 1 << 10;

/// The function of the module of that name.
pub(crate) fn function(name: &str) -> Option<lua_CFunction> {
    Some(match name {
        "receive" => host_fn(receive),
        "events" => host_fn(|s, _| {
            needs_mailbox(s, "events")?;
            s.core().mail.borrow_mut().events_open = true;
            mail_channel(s, "events", channel::EVENTS, Wanted::Events)
        }),
        "inbox" => host_fn(|s, _| {
            needs_mailbox(s, "inbox")?;
            s.core().mail.borrow_mut().inbox_open = true;
            mail_channel(s, "inbox", channel::INBOX, Wanted::Inbox)
        }),
        "listen" => host_fn(|s, _| listen(s)),
        "unlisten" => host_fn(|s, _| unlisten(s)),
        _ => return None,
    })
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
    let lanes = match open_topic(state, topic) {
        Ok(lanes) => lanes,
        Err(error) => return failed(state, &error),
    };
    let whole = state.get_field(2, "message") != Type::Nil && state.to_bool(-1);
    let source = if whole { channel::TOPIC_MESSAGE } else { channel::TOPIC_PAYLOAD };
    state.get_or_make(&TOPICS, |state| state.push_table(0, 1));
    channel::push_mail_channel(state, source, Some(topic), lanes);
    state.push_copy(-1);
    state.set_field(-3, topic);
    Ok(Answer::Values(1))
}

/// Moves a topic to a channel of its own; the lanes on which it comes.
fn open_topic(state: State<'_>, topic: &str) -> Result<u8, Error> {
    if topic.len() > TOPIC_BYTES_MAX {
        let message = format!("a topic to listen to has at most {TOPIC_BYTES_MAX} bytes");
        return Err(Error::invalid(message));
    }
    let mut mail = state.core().mail.borrow_mut();
    if mail.topic_count() >= TOPICS_MAX {
        let message = format!("a process listens to at most {TOPICS_MAX} topics");
        return Err(Error::new(Kind::ResourceExhausted, message));
    }
    if !mail.listen(topic) {
        let message = format!("this process listens to \"{topic}\" already");
        return Err(Error::new(Kind::AlreadyExists, message));
    }
    Ok(mail.lanes(Wanted::Topic(topic)))
}

/// `unlisten(channel or topic)`: the channel is closed, and messages of the topic, those that
/// wait too, come with the others again.
fn unlisten(state: State<'_>) -> Outcome {
    needs_mailbox(state, "unlisten")?;
    let by_channel = channel::topic_of(state, 1);
    let topic = match &by_channel {
        Some(topic) => topic,
        None => match text(state, 1, "a channel of process.listen, or its topic") {
            Ok(topic) => topic,
            Err(error) => return failed(state, &error),
        },
    };
    state.get_or_make(&TOPICS, |state| state.push_table(0, 0));
    let found = state.get_field(-1, topic) != Type::Nil
        // The channel of an earlier time is closed already.
        && (by_channel.is_none() || state.to_pointer(-1) == state.to_pointer(1));
    if found {
        state.core().mail.borrow_mut().unlisten(topic);
        channel::shut_mail_channel(state);
        state.push_nil();
        state.set_field(-2, topic);
    }
    state.push_bool(found);
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
            state.push_str("type");
            state.push_str("MESSAGE");
            state.set_raw(-3);
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

/// Pushes the table of a message. Each key goes before its value, which saves moving them: this
/// is the larger part of receiving.
fn push_message_fields(state: State<'_>, message: &Message) {
    let table = state.top() + 1;
    state.push_table(0, 5);
    if let Some(from) = &message.from {
        state.push_str("from");
        push_pid(state, from);
        state.set_raw(table);
    }
    state.push_str("topic");
    state.push_str(&message.topic);
    state.set_raw(table);
    state.push_str("payloads");
    state.push_table(message.payloads.len(), 0);
    for (payload, position) in message.payloads.iter().zip(1..) {
        convert::push(state, payload);
        state.set_position(-2, position);
    }
    if !message.payloads.is_empty() {
        state.push_str("payload");
        state.get_position(-2, 1);
        state.set_raw(table);
    }
    state.set_raw(table);
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

/// Pushes the text of a PID. Whoever sends one message mostly sends the next one too, so the
/// last text is kept; reply addresses are used once.
pub(crate) fn push_pid(state: State<'_>, pid: &Pid) {
    if pid.call() != 0 {
        return state.push_str(&pid.to_string());
    }
    let core = state.core();
    let is_own = pid == core.context.pid();
    let key = if is_own { &OWN_PID } else { &LAST_PID };
    let is_last = || core.last_pid.borrow().as_ref().is_some_and(|(last, _)| last == pid);
    if is_own || is_last() {
        if state.get_registry(key) == Type::String {
            return;
        }
        state.pop(1);
    }
    let text = pid.to_string();
    state.push_str(&text);
    state.push_copy(-1);
    state.set_registry(key);
    if !is_own {
        *core.last_pid.borrow_mut() = Some((pid.clone(), text.into()));
    }
}

/// Nanoseconds since 1970.
pub(crate) fn unix_ns(at: SystemTime) -> i64 {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}
