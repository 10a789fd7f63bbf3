//! Upgrade: a process goes on as another instance, with the same PID, mailbox, names and links.
//!
//! The code that asks for it waits and is never resumed. The task prepares the new process
//! while the old one still exists, then drops the old one and runs the new one in its place.
//! What goes wrong on the way is the process's exit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wippy_model::{EntryId, Error, Exit, Kind, Limits, Result, Value};

use crate::kernel::make_ready;
use crate::process::{Code, ProcessShared, SIGNAL_UPGRADE};
use crate::unit::Process;
use crate::{Numbered, Prepare, Role};

/// What a process asks to become.
pub(crate) struct Upgrade {
    /// The entry whose newest version it becomes.
    pub(crate) entry: EntryId,
    /// The arguments of its method.
    pub(crate) args: Vec<Value>,
}

/// What stands ready to take the place of the old instance.
pub(crate) struct Prepared {
    pub(crate) process: Box<dyn Process>,
    pub(crate) code: Code,
    pub(crate) limits: Limits,
}

pub(crate) type Preparing = Pin<Box<dyn Future<Output = Result<Prepared>> + Send>>;

impl ProcessShared {
    /// Leaves the wish for the task, which looks after each step. What was taken out of the
    /// mailbox and not looked at goes back.
    pub(crate) fn ask_upgrade(&self, upgrade: Upgrade, unread: Vec<Numbered>) {
        self.put_back(unread);
        self.replies.lock().give_up();
        *self.upgrade.lock() = Some(Box::new(upgrade));
        self.signals.fetch_or(SIGNAL_UPGRADE, Ordering::Release);
    }

    /// Its code has been replaced.
    pub(crate) fn become_code(&self, code: Code, limits: &Limits) {
        let entry = code.entry.clone();
        self.mailbox.set_limits(limits.mailbox);
        self.memory_bytes.store(0, Ordering::Relaxed);
        {
            let mut own = self.code.lock();
            *own = code;
            // It was about the code before; what is true of this one is told below.
            self.mailbox.drop_outdated();
        }
        // Who brought a newer version meanwhile took it for what it was before.
        if let Some(kernel) = self.host.kernel.upgrade()
            && let Some(version) = crate::Kernel::from_inner(kernel).version(&entry)
        {
            self.tell_version(&entry, version);
        }
    }

    /// The wish, once.
    pub(crate) fn take_upgrade(&self) -> Option<Box<Upgrade>> {
        self.signals.fetch_and(!SIGNAL_UPGRADE, Ordering::AcqRel);
        self.upgrade.lock().take()
    }
}

/// Loads and checks the new code, and its arguments.
pub(crate) fn prepare(shared: &Arc<ProcessShared>, upgrade: Upgrade) -> Preparing {
    let shared = shared.clone();
    Box::pin(async move {
        let Upgrade { entry, args } = upgrade;
        let stopping = || Error::unavailable("the node is stopping");
        let kernel = shared.host.kernel.upgrade().ok_or_else(stopping)?;
        let kernel = crate::Kernel::from_inner(kernel);
        let (unit, version) = kernel.unit_and_version(&entry).await?;
        make_ready(&unit, &entry, &shared.host).await?;
        let process = unit.prepare(Prepare {
            args,
            host: &shared.host.spec,
            context: &shared.context,
            kernel: &kernel,
            role: Role::Process,
        })?;
        let limits = unit.limits().clone();
        let code = Code { entry, version, hears_events: unit.hears_events() };
        Ok(Prepared { process, code, limits })
    })
}

/// How a process ends whose upgrade fails.
pub(crate) fn failed(entry: &EntryId, error: Error) -> Exit {
    let kind = error.kind();
    let error = error.context(format_args!("cannot upgrade {entry}"));
    match kind {
        Kind::Unavailable | Kind::ResourceExhausted | Kind::Internal | Kind::Timeout => {
            Exit::Failed(error)
        }
        _ => Exit::Config(error),
    }
}
