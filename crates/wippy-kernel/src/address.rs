//! How a process is addressed: by its PID, or by a text, which is a PID or a name.

use std::borrow::Cow;
use std::fmt;

use wippy_model::{Error, Pid};

use crate::names::NAME_BYTES_MAX;

/// What an error shows of an address: a name, or the PID of a process on a host whose ID is as
/// long as one.
const SHOWN_BYTES_MAX: usize = 2 * NAME_BYTES_MAX;

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
            Self::Text(text) if text.starts_with('{') => match Pid::parse(text) {
                Ok(_) => gone(),
                Err(wrong) if text.len() <= SHOWN_BYTES_MAX => Error::invalid(wrong.to_string()),
                Err(_) => Error::invalid(format!("{:?} is no PID", shown(text))),
            },
            Self::Text(text) => {
                Error::not_found(format!("no process is registered as {:?}", shown(text)))
            }
            Self::Pid(_) => gone(),
        }
    }
}

/// A text that is too long for a name, cut: no error is larger for it.
fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.into();
    }
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    format!("{}…", text.get(..end).unwrap_or_default()).into()
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
            Self::Text(text) => f.write_str(&shown(text)),
        }
    }
}
