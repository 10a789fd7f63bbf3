//! What everyone may know of a process: its name, mailbox, signals, watchers and figures.
//! The engine's state is not here; the task in `task.rs` owns that alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context as Poller, Poll};
use std::time::{Duration, SystemTime};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;
use wippy_model::{Context, EntryId, Error, Event, EventKind, Exit, Pid, Result};

use crate::bonds::{Bonds, Parts};
use crate::call::CallQueue;
use crate::figures::Left;
use crate::host::Host;
use crate::mailbox::{Lane, Mailbox, Numbered, Received, is_bond, weight};
use crate::names::OwnNames;
use crate::request::Replies;
use crate::upgrade::Upgrade;
use crate::watch::{ExitWatch, NativeWatcher, Watcher};
use crate::{ProcessInfo, State};

/// Bits of [`ProcessShared::signals`]. Whoever sets one wakes the task; the task and the
/// engine's preemption check read them.
pub(crate) const SIGNAL_TERMINATE: u8 = 1;
pub(crate) const SIGNAL_CANCEL: u8 = 2;
/// A linked process ended badly.
pub(crate) const SIGNAL_LINKED: u8 = 4;
/// Its own code asks for an upgrade.
pub(crate) const SIGNAL_UPGRADE: u8 = 8;

/// Signals that end a process at once.
pub(crate) const SIGNALS_END: u8 = SIGNAL_TERMINATE | SIGNAL_LINKED;

/// The longest that a cancelled process is given: what is longer cannot be told from never, and
/// a clock cannot count to all that a caller can say.
const WITHIN_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Events of monitors and links that are promised or wait, on one node.
const NODE_BONDS_MAX: usize = 1 << 22;

/// A wish that a process end, and by when.
pub(crate) struct Cancel {
    pub(crate) deadline: Instant,
    pub(crate) reason: Option<Box<str>>,
}

pub(crate) enum Ending {
    Alive(Bonds),
    Ended(Arc<Exit>),
}

/// Which code a process runs: an upgrade changes it.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) entry: EntryId,
    /// The version of the entry's unit.
    pub(crate) version: u64,
    /// Whether it can see a CANCEL event.
    pub(crate) hears_events: bool,
}

/// Takes the watcher of a request back.
pub(crate) struct RequestWatch(Weak<ProcessShared>, u64);

impl Drop for RequestWatch {
    fn drop(&mut self) {
        if let Some(target) = self.0.upgrade()
            && let Ending::Alive(bonds) = &mut *target.ending.lock()
        {
            bonds.unwatch_request(self.1);
        }
    }
}

/// What a process may say of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether the bad end of a linked process comes as an event, and does not end this one.
    pub trap_links: bool,
    /// Whether it hears of newer versions of its entry.
    pub upgradable: bool,
}

/// The shared part of a process.
///
/// Figures are `Relaxed` atomics: each is a count on its own. `signals` is released by
/// whoever sets it and acquired by whoever acts on it, so that a cancel's deadline, which
/// is stored first, is seen.
pub(crate) struct ProcessShared {
    pub(crate) pid: Pid,
    pub(crate) code: Mutex<Code>,
    pub(crate) host: Arc<Host>,
    pub(crate) context: Context,
    pub(crate) mailbox: Mailbox,
    pub(crate) names: Mutex<OwnNames>,
    pub(crate) replies: Mutex<Replies>,
    /// What its own code asks to become; the task takes it.
    pub(crate) upgrade: Mutex<Option<Box<Upgrade>>>,
    trap_links: AtomicBool,
    upgradable: AtomicBool,
    pub(crate) spawned_at: SystemTime,
    /// How long it may take to end where whoever cancels it does not say.
    pub(crate) stop_timeout: Duration,
    pub(crate) task: AtomicWaker,
    pub(crate) signals: AtomicU8,
    pub(crate) cancel: Mutex<Option<Cancel>>,
    /// When its limit or its context's deadline ends it; set by the task at its first poll and at an
    /// upgrade.
    pub(crate) end_by: Mutex<Option<Instant>>,
    /// The linked process that ends this one, and why.
    linked: Mutex<Option<Box<(Pid, Error)>>>,
    pub(crate) ending: Mutex<Ending>,
    /// Nanoseconds since `host.started` at which the current slice began.
    pub(crate) slice_start_ns: AtomicU64,
    pub(crate) cpu_ns: AtomicU64,
    pub(crate) memory_bytes: AtomicU64,
    pub(crate) steps: AtomicU64,
    /// Messages sent, up to the last step.
    pub(crate) sent: AtomicU64,
    /// Whether its last step left it waiting.
    pub(crate) waits: AtomicBool,
    pub(crate) calls: CallQueue,
    /// Whether a watcher wants to hear of the first step; set before its task is there.
    tells_begin: AtomicBool,
}

impl ProcessShared {
    pub(crate) fn new(
        pid: Pid,
        code: Code,
        host: Arc<Host>,
        context: Context,
        mailbox: Mailbox,
        stop_timeout: Option<Duration>,
    ) -> Self {
        let stop_timeout = stop_timeout.unwrap_or(host.spec.stop_timeout);
        Self {
            pid,
            code: Mutex::new(code),
            host,
            context,
            mailbox,
            names: Mutex::default(),
            replies: Mutex::default(),
            upgrade: Mutex::default(),
            trap_links: AtomicBool::new(false),
            upgradable: AtomicBool::new(false),
            spawned_at: SystemTime::now(),
            stop_timeout,
            task: AtomicWaker::new(),
            signals: AtomicU8::new(0),
            cancel: Mutex::new(None),
            end_by: Mutex::default(),
            linked: Mutex::default(),
            ending: Mutex::new(Ending::Alive(Bonds::default())),
            slice_start_ns: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            calls: CallQueue::default(),
            tells_begin: AtomicBool::new(false),
        }
    }

    pub(crate) fn signalled(&self, signal: u8) -> bool {
        self.signals.load(Ordering::Acquire) & signal != 0
    }

    pub(crate) fn any_signal(&self) -> bool {
        self.signals.load(Ordering::Acquire) != 0
    }

    pub(crate) fn terminate(&self) {
        self.signals.fetch_or(SIGNAL_TERMINATE, Ordering::Release);
        self.task.wake();
    }

    /// The entry it runs.
    pub(crate) fn entry(&self) -> EntryId {
        self.code.lock().entry.clone()
    }

    /// Ends it, because a process it is linked to ended badly. The first one counts.
    pub(crate) fn end_linked(&self, from: Pid, error: Error) {
        self.linked.lock().get_or_insert_with(|| Box::new((from, error)));
        self.signals.fetch_or(SIGNAL_LINKED, Ordering::Release);
        self.task.wake();
    }

    /// The exit that a signal makes of it, if one does.
    pub(crate) fn told_to_end(&self) -> Option<Exit> {
        if self.signalled(SIGNAL_TERMINATE) {
            return Some(Exit::Terminated);
        }
        if self.signalled(SIGNAL_LINKED) {
            let (from, error) = *self.linked.lock().clone()?;
            return Some(Exit::Linked(from, error));
        }
        None
    }

    pub(crate) fn traps_links(&self) -> bool {
        self.trap_links.load(Ordering::Acquire)
    }

    pub(crate) fn options(&self) -> Options {
        let upgradable = self.upgradable.load(Ordering::SeqCst);
        Options { trap_links: self.traps_links(), upgradable }
    }

    pub(crate) fn set_options(&self, options: Options) {
        self.trap_links.store(options.trap_links, Ordering::Release);
        // Who becomes upgradable looks for a newer version after it has said so, and who brings
        // one looks at this after it has put it there: one of them sees the other.
        self.upgradable.store(options.upgradable, Ordering::SeqCst);
    }

    /// Tells it that there is a version of an entry, where that is newer than what it runs and
    /// it wants to know. Whether it does; none where it runs no older version of that entry.
    pub(crate) fn tell_version(&self, entry: &EntryId, version: u64) -> Option<bool> {
        // Held to the end: an upgrade takes back what was told to the code before it.
        let code = self.code.lock();
        if code.entry != *entry || code.version >= version {
            return None;
        }
        if !self.options().upgradable {
            return Some(false);
        }
        self.mailbox.push_event(
            Event {
                kind: EventKind::Outdated,
                from: self.pid.clone(),
                at: SystemTime::now(),
                exit: None,
                deadline: None,
                reason: None,
            },
            0,
        );
        Some(true)
    }

    /// Promises room for the event of a monitor or a link.
    pub(crate) fn reserve_event(&self) -> Result<()> {
        let bonds = &self.host.table.bonds;
        if bonds.fetch_add(1, Ordering::Relaxed) >= NODE_BONDS_MAX {
            bonds.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::unavailable(format!(
                "the node holds {NODE_BONDS_MAX} monitors and links, and no more"
            )));
        }
        self.mailbox.reserve_event().inspect_err(|_| {
            bonds.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Gives promises back that no event will use.
    pub(crate) fn release_events(&self, promised: usize) {
        let released = self.mailbox.release_events(promised);
        self.host.table.bonds.fetch_sub(released, Ordering::Relaxed);
    }

    pub(crate) fn poll_receive(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<Received> {
        self.poll_numbered(lane, poller).map(|numbered| numbered.received)
    }

    pub(crate) fn poll_numbered(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<Numbered> {
        self.mailbox.poll_numbered(lane, poller).map(|numbered| self.taken(numbered))
    }

    pub(crate) fn try_numbered(&self, lane: Lane) -> Option<Numbered> {
        self.mailbox.try_numbered(lane).map(|numbered| self.taken(numbered))
    }

    fn taken(&self, numbered: Numbered) -> Numbered {
        if matches!(&numbered.received, Received::Event(event) if is_bond(event.kind)) {
            self.host.table.bonds.fetch_sub(1, Ordering::Relaxed);
        }
        numbered
    }

    /// Puts back what its code has taken and not looked at.
    pub(crate) fn put_back(&self, items: Vec<Numbered>) {
        let bonds = self.mailbox.put_back(items);
        self.host.table.bonds.fetch_add(bonds, Ordering::Relaxed);
    }

    pub(crate) fn ask_to_end(&self, from: &Pid, within: Duration, reason: Option<Box<str>>) {
        // Nobody can put off the end that somebody else has asked for.
        let mut within = within.min(WITHIN_MAX);
        {
            let mut cancel = self.cancel.lock();
            let now = Instant::now();
            if let Some(earlier) = &*cancel {
                within = within.min(earlier.deadline.saturating_duration_since(now));
            }
            *cancel = Some(Cancel { deadline: now + within, reason: reason.clone() });
        }
        self.signals.fetch_or(SIGNAL_CANCEL, Ordering::Release);
        let at = SystemTime::now();
        self.mailbox.push_event(
            Event {
                kind: EventKind::Cancel,
                from: from.clone(),
                at,
                exit: None,
                deadline: Some(at + within),
                reason,
            },
            0,
        );
        self.task.wake();
    }

    /// Attaches a watcher; one that comes too late is told at once.
    pub(crate) fn watch(&self, watcher: Watcher) {
        if matches!(&watcher, Watcher::Native(native) if native.hears_begin()) {
            self.tells_begin.store(true, Ordering::Relaxed);
        }
        let exit = match &mut *self.ending.lock() {
            Ending::Alive(bonds) => return bonds.watch(watcher),
            Ending::Ended(exit) => exit.clone(),
        };
        watcher.tell(&self.pid, &exit, SystemTime::now());
    }

    /// Attaches the watcher of a request that `caller` waits for; it goes when the guard is
    /// dropped.
    pub(crate) fn watch_request(
        self: &Arc<Self>,
        caller: &Arc<Self>,
    ) -> (ExitWatch, Option<RequestWatch>) {
        let (watcher, watch) = NativeWatcher::new(Some(caller.clone()));
        let exit = match &mut *self.ending.lock() {
            Ending::Alive(bonds) => {
                let number = bonds.watch_request(watcher);
                return (watch, Some(RequestWatch(Arc::downgrade(self), number)));
            }
            Ending::Ended(exit) => exit.clone(),
        };
        let weight = weight(&exit);
        watcher.tell(&exit, weight);
        (watch, None)
    }

    /// Tells whoever wants to know that the first step begins.
    pub(crate) fn tell_begin(&self) {
        if self.tells_begin.load(Ordering::Relaxed)
            && let Ending::Alive(bonds) = &mut *self.ending.lock()
        {
            bonds.tell_begin();
        }
    }

    /// Detaches a process that watches.
    pub(crate) fn unwatch(&self, watcher: &ProcessShared) {
        if let Ending::Alive(bonds) = &mut *self.ending.lock() {
            bonds.unwatch(watcher);
        }
    }

    /// Records the exit and tells everyone. The first call wins; by then the engine's state is
    /// dropped. What others can see goes first: mailbox, names, place on the host, table. So
    /// whoever hears of the exit finds nothing left of the process.
    pub(crate) fn end(self: &Arc<Self>, exit: Exit) {
        let Some(promised) = self.mailbox.close() else { return };
        self.host.table.bonds.fetch_sub(promised, Ordering::Relaxed);
        self.replies.lock().close();
        let names = self.names.lock().close();
        self.host.table.names.free(&names, self);
        // The place before the table: whoever does not find the process can have its place.
        self.host.release();
        let left = Left {
            exit: exit.name(),
            cpu: Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed)),
            received: self.mailbox.figures().received,
            steps: self.steps.load(Ordering::Relaxed),
        };
        self.host.table.remove(self.pid.serial(), &left);
        let exit = Arc::new(exit);
        let ended = Ending::Ended(exit.clone());
        let bonds = match std::mem::replace(&mut *self.ending.lock(), ended) {
            Ending::Alive(bonds) => bonds,
            Ending::Ended(_) => return,
        };
        if !bonds.any_listener() && !exit.is_expected() && !matches!(*exit, Exit::Linked(..)) {
            let error = exit.error().map(|error| error.to_string()).unwrap_or_default();
            tracing::warn!(
                pid = %self.pid,
                entry = %self.entry(),
                "ended badly, and nobody monitors it: {error}"
            );
        }
        let (at, weight) = (SystemTime::now(), weight(&exit));
        let Parts { natives, watchers, links, monitors } = bonds.into_parts();
        // Nothing of it stays with those that live on.
        for target in monitors {
            if let Some((target, _)) = self.host.table.find((&target).into()) {
                target.unwatch(self);
            }
        }
        for watcher in natives {
            watcher.tell(&exit, weight);
        }
        for watcher in watchers {
            watcher.shared().monitored_ended(&self.pid, &exit, weight, at);
        }
        for linked in links {
            linked.link_broken(&self.pid, &exit, weight, at);
        }
    }

    pub(crate) fn info(&self) -> ProcessInfo {
        let steps = self.steps.load(Ordering::Relaxed);
        let stopping = self.signalled(SIGNALS_END | SIGNAL_CANCEL);
        let waits = self.waits.load(Ordering::Relaxed);
        let mailbox = self.mailbox.figures();
        let (links, monitors) = match &*self.ending.lock() {
            Ending::Alive(bonds) => bonds.counts(),
            Ending::Ended(_) => (0, 0),
        };
        let Code { entry, version, .. } = self.code.lock().clone();
        ProcessInfo {
            pid: self.pid.clone(),
            entry,
            version,
            state: match (stopping, steps) {
                (true, _) => State::Stopping,
                (false, 0) => State::Starting,
                (false, _) if waits => State::Waiting,
                (false, _) => State::Running,
            },
            spawned_at: self.spawned_at,
            cpu: Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed)),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed)
                + self.calls.memory_bytes.load(Ordering::Relaxed),
            mailbox_len: mailbox.len,
            mailbox_bytes: mailbox.bytes,
            received: mailbox.received,
            sent: self.sent.load(Ordering::Relaxed),
            calls: self.calls.under_way(),
            names: self.names.lock().list(),
            links,
            monitors,
            steps,
        }
    }
}

impl fmt::Debug for ProcessShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.pid, self.entry())
    }
}
