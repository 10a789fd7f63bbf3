//! The name of one process: `{node@host|unique}`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::EntryId;

/// Where processes live: a host entry on one start of a node.
///
/// All processes of a host share one `Home`, so that a PID is small.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Home {
    /// The node's name.
    pub node: Box<str>,
    /// Differs at each start of a node, so that a restarted one reuses no PID.
    pub incarnation: u64,
    /// The host entry.
    pub host: EntryId,
}

/// The name of one process. Never reused, not by a restarted node either.
///
/// Its text is `{node@host|unique}`; [`Pid::parse`] reads it back.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pid(Arc<Body>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Body {
    // First, because it alone tells two processes of one node apart.
    serial: u64,
    home: Arc<Home>,
}

/// A text that is no PID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no PID: a PID looks like {{node@namespace:host|1a2b.3}}")]
pub struct PidError(String);

impl Pid {
    /// The process number `serial` of a home.
    pub fn new(home: Arc<Home>, serial: u64) -> Self {
        Self(Arc::new(Body { serial, home }))
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// When the text has another shape.
    pub fn parse(text: &str) -> Result<Self, PidError> {
        Self::parse_parts(text).ok_or_else(|| PidError(text.to_owned()))
    }

    fn parse_parts(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('{')?.strip_suffix('}')?;
        let (node, rest) = inner.split_once('@')?;
        let (host, unique) = rest.rsplit_once('|')?;
        let (incarnation, serial) = unique.split_once('.')?;
        let home = Home {
            node: node.into(),
            incarnation: u64::from_str_radix(incarnation, 16).ok()?,
            host: EntryId::parse(host).ok()?,
        };
        Some(Self::new(Arc::new(home), u64::from_str_radix(serial, 16).ok()?))
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.0.home.node
    }

    /// Which start of the node the process belongs to.
    pub fn incarnation(&self) -> u64 {
        self.0.home.incarnation
    }

    /// The host that runs the process.
    pub fn host(&self) -> &EntryId {
        &self.0.home.host
    }

    /// The process's number, unique on one start of a node.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Home { node, incarnation, host } = &*self.0.home;
        write!(f, "{{{node}@{host}|{incarnation:x}.{:x}}}", self.0.serial)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({self})")
    }
}

impl TryFrom<String> for Pid {
    type Error = PidError;
    fn try_from(text: String) -> Result<Self, PidError> {
        Self::parse(&text)
    }
}

impl From<Pid> for String {
    fn from(pid: Pid) -> Self {
        pid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        let home =
            Home { node: "n1".into(), incarnation: 0xabc, host: EntryId::parse("a:b").unwrap() };
        let pid = Pid::new(Arc::new(home), 42);
        assert_eq!(pid.to_string(), "{n1@a:b|abc.2a}");
        assert_eq!(Pid::parse(&pid.to_string()).unwrap(), pid);
    }

    #[test]
    fn refuses_what_is_no_pid() {
        for text in ["", "{}", "{a@b}", "{a@b:c|1}", "{a@b:c|x.y}", "a@b:c|1.1", "{a@b|1.1}"] {
            assert!(Pid::parse(text).is_err(), "{text}");
        }
    }
}
