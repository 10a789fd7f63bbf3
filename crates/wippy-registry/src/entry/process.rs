//! Hosts, services and commands.

use std::time::Duration;

use wippy_model::{EntryId, Value};

use super::lifecycle::{Lifecycle, ServiceSecurity};
use super::target::{Host, Process};
use crate::schema::{Count, IdOf, Name, StackSize, Workers, choice, record};

record! {
    /// Where processes run: a scheduler of its own, so that a jammed host does not slow
    /// another.
    pub struct ProcessHost {
        /// Its size.
        host: HostSettings => group,
        /// How it starts and stops.
        lifecycle: Lifecycle => group,
    }
}

record! {
    /// The size of a process host.
    pub struct HostSettings {
        /// Worker threads; the number of cores without it.
        workers: u32 as Workers => optional,
        /// Spawns that wait for their first slice; past it a spawn is refused.
        queue_size: u32 as Count => optional,
        /// Processes at one time; past it a spawn is refused.
        max_processes: u32 as Count => optional,
        /// What it is made for.
        profile: HostProfile => or(HostProfile::Spawn),
        /// How long a busy process runs before it gives way, in milliseconds.
        slice_ms: u32 as Count => or(5),
        /// How long a cancelled process may take to end.
        stop_timeout: Duration => or(Duration::from_secs(10)),
        /// The wasm stack of each process.
        stack_bytes: u64 as StackSize => optional,
    }
    ignored { local_queue_size, worker_class }
}

choice! {
    /// What a process host is made for.
    pub enum HostProfile {
        /// Fast spawns, up to about 10,000 processes.
        Spawn = "spawn",
        /// Very many processes that mostly sleep.
        Density = "density",
    }
}

record! {
    /// The terminal: runs one process at a time with its stdin, stdout, stderr and arguments.
    pub struct TerminalHost {
        /// Whether the log is silent while a process has the terminal.
        hide_logs: bool => or(false),
        /// How it starts and stops.
        lifecycle: Lifecycle => group,
    }
}

record! {
    /// A process that is kept running.
    pub struct ProcessService {
        /// What runs.
        process: EntryId as IdOf<Process> => required,
        /// Where it runs.
        host: EntryId as IdOf<Host> => required,
        /// Its arguments.
        input: Vec<Value> => or(Vec::new()),
        /// How it starts, stops and is started again.
        lifecycle: Lifecycle => group,
    }
}

record! {
    /// A process as a command: `wippy run NAME`.
    pub struct Command {
        /// The command's name.
        name: String as Name => required,
        /// One line for `wippy run list`.
        short: String => or(String::new()),
        /// On whose behalf it runs; none means the runtime itself, which may do nothing in
        /// strict mode.
        security: ServiceSecurity => optional,
    }
}
