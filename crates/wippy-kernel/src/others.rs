//! What a process does to others, and to itself as one of them: on its own behalf, with its own
//! permissions. Both engines offer these to their guests.
//!
//! Actions: `process.send`, `.spawn`, `.host`, `.cancel`, `.terminate`, `.monitor`, `.link`, whose
//! resource is the host of the other process (for a spawn the entry, then the host);
//! `process.registry.register`, `.unregister` and `.lookup` of a name, and `.register_for` of the
//! host where another process is given one; `process.upgrade` of an entry.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use wippy_model::{EntryId, Error, Exit, Message, Pid, Result, Value};

use crate::kernel::{Exec, SpawnRequest};
use crate::process::Options;
use crate::upgrade::Upgrade;
use crate::{Address, Kernel, Numbered, ProcessContext, request};

/// How long the reason of a cancel may be, in bytes.
const REASON_BYTES_MAX: usize = 64 << 10;

impl ProcessContext {
    fn node(&self) -> Result<Kernel> {
        self.kernel().ok_or_else(|| Error::unavailable("the node is stopping"))
    }

    /// Refuses what a function cannot have: a mailbox of its own.
    ///
    /// # Errors
    ///
    /// `Invalid` in a function, with `what` before it.
    pub fn needs_process(&self, what: &str) -> Result<()> {
        match self.is_function() {
            false => Ok(()),
            true => Err(Error::invalid(format!(
                "{what}: a function has no mailbox, and {} is called as one; messages and events \
                 go to the process that calls it",
                self.entry()
            ))),
        }
    }

    /// The process that an address leads to.
    fn permitted(&self, action: &str, target: Address<'_>) -> Result<(Kernel, Pid)> {
        let kernel = self.node()?;
        let pid = kernel.resolve(target)?;
        kernel.authorize(self.context(), action, pid.host().as_str())?;
        Ok((kernel, pid))
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// As [`Kernel::send`].
    pub fn send<'a>(
        &self,
        target: impl Into<Address<'a>>,
        topic: impl Into<Arc<str>>,
        payloads: Vec<Value>,
    ) -> Result<()> {
        let message = Message {
            from: Some(self.pid().clone()),
            topic: topic.into(),
            payloads,
            context: self.context().clone(),
        };
        self.shared().host.table.send(target.into(), message)
    }

    /// Sends a message and waits for the reply: the first message that is sent to its `from`.
    ///
    /// # Errors
    ///
    /// As [`Kernel::send`]; `Unavailable` when the other one ends first, `Timeout` (after
    /// [`request::REQUEST_TIMEOUT`] where none is given).
    pub async fn request(
        &self,
        target: Address<'_>,
        topic: impl Into<Arc<str>>,
        payloads: Vec<Value>,
        timeout: Option<Duration>,
    ) -> Result<Message> {
        self.needs_process("call")?;
        request::request(self, target, topic.into(), payloads, timeout).await
    }

    /// Spawns a process on this one's behalf: its context, unless the request has one of its own,
    /// is not filled in.
    ///
    /// # Errors
    ///
    /// As [`Kernel::spawn`].
    pub async fn spawn(&self, mut request: SpawnRequest) -> Result<Pid> {
        if request.link.is_some() || request.watcher.is_some() {
            self.needs_process("a spawn that links or monitors")?;
        }
        request.by = Some(self.context().clone());
        // The kernel is not held by the future of a spawn that waits.
        self.node()?.spawn(request).await
    }

    /// Spawns a process and waits for its end. It is terminated when the wait is given up.
    ///
    /// # Errors
    ///
    /// As [`Kernel::spawn`], and the error of its exit.
    pub async fn exec(&self, mut request: SpawnRequest) -> Result<Value> {
        request.by = Some(self.context().clone());
        let exec = Exec::start(&self.node()?, request, self.shared()).await?;
        let exit = exec.await;
        match (&*exit, exit.error()) {
            (_, Some(error)) => Err(error),
            (Exit::Normal(value), None) => Ok(value.clone()),
            (_, None) => Ok(Value::Nil),
        }
    }

    /// Hears of a process's exit as an event, once for each call.
    ///
    /// # Errors
    ///
    /// `NotFound` for a name that nobody has; `ResourceExhausted` or `Unavailable` past the
    /// limits of monitors.
    pub fn monitor<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        self.needs_process("monitor")?;
        let (kernel, pid) = self.permitted("process.monitor", target.into())?;
        kernel.monitor(self, &pid)
    }

    /// Takes all of its monitors on a process back.
    ///
    /// # Errors
    ///
    /// `NotFound` for a name that nobody has.
    pub fn unmonitor<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        self.needs_process("unmonitor")?;
        let kernel = self.node()?;
        let pid = kernel.resolve(target.into())?;
        kernel.unmonitor(self, &pid);
        Ok(())
    }

    /// Links it with another process.
    ///
    /// # Errors
    ///
    /// As [`ProcessContext::monitor`].
    pub fn link<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        self.needs_process("link")?;
        let (kernel, pid) = self.permitted("process.link", target.into())?;
        kernel.link(self, &pid)
    }

    /// Takes a link back.
    ///
    /// # Errors
    ///
    /// `NotFound` for a name that nobody has.
    pub fn unlink<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        self.needs_process("unlink")?;
        let kernel = self.node()?;
        let pid = kernel.resolve(target.into())?;
        kernel.unlink(self, &pid);
        Ok(())
    }

    /// Asks a process to end.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone, `Invalid` for a reason of more than 64 KiB.
    pub fn cancel<'a>(
        &self,
        target: impl Into<Address<'a>>,
        within: Option<Duration>,
        reason: Option<&str>,
    ) -> Result<()> {
        if let Some(reason) = reason
            && reason.len() > REASON_BYTES_MAX
        {
            return Err(Error::invalid(format!(
                "the reason of a cancel has {} bytes; at most {REASON_BYTES_MAX} are allowed",
                reason.len()
            )));
        }
        let (kernel, pid) = self.permitted("process.cancel", target.into())?;
        kernel.cancel(&pid, Some(self.pid()), within, reason)
    }

    /// Ends a process now.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is gone.
    pub fn terminate<'a>(&self, target: impl Into<Address<'a>>) -> Result<()> {
        let (kernel, pid) = self.permitted("process.terminate", target.into())?;
        kernel.terminate(&pid)
    }

    /// Gives a process a name: this one, where no other is given. To another one it must be
    /// allowed to send.
    ///
    /// # Errors
    ///
    /// `Invalid` for what is no name, `AlreadyExists` when another process has it, and past the
    /// limits of names.
    pub fn register(&self, name: &str, target: Option<Address<'_>>) -> Result<()> {
        let kernel = self.node()?;
        self.authorize("process.registry.register", name)?;
        match target {
            None => {
                self.needs_process("register")?;
                kernel.register(name, Address::Pid(self.pid()))
            }
            Some(target) => {
                let pid = kernel.resolve(target)?;
                if self.is_function() || !pid.is_same_process(self.pid()) {
                    self.authorize("process.registry.register_for", pid.host().as_str())?;
                }
                kernel.register(name, &pid)
            }
        }
    }

    /// Takes a name of its own back.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody has the name, `PermissionDenied` when another process has.
    pub fn unregister(&self, name: &str) -> Result<()> {
        self.needs_process("unregister")?;
        self.authorize("process.registry.unregister", name)?;
        self.node()?.unregister(name, self)
    }

    /// Whose name it is.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody has it.
    pub fn lookup(&self, name: &str) -> Result<Pid> {
        self.authorize("process.registry.lookup", name)?;
        self.node()?.lookup(name)
    }

    /// Its options.
    pub fn options(&self) -> Options {
        self.shared().options()
    }

    /// Sets its options. A process that becomes upgradable hears at once of a newer version that
    /// is there.
    ///
    /// # Errors
    ///
    /// `Invalid` in a function.
    pub fn set_options(&self, options: Options) -> Result<()> {
        self.needs_process("set_options")?;
        let before = self.shared().options();
        self.shared().set_options(options);
        if options.upgradable && !before.upgradable {
            // Before the look at the version: whoever replaces it looks the other way round.
            fence(Ordering::SeqCst);
            let entry = self.entry();
            if let Some(version) = self.node()?.version(entry) {
                self.shared().tell_version(entry, version);
            }
        }
        Ok(())
    }

    /// Goes on as a new instance of its entry, or of another one. `unread` is what its code has
    /// taken out of the mailbox and not looked at. Comes back only where it is refused; the
    /// process's own task drops the code that waits here.
    ///
    /// # Errors
    ///
    /// `Invalid` in a function, `PermissionDenied`.
    pub async fn upgrade(
        &self,
        entry: Option<EntryId>,
        args: Vec<Value>,
        unread: impl FnOnce() -> Vec<Numbered>,
    ) -> Result<Infallible> {
        self.needs_process("upgrade")?;
        let entry = entry.unwrap_or_else(|| self.entry().clone());
        self.authorize("process.upgrade", entry.as_str())?;
        // It gets what that entry was granted, as if it had spawned it.
        if entry != *self.entry() {
            self.authorize("process.spawn", entry.as_str())?;
        }
        self.shared().ask_upgrade(Upgrade { entry, args }, unread());
        pending().await
    }
}
