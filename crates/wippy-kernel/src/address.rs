//! How a process is addressed: by its PID, or by a text, which is a PID or a name.

use std::fmt;

use wippy_model::{Error, Pid};

/// Whom a send, a monitor, a link or an end is for.
#[derive(Debug, Clone, Copy)]
pub enum Address<'a> {
    /// A PID.
    Pid(&'a Pid),
    /// The text of a PID, or a registered name.
    Text(&'a str),
}

impl Address<'_> {
    /// The error of an address that leads to no process.
    pub(crate) fn not_found(&self) -> Error {
        match self {
            // No name begins so.
            Self::Text(text) if !text.starts_with('{') => {
                Error::not_found(format!("no process is registered as {text:?}"))
            }
            _ => gone(),
        }
    }
}

/// The error of a process that is not there.
pub(crate) fn gone() -> Error {
    Error::not_found("there is no such process (any more)")
}

impl<'a> From<&'a Pid> for Address<'a> {
    fn from(pid: &'a Pid) -> Self {
        Self::Pid(pid)
    }
}

impl<'a> From<&'a str> for Address<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => pid.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
