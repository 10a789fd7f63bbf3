//! Messages, and who sends them.

use std::fmt;
use std::str::FromStr;

use crate::bindings::wippy::actor::process as raw;
use crate::{Error, Kind, Payload, Payloads, Result, send};

/// The PID of a process, `{node@host|unique}`. Where a destination is taken, a registered name
/// serves as well.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(String);

impl Pid {
    /// The text of the PID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Pid {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A PID that came as a text.
impl From<String> for Pid {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    from: Pid,
    topic: String,
    payloads: Vec<Payload>,
}

impl Message {
    /// Who sent it: where a reply goes. Empty when it came from outside any process.
    pub fn from(&self) -> &Pid {
        &self.from
    }

    /// What it is about.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its values, one for each argument of the send.
    pub fn payloads(&self) -> &[Payload] {
        &self.payloads
    }

    /// Its values, owned.
    pub fn into_payloads(self) -> Vec<Payload> {
        self.payloads
    }

    /// Its first value.
    ///
    /// # Errors
    ///
    /// `Invalid` when it has none.
    pub fn payload(&self) -> Result<&Payload> {
        let missing = || Error::new(Kind::Invalid, format!("{}: a value is missing", self.topic));
        self.payloads.first().ok_or_else(missing)
    }

    /// Its first value as a text, or as JSON is written.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is none, or it is no UTF-8.
    pub fn text(&self) -> Result<&str> {
        let wrong = || Error::new(Kind::Invalid, format!("{}: expected a text", self.topic));
        self.payload()?.as_str().ok_or_else(wrong)
    }

    /// Its first value as a number, or whatever else reads from a text.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is none, or it does not read as that.
    pub fn parse<T: FromStr>(&self) -> Result<T> {
        self.payload()?.parse()
    }

    /// Its first value, of any type.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is none, or it does not fit the type.
    #[cfg(feature = "serde")]
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        self.payload()?.decode()
    }

    /// Answers whoever sent it, under the same topic. Of a message that came by [`call`], the
    /// first answer is what the call returns.
    ///
    /// # Errors
    ///
    /// When nobody waits any more: the sender is gone, or its call was answered or given up.
    /// A server that does not care ignores it with `.ok()`.
    ///
    /// [`call`]: crate::call
    pub fn reply(&self, payloads: impl Payloads) -> Result<()> {
        send(&self.from, &self.topic, payloads)
    }
}

impl From<raw::Message> for Message {
    fn from(message: raw::Message) -> Self {
        Self {
            from: Pid(message.from),
            topic: message.topic,
            payloads: message.payloads.into_iter().map(Into::into).collect(),
        }
    }
}
