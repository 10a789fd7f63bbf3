//! Figures of processes, hosts and the node, for those who look at a node.
//!
//! Nobody counts twice: a process's own figures are written where its task or its mailbox is
//! written anyway, and those of the node are their sum, made when somebody asks, and what ended
//! processes left in the table. So a message costs no atomic that two workers share.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wippy_model::{EntryId, Exit, Pid};

use crate::host::Host;
use crate::{Address, Kernel, Profile, Scheduler};

thread_local! {
    /// Messages that were sent on this thread. A process is polled on one thread at a time, so
    /// the difference between two looks around a poll is what it has sent.
    static SENT: Cell<u64> = const { Cell::new(0) };
}

/// Messages sent on this thread so far.
pub(crate) fn sent_here() -> u64 {
    SENT.get()
}

pub(crate) fn count_sent() {
    SENT.set(SENT.get().wrapping_add(1));
}

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Admitted; its code has not begun.
    Starting,
    /// Its code runs, or has given way in the middle of its work.
    Running,
    /// It waits for something: a message, a timer, the outside.
    Waiting,
    /// Asked to end.
    Stopping,
}

impl State {
    /// The word for it in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
        }
    }
}

/// The figures of one process.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
    /// Its name.
    pub pid: Pid,
    /// The entry it runs.
    pub entry: EntryId,
    /// The version of the entry's code.
    pub version: u64,
    /// The names that it is registered as.
    pub names: Vec<Arc<str>>,
    /// Where it is in its life.
    pub state: State,
    /// When it was spawned.
    pub spawned_at: SystemTime,
    /// Time inside its polls.
    pub cpu: Duration,
    /// Memory its engine counts for it.
    pub memory_bytes: u64,
    /// Messages that wait.
    pub mailbox_len: usize,
    /// What those count against `mailbox.bytes`.
    pub mailbox_bytes: u64,
    /// Messages that its mailbox took.
    pub received: u64,
    /// Messages that were taken of it, and of functions that it calls, up to its last step.
    pub sent: u64,
    /// Calls of functions under way.
    pub calls: u32,
    /// Processes that it is linked to.
    pub links: usize,
    /// Those that monitor it, be they processes or not.
    pub monitors: usize,
    /// How often it was polled.
    pub steps: u64,
}

/// The figures of one host.
#[derive(Debug, Clone)]
pub struct HostInfo {
    /// The entry.
    pub id: EntryId,
    /// How memory is kept.
    pub profile: Profile,
    /// Whether its processes have the terminal.
    pub terminal: bool,
    /// Worker threads; none where it shares the scheduler of somebody else.
    pub workers: Option<usize>,
    /// Processes alive.
    pub processes: usize,
    /// How many may be.
    pub processes_max: usize,
    /// Spawns that wait for their first slice.
    pub waiting: usize,
    /// How many may.
    pub waiting_max: usize,
}

/// The figures of a node: those of its processes together, ended ones included where a figure
/// only grows.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Its name.
    pub node: Box<str>,
    /// Which start of it this is.
    pub incarnation: u64,
    /// When it was started.
    pub started_at: SystemTime,
    /// Processes alive.
    pub processes: usize,
    /// Spawns since the start.
    pub spawned: u64,
    /// Ends since the start, by the name of the exit.
    pub exits: Vec<(&'static str, u64)>,
    /// Time inside polls since the start.
    pub cpu: Duration,
    /// Memory that engines count for processes alive.
    pub memory_bytes: u64,
    /// Messages that wait.
    pub mailbox_len: u64,
    /// What those count against `mailbox.bytes`.
    pub mailbox_bytes: u64,
    /// Messages that mailboxes took since the start.
    pub messages: u64,
    /// Polls since the start.
    pub steps: u64,
}

/// What one process leaves of its figures.
pub(crate) struct Left {
    /// The name of its exit.
    pub(crate) exit: &'static str,
    pub(crate) cpu: Duration,
    pub(crate) received: u64,
    pub(crate) steps: u64,
}

/// What ended processes leave of their figures. The table has one in each shard, under the lock
/// that a removal takes anyway.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ended {
    exits: Vec<(&'static str, u64)>,
    cpu: Duration,
    received: u64,
    steps: u64,
}

impl Ended {
    pub(crate) fn add(&mut self, left: &Left) {
        // A spawn that was refused after all has run nothing and ended nothing.
        if left.exit == Exit::NoProcess.name() {
            return;
        }
        self.count(left.exit, 1);
        self.cpu += left.cpu;
        self.received += left.received;
        self.steps += left.steps;
    }

    fn merge(&mut self, other: &Self) {
        for (exit, count) in &other.exits {
            self.count(exit, *count);
        }
        self.cpu += other.cpu;
        self.received += other.received;
        self.steps += other.steps;
    }

    fn count(&mut self, exit: &'static str, more: u64) {
        match self.exits.iter_mut().find(|(name, _)| *name == exit) {
            Some((_, count)) => *count += more,
            None => self.exits.push((exit, more)),
        }
    }
}

impl Kernel {
    /// The figures of every process, in order of their spawns.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.table().all().iter().map(|process| process.info()).collect()
    }

    /// The figures of one process, while it is there.
    pub fn process_info<'a>(&self, process: impl Into<Address<'a>>) -> Option<ProcessInfo> {
        self.find(process.into()).map(|(process, _)| process.info())
    }

    /// The figures of every host, in order of their IDs.
    pub fn hosts(&self) -> Vec<HostInfo> {
        let mut hosts: Vec<HostInfo> =
            self.all_hosts().values().map(|host| host_info(host)).collect();
        hosts.sort_by(|a, b| a.id.cmp(&b.id));
        hosts
    }

    /// The figures of the node, and those of its processes that they are the sum of.
    pub fn node_info(&self) -> (NodeInfo, Vec<ProcessInfo>) {
        let mut ended = Ended::default();
        let mut processes = Vec::new();
        self.table().each_shard(|alive, left| {
            ended.merge(left);
            processes.extend(alive.iter().map(|process| process.info()));
        });
        processes.sort_by_key(|process: &ProcessInfo| process.pid.serial());
        ended.exits.sort_unstable();
        let mut node = NodeInfo {
            node: self.node().into(),
            incarnation: self.incarnation(),
            started_at: self.started_at(),
            processes: processes.len(),
            spawned: processes.len() as u64
                + ended.exits.iter().map(|(_, count)| count).sum::<u64>(),
            exits: ended.exits,
            cpu: ended.cpu,
            memory_bytes: 0,
            mailbox_len: 0,
            mailbox_bytes: 0,
            messages: ended.received,
            steps: ended.steps,
        };
        for process in &processes {
            node.cpu += process.cpu;
            node.memory_bytes += process.memory_bytes;
            node.mailbox_len += process.mailbox_len as u64;
            node.mailbox_bytes += process.mailbox_bytes;
            node.messages += process.received;
            node.steps += process.steps;
        }
        (node, processes)
    }
}

fn host_info(host: &Host) -> HostInfo {
    let spec = &host.spec;
    HostInfo {
        id: spec.id.clone(),
        profile: spec.profile,
        terminal: spec.terminal,
        workers: match spec.scheduler {
            Scheduler::Own { workers } => Some(workers),
            Scheduler::Shared(_) => None,
        },
        processes: host.alive(),
        processes_max: spec.processes_max,
        waiting: host.waiting(),
        waiting_max: spec.queue_size,
    }
}
