//! The kernel: units, hosts and processes of one node, and the way of one spawn.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Context as Poller, Poll, ready};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::timeout;
use wippy_model::{Context, EntryId, Error, Exit, Home, Message, Pid, Result, Scope, Value};

use crate::host::Host;
use crate::mailbox::Mailbox;
use crate::names;
use crate::post;
use crate::process::{Code, ProcessShared};
use crate::supervisor::Services;
use crate::table::Table;
use crate::task::ProcessTask;
use crate::units::Units;
use crate::{
    Address, Authorizer, ExitWatch, HostSpec, Loader, Prepare, ProcessContext, Role, Unit, Watcher,
    links,
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
    /// Where randomness comes from: the same seed gives the same delays.
    pub seed: u64,
}

impl Default for KernelOptions {
    /// The node `local`, its incarnation taken from the clock.
    fn default() -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let incarnation = since_epoch.as_nanos() as u64;
        Self { node: "local".into(), incarnation, authorizer: None, seed: incarnation }
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
    /// Whom it is linked to: in place before any of its code runs.
    pub link: Option<ProcessContext>,
    /// The name it has before any of its code runs.
    pub name: Option<Box<str>>,
    /// What waits in its mailbox before any of its code runs.
    pub messages: Vec<Message>,
    /// How long it may take to end when whoever cancels it does not say; by default what its
    /// host says.
    pub stop_timeout: Option<Duration>,
}

impl SpawnRequest {
    /// A request with an empty context and nothing that binds it to others.
    pub fn new(unit: EntryId, host: EntryId, args: Vec<Value>) -> Self {
        Self {
            unit,
            host,
            args,
            context: Context::default(),
            by: None,
            watcher: None,
            link: None,
            name: None,
            messages: Vec::new(),
            stop_timeout: None,
        }
    }
}

/// What a new version of a process entry met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The version, counted from 1.
    pub version: u64,
    /// Running processes of an older version that were told.
    pub told: usize,
    /// Running processes of an older version that are not upgradable.
    pub untold: usize,
}

pub(crate) type Hosts = HashMap<EntryId, Arc<Host>>;

pub(crate) struct Inner {
    node: Box<str>,
    incarnation: u64,
    started_at: SystemTime,
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
    pub(crate) services: Services,
    pub(crate) seed: u64,
}

impl Kernel {
    /// A kernel without units and hosts.
    pub fn new(options: KernelOptions) -> Self {
        Self(Arc::new(Inner {
            node: options.node,
            incarnation: options.incarnation,
            started_at: SystemTime::now(),
            units: Units::new("process"),
            functions: Units::new("function"),
            hosts: ArcSwap::default(),
            default_hosts: Mutex::default(),
            registering: Mutex::new(()),
            table: Arc::new(Table::new(options.authorizer)),
            serial: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            services: Services::default(),
            seed: options.seed,
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

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Whether the node refuses new spawns, because it stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
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

    /// Takes back where processes of a unit run when nobody says.
    pub fn unset_default_host(&self, unit: &EntryId) {
        self.0.default_hosts.lock().remove(unit);
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
        self.unit_and_version(id).await.map(|(unit, _)| unit)
    }

    pub(crate) async fn unit_and_version(&self, id: &EntryId) -> Result<(Arc<dyn Unit>, u64)> {
        self.0.units.get(id).await
    }

    /// The newest version of a process entry, counted from 1; none where there is no such entry.
    pub fn version(&self, id: &EntryId) -> Option<u64> {
        self.0.units.version(id)
    }

    /// Loads a new version of a process entry and, where it loads, gives it to all new spawns.
    /// Running processes keep theirs; those that are upgradable are told.
    ///
    /// # Errors
    ///
    /// What its loading gave; then nothing has changed.
    pub async fn replace_unit(&self, id: EntryId, loader: Loader) -> Result<Replaced> {
        let version = self.0.units.replace(id.clone(), loader).await?;
        // Whoever says meanwhile that it is upgradable is seen here, or sees the version.
        fence(Ordering::SeqCst);
        let mut replaced = Replaced { version, told: 0, untold: 0 };
        for process in self.0.table.all() {
            match process.tell_version(&id, version) {
                Some(true) => replaced.told += 1,
                Some(false) => replaced.untold += 1,
                None => {}
            }
        }
        Ok(replaced)
    }

    /// Takes a process entry away: no spawn of it succeeds any more, and what runs goes on.
    /// False where there is none of that name.
    pub fn remove_unit(&self, id: &EntryId) -> bool {
        self.0.default_hosts.lock().remove(id);
        self.0.units.remove(id)
    }

    /// Takes a function away, as [`Kernel::remove_unit`] takes what processes are made of.
    pub fn remove_function(&self, id: &EntryId) -> bool {
        self.0.functions.remove(id)
    }

    /// Loads a new version of a function and, where it loads, gives it to all new calls. Tells
    /// its version, counted from 1.
    ///
    /// # Errors
    ///
    /// What its loading gave; then nothing has changed.
    pub async fn replace_function(&self, id: EntryId, loader: Loader) -> Result<u64> {
        self.0.functions.replace(id, loader).await
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
        self.0.functions.get(id).await.map(|(unit, _)| unit)
    }

    pub(crate) fn host(&self, id: &EntryId) -> Result<Arc<Host>> {
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
        let SpawnRequest {
            unit,
            host,
            args,
            context,
            by,
            watcher,
            link,
            name,
            messages,
            stop_timeout,
        } = request;
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(Error::unavailable(format!("cannot spawn {unit}: the node is stopping")));
        }
        let asks = by.as_ref().unwrap_or(&context);
        self.authorize(asks, "process.spawn", unit.as_str())?;
        self.authorize(asks, "process.host", host.as_str())?;
        if let Some(name) = &name {
            names::check(name)?;
            self.authorize(asks, "process.registry.register", name)?;
        }
        let bonds = [
            ("process.send", !messages.is_empty()),
            ("process.link", link.is_some()),
            ("process.monitor", matches!(watcher, Some(Watcher::Process(_)))),
        ];
        for (action, _) in bonds.into_iter().filter(|(_, asked)| *asked) {
            self.authorize(asks, action, host.as_str())?;
        }
        let host = self.host(&host)?;
        let unit_id = unit;
        let (unit, version) = self.unit_and_version(&unit_id).await?;
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
        let promised = Promised::new(match &watcher {
            Some(Watcher::Process(watcher)) => Some(watcher),
            _ => None,
        })?;
        let promised_link = Promised::new(link.as_ref())?;
        let place =
            host.admit().map_err(|full| full.context(format_args!("cannot spawn {unit_id}")))?;
        let limits = unit.limits();
        let serial = self.0.serial.fetch_add(1, Ordering::Relaxed);
        let pid = Pid::new(host.home.clone(), serial);
        let shared = Arc::new(ProcessShared::new(
            pid.clone(),
            Code { entry: unit_id, version, hears_events: unit.hears_events() },
            host.clone(),
            context,
            Mailbox::new(limits.mailbox),
            stop_timeout,
        ));
        place.keep();
        let unborn = Unborn(Some(shared.clone()));
        for message in messages {
            post::no_handles(&message)?;
            shared.mailbox.push_message(message)?;
        }
        if link.is_some() {
            shared.reserve_event()?;
        }
        // The table before the name: whoever looks the name up finds the process, too.
        self.0.table.insert(shared.clone());
        if let Some(name) = &name {
            self.0.table.names.register(name, &shared)?;
        }
        // What can be refused comes first; from here on there is a process.
        unborn.keep();
        promised.keep();
        promised_link.keep();
        match watcher {
            Some(Watcher::Process(watcher)) => links::monitor_reserved(&watcher, &shared),
            Some(native) => shared.watch(native),
            None => {}
        }
        if let Some(linked) = &link
            && links::link_reserved(linked.shared(), &shared).is_err()
            && let Some(error) = Exit::NoProcess.error()
        {
            // As if it had been linked, and the other one gone.
            shared.end_linked(linked.pid().clone(), error);
        }
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
    pub fn send<'a>(&self, target: impl Into<Address<'a>>, message: Message) -> Result<()> {
        self.0.table.send(target.into(), message)
    }

    /// Ends a process now, in the middle of a busy loop or a host call too.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone already.
    pub fn terminate<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        self.process(target.into())?.terminate();
        Ok(())
    }

    /// Asks a process to end; it is ended when `within` (by default the `stop_timeout` of its
    /// service, else of its host) has passed.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone already.
    pub fn cancel<'a>(
        &self,
        target: impl Into<Address<'a>>,
        from: Option<&Pid>,
        within: Option<Duration>,
        reason: Option<&str>,
    ) -> Result<()> {
        let process = self.process(target.into())?;
        let within = within.unwrap_or(process.stop_timeout);
        process.ask_to_end(from.unwrap_or(&process.pid), within, reason.map(Into::into));
        Ok(())
    }

    /// Whether a process can see a CANCEL event; false when it is gone.
    pub(crate) fn hears_events(&self, pid: &Pid) -> bool {
        self.find(pid.into()).is_some_and(|(process, _)| process.code.lock().hears_events)
    }

    /// Monitors a process: its exit arrives as an event, exactly one for each call. A
    /// process that is gone is heard of at once, as [`Exit::NoProcess`].
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` or `Unavailable` past the limits of monitors.
    ///
    /// [`Exit::NoProcess`]: wippy_model::Exit::NoProcess
    pub fn monitor(&self, watcher: &ProcessContext, target: &Pid) -> Result<()> {
        match self.find(target.into()) {
            Some((target, _)) => links::monitor(watcher, &target),
            None => links::monitor_nobody(watcher, target),
        }
    }

    /// Takes every monitor of `watcher` on `target` back.
    pub fn unmonitor(&self, watcher: &ProcessContext, target: &Pid) {
        let found = self.find(target.into()).map(|(found, _)| found);
        links::unmonitor(watcher, target, found.as_deref());
    }

    /// Links two processes; a link to one that is gone breaks at once.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` or `Unavailable` past the limits of links.
    pub fn link(&self, one: &ProcessContext, other: &Pid) -> Result<()> {
        match self.find(other.into()) {
            Some((other, _)) => links::link(one.shared(), &other),
            None => links::link_to_nobody(one.shared(), other),
        }
    }

    /// Takes a link back, on both sides.
    pub fn unlink(&self, one: &ProcessContext, other: &Pid) {
        let found = self.find(other.into()).map(|(found, _)| found);
        links::unlink(one.shared(), other, found.as_deref());
    }

    /// Watches a process from outside.
    pub fn watch<'a>(&self, target: impl Into<Address<'a>>) -> ExitWatch {
        self.watch_by(Watcher::native(), target.into())
    }

    fn watch_by(&self, (watcher, watch): (Watcher, ExitWatch), target: Address<'_>) -> ExitWatch {
        match self.find(target) {
            Some((process, _)) => process.watch(watcher),
            None => drop(watcher),
        }
        watch
    }

    /// Gives a living process a name.
    ///
    /// # Errors
    ///
    /// `Invalid` for what is no name, `AlreadyExists` when another process has it, `NotFound` when
    /// there is no such process, and past the limits of names.
    pub fn register<'a>(&self, name: &str, holder: impl Into<Address<'a>>) -> Result<()> {
        self.0.table.names.register(name, &self.process(holder.into())?)
    }

    /// Takes a name from its holder.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody has the name, `PermissionDenied` when another process has.
    pub fn unregister(&self, name: &str, holder: &ProcessContext) -> Result<()> {
        self.0.table.names.unregister(name, holder.shared())
    }

    /// Whose name it is.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody has it.
    pub fn lookup(&self, name: &str) -> Result<Pid> {
        let holder = self.0.table.names.get(name).ok_or_else(|| Address::Text(name).not_found())?;
        Ok(holder.pid.clone())
    }

    /// The PID that an address means: the holder of a name, and the process of a reply address.
    /// A PID need not be alive.
    ///
    /// # Errors
    ///
    /// `NotFound` for a name that nobody has, `Invalid` for a text that is neither.
    pub fn resolve(&self, address: Address<'_>) -> Result<Pid> {
        match (self.find(address), address) {
            (Some((process, _)), _) => Ok(process.pid.clone()),
            (None, Address::Pid(pid)) => Ok(pid.process()),
            (None, Address::Text(text)) if text.starts_with('{') => match Pid::parse(text) {
                Ok(pid) => Ok(pid.process()),
                Err(error) => Err(Error::invalid(error.to_string())),
            },
            (None, Address::Text(_)) => Err(address.not_found()),
        }
    }

    /// Processes alive.
    pub fn process_count(&self) -> usize {
        self.0.table.len()
    }

    /// Events of monitors and links that are promised or wait, in all mailboxes together.
    pub fn bond_count(&self) -> usize {
        self.0.table.bonds.load(Ordering::Relaxed)
    }

    /// Processes alive that have not had their first slice.
    pub fn waiting_count(&self) -> usize {
        self.0.hosts.load().values().map(|host| host.waiting()).sum()
    }

    /// Stops the node: refuses new spawns, stops the services, asks every other process to
    /// end within `grace`, terminates what did not, and stops the hosts' workers.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.stop_services().await;
        for process in self.0.table.all() {
            process.ask_to_end(&process.pid, grace, Some("the node is stopping".into()));
        }
        // The processes' own deadlines end them; the margin is for the way there.
        let margin = Duration::from_millis(500);
        if timeout(grace.saturating_add(margin), self.0.table.empty()).await.is_err() {
            for process in self.0.table.all() {
                tracing::warn!(
                    pid = %process.pid,
                    entry = %process.entry(),
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

    pub(crate) fn find(&self, address: Address<'_>) -> Option<(Arc<ProcessShared>, u64)> {
        self.0.table.find(address)
    }

    fn process(&self, address: Address<'_>) -> Result<Arc<ProcessShared>> {
        self.find(address).map(|(process, _)| process).ok_or_else(|| address.not_found())
    }

    /// Asks the authorizer whether whoever acts in `context` may do this.
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor.
    pub fn authorize(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
        match &self.0.table.authorizer {
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
        match &self.0.table.authorizer {
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
        match &self.0.table.authorizer {
            Some(authorizer) => authorizer.scope(policies, groups),
            None => Err(Error::not_found("this node has no policies")),
        }
    }

    /// Those policies of a scope that deny: whatever is derived from the scope keeps them.
    pub fn denials(&self, scope: &Scope) -> Scope {
        self.0.table.authorizer.as_ref().map_or_else(Scope::default, |own| own.denials(scope))
    }
}

/// The event that a spawn promises to whoever monitors, taken back when the spawn fails.
struct Promised(Option<ProcessContext>);

impl Promised {
    fn new(watcher: Option<&ProcessContext>) -> Result<Self> {
        let Some(watcher) = watcher else { return Ok(Self(None)) };
        watcher.shared().reserve_event()?;
        Ok(Self(Some(watcher.clone())))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        if let Some(watcher) = self.0.take() {
            watcher.shared().release_events(1);
        }
    }
}

/// A process of a spawn that may still be refused: then nothing is left of it.
struct Unborn(Option<Arc<ProcessShared>>);

impl Unborn {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unborn {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.host.first_slice();
            // Whoever found it in the table hears that there is no such process.
            shared.end(Exit::NoProcess);
        }
    }
}

/// A process that does not outlive the wait for its end.
pub(crate) struct Exec {
    kernel: Weak<Inner>,
    pid: Pid,
    watch: ExitWatch,
    ended: bool,
}

impl Exec {
    /// Spawns; the result counts at the process that waits for it, where one does.
    pub(crate) async fn start(
        kernel: &Kernel,
        mut request: SpawnRequest,
        holder: &Arc<ProcessShared>,
    ) -> Result<Self> {
        let (watcher, watch) = Watcher::native_for(holder);
        request.watcher = Some(watcher);
        let pid = kernel.spawn(request).await?;
        Ok(Self { kernel: Arc::downgrade(&kernel.0), pid, watch, ended: false })
    }
}

impl Future for Exec {
    type Output = Arc<Exit>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Arc<Exit>> {
        let exit = ready!(Pin::new(&mut self.watch).poll(poller));
        self.ended = true;
        Poll::Ready(exit)
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if !self.ended
            && let Some(kernel) = self.kernel.upgrade()
        {
            // It may have ended meanwhile.
            let _ = Kernel(kernel).terminate(&self.pid);
        }
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
