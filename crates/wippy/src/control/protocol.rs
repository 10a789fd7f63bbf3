//! What is asked of a runtime and what it answers: one line of JSON each way, any number of
//! times on one connection. `docs/observe.md` describes it for others.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use wippy_kernel::{HostInfo, NodeInfo, ProcessInfo, Profile, ServiceInfo};

/// Both sides say it; a runtime refuses any other.
pub(crate) const VERSION: u32 = 1;

/// The longest request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 << 10;

/// Processes in one answer.
pub(crate) const PROCESSES_MAX: usize = 1_000;

/// Services in one answer.
pub(crate) const SERVICES_MAX: usize = 1_000;

/// Services, and then processes, are left out where they would make an answer longer.
pub(crate) const ANSWER_BYTES: usize = 4 << 20;

/// Names of one process in an answer.
const NAMES_SHOWN_MAX: usize = 10;

/// The longest text of an error in an answer, in bytes.
const ERROR_BYTES_MAX: usize = 1 << 10;

/// A wish for figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) version: u32,
    /// Whether processes are listed.
    #[serde(default)]
    pub(crate) processes: bool,
    /// `cpu`, `cpu_percent`, `memory`, `mailbox`, `messages`, `age` or `pid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sort: Option<String>,
    /// The other way round.
    #[serde(default)]
    pub(crate) reverse: bool,
    /// A text that is part of the PID, the entry or the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// The most processes to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
    /// How many to leave out before.
    #[serde(default)]
    pub(crate) offset: usize,
    /// Only those that were spawned after this one: to list all, page by page, in the order
    /// `pid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
}

/// An answer: figures, or an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Response {
    Error { version: u32, error: String },
    Figures(Box<Figures>),
}

/// The figures of a runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) version: u32,
    pub(crate) runtime: Runtime,
    pub(crate) node: Node,
    pub(crate) hosts: Vec<Host>,
    /// Each after those that it requires.
    pub(crate) services: Vec<Service>,
    /// Processes that fit the filter, listed or not: whether there are more to ask for.
    pub(crate) matching: usize,
    pub(crate) processes: Vec<Process>,
}

/// The program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Runtime {
    pub(crate) process_id: u32,
    /// The folder of the project.
    pub(crate) project: String,
    /// The command that runs, or nothing for `wippy run` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// Its release.
    pub(crate) release: String,
    /// Memory of the whole program, as the system sees it.
    pub(crate) resident_bytes: u64,
    /// Threads that can run at one time.
    pub(crate) cores: usize,
}

/// The node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uptime_ms: u64,
    pub(crate) processes: usize,
    pub(crate) spawned: u64,
    /// Ends by the name of the exit.
    pub(crate) exits: serde_json::Map<String, serde_json::Value>,
    pub(crate) cpu_us: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) mailbox_len: u64,
    pub(crate) mailbox_bytes: u64,
    pub(crate) messages: u64,
    pub(crate) steps: u64,
}

/// A host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) profile: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<usize>,
    pub(crate) processes: usize,
    pub(crate) processes_max: usize,
    pub(crate) waiting: usize,
    pub(crate) waiting_max: usize,
}

/// A service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) id: String,
    /// The entry that it runs.
    pub(crate) process: String,
    pub(crate) host: String,
    pub(crate) state: String,
    /// How long it has been in this state.
    pub(crate) state_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<String>,
    pub(crate) restarts: u64,
    /// Attempts in a row without a stable run between them.
    pub(crate) attempt: u32,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_start_ms: Option<u64>,
    /// How its last process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_exit: Option<String>,
    /// Why its last start failed, or why it is not started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
}

/// A process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: String,
    /// Its number: the last part of the PID.
    pub(crate) serial: u64,
    pub(crate) entry: String,
    /// The version of the entry's code.
    pub(crate) version: u64,
    /// What it is registered as: the first ten, and how many more.
    pub(crate) names: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) more_names: usize,
    /// The service that keeps it running, and how often that has started it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restarts: Option<u64>,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) age_ms: u64,
    pub(crate) cpu_us: u64,
    /// Of one core, since the last look on this connection; since its spawn, where it is younger.
    /// Nothing at the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) memory_bytes: u64,
    pub(crate) mailbox_len: usize,
    pub(crate) mailbox_bytes: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) calls: u32,
    pub(crate) links: usize,
    pub(crate) monitors: usize,
    pub(crate) steps: u64,
}

impl Node {
    pub(crate) fn of(info: &NodeInfo) -> Self {
        Self {
            name: info.node.to_string(),
            uptime_ms: since(info.started_at),
            processes: info.processes,
            spawned: info.spawned,
            exits: info.exits.iter().map(|(name, n)| ((*name).to_owned(), (*n).into())).collect(),
            cpu_us: microseconds(info.cpu),
            memory_bytes: info.memory_bytes,
            mailbox_len: info.mailbox_len,
            mailbox_bytes: info.mailbox_bytes,
            messages: info.messages,
            steps: info.steps,
        }
    }
}

impl Host {
    pub(crate) fn of(info: &HostInfo) -> Self {
        Self {
            id: info.id.to_string(),
            kind: if info.terminal { "terminal.host" } else { "process.host" }.to_owned(),
            profile: match info.profile {
                Profile::Spawn => "spawn",
                Profile::Density => "density",
            }
            .to_owned(),
            workers: info.workers,
            processes: info.processes,
            processes_max: info.processes_max,
            waiting: info.waiting,
            waiting_max: info.waiting_max,
        }
    }
}

impl Service {
    pub(crate) fn of(info: &ServiceInfo) -> Self {
        let wait = |due: SystemTime| due.duration_since(SystemTime::now()).unwrap_or_default();
        Self {
            id: info.id.to_string(),
            process: info.process.to_string(),
            host: info.host.to_string(),
            state: info.state.name().to_owned(),
            state_ms: since(info.since),
            pid: info.pid.as_ref().map(ToString::to_string),
            restarts: info.restarts,
            attempt: info.attempt,
            next_start_ms: info.next_start.map(|due| milliseconds(wait(due))),
            last_exit: info.last_exit.as_ref().map(|exit| short(exit)),
            last_error: info.last_error.as_ref().map(|error| short(error)),
        }
    }
}

/// The beginning of a text that a guest may have made as long as it likes.
fn short(text: &dyn std::fmt::Display) -> String {
    let text = text.to_string();
    if text.len() <= ERROR_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(ERROR_BYTES_MAX);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// For fields that are left out then.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Process {
    pub(crate) fn of(
        info: &ProcessInfo,
        service: Option<&ServiceInfo>,
        cpu_percent: Option<f64>,
    ) -> Self {
        Self {
            pid: info.pid.to_string(),
            serial: info.pid.serial(),
            entry: info.entry.to_string(),
            version: info.version,
            names: info.names.iter().take(NAMES_SHOWN_MAX).map(ToString::to_string).collect(),
            more_names: info.names.len().saturating_sub(NAMES_SHOWN_MAX),
            service: service.map(|service| service.id.to_string()),
            restarts: service.map(|service| service.restarts),
            host: info.pid.host().to_string(),
            state: info.state.name().to_owned(),
            age_ms: since(info.spawned_at),
            cpu_us: microseconds(info.cpu),
            cpu_percent,
            memory_bytes: info.memory_bytes,
            mailbox_len: info.mailbox_len,
            mailbox_bytes: info.mailbox_bytes,
            received: info.received,
            sent: info.sent,
            calls: info.calls,
            links: info.links,
            monitors: info.monitors,
            steps: info.steps,
        }
    }
}

/// Milliseconds since then; none where the clock was set back meanwhile.
fn since(then: SystemTime) -> u64 {
    milliseconds(SystemTime::now().duration_since(then).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
