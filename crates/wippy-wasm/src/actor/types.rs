//! The types of both interfaces, as they cross.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Lower};
use wippy_kernel::Received as Item;
use wippy_model::{self as model, EventKind, Kind, Result, Value};

use super::payload::{FromGuest, ToGuest};
use super::{pid_text, unix_ns};

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Message {
    from: String,
    topic: Arc<str>,
    payloads: Vec<ToGuest>,
}

impl Message {
    /// Whose values of no other format have at most `bytes_max` as JSON, all together.
    pub(super) fn new(message: model::Message, bytes_max: usize) -> Result<Self> {
        let mut left = bytes_max;
        let payloads = message.payloads.into_iter().zip(1..).map(|(value, number)| {
            let is_json = !matches!(value, Value::String(_) | Value::Bytes(_));
            let payload = ToGuest::new(value, left).map_err(|error| {
                error.context(format_args!("payload {number} (limits.host_buffer_bytes)"))
            })?;
            left -= if is_json { payload.len() } else { 0 };
            Ok(payload)
        });
        Ok(Self {
            from: message.from.as_ref().map(pid_text).unwrap_or_default(),
            topic: message.topic,
            payloads: payloads.collect::<Result<_>>()?,
        })
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(super) enum ErrorKind {
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "already-exists")]
    AlreadyExists,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "permission-denied")]
    PermissionDenied,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "internal")]
    Internal,
    #[component(name = "canceled")]
    Canceled,
    #[component(name = "conflict")]
    Conflict,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "rate-limited")]
    RateLimited,
    #[component(name = "resource-exhausted")]
    ResourceExhausted,
}

impl From<Kind> for ErrorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::AlreadyExists => Self::AlreadyExists,
            Kind::Invalid => Self::Invalid,
            Kind::PermissionDenied => Self::PermissionDenied,
            Kind::Unavailable => Self::Unavailable,
            Kind::Internal => Self::Internal,
            Kind::Canceled => Self::Canceled,
            Kind::Conflict => Self::Conflict,
            Kind::Timeout => Self::Timeout,
            Kind::RateLimited => Self::RateLimited,
            Kind::ResourceExhausted => Self::ResourceExhausted,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Error {
    kind: ErrorKind,
    message: String,
    retryable: Option<bool>,
    details: Option<String>,
}

/// Details that are larger are left out.
const DETAILS_BYTES_MAX: usize = 1 << 20;

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        let details = match error.details() {
            Value::Nil => None,
            details => details.write_json(DETAILS_BYTES_MAX).ok(),
        };
        Self {
            kind: error.kind().into(),
            message: error.message().to_owned(),
            retryable: error.retryable(),
            // JSON is UTF-8.
            details: details.and_then(|json| String::from_utf8(json).ok()),
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct SpawnOptions {
    pub(super) host: Option<String>,
    pub(super) name: Option<String>,
    pub(super) messages: Vec<(Arc<str>, Vec<FromGuest>)>,
    pub(super) monitor: bool,
    pub(super) link: bool,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Ended {
    from: String,
    at: u64,
    outcome: std::result::Result<ToGuest, Error>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Cancellation {
    from: String,
    at: u64,
    reason: Option<String>,
    deadline: u64,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum Event {
    #[component(name = "exit")]
    Exit(Ended),
    #[component(name = "link-down")]
    LinkDown(Ended),
    #[component(name = "cancel")]
    Cancel(Cancellation),
    #[component(name = "outdated")]
    Outdated,
}

impl Event {
    pub(super) fn new(event: model::Event, bytes_max: usize) -> Self {
        let (from, at) = (pid_text(&event.from), unix_ns(event.at));
        match event.kind {
            EventKind::Outdated => Self::Outdated,
            EventKind::Cancel => Self::Cancel(Cancellation {
                from,
                at,
                reason: event.reason.map(String::from),
                deadline: event.deadline.map_or(at, unix_ns),
            }),
            kind => {
                let exit = event.exit.as_deref();
                let outcome = match exit.and_then(model::Exit::error) {
                    Some(error) => Err(error.into()),
                    None => {
                        let value = exit.and_then(model::Exit::value).cloned();
                        ToGuest::new(value.unwrap_or_default(), bytes_max).map_err(Error::from)
                    }
                };
                let ended = Ended { from, at, outcome };
                match kind {
                    EventKind::LinkDown => Self::LinkDown(ended),
                    _ => Self::Exit(ended),
                }
            }
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum Received {
    #[component(name = "message")]
    Message(Message),
    #[component(name = "event")]
    Event(Event),
}

impl Received {
    pub(super) fn new(item: Item, bytes_max: usize) -> Result<Self> {
        Ok(match item {
            Item::Message(message) => Self::Message(Message::new(message, bytes_max)?),
            Item::Event(event) => Self::Event(Event::new(event, bytes_max)),
        })
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Options {
    #[component(name = "trap-links")]
    pub(super) trap_links: bool,
    pub(super) upgradable: bool,
}
