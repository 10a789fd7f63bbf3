//! Requests: a message whose sender is a reply address, and the wait for what comes back.
//!
//! The reply goes to whoever waits and never into the mailbox, so that late replies do not turn
//! up where nobody expects them. Whoever drops a request closes its address.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use wippy_model::{Error, Exit, Kind, Message, Result, Value};

use crate::address::gone;
use crate::held::HeldGuard;
use crate::mailbox::TOO_MUCH_WAITS;
use crate::process::ProcessShared;
use crate::watch::NativeWatcher;
use crate::{Address, ProcessContext};

/// Requests that one process has under way at once.
pub const REQUESTS_MAX: usize = 1 << 10;

/// How long a request waits where nobody says.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The reply addresses of one process that are open.
#[derive(Default)]
pub(crate) struct Replies {
    /// The number of the last one.
    last: u64,
    open: Vec<(u64, oneshot::Sender<(Message, HeldGuard)>)>,
    closed: bool,
}

impl Replies {
    fn open(&mut self) -> Result<(u64, oneshot::Receiver<(Message, HeldGuard)>)> {
        if self.closed {
            return Err(gone());
        }
        if self.open.len() >= REQUESTS_MAX {
            return Err(Error::unavailable(format!(
                "a process has at most {REQUESTS_MAX} calls under way"
            )));
        }
        let (sender, receiver) = oneshot::channel();
        self.last += 1;
        self.open.push((self.last, sender));
        Ok((self.last, receiver))
    }

    fn take(&mut self, call: u64) -> Option<oneshot::Sender<(Message, HeldGuard)>> {
        let position = self.open.iter().position(|(number, _)| *number == call)?;
        Some(self.open.swap_remove(position).1)
    }

    fn is_open(&self, call: u64) -> bool {
        self.open.iter().any(|(number, _)| *number == call)
    }

    /// Gives up all that are open: the code that waits is never resumed.
    pub(crate) fn give_up(&mut self) {
        self.open.clear();
    }

    /// No further replies: the process ends.
    pub(crate) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}

impl ProcessShared {
    /// Gives a reply to whoever waits for it.
    pub(crate) fn reply(self: &Arc<Self>, call: u64, message: Message) -> Result<()> {
        self.mailbox.check_size(&message)?;
        let late = || {
            Error::not_found("nobody waits for this reply (any more): it came twice, or too late")
        };
        let held = HeldGuard::take(self, message.size_bytes() as u64);
        let sender = {
            let mut replies = self.replies.lock();
            match held {
                Some(held) => replies.take(call).map(|sender| (sender, held)),
                // It stays open for another try.
                None if replies.is_open(call) => return Err(Error::unavailable(TOO_MUCH_WAITS)),
                None => None,
            }
        };
        let (sender, held) = sender.ok_or_else(late)?;
        sender.send((message, held)).map_err(|_| late())
    }
}

/// Closes the reply address of a request that is given up.
struct Open<'a>(&'a Arc<ProcessShared>, u64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        drop(self.0.replies.lock().take(self.1));
    }
}

/// Sends a message and waits for the reply.
pub(crate) async fn request(
    caller: &ProcessContext,
    target: Address<'_>,
    topic: Arc<str>,
    payloads: Vec<Value>,
    timeout: Option<Duration>,
) -> Result<Message> {
    let kernel = caller.kernel().ok_or_else(|| Error::unavailable("the node is stopping"))?;
    let shown = target.to_string();
    // A name is looked up once: the one that is watched is the one that is asked.
    let pid;
    let target = match target {
        Address::Text(name) if !name.starts_with('{') => {
            pid = kernel
                .resolve(target)
                .map_err(|error| error.context(format_args!("cannot send to {target}")))?;
            Address::Pid(&pid)
        }
        target => target,
    };
    let shared = caller.shared();
    let (call, mut reply) = shared.replies.lock().open()?;
    let _open = Open(shared, call);
    // Before it is sent: an end right after the reply must not be heard first.
    let (mut exit, _watching) = match kernel.find(target) {
        Some((target, _)) => target.watch_request(shared),
        None => (NativeWatcher::new(None).1, None),
    };
    let message = Message {
        from: Some(shared.pid.for_call(call)),
        topic,
        payloads,
        context: caller.context().clone(),
    };
    kernel.send(target, message)?;
    // Not held while waiting: a process must not keep its node alive.
    drop(kernel);
    let timeout = timeout.unwrap_or(REQUEST_TIMEOUT);
    let ended = |exit: &Exit| {
        let cause = exit.error();
        let why = cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let error = Error::unavailable(format!("{shown} ended before it replied{why}"));
        match cause.as_ref().and_then(Error::stack) {
            Some(stack) => error.with_stack(stack.clone()),
            None => error,
        }
    };
    tokio::select! {
        biased;
        received = &mut reply => match received {
            Ok((reply, _)) => Ok(reply),
            Err(_) => Err(Error::unavailable("this process has ended")),
        },
        exit = &mut exit => match reply.try_recv() {
            Ok((reply, _)) => Ok(reply),
            Err(_) => Err(ended(&exit)),
        },
        () = sleep(timeout) => Err(Error::new(
            Kind::Timeout,
            format!("{shown} did not reply within {timeout:?}"),
        )),
    }
}
