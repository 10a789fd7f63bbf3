//! A process host: its own scheduler, its own limits. A jammed host does not slow another.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use wippy_model::{EntryId, Error, Home, Result};

use crate::kernel::Inner;
use crate::table::Table;

/// How an engine keeps the memory of a host's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Fast to start: memories and stacks come from a pool. Up to about 10,000 alive.
    Spawn,
    /// Small when asleep: for very many processes that wait.
    Density,
}

/// Whose threads run a host's processes.
#[derive(Debug, Clone)]
pub enum Scheduler {
    /// A scheduler of the host's own with this many workers, started at the first spawn.
    Own {
        /// Worker threads; at least one.
        workers: usize,
    },
    /// A scheduler that is there already: tests with virtual time.
    Shared(Handle),
}

/// What a host is made of.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// The entry.
    pub id: EntryId,
    /// Whose threads run it.
    pub scheduler: Scheduler,
    /// Spawns that wait for their first slice; past it a spawn is refused.
    pub queue_size: usize,
    /// Processes alive at once.
    pub processes_max: usize,
    /// How memory is kept. A terminal host has neither pool nor slab.
    pub profile: Profile,
    /// How long a busy guest runs before it gives way.
    pub slice: Duration,
    /// How long a cancelled process may take to end.
    pub stop_timeout: Duration,
    /// The WebAssembly stack of one process.
    pub stack_bytes: usize,
    /// Whether its processes have the terminal's stdin, stdout and stderr.
    pub terminal: bool,
}

/// How often engines look whether a busy guest has used up its slice.
const PREEMPTION_TICK: Duration = Duration::from_millis(1);

impl HostSpec {
    /// When a busy guest is made to give way: a look before its slice ends, because at the next
    /// one it would have overrun it.
    pub fn give_way_after(&self) -> Duration {
        self.slice.saturating_sub(PREEMPTION_TICK).max(self.slice / 2)
    }

    /// A `process.host` with every default.
    pub fn new(id: EntryId) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            id,
            scheduler: Scheduler::Own { workers },
            queue_size: 10_000,
            processes_max: 10_000,
            profile: Profile::Spawn,
            slice: Duration::from_millis(5),
            stop_timeout: Duration::from_secs(10),
            stack_bytes: 512 << 10,
            terminal: false,
        }
    }

    /// A `process.host` of the density profile with every default: as many processes as fit
    /// 3 GiB of memory when they sleep.
    pub fn density(id: EntryId) -> Self {
        Self {
            queue_size: 100_000,
            processes_max: 100_000,
            profile: Profile::Density,
            ..Self::new(id)
        }
    }

    /// A `terminal.host`: one process at a time, on one worker.
    pub fn terminal(id: EntryId) -> Self {
        Self {
            scheduler: Scheduler::Own { workers: 1 },
            queue_size: 1,
            processes_max: 1,
            terminal: true,
            ..Self::new(id)
        }
    }
}

pub(crate) struct Host {
    pub(crate) spec: HostSpec,
    pub(crate) home: Arc<Home>,
    pub(crate) table: Arc<Table>,
    pub(crate) kernel: Weak<Inner>,
    /// The zero of slice stamps.
    pub(crate) started: Instant,
    /// Who runs for so long in one slice gave way in the middle of its work.
    pub(crate) busy_after: Duration,
    /// Processes alive. `Relaxed`: a count guards nothing but itself.
    alive: AtomicUsize,
    /// Spawns that have not had their first slice.
    waiting: AtomicUsize,
    handle: OnceLock<Handle>,
    runtime: Mutex<Workers>,
}

/// The scheduler's life: none yet, running, or stopped for good.
enum Workers {
    Idle,
    Running(Runtime),
    Stopped,
}

impl Host {
    pub(crate) fn new(spec: HostSpec, home: Home, table: Arc<Table>, kernel: Weak<Inner>) -> Self {
        Self {
            busy_after: spec.give_way_after(),
            spec,
            home: Arc::new(home),
            table,
            kernel,
            started: Instant::now(),
            alive: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            handle: OnceLock::new(),
            runtime: Mutex::new(Workers::Idle),
        }
    }

    /// The scheduler's handle, started at the first call.
    pub(crate) fn handle(&self) -> Result<&Handle> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let workers = match &self.spec.scheduler {
            Scheduler::Shared(handle) => return Ok(self.handle.get_or_init(|| handle.clone())),
            Scheduler::Own { workers } => (*workers).max(1),
        };
        let mut runtime = self.runtime.lock();
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        if matches!(*runtime, Workers::Stopped) {
            return Err(Error::unavailable(format!("{}: the node is stopping", self.spec.id)));
        }
        // Timers and I/O are looked at after every poll: with tokio's default of 61, a
        // timer is late by 61 slices of busy guests.
        let built = Builder::new_multi_thread()
            .worker_threads(workers)
            .event_interval(1)
            .global_queue_interval(1)
            .thread_name(self.spec.id.as_str())
            .enable_all()
            .build()
            .map_err(|error| {
                Error::unavailable(format!("{}: cannot start its workers: {error}", self.spec.id))
            })?;
        let handle = self.handle.get_or_init(|| built.handle().clone());
        *runtime = Workers::Running(built);
        Ok(handle)
    }

    /// Admits one process, or says which limit is met.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Admitted> {
        let HostSpec { id, processes_max, queue_size, terminal, .. } = &self.spec;
        if self.alive.fetch_add(1, Relaxed) >= *processes_max {
            self.alive.fetch_sub(1, Relaxed);
            return Err(Error::unavailable(if *terminal {
                format!("{id} runs one process at a time: its terminal is taken")
            } else {
                format!("{id} is full: {processes_max} processes (host.max_processes)")
            }));
        }
        if self.waiting.fetch_add(1, Relaxed) >= *queue_size {
            self.waiting.fetch_sub(1, Relaxed);
            self.alive.fetch_sub(1, Relaxed);
            return Err(Error::unavailable(format!(
                "{id} is busy: {queue_size} spawns wait for their first slice (host.queue_size)"
            )));
        }
        Ok(Admitted(Some(self.clone())))
    }

    pub(crate) fn first_slice(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    pub(crate) fn release(&self) {
        self.alive.fetch_sub(1, Relaxed);
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Relaxed)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Stops the workers without waiting; tasks that are left are dropped, which makes
    /// their exits.
    pub(crate) fn close(&self) {
        let workers = std::mem::replace(&mut *self.runtime.lock(), Workers::Stopped);
        if let Workers::Running(runtime) = workers {
            runtime.shutdown_background();
        }
    }
}

/// A place on a host, given back unless a process takes it.
pub(crate) struct Admitted(Option<Arc<Host>>);

impl Admitted {
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(host) = self.0.take() {
            host.first_slice();
            host.release();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is not allowed, and the last
        // reference may well go inside a task.
        self.close();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("id", &self.spec.id).field("alive", &self.alive()).finish()
    }
}
