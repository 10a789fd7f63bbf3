//! Sending and receiving. Whatever waits here suspends this guest alone.

use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};

use crate::bindings::wippy::actor::process as actor;
use crate::bindings::wippy::process::processes;
use crate::payload::to_raw;
use crate::{Error, Event, Message, Payloads, Pid, Received, Result};

/// The PID of this process.
pub fn self_pid() -> Pid {
    actor::self_().into()
}

/// Sends a message to a PID or a registered name. It never waits: the message is in the
/// destination's mailbox, or there is an error.
///
/// # Errors
///
/// When the destination is gone, or its mailbox is full.
///
/// ```no_run
/// # fn main() -> wippy::Result<()> {
/// wippy::send("counter", "add", 5)?;
/// wippy::send("log", "line", ("warning", "the pump is hot", 93.5))?;
/// # Ok(()) }
/// ```
pub fn send(to: impl AsRef<str>, topic: &str, payloads: impl Payloads) -> Result<()> {
    match actor::send(to.as_ref(), topic, &to_raw(payloads)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::from(format!("{}: the message was not taken", to.as_ref()))),
        Err(message) => Err(message.into()),
    }
}

/// The next message; waits for it. Events wait meanwhile: [`next`] gives both.
///
/// # Errors
///
/// When this process has no mailbox, being called as a function.
pub fn receive() -> Result<Message> {
    Ok(actor::receive()?.into())
}

/// The next message, if one waits.
///
/// # Errors
///
/// As [`receive`].
pub fn try_receive() -> Result<Option<Message>> {
    Ok(actor::try_receive()?.map(Into::into))
}

/// The next message; none when the time has passed.
///
/// # Errors
///
/// As [`receive`].
pub fn receive_timeout(timeout: Duration) -> Result<Option<Message>> {
    let timer = monotonic_clock::subscribe_duration(nanoseconds(timeout));
    let mailbox = mailbox();
    loop {
        if let Some(message) = try_receive()? {
            return Ok(Some(message));
        }
        if timer.ready() {
            return Ok(None);
        }
        mailbox.poll_with(&[&timer]);
    }
}

/// The next message or event, in order of arrival; none when the time has passed. Without a
/// timeout it waits for ever.
///
/// # Errors
///
/// As [`receive`].
pub fn next(timeout: Option<Duration>) -> Result<Option<Received>> {
    Ok(processes::receive(timeout.map(nanoseconds))?.map(Into::into))
}

/// The next event; none when the time has passed (zero asks only what is there). Without a
/// timeout it waits for ever.
///
/// # Errors
///
/// As [`receive`].
pub fn next_event(timeout: Option<Duration>) -> Result<Option<Event>> {
    Ok(processes::receive_event(timeout.map(nanoseconds))?.map(Into::into))
}

/// The events of this process, one after another, waiting for each. Messages stay in the mailbox.
/// A function has none.
pub fn events() -> impl Iterator<Item = Event> {
    std::iter::from_fn(|| next_event(None).ok().flatten())
}

/// Sends a message and waits up to 5 s for the reply: what the other one gives to
/// [`Message::reply`].
///
/// # Errors
///
/// As [`send`]; `Unavailable` when the other one ends first, `Timeout` when the time has passed.
///
/// ```no_run
/// # fn main() -> wippy::Result<()> {
/// let count: i64 = wippy::call("counter", "get", ())?.parse()?;
/// # Ok(()) }
/// ```
pub fn call(to: impl AsRef<str>, topic: &str, payloads: impl Payloads) -> Result<Message> {
    Ok(processes::call(to.as_ref(), topic, &to_raw(payloads), None)?.into())
}

/// [`call`] with another timeout.
///
/// # Errors
///
/// As [`call`].
pub fn call_timeout(
    to: impl AsRef<str>,
    topic: &str,
    payloads: impl Payloads,
    timeout: Duration,
) -> Result<Message> {
    let timeout = Some(nanoseconds(timeout));
    Ok(processes::call(to.as_ref(), topic, &to_raw(payloads), timeout)?.into())
}

/// The mailbox as something to wait for, together with timers, sockets and streams of
/// `wasi:io/poll`.
#[derive(Debug)]
pub struct Mailbox {
    messages: Pollable,
    events: Option<Pollable>,
}

/// What [`Mailbox::poll_with`] found ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// A message waits.
    pub message: bool,
    /// An event waits.
    pub event: bool,
    /// Which of the others are ready, by their place in the list.
    pub others: Vec<usize>,
}

/// The messages of this process, to wait for them together with others.
///
/// ```no_run
/// # use wasip2::io::poll::Pollable;
/// # fn read(socket: &Pollable) -> wippy::Result<()> {
/// let ready = wippy::mailbox().poll_with(&[socket]);
/// if ready.message {
///     let message = wippy::receive()?;
/// }
/// if ready.others.contains(&0) {
///     // The socket has something to read.
/// }
/// # Ok(()) }
/// ```
pub fn mailbox() -> Mailbox {
    Mailbox { messages: actor::subscribe(), events: None }
}

impl Mailbox {
    /// Waits for events, too.
    #[must_use]
    pub fn with_events(self) -> Self {
        Self { events: Some(processes::subscribe_events()), ..self }
    }

    /// Ready while a message waits.
    pub fn messages(&self) -> &Pollable {
        &self.messages
    }

    /// Ready while an event waits; there after [`with_events`](Self::with_events).
    pub fn events(&self) -> Option<&Pollable> {
        self.events.as_ref()
    }

    /// Waits until a message, an event or one of the others is there.
    pub fn poll_with(&self, others: &[&Pollable]) -> Ready {
        let all: Vec<&Pollable> =
            others.iter().copied().chain([&self.messages]).chain(&self.events).collect();
        let mut ready = Ready { message: false, event: false, others: Vec::new() };
        for index in poll(&all) {
            let index = index as usize;
            if index < others.len() {
                ready.others.push(index);
            } else if index == others.len() {
                ready.message = true;
            } else {
                ready.event = true;
            }
        }
        ready
    }
}

/// WASI counts in nanoseconds; what is longer than 584 years is as long as that.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
