//! Links and monitors between processes.
//!
//! A link is an entry on both sides, each made and taken under the lock of its own side, never
//! both locks at once. Whoever ends tells those on its list; they react only when they find it on
//! theirs. So each side hears of a link's end at most once, and `unlink` wins where it came
//! first.

use std::sync::Arc;
use std::time::SystemTime;

use wippy_model::{Error, Event, EventKind, Exit, Pid, Result};

use crate::ProcessContext;
use crate::process::{Ending, ProcessShared};
use crate::watch::Watcher;

/// What became of one side of a link.
enum Side {
    New,
    Already,
    Gone,
}

impl ProcessShared {
    fn add_link(&self, other: &Arc<ProcessShared>) -> Side {
        match &mut *self.ending.lock() {
            Ending::Alive(bonds) => match bonds.link(other) {
                true => Side::New,
                false => Side::Already,
            },
            Ending::Ended(_) => Side::Gone,
        }
    }

    fn remove_link(&self, serial: u64) -> bool {
        match &mut *self.ending.lock() {
            Ending::Alive(bonds) => bonds.unlink(serial),
            Ending::Ended(_) => false,
        }
    }

    /// A linked process has ended.
    pub(crate) fn link_broken(&self, from: &Pid, exit: &Arc<Exit>, at: SystemTime) {
        if !self.remove_link(from.serial()) {
            return;
        }
        let Some(error) = exit.error() else {
            self.release_event();
            return;
        };
        if self.traps_links() {
            self.mailbox.push_event(Event {
                kind: EventKind::LinkDown,
                from: from.clone(),
                at,
                exit: Some(exit.clone()),
                deadline: None,
                reason: None,
            });
            return;
        }
        self.release_event();
        // A chain hands on where it began, and not a text that grows with each link.
        match &**exit {
            Exit::Linked(first, error) => self.end_linked(first.clone(), error.clone()),
            _ => self.end_linked(from.clone(), error),
        }
    }
}

/// Links two processes, or breaks the link at once where one is gone.
pub(crate) fn link(one: &Arc<ProcessShared>, other: &Arc<ProcessShared>) -> Result<()> {
    if Arc::ptr_eq(one, other) {
        return Ok(());
    }
    one.reserve_event()?;
    if let Err(error) = other.reserve_event() {
        one.release_event();
        return match other.mailbox.is_closed() {
            true => link_to_nobody(one, &other.pid),
            false => Err(error.context(&other.pid)),
        };
    }
    match one.add_link(other) {
        Side::New => {}
        Side::Already => one.release_event(),
        Side::Gone => {
            other.release_event();
            return Err(Error::unavailable("this process has ended"));
        }
    }
    match other.add_link(one) {
        Side::New => {}
        Side::Already => other.release_event(),
        Side::Gone => one.link_broken(&other.pid, &Arc::new(Exit::NoProcess), SystemTime::now()),
    }
    Ok(())
}

/// The link of a process to one that is gone.
pub(crate) fn link_to_nobody(one: &Arc<ProcessShared>, target: &Pid) -> Result<()> {
    one.reserve_event()?;
    let exit = Arc::new(Exit::NoProcess);
    if one.traps_links() {
        one.mailbox.push_event(Event {
            kind: EventKind::LinkDown,
            from: target.clone(),
            at: SystemTime::now(),
            exit: Some(exit),
            deadline: None,
            reason: None,
        });
        return Ok(());
    }
    one.release_event();
    if let Some(error) = exit.error() {
        one.end_linked(target.clone(), error);
    }
    Ok(())
}

/// Takes a link back, on both sides.
pub(crate) fn unlink(one: &ProcessShared, other: &ProcessShared) {
    if one.remove_link(other.pid.serial()) {
        one.release_event();
    }
    if other.remove_link(one.pid.serial()) {
        other.release_event();
    }
}

/// Sets a monitor of one process on another.
pub(crate) fn monitor(watcher: &ProcessContext, target: &ProcessShared) -> Result<()> {
    watcher.shared().reserve_event()?;
    target.watch(Watcher::Process(watcher.clone()));
    Ok(())
}

/// The monitor of a process on one that is gone.
pub(crate) fn monitor_nobody(watcher: &ProcessContext, target: &Pid) -> Result<()> {
    watcher.shared().reserve_event()?;
    let exit = Arc::new(Exit::NoProcess);
    Watcher::Process(watcher.clone()).tell(target, &exit, SystemTime::now());
    Ok(())
}
