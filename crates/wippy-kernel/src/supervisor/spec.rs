//! What a service is, and what can be seen of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wippy_model::{Context, EntryId, Error, Exit, Pid, Value};

/// A process that is kept running.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// The service's own entry.
    pub id: EntryId,
    /// The entry that it runs.
    pub process: EntryId,
    /// The host that runs it.
    pub host: EntryId,
    /// The arguments of each start.
    pub input: Vec<Value>,
    /// Principal and values of each start.
    pub context: Context,
    /// The services that run before it.
    pub requires: Vec<EntryId>,
    /// Whether it starts with the node.
    pub auto_start: bool,
    /// Whether a failed start ends the start of the node.
    pub startup: Startup,
    /// How long a start may take: until its first step begins.
    pub start_timeout: Duration,
    /// How long a stop may take before it is terminated.
    pub stop_timeout: Duration,
    /// A run that is longer than this counts as stable: the backoff starts anew.
    pub stable_threshold: Duration,
    /// How it is started again.
    pub restart: Restart,
}

/// Whether a failed start ends the start of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// It does.
    Required,
    /// The node goes on without it, and it is tried again.
    Optional,
}

/// How a service is started again. The delay before attempt n is
/// `initial_delay × backoff_factor^(n-1)`, at the most `max_delay`, give or take `jitter`.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    /// The delay before the first attempt; zero restarts at once.
    pub initial_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// What each delay is multiplied with.
    pub backoff_factor: f64,
    /// How much a delay varies, from 0 (not) to 1 (by its whole length).
    pub jitter: f64,
    /// How many attempts there are in a row; 0 is without limit.
    pub max_attempts: u32,
    /// How many there are in a time, in a row or not. Without one they are paced:
    /// [`Budget::PACE`].
    pub budget: Option<Budget>,
}

/// So many restarts within so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub restarts: u32,
    /// Within which time.
    pub within: Duration,
}

impl Budget {
    /// What holds for a service without a budget of its own. One more restart does not fail
    /// it: the restart waits until it fits in. So a service that traps for ever, with a delay
    /// of zero, does not keep a core busy for ever.
    pub const PACE: Self = Self { restarts: 1_000, within: Duration::from_secs(60) };
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(90),
            backoff_factor: 2.0,
            jitter: 0.1,
            max_attempts: 0,
            budget: None,
        }
    }
}

impl ServiceSpec {
    /// A service with every default.
    pub fn new(id: EntryId, process: EntryId, host: EntryId) -> Self {
        Self {
            id,
            process,
            host,
            input: Vec::new(),
            context: Context::default(),
            requires: Vec::new(),
            auto_start: false,
            startup: Startup::Required,
            start_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
            stable_threshold: Duration::from_secs(5),
            restart: Restart::default(),
        }
    }
}

/// Where a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceState {
    /// Nobody has started it yet.
    Unknown,
    /// On the way to its first step: it waits for what it requires, is being spawned, or
    /// waits for the next attempt.
    Starting,
    /// Its process runs.
    Running,
    /// Its process was asked to end, by whoever stops the service.
    Stopping,
    /// It was stopped, or its process was cancelled.
    Stopped,
    /// Its process ended normally.
    Exited,
    /// Its process ended badly, or did not start, and it is not started again.
    Failed,
}

impl ServiceState {
    /// The word for this state, as listings and logs show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::Failed => "failed",
        }
    }

    /// Whether its supervisor is at work.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What can be seen of a service.
#[derive(Debug, Clone)]
pub struct ServiceInfo {
    /// The service's entry.
    pub id: EntryId,
    /// The entry that it runs.
    pub process: EntryId,
    /// The host that runs it.
    pub host: EntryId,
    /// Where it is.
    pub state: ServiceState,
    /// Its process, while there is one.
    pub pid: Option<Pid>,
    /// How often it was started again since it was last started by somebody.
    pub restarts: u64,
    /// Attempts in a row without a stable run between them; 0 while it has not failed.
    pub attempt: u32,
    /// Since when it is in this state.
    pub since: SystemTime,
    /// When the next attempt is due, while it waits for that.
    pub next_start: Option<SystemTime>,
    /// How its last process ended.
    pub last_exit: Option<Arc<Exit>>,
    /// Why its last start failed, or why it is not started again.
    pub last_error: Option<Error>,
}

/// A service without which the node does not start, and why that did not start.
#[derive(Debug)]
pub struct NotStarted {
    /// The service's entry.
    pub service: EntryId,
    /// Why; it names the service.
    pub error: Error,
}
