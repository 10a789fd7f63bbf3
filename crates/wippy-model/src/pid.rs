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
    /// Not 0 in a reply address: the call that it stands for.
    call: u64,
    home: Arc<Home>,
}

/// The parts of a PID's text, read without making a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidText<'a> {
    node: &'a str,
    host: &'a str,
    incarnation: u64,
    serial: u64,
    call: u64,
}

impl<'a> PidText<'a> {
    /// Reads the text form of a PID.
    pub fn parse(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix('{')?.strip_suffix('}')?;
        let (node, rest) = inner.split_once('@')?;
        let (host, unique) = rest.rsplit_once('|')?;
        let (incarnation, serial) = unique.split_once('.')?;
        let hex = |digits: &str| match digits.starts_with('+') {
            true => None,
            false => u64::from_str_radix(digits, 16).ok(),
        };
        let (serial, call) = match serial.split_once('.') {
            None => (hex(serial)?, 0),
            Some((serial, call)) => (hex(serial)?, hex(call).filter(|call| *call > 0)?),
        };
        Some(Self { node, host, incarnation: hex(incarnation)?, serial, call })
    }

    /// The process's number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The call of a reply address; 0 for a process.
    pub fn call(&self) -> u64 {
        self.call
    }

    /// Whether this names the process, itself or by a reply address.
    pub fn names(&self, pid: &Pid) -> bool {
        let Home { node, incarnation, host } = &*pid.0.home;
        self.serial == pid.0.serial
            && self.incarnation == *incarnation
            && self.node == &**node
            && self.host == host.as_str()
    }
}

/// What of a text that is no PID its error shows.
const SHOWN_CHARS: usize = 255;

/// A text that is no PID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no PID: a PID looks like {{node@namespace:host|1a2b.3}}")]
pub struct PidError(String);

impl Pid {
    /// The process number `serial` of a home.
    pub fn new(home: Arc<Home>, serial: u64) -> Self {
        Self(Arc::new(Body { serial, call: 0, home }))
    }

    /// The reply address for one call that this process makes. Calls are numbered from 1.
    #[must_use]
    pub fn for_call(&self, call: u64) -> Self {
        Self(Arc::new(Body { serial: self.0.serial, call, home: self.0.home.clone() }))
    }

    /// The call that a reply address stands for; 0 for a process.
    #[inline]
    pub fn call(&self) -> u64 {
        self.0.call
    }

    /// The process itself, where this is a reply address.
    #[must_use]
    pub fn process(&self) -> Self {
        match self.0.call {
            0 => self.clone(),
            _ => Self::new(self.0.home.clone(), self.0.serial),
        }
    }

    /// Whether both name the same process, be it by a reply address.
    #[inline]
    pub fn is_same_process(&self, other: &Self) -> bool {
        self.0.serial == other.0.serial
            && (Arc::ptr_eq(&self.0.home, &other.0.home) || self.0.home == other.0.home)
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// When the text has another shape.
    pub fn parse(text: &str) -> Result<Self, PidError> {
        Self::parse_parts(text).ok_or_else(|| PidError(text.chars().take(SHOWN_CHARS).collect()))
    }

    fn parse_parts(text: &str) -> Option<Self> {
        let PidText { node, host, incarnation, serial, call } = PidText::parse(text)?;
        let home = Home { node: node.into(), incarnation, host: EntryId::parse(host).ok()? };
        Some(Self(Arc::new(Body { serial, call, home: Arc::new(home) })))
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
    #[inline]
    pub fn host(&self) -> &EntryId {
        &self.0.home.host
    }

    /// The process's number, unique on one start of a node.
    #[inline]
    pub fn serial(&self) -> u64 {
        self.0.serial
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Home { node, incarnation, host } = &*self.0.home;
        write!(f, "{{{node}@{host}|{incarnation:x}.{:x}", self.0.serial)?;
        match self.0.call {
            0 => f.write_str("}"),
            call => write!(f, ".{call:x}}}"),
        }
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
        let address = pid.for_call(17);
        assert_eq!(address.to_string(), "{n1@a:b|abc.2a.11}");
        assert_eq!(Pid::parse(&address.to_string()).unwrap(), address);
        assert!(address.is_same_process(&pid) && address != pid && address.process() == pid);
        assert!(PidText::parse(&address.to_string()).unwrap().names(&pid));
    }

    #[test]
    fn refuses_what_is_no_pid() {
        for text in [
            "",
            "{}",
            "{a@b}",
            "{a@b:c|1}",
            "{a@b:c|x.y}",
            "a@b:c|1.1",
            "{a@b|1.1}",
            "{a@b:c|1.1.0}",
            "{a@b:c|+1.1}",
        ] {
            assert!(Pid::parse(text).is_err(), "{text}");
        }
    }
}
