//! What the runtime tells a process of others, and asks of it.

use std::time::{Duration, SystemTime};

use crate::bindings::wippy::process::processes as raw;
use crate::{Error, Message, Payload, Pid, Result};

/// How another process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which one.
    pub from: Pid,
    /// When.
    pub at: SystemTime,
    /// Its value, or what went wrong.
    pub outcome: Result<Payload>,
}

/// Somebody asks this process to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Who asks; empty when it is no process.
    pub from: Pid,
    /// When it was asked.
    pub at: SystemTime,
    /// Why.
    pub reason: Option<String>,
    /// When this process is ended if it has not ended itself.
    pub deadline: SystemTime,
}

/// An event. Events come in a lane of their own: a full mailbox neither delays nor drops them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A monitored process has ended.
    Exit(Ended),
    /// A linked process has ended badly, and this process traps links.
    LinkDown(Ended),
    /// Somebody asks this process to end.
    Cancel(Cancellation),
    /// A newer version of this process's entry is there, and this process is upgradable.
    Outdated,
}

/// What [`next`](crate::next) gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// An event.
    Event(Event),
}

fn moment(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

impl From<raw::Ended> for Ended {
    fn from(ended: raw::Ended) -> Self {
        Self {
            from: ended.from.into(),
            at: moment(ended.at),
            outcome: ended.outcome.map(Into::into).map_err(Error::from),
        }
    }
}

impl From<raw::Event> for Event {
    fn from(event: raw::Event) -> Self {
        match event {
            raw::Event::Exit(ended) => Self::Exit(ended.into()),
            raw::Event::LinkDown(ended) => Self::LinkDown(ended.into()),
            raw::Event::Cancel(cancel) => Self::Cancel(Cancellation {
                from: cancel.from.into(),
                at: moment(cancel.at),
                reason: cancel.reason,
                deadline: moment(cancel.deadline),
            }),
            raw::Event::Outdated => Self::Outdated,
        }
    }
}

impl From<raw::Received> for Received {
    fn from(received: raw::Received) -> Self {
        match received {
            raw::Received::Message(message) => Self::Message(message.into()),
            raw::Received::Event(event) => Self::Event(event.into()),
        }
    }
}
