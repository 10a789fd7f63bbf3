//! Links and monitors between processes.
//!
//! A link is an entry on both sides, made and taken on both at once. Whoever ends tells those
//! on its list; they react only when they find it on theirs, and in the same moment. So each side
//! hears of a link's end at most once, and of none that `unlink` took back before. Monitors are kept on both sides, too:
//! the one that is watched knows whom to tell, and the one that watches how often.

use std::sync::Arc;
use std::time::SystemTime;

use wippy_model::{Error, Event, EventKind, Exit, Pid, Result};

use crate::ProcessContext;
use crate::process::{Ending, ProcessShared};
use crate::watch::Watcher;

/// What became of a wish to link.
enum Joined {
    New,
    Already,
    /// The one that asks has ended.
    Ended,
    /// The other one has.
    Gone,
}

impl ProcessShared {
    fn is_linked(&self, other: &Pid) -> bool {
        match &*self.ending.lock() {
            Ending::Alive(bonds) => bonds.is_linked(other),
            Ending::Ended(_) => false,
        }
    }

    fn take_monitors(&self, target: &Pid) -> u32 {
        match &mut *self.ending.lock() {
            Ending::Alive(bonds) => bonds.take_monitors(target),
            Ending::Ended(_) => 0,
        }
    }

    /// A process that it monitors has ended: one event for each monitor.
    pub(crate) fn monitored_ended(
        &self,
        from: &Pid,
        exit: &Arc<Exit>,
        weight: u64,
        at: SystemTime,
    ) {
        let Ending::Alive(bonds) = &mut *self.ending.lock() else { return };
        for _ in 0..bonds.take_monitors(from) {
            self.mailbox.push_event(bond_event(EventKind::Exit, from, exit, at), weight);
        }
    }

    /// A linked process has ended.
    pub(crate) fn link_broken(&self, from: &Pid, exit: &Arc<Exit>, weight: u64, at: SystemTime) {
        let Ending::Alive(bonds) = &mut *self.ending.lock() else { return };
        if !bonds.unlink(from) {
            return;
        }
        let Some(error) = exit.error() else {
            self.release_events(1);
            return;
        };
        if self.traps_links() {
            self.mailbox.push_event(bond_event(EventKind::LinkDown, from, exit, at), weight);
            return;
        }
        self.release_events(1);
        // A chain hands on where it began, and not a text that grows with each link.
        match &**exit {
            Exit::Linked(first, error) => self.end_linked(first.clone(), error.clone()),
            _ => self.end_linked(from.clone(), error),
        }
    }
}

fn bond_event(kind: EventKind, from: &Pid, exit: &Arc<Exit>, at: SystemTime) -> Event {
    let (from, exit) = (from.clone(), Some(exit.clone()));
    Event { kind, from, at, exit, deadline: None, reason: None }
}

/// Looks at two processes at once. A link that is made by the one and taken back by the other
/// at the same time would else stay on one side. Whoever locks two locks the lower address
/// first, and nothing else is locked meanwhile.
fn at_both<R>(
    one: &ProcessShared,
    other: &ProcessShared,
    look: impl FnOnce(&mut Ending, &mut Ending) -> R,
) -> R {
    let (mut own, mut others);
    if std::ptr::from_ref(one) < std::ptr::from_ref(other) {
        own = one.ending.lock();
        others = other.ending.lock();
    } else {
        others = other.ending.lock();
        own = one.ending.lock();
    }
    look(&mut own, &mut others)
}

/// Links two processes, or breaks the link at once where one is gone.
pub(crate) fn link(one: &Arc<ProcessShared>, other: &Arc<ProcessShared>) -> Result<()> {
    if Arc::ptr_eq(one, other) {
        return Ok(());
    }
    one.reserve_event()?;
    // One that is about to end needs no promise. It tells of its end when nothing is left of it,
    // and not earlier.
    if let Err(error) = other.reserve_event()
        && !other.mailbox.is_closed()
    {
        one.release_events(1);
        return Err(error.context(&other.pid));
    }
    link_reserved(one, other)
}

/// The same, with the events promised by both.
pub(crate) fn link_reserved(one: &Arc<ProcessShared>, other: &Arc<ProcessShared>) -> Result<()> {
    let joined = at_both(one, other, |own, others| match (own, others) {
        (Ending::Ended(_), _) => Joined::Ended,
        // It may have ended and be about to say so.
        (Ending::Alive(own), _) if own.is_linked(&other.pid) => Joined::Already,
        (Ending::Alive(_), Ending::Ended(_)) => Joined::Gone,
        (Ending::Alive(own), Ending::Alive(others)) => {
            own.link(other);
            others.link(one);
            Joined::New
        }
    });
    if matches!(joined, Joined::New) {
        return Ok(());
    }
    one.release_events(1);
    other.release_events(1);
    match joined {
        Joined::New | Joined::Already => Ok(()),
        Joined::Ended => Err(Error::unavailable("this process has ended")),
        Joined::Gone => link_to_nobody(one, &other.pid),
    }
}

/// The link of a process to one that is gone.
pub(crate) fn link_to_nobody(one: &Arc<ProcessShared>, target: &Pid) -> Result<()> {
    // Nobody finds it any more, and it has not told those who are linked to it.
    if one.is_linked(target) {
        return Ok(());
    }
    one.reserve_event()?;
    let exit = Arc::new(Exit::NoProcess);
    if one.traps_links() {
        let event = bond_event(EventKind::LinkDown, target, &exit, SystemTime::now());
        one.mailbox.push_event(event, 0);
        return Ok(());
    }
    one.release_events(1);
    if let Some(error) = exit.error() {
        one.end_linked(target.clone(), error);
    }
    Ok(())
}

/// Takes a link back, on both sides: on the own one also where the other process is gone and
/// has not said so.
pub(crate) fn unlink(one: &ProcessShared, target: &Pid, other: Option<&ProcessShared>) {
    let Some(other) = other.filter(|other| !std::ptr::eq(one, *other)) else {
        let removed = match &mut *one.ending.lock() {
            Ending::Alive(bonds) => bonds.unlink(target),
            Ending::Ended(_) => false,
        };
        one.release_events(usize::from(removed));
        return;
    };
    let (own, others) = at_both(one, other, |own, others| {
        let unlink = |side: &mut Ending, pid: &Pid| match side {
            Ending::Alive(bonds) => bonds.unlink(pid),
            Ending::Ended(_) => false,
        };
        (unlink(own, &other.pid), unlink(others, &one.pid))
    });
    one.release_events(usize::from(own));
    other.release_events(usize::from(others));
}

/// Sets a monitor of one process on another.
pub(crate) fn monitor(watcher: &ProcessContext, target: &ProcessShared) -> Result<()> {
    watcher.shared().reserve_event()?;
    monitor_reserved(watcher, target);
    Ok(())
}

/// The same, with the event promised.
pub(crate) fn monitor_reserved(watcher: &ProcessContext, target: &ProcessShared) {
    match &mut *watcher.shared().ending.lock() {
        Ending::Alive(bonds) => bonds.add_monitor(&target.pid),
        // What it was promised went with its mailbox.
        Ending::Ended(_) => return,
    }
    target.watch(Watcher::Process(watcher.clone()));
    // One that ends meanwhile may have taken its monitors back before this one was there.
    if watcher.shared().mailbox.is_closed() {
        target.unwatch(watcher.shared());
    }
}

/// The monitor of a process on one that is gone.
pub(crate) fn monitor_nobody(watcher: &ProcessContext, target: &Pid) -> Result<()> {
    watcher.shared().reserve_event()?;
    let exit = Arc::new(Exit::NoProcess);
    let event = bond_event(EventKind::Exit, target, &exit, SystemTime::now());
    watcher.shared().mailbox.push_event(event, 0);
    Ok(())
}

/// Takes all monitors of one process on another back.
pub(crate) fn unmonitor(watcher: &ProcessContext, target: &Pid, found: Option<&ProcessShared>) {
    // Where the other one is gone and has not said so, what it says finds nothing here.
    let times = watcher.shared().take_monitors(target);
    if let Some(found) = found {
        found.unwatch(watcher.shared());
    }
    watcher.shared().release_events(times as usize);
}
