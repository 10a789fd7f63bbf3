//! What the kernel tells a process: the lifecycle lane of its mailbox.

use std::sync::Arc;
use std::time::SystemTime;

use crate::{Exit, Pid};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A monitored process ended.
    Exit,
    /// A linked process ended badly, and this process traps links.
    LinkDown,
    /// Somebody asks this process to end before a deadline.
    Cancel,
    /// A newer version of this process's entry is there.
    Outdated,
}

impl EventKind {
    /// The constant of `process.event`, such as `pid.exit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "pid.exit",
            Self::LinkDown => "pid.link.down",
            Self::Cancel => "pid.cancel",
            Self::Outdated => "pid.outdated",
        }
    }

    /// The `type` of the event's table in Lua, such as `EXIT`.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Exit => "EXIT",
            Self::LinkDown => "LINK_DOWN",
            Self::Cancel => "CANCEL",
            Self::Outdated => "OUTDATED",
        }
    }
}

/// One lifecycle event. Events have room reserved in every mailbox: a flood of
/// messages neither delays nor drops them.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whom it is about.
    pub from: Pid,
    /// When it happened.
    pub at: SystemTime,
    /// The exit, for [`EventKind::Exit`] and [`EventKind::LinkDown`].
    pub exit: Option<Arc<Exit>>,
    /// By when to end, for [`EventKind::Cancel`].
    pub deadline: Option<SystemTime>,
    /// Why, for [`EventKind::Cancel`].
    pub reason: Option<Box<str>>,
}
