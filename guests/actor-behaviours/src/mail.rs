//! Short words for what the behaviours do all the time.

use crate::world::wippy::actor::process::{self, Message, Payload};
use crate::world::wippy::process::processes::{
    self, Ended, Error, ErrorKind, Event, Received, receive, receive_event,
};

pub(crate) type Done = Result<String, String>;

/// A time that shall not pass, and one that shall, in nanoseconds.
pub(crate) const LONG: Option<u64> = Some(5_000_000_000);
pub(crate) const SHORT: Option<u64> = Some(20_000_000);

pub(crate) fn text(text: &str) -> Payload {
    Payload { format: "text".to_owned(), data: text.as_bytes().to_vec() }
}

pub(crate) fn number(number: u64) -> Payload {
    Payload { format: "json".to_owned(), data: number.to_string().into_bytes() }
}

/// A payload as text, whatever its format.
pub(crate) fn read(payload: &Payload) -> String {
    String::from_utf8_lossy(&payload.data).into_owned()
}

/// The first payload of a message.
pub(crate) fn first(message: &Message) -> String {
    message.payloads.first().map(read).unwrap_or_default()
}

pub(crate) fn send(target: &str, topic: &str, payloads: &[Payload]) -> Result<(), String> {
    process::send(target, topic, payloads).map(drop)
}

pub(crate) fn shown(error: Error) -> String {
    format!("{:?}: {}", error.kind, error.message)
}

/// The error that was expected; its text must hold this.
pub(crate) fn expect<T>(
    result: Result<T, Error>,
    kind: ErrorKind,
    part: &str,
) -> Result<Error, String> {
    match result {
        Err(error) if error.kind == kind && error.message.contains(part) => Ok(error),
        Err(error) => Err(format!("not {kind:?} with {part:?} but {}", shown(error))),
        Ok(_) => Err(format!("not {kind:?} but no error")),
    }
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: T,
    wanted: T,
) -> Result<(), String> {
    match got == wanted {
        true => Ok(()),
        false => Err(format!("{what}: got {got:?}, wanted {wanted:?}")),
    }
}

/// The next message.
pub(crate) fn message() -> Result<Message, String> {
    match receive(LONG).map_err(shown)? {
        Some(Received::Message(message)) => Ok(message),
        Some(Received::Event(event)) => Err(format!("an event came: {event:?}")),
        None => Err("no message came".to_owned()),
    }
}

/// The next message, which must be about this: its first payload.
pub(crate) fn about(topic: &str) -> Result<String, String> {
    let message = message()?;
    same("the topic", message.topic.as_str(), topic)?;
    Ok(first(&message))
}

pub(crate) fn event() -> Result<Event, String> {
    receive_event(LONG).map_err(shown)?.ok_or_else(|| "no event came".to_owned())
}

/// The next event, which must be the exit of this process.
pub(crate) fn exit(pid: &str) -> Result<Ended, String> {
    match event()? {
        Event::Exit(ended) => of(pid, ended),
        other => Err(format!("another event came: {other:?}")),
    }
}

/// The same for the end of a linked one.
pub(crate) fn link_down(pid: &str) -> Result<Ended, String> {
    match event()? {
        Event::LinkDown(ended) => of(pid, ended),
        other => Err(format!("another event came: {other:?}")),
    }
}

fn of(pid: &str, ended: Ended) -> Result<Ended, String> {
    same("whose end it is", ended.from.as_str(), pid)?;
    match ended.at > 1_700_000_000_000_000_000 {
        true => Ok(ended),
        false => Err(format!("ended at {}", ended.at)),
    }
}

/// The value of a process that ended well.
pub(crate) fn value(ended: Ended) -> Result<String, String> {
    ended.outcome.map(|value| read(&value)).map_err(shown)
}

/// The error of one that did not.
pub(crate) fn failure(ended: Ended, kind: ErrorKind, part: &str) -> Result<Error, String> {
    expect(ended.outcome, kind, part)
}

/// Nothing comes for a while.
pub(crate) fn silence() -> Result<(), String> {
    match receive(SHORT).map_err(shown)? {
        None => Ok(()),
        Some(Received::Message(message)) => Err(format!("a message came: {message:?}")),
        Some(Received::Event(event)) => Err(format!("an event came: {event:?}")),
    }
}

pub(crate) fn spawn(entry: &str, args: &[Payload]) -> Result<String, String> {
    processes::spawn(entry, None, args).map_err(shown)
}

pub(crate) fn spawn_monitored(entry: &str, args: &[Payload]) -> Result<String, String> {
    processes::spawn_monitored(entry, None, args).map_err(shown)
}

/// The PID of a process that has ended.
pub(crate) fn dead() -> Result<String, String> {
    let pid = spawn_monitored("value", &[text("v")])?;
    exit(&pid)?;
    Ok(pid)
}

pub(crate) fn trap_links() -> Result<(), String> {
    let options = processes::Options { trap_links: true, upgradable: false };
    processes::set_options(options).map_err(shown)
}
