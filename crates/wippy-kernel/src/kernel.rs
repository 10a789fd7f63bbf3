//! The kernel: units, hosts and processes of one node, and the way of one spawn.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::timeout;
use wippy_model::{Context, EntryId, Error, Exit, Home, Message, Pid, Result, Scope, Value};

use crate::figures::count_sent;
use crate::host::Host;
use crate::mailbox::{self, Mailbox};
use crate::process::{self, ProcessShared};
use crate::table::Table;
use crate::task::ProcessTask;
use crate::units::Units;
use crate::{
    Authorizer, ExitWatch, HostSpec, Loader, Prepare, ProcessContext, Role, Unit, Watcher,
};

/// One node: its units, hosts and processes. Cheap to clone.
#[derive(Clone)]
pub struct Kernel(Arc<Inner>);

/// How a kernel is made.
pub struct KernelOptions {
    /// The node's name, the first part of its PIDs.
    pub node: Box<str>,
    /// Tells this start of the node from all others.
    pub incarnation: u64,
    /// Who decides on permissions; without one everything is allowed.
    pub authorizer: Option<Box<dyn Authorizer>>,
}

impl Default for KernelOptions {
    /// The node `local`, its incarnation taken from the clock.
    fn default() -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { node: "local".into(), incarnation: since_epoch.as_nanos() as u64, authorizer: None }
    }
}

/// What to spawn, where, and on whose behalf.
#[derive(Debug)]
pub struct SpawnRequest {
    /// The entry to run.
    pub unit: EntryId,
    /// The host to run it on.
    pub host: EntryId,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Principal, values, trace and deadline.
    pub context: Context,
    /// Who asks for the spawn, where it is not the one on whose behalf it runs.
    pub by: Option<Context>,
    /// Who hears of the exit: in place before any of its code runs.
    pub watcher: Option<Watcher>,
}

impl SpawnRequest {
    /// A request with an empty context and no watcher.
    pub fn new(unit: EntryId, host: EntryId, args: Vec<Value>) -> Self {
        Self { unit, host, args, context: Context::default(), by: None, watcher: None }
    }
}

pub(crate) type Hosts = HashMap<EntryId, Arc<Host>>;

pub(crate) struct Inner {
    node: Box<str>,
    incarnation: u64,
    started_at: SystemTime,
    authorizer: Option<Box<dyn Authorizer>>,
    /// What processes are made of.
    units: Units,
    /// What can be called.
    functions: Units,
    hosts: ArcSwap<Hosts>,
    /// Where processes run when nobody says, by unit.
    default_hosts: Mutex<HashMap<EntryId, EntryId>>,
    /// Serialises changes of hosts; readers never take it.
    registering: Mutex<()>,
    table: Arc<Table>,
    serial: AtomicU64,
    stopping: AtomicBool,
}

impl Kernel {
    /// A kernel without units and hosts.
    pub fn new(options: KernelOptions) -> Self {
        Self(Arc::new(Inner {
            node: options.node,
            incarnation: options.incarnation,
            started_at: SystemTime::now(),
            authorizer: options.authorizer,
            units: Units::new("process"),
            functions: Units::new("function"),
            hosts: ArcSwap::default(),
            default_hosts: Mutex::default(),
            registering: Mutex::new(()),
            table: Arc::new(Table::new()),
            serial: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        }))
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.0.incarnation
    }

    pub(crate) fn started_at(&self) -> SystemTime {
        self.0.started_at
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0.table
    }

    pub(crate) fn all_hosts(&self) -> Arc<Hosts> {
        self.0.hosts.load_full()
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Registers a host. One of the same name is replaced for new spawns.
    pub fn add_host(&self, spec: HostSpec) {
        let home = Home {
            node: self.0.node.clone(),
            incarnation: self.0.incarnation,
            host: spec.id.clone(),
        };
        let id = spec.id.clone();
        let host = Host::new(spec, home, self.0.table.clone(), Arc::downgrade(&self.0));
        let _registering = self.0.registering.lock();
        let mut hosts = Hosts::clone(&self.0.hosts.load());
        hosts.insert(id, Arc::new(host));
        self.0.hosts.store(Arc::new(hosts));
    }

    /// Registers a unit that is loaded when it is first needed. One of the same name is
    /// replaced for new spawns; running processes keep theirs.
    pub fn add_unit(&self, id: EntryId, loader: Loader) {
        self.0.units.add(id, loader);
    }

    /// Says where processes of a unit run when nobody says.
    pub fn set_default_host(&self, unit: EntryId, host: EntryId) {
        self.0.default_hosts.lock().insert(unit, host);
    }

    /// Where processes of a unit run when nobody says, if that was said.
    pub fn default_host(&self, unit: &EntryId) -> Option<EntryId> {
        self.0.default_hosts.lock().get(unit).cloned()
    }

    /// The unit of a process entry, loaded if it was not yet.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none of that name, else what its loading gave.
    pub async fn unit(&self, id: &EntryId) -> Result<Arc<dyn Unit>> {
        self.0.units.get(id).await
    }

    /// Registers a function, as [`Kernel::add_unit`] registers what processes are made of.
    pub fn add_function(&self, id: EntryId, loader: Loader) {
        self.0.functions.add(id, loader);
    }

    /// The unit of a function entry, loaded if it was not yet.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none of that name, else what its loading gave.
    pub async fn function(&self, id: &EntryId) -> Result<Arc<dyn Unit>> {
        self.0.functions.get(id).await
    }

    fn host(&self, id: &EntryId) -> Result<Arc<Host>> {
        let hosts = self.0.hosts.load();
        hosts.get(id).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = hosts.keys().map(EntryId::as_str).collect();
            known.sort_unstable();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            Error::not_found(format!("there is no process host {id}; hosts: {known}"))
        })
    }

    /// Spawns a process: permission, unit, arguments, admission, then PID, mailbox, table
    /// and watcher, and only then its task. A failure leaves nothing behind.
    ///
    /// # Errors
    ///
    /// What is wrong with the request: `NotFound`, `Invalid`, `PermissionDenied`, or
    /// `Unavailable` (retryable) when the host is full or the node stops.
    pub async fn spawn(&self, request: SpawnRequest) -> Result<Pid> {
        let SpawnRequest { unit, host, args, context, by, watcher } = request;
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(Error::unavailable(format!("cannot spawn {unit}: the node is stopping")));
        }
        let asks = by.as_ref().unwrap_or(&context);
        self.authorize(asks, "process.spawn", unit.as_str())?;
        self.authorize(asks, "process.host", host.as_str())?;
        let host = self.host(&host)?;
        let unit_id = unit;
        let unit = self.unit(&unit_id).await?;
        make_ready(&unit, &unit_id, &host).await?;
        let prepare = Prepare {
            args,
            host: &host.spec,
            context: &context,
            kernel: self,
            role: Role::Process,
        };
        let process = unit.prepare(prepare)?;
        let handle = host.handle()?;
        if let Some(Watcher::Process(watcher)) = &watcher {
            watcher.shared().mailbox.reserve_event()?;
        }
        if let Err(full) = host.admit() {
            if let Some(Watcher::Process(watcher)) = &watcher {
                watcher.shared().mailbox.release_event();
            }
            return Err(full.context(format_args!("cannot spawn {unit_id}")));
        }
        let limits = unit.limits();
        let serial = self.0.serial.fetch_add(1, Ordering::Relaxed);
        let pid = Pid::new(host.home.clone(), serial);
        let shared = Arc::new(ProcessShared::new(
            pid.clone(),
            unit_id,
            host.clone(),
            context,
            Mailbox::new(limits.mailbox),
            watcher,
        ));
        // The table first: code that runs at once on another worker may look itself up.
        self.0.table.insert(shared.clone());
        // A shutdown that began meanwhile has not seen this process in the table.
        if self.0.stopping.load(Ordering::SeqCst) {
            shared.terminate();
        }
        let task = ProcessTask::new(shared, process, limits);
        drop(handle.spawn(task));
        Ok(pid)
    }

    /// Spawns a process and watches it from outside.
    ///
    /// # Errors
    ///
    /// As [`Kernel::spawn`].
    pub async fn spawn_watched(&self, mut request: SpawnRequest) -> Result<(Pid, ExitWatch)> {
        let (watcher, watch) = Watcher::native();
        request.watcher = Some(watcher);
        Ok((self.spawn(request).await?, watch))
    }

    /// Sends a message from a process, or from outside of any.
    ///
    /// # Errors
    ///
    /// `NotFound` when the target is gone, `Unavailable` (retryable) when its mailbox is
    /// full, `ResourceExhausted` when the message is larger than one may be.
    pub fn send(&self, target: &Pid, message: Message) -> Result<()> {
        self.authorize(&message.context, "process.send", target.host().as_str())?;
        if let Some(handle) = message.payloads.iter().find_map(Value::holds_handle) {
            return Err(Error::invalid(format!(
                "a handle of {} cannot leave its process in a message",
                handle.name
            )));
        }
        self.find(target)
            .ok_or_else(mailbox::gone)
            .and_then(|process| process.mailbox.push_message(message))
            .inspect(|()| count_sent())
            .map_err(|error| error.context(format_args!("cannot send to {target}")))
    }

    /// Ends a process now, in the middle of a busy loop or a host call too.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone already.
    pub fn terminate(&self, target: &Pid) -> Result<()> {
        self.find(target).ok_or_else(mailbox::gone)?.terminate();
        Ok(())
    }

    /// Asks a process to end; it is ended when `within` (by default the host's
    /// `stop_timeout`) has passed.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone already.
    pub fn cancel(
        &self,
        target: &Pid,
        from: Option<&Pid>,
        within: Option<Duration>,
        reason: Option<&str>,
    ) -> Result<()> {
        let process = self.find(target).ok_or_else(mailbox::gone)?;
        let within = within.unwrap_or(process.host.spec.stop_timeout);
        process.ask_to_end(from.unwrap_or(target), within, reason.map(Into::into));
        Ok(())
    }

    /// Monitors a process: its exit arrives as an event, exactly one for each call. A
    /// process that is gone is heard of at once, as [`Exit::NoProcess`].
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the watcher holds too many monitors.
    pub fn monitor(&self, watcher: &ProcessContext, target: &Pid) -> Result<()> {
        match self.find(target) {
            Some(target) => process::monitor(watcher, &target),
            None => {
                watcher.shared().mailbox.reserve_event()?;
                let exit = Arc::new(Exit::NoProcess);
                Watcher::Process(watcher.clone()).tell(target, &exit, SystemTime::now());
                Ok(())
            }
        }
    }

    /// Takes every monitor of `watcher` on `target` back.
    pub fn unmonitor(&self, watcher: &ProcessContext, target: &Pid) {
        if let Some(target) = self.find(target) {
            for _ in 0..target.unwatch(watcher.shared()) {
                watcher.shared().mailbox.release_event();
            }
        }
    }

    /// Watches a process from outside.
    pub fn watch(&self, target: &Pid) -> ExitWatch {
        let (watcher, watch) = Watcher::native();
        match self.find(target) {
            Some(process) => process.watch(watcher),
            None => drop(watcher),
        }
        watch
    }

    /// Processes alive.
    pub fn process_count(&self) -> usize {
        self.0.table.len()
    }

    /// Processes alive that have not had their first slice.
    pub fn waiting_count(&self) -> usize {
        self.0.hosts.load().values().map(|host| host.waiting()).sum()
    }

    /// Stops the node: refuses new spawns, asks every process to end within `grace`,
    /// terminates what did not, and stops the hosts' workers.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::SeqCst);
        for process in self.0.table.all() {
            process.ask_to_end(&process.pid, grace, Some("the node is stopping".into()));
        }
        // The processes' own deadlines end them; the margin is for the way there.
        let margin = Duration::from_millis(500);
        if timeout(grace + margin, self.0.table.empty()).await.is_err() {
            for process in self.0.table.all() {
                tracing::warn!(
                    pid = %process.pid,
                    entry = %process.entry,
                    "terminated: it did not stop in time"
                );
            }
            self.kill_all().await;
        }
        self.close_hosts();
    }

    /// Stops the node now.
    pub async fn kill(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.kill_all().await;
        self.close_hosts();
    }

    async fn kill_all(&self) {
        for process in self.0.table.all() {
            process.terminate();
        }
        // Guests inside one long bulk memory operation cannot be reached; their workers
        // are left to the end of the program.
        let _ = timeout(Duration::from_secs(1), self.0.table.empty()).await;
    }

    fn close_hosts(&self) {
        for host in self.0.hosts.load().values() {
            host.close();
        }
    }

    pub(crate) fn find(&self, pid: &Pid) -> Option<Arc<ProcessShared>> {
        let own = pid.incarnation() == self.0.incarnation && pid.node() == &*self.0.node;
        // The whole PID must fit: permissions look at the host that it names.
        if own { self.0.table.get(pid.serial()).filter(|found| found.pid == *pid) } else { None }
    }

    /// Asks the authorizer whether whoever acts in `context` may do this.
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor.
    pub fn authorize(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
        match &self.0.authorizer {
            Some(authorizer) => authorizer.allow(context, action, resource),
            None => Ok(()),
        }
    }

    /// The same, with what whoever asks knows of the resource.
    ///
    /// # Errors
    ///
    /// As [`Kernel::authorize`].
    pub fn authorize_with(
        &self,
        context: &Context,
        action: &str,
        resource: &str,
        meta: &Value,
    ) -> Result<()> {
        match &self.0.authorizer {
            Some(authorizer) => authorizer.allow_with(context, action, resource, meta),
            None => Ok(()),
        }
    }

    /// The scope of these policies and of all policies of these groups.
    ///
    /// # Errors
    ///
    /// `NotFound`, naming the policy or group that does not exist.
    pub fn scope(&self, policies: &[EntryId], groups: &[EntryId]) -> Result<Scope> {
        match &self.0.authorizer {
            Some(authorizer) => authorizer.scope(policies, groups),
            None => Err(Error::not_found("this node has no policies")),
        }
    }

    /// Those policies of a scope that deny: whatever is derived from the scope keeps them.
    pub fn denials(&self, scope: &Scope) -> Scope {
        self.0.authorizer.as_ref().map_or_else(Scope::default, |own| own.denials(scope))
    }
}

/// Makes what a unit needs for a host, where that is not there yet: code of its own, say.
pub(crate) async fn make_ready(unit: &Arc<dyn Unit>, id: &EntryId, host: &Arc<Host>) -> Result<()> {
    if unit.is_ready(&host.spec) {
        return Ok(());
    }
    let (unit, host) = (unit.clone(), host.clone());
    let made = tokio::task::spawn_blocking(move || unit.make_ready(&host.spec)).await;
    made.unwrap_or_else(|failure| {
        Err(Error::internal(format!("{id}: making it ready failed: {failure}")))
    })
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("node", &self.0.node)
            .field("processes", &self.process_count())
            .finish()
    }
}
