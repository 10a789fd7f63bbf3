//! What everyone may know of a process: its name, mailbox, signals, watchers and figures.
//! The engine's state is not here; the task in `task.rs` owns that alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;
use wippy_model::{Context, EntryId, Event, EventKind, Exit, Pid, Result};

use crate::call::CallQueue;
use crate::figures::Left;
use crate::host::Host;
use crate::mailbox::Mailbox;
use crate::watch::Watcher;
use crate::{ProcessContext, ProcessInfo, State};

/// Bits of [`ProcessShared::signals`]. Whoever sets one wakes the task; the task and the
/// engine's preemption check read them.
pub(crate) const SIGNAL_TERMINATE: u8 = 1;
pub(crate) const SIGNAL_CANCEL: u8 = 2;

/// A wish that a process end, and by when.
pub(crate) struct Cancel {
    pub(crate) deadline: Instant,
    pub(crate) reason: Option<Box<str>>,
}

enum Ending {
    Alive(Vec<Watcher>),
    Ended(Arc<Exit>),
}

/// The shared part of a process.
///
/// Figures are `Relaxed` atomics: each is a count on its own. `signals` is released by
/// whoever sets it and acquired by whoever acts on it, so that a cancel's deadline, which
/// is stored first, is seen.
pub(crate) struct ProcessShared {
    pub(crate) pid: Pid,
    pub(crate) entry: EntryId,
    pub(crate) host: Arc<Host>,
    pub(crate) context: Context,
    pub(crate) mailbox: Mailbox,
    pub(crate) spawned_at: SystemTime,
    pub(crate) task: AtomicWaker,
    pub(crate) signals: AtomicU8,
    pub(crate) cancel: Mutex<Option<Cancel>>,
    /// When its limit or its context's deadline ends it; set by the task at its first poll.
    pub(crate) end_by: OnceLock<Instant>,
    ending: Mutex<Ending>,
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
}

impl ProcessShared {
    pub(crate) fn new(
        pid: Pid,
        entry: EntryId,
        host: Arc<Host>,
        context: Context,
        mailbox: Mailbox,
        watcher: Option<Watcher>,
    ) -> Self {
        Self {
            pid,
            entry,
            host,
            context,
            mailbox,
            spawned_at: SystemTime::now(),
            task: AtomicWaker::new(),
            signals: AtomicU8::new(0),
            cancel: Mutex::new(None),
            end_by: OnceLock::new(),
            ending: Mutex::new(Ending::Alive(Vec::from_iter(watcher))),
            slice_start_ns: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            calls: CallQueue::default(),
        }
    }

    pub(crate) fn signalled(&self, signal: u8) -> bool {
        self.signals.load(Ordering::Acquire) & signal != 0
    }

    pub(crate) fn terminate(&self) {
        self.signals.fetch_or(SIGNAL_TERMINATE, Ordering::Release);
        self.task.wake();
    }

    pub(crate) fn ask_to_end(&self, from: &Pid, within: Duration, reason: Option<Box<str>>) {
        // Nobody can put off the end that somebody else has asked for.
        let mut within = within;
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
        self.mailbox.push_event(Event {
            kind: EventKind::Cancel,
            from: from.clone(),
            at,
            exit: None,
            deadline: Some(at + within),
            reason,
        });
        self.task.wake();
    }

    /// Attaches a watcher; one that comes too late is told at once.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let exit = match &mut *self.ending.lock() {
            Ending::Alive(watchers) => {
                // Watchers that ended are swept when the list would grow, so that one long
                // life watched by many short ones stays small.
                if watchers.len() == watchers.capacity() {
                    watchers.retain(|watcher| !watcher.is_gone());
                }
                watchers.push(watcher);
                return;
            }
            Ending::Ended(exit) => exit.clone(),
        };
        watcher.tell(&self.pid, &exit, SystemTime::now());
    }

    /// Detaches the watches of a process; tells how many there were.
    pub(crate) fn unwatch(&self, watcher: &Arc<ProcessShared>) -> usize {
        match &mut *self.ending.lock() {
            Ending::Alive(watchers) => {
                let before = watchers.len();
                watchers.retain(|attached| !attached.is(watcher));
                before - watchers.len()
            }
            Ending::Ended(_) => 0,
        }
    }

    /// Records the exit and tells every watcher. The first call wins; by then the
    /// engine's state is dropped. What others can see goes first: mailbox, table, place
    /// on the host. So whoever hears of the exit finds nothing left of the process.
    pub(crate) fn end(&self, exit: Exit) {
        let received = self.mailbox.close();
        let exit = Arc::new(exit);
        let ended = Ending::Ended(exit.clone());
        let watchers = match std::mem::replace(&mut *self.ending.lock(), ended) {
            Ending::Alive(watchers) => watchers,
            Ending::Ended(_) => return,
        };
        let left = Left {
            exit: exit.name(),
            cpu: Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed)),
            received,
            steps: self.steps.load(Ordering::Relaxed),
        };
        self.host.table.remove(self.pid.serial(), &left);
        self.host.release();
        if watchers.is_empty() && !exit.is_expected() {
            let error = exit.error().map(|error| error.to_string()).unwrap_or_default();
            tracing::warn!(
                pid = %self.pid,
                entry = %self.entry,
                "ended badly, and nobody monitors it: {error}"
            );
        }
        let at = SystemTime::now();
        for watcher in watchers {
            watcher.tell(&self.pid, &exit, at);
        }
    }

    pub(crate) fn info(&self) -> ProcessInfo {
        let steps = self.steps.load(Ordering::Relaxed);
        let stopping = self.signalled(SIGNAL_TERMINATE | SIGNAL_CANCEL);
        let waits = self.waits.load(Ordering::Relaxed);
        let mailbox = self.mailbox.figures();
        ProcessInfo {
            pid: self.pid.clone(),
            entry: self.entry.clone(),
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
            steps,
        }
    }
}

impl fmt::Debug for ProcessShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.pid, self.entry)
    }
}

/// Sets a monitor of one process on another.
pub(crate) fn monitor(watcher: &ProcessContext, target: &ProcessShared) -> Result<()> {
    watcher.shared().mailbox.reserve_event()?;
    target.watch(Watcher::Process(watcher.clone()));
    Ok(())
}
