//! What goes wrong: one shape for every call of this crate.

use std::fmt;

use crate::bindings::wippy::process::processes as raw;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of error it is; the same in Lua, HTTP and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was asked for does not exist: a process, a name, an entry.
    NotFound,
    /// It exists already: a name that somebody has.
    AlreadyExists,
    /// The input is wrong; the same call fails again.
    Invalid,
    /// A grant or a policy is missing.
    PermissionDenied,
    /// Not now: full, starting, stopping or gone.
    Unavailable,
    /// A program or the runtime failed.
    Internal,
    /// Somebody asked for the end.
    Canceled,
    /// Two things exclude each other.
    Conflict,
    /// It took longer than allowed.
    Timeout,
    /// Too often in a span of time.
    RateLimited,
    /// A limit was met.
    ResourceExhausted,
}

impl Kind {
    /// The name, as Lua and the log show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Invalid => "Invalid",
            Self::PermissionDenied => "PermissionDenied",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal",
            Self::Canceled => "Canceled",
            Self::Conflict => "Conflict",
            Self::Timeout => "Timeout",
            Self::RateLimited => "RateLimited",
            Self::ResourceExhausted => "ResourceExhausted",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What went wrong. It shows as its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Option<Kind>,
    message: String,
    retryable: Option<bool>,
    details: Option<String>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind: Some(kind), message: message.into(), retryable: None, details: None }
    }

    /// The kind. None where only a text is known: `wippy:actor` gives no more.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether trying again may help, where that is known.
    pub fn retryable(&self) -> Option<bool> {
        self.retryable
    }

    /// Further data, as JSON.
    pub fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// For methods whose WIT result has a text as its error: `?` turns one into the other.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.message
    }
}

/// A text alone, of no kind.
impl From<String> for Error {
    fn from(message: String) -> Self {
        Self { kind: None, message, retryable: None, details: None }
    }
}

/// A text alone, of no kind.
impl From<&str> for Error {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<raw::Error> for Error {
    fn from(error: raw::Error) -> Self {
        let kind = match error.kind {
            raw::ErrorKind::NotFound => Kind::NotFound,
            raw::ErrorKind::AlreadyExists => Kind::AlreadyExists,
            raw::ErrorKind::Invalid => Kind::Invalid,
            raw::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            raw::ErrorKind::Unavailable => Kind::Unavailable,
            raw::ErrorKind::Internal => Kind::Internal,
            raw::ErrorKind::Canceled => Kind::Canceled,
            raw::ErrorKind::Conflict => Kind::Conflict,
            raw::ErrorKind::Timeout => Kind::Timeout,
            raw::ErrorKind::RateLimited => Kind::RateLimited,
            raw::ErrorKind::ResourceExhausted => Kind::ResourceExhausted,
        };
        Self {
            kind: Some(kind),
            message: error.message,
            retryable: error.retryable,
            details: error.details,
        }
    }
}
