//! Who hears of an exit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, ready};

use tokio::sync::oneshot;
use wippy_model::{Exit, Pid};

use crate::ProcessContext;
use crate::held::HeldGuard;
use crate::mailbox::{TOO_MUCH_WAITS, weight};
use crate::process::ProcessShared;

/// Who hears of an exit, exactly once.
#[derive(Debug)]
pub enum Watcher {
    /// A process, through the event lane of its mailbox.
    Process(ProcessContext),
    /// Somebody outside of any process.
    Native(NativeWatcher),
}

/// The sending half of an [`ExitWatch`].
#[derive(Debug)]
pub struct NativeWatcher {
    exit: oneshot::Sender<(Arc<Exit>, Option<HeldGuard>)>,
    /// The process that waits for the exit: it counts there until it is looked at.
    holder: Option<Arc<ProcessShared>>,
    /// Hears of the first step, where somebody wants to know.
    begun: Option<oneshot::Sender<()>>,
}

/// Resolves to a process's exit.
#[derive(Debug)]
pub struct ExitWatch(oneshot::Receiver<(Arc<Exit>, Option<HeldGuard>)>);

impl Watcher {
    /// A watcher outside of any process, and the future that resolves when it hears.
    pub fn native() -> (Self, ExitWatch) {
        let (watcher, watch) = NativeWatcher::new(None);
        (Self::Native(watcher), watch)
    }

    /// The same, on behalf of a process that waits for it.
    pub(crate) fn native_for(holder: &Arc<ProcessShared>) -> (Self, ExitWatch) {
        let (watcher, watch) = NativeWatcher::new(Some(holder.clone()));
        (Self::Native(watcher), watch)
    }

    /// The same, and a receiver that hears when the process's first step begins.
    pub(crate) fn native_from_begin() -> (Self, oneshot::Receiver<()>, ExitWatch) {
        let ((exit, receiver), (begun, begins)) = (oneshot::channel(), oneshot::channel());
        let watcher = NativeWatcher { exit, holder: None, begun: Some(begun) };
        (Self::Native(watcher), begins, ExitWatch(receiver))
    }

    /// Tells the watcher of the exit of `from`.
    pub(crate) fn tell(self, from: &Pid, exit: &Arc<Exit>, at: std::time::SystemTime) {
        let weight = weight(exit);
        match self {
            Self::Process(watcher) => watcher.shared().monitored_ended(from, exit, weight, at),
            Self::Native(watcher) => watcher.tell(exit, weight),
        }
    }
}

impl NativeWatcher {
    pub(crate) fn new(holder: Option<Arc<ProcessShared>>) -> (Self, ExitWatch) {
        let (exit, receiver) = oneshot::channel();
        (Self { exit, holder, begun: None }, ExitWatch(receiver))
    }

    /// Tells the watcher. A receiver that is gone does not want to know.
    pub(crate) fn tell(self, exit: &Arc<Exit>, weight: u64) {
        let told = match self.holder.as_ref().filter(|_| weight > 0) {
            None => (exit.clone(), None),
            Some(holder) => match HeldGuard::take(holder, weight) {
                None => (Arc::new(exit.abridged(TOO_MUCH_WAITS)), None),
                held => (exit.clone(), held),
            },
        };
        drop(self.exit.send(told));
    }

    /// Tells it that the first step begins, if it wants to know.
    pub(crate) fn tell_begin(&mut self) {
        if let Some(begun) = self.begun.take() {
            // A receiver that is gone does not want to know.
            let _ = begun.send(());
        }
    }

    /// Whether it wants to hear of the first step.
    pub(crate) fn hears_begin(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether nobody is left to tell.
    pub(crate) fn is_gone(&self) -> bool {
        self.exit.is_closed()
    }
}

impl Future for ExitWatch {
    type Output = Arc<Exit>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Arc<Exit>> {
        let told = ready!(Pin::new(&mut self.0).poll(poller));
        // A watcher that is dropped untold was never attached to a process.
        Poll::Ready(told.map_or_else(|_| Arc::new(Exit::NoProcess), |(exit, _)| exit))
    }
}
