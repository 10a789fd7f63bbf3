//! Starting processes.

use crate::bindings::wippy::process::processes as raw;
use crate::payload::to_raw;
use crate::{Payload, Payloads, Pid, Result};

/// How a process is started. One value can start any number of processes.
///
/// ```no_run
/// # fn main() -> wippy::Result<()> {
/// let pid = wippy::Spawn::new("app:worker")
///     .args((6, 7))
///     .name("worker")
///     .link()
///     .message("begin", "at once")
///     .start()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "`start` starts it"]
pub struct Spawn {
    entry: String,
    args: Vec<Payload>,
    host: Option<String>,
    name: Option<String>,
    messages: Vec<(String, Vec<Payload>)>,
    monitor: bool,
    link: bool,
}

impl Spawn {
    /// A process of an entry, `namespace:name`.
    pub fn new(entry: impl Into<String>) -> Self {
        Self {
            entry: entry.into(),
            args: Vec::new(),
            host: None,
            name: None,
            messages: Vec::new(),
            monitor: false,
            link: false,
        }
    }

    /// The arguments of its method.
    pub fn args(mut self, args: impl Payloads) -> Self {
        self.args = args.into_payloads();
        self
    }

    /// The host to run on; without one that of `meta.default_host` of the entry, else that of
    /// this process.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// A name that it has before any of its code runs. The spawn fails where it is taken.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A message that waits in its mailbox before any of its code runs. Several come in this
    /// order.
    pub fn message(mut self, topic: impl Into<String>, payloads: impl Payloads) -> Self {
        self.messages.push((topic.into(), payloads.into_payloads()));
        self
    }

    /// This process hears of its exit, as an [`Event::Exit`](crate::Event::Exit).
    pub fn monitor(mut self) -> Self {
        self.monitor = true;
        self
    }

    /// The two are linked: see [`link`](crate::link).
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// The entry that it is a process of.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// There is no process then: no such entry, wrong arguments, a host that is full, a name that
    /// is taken, a permission that is missing.
    pub fn start(&self) -> Result<Pid> {
        let options = raw::SpawnOptions {
            host: self.host.clone(),
            name: self.name.clone(),
            messages: self
                .messages
                .iter()
                .map(|(topic, payloads)| (topic.clone(), to_raw(payloads.clone())))
                .collect(),
            monitor: self.monitor,
            link: self.link,
        };
        Ok(raw::spawn_with(&self.entry, &to_raw(self.args.clone()), &options)?.into())
    }

    /// Starts it and waits for its end: its value. It does not outlive the wait. Of the options
    /// only the host counts.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and what it fails with.
    pub fn exec(&self) -> Result<Payload> {
        let args = to_raw(self.args.clone());
        Ok(raw::exec(&self.entry, self.host.as_deref(), &args)?.into())
    }
}

/// Starts a process that nobody watches; its bad end is logged.
///
/// # Errors
///
/// As [`Spawn::start`].
pub fn spawn(entry: &str, args: impl Payloads) -> Result<Pid> {
    Spawn::new(entry).args(args).start()
}

/// Starts a process whose exit comes as an event.
///
/// # Errors
///
/// As [`Spawn::start`].
pub fn spawn_monitored(entry: &str, args: impl Payloads) -> Result<Pid> {
    Spawn::new(entry).args(args).monitor().start()
}

/// Starts a process that is linked to this one.
///
/// # Errors
///
/// As [`Spawn::start`].
pub fn spawn_linked(entry: &str, args: impl Payloads) -> Result<Pid> {
    Spawn::new(entry).args(args).link().start()
}

/// Starts a process and waits for its end: its value.
///
/// # Errors
///
/// As [`Spawn::exec`].
pub fn exec(entry: &str, args: impl Payloads) -> Result<Payload> {
    Spawn::new(entry).args(args).exec()
}
