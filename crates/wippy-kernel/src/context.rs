//! What a running process holds of the kernel: itself.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use tokio::time::Instant;
use wippy_model::{Context, EntryId, Error, Event, Message, Pid, Result, Value};

use crate::call::{Frame, FunctionCall};
use crate::mailbox::{Lane, Numbered, Received};
use crate::process::{ProcessShared, SIGNAL_CANCEL, SIGNALS_END};
use crate::{HostSpec, Kernel};

/// A process's own view of the kernel. Cheap to clone; the engine keeps one in its state.
///
/// A function that a process calls runs on that process, and has such a view too: with the
/// PID of its caller, and its own entry and context.
#[derive(Clone)]
pub struct ProcessContext {
    shared: Arc<ProcessShared>,
    /// The entry whose code it is.
    entry: EntryId,
    frame: Option<Arc<Frame>>,
}

impl ProcessContext {
    pub(crate) fn new(shared: Arc<ProcessShared>) -> Self {
        let entry = shared.entry();
        Self { shared, entry, frame: None }
    }

    pub(crate) fn in_frame(shared: Arc<ProcessShared>, frame: Arc<Frame>) -> Self {
        Self { shared, entry: frame.function.clone(), frame: Some(frame) }
    }

    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.frame.as_deref()
    }

    pub(crate) fn shared(&self) -> &Arc<ProcessShared> {
        &self.shared
    }

    /// Its name.
    pub fn pid(&self) -> &Pid {
        &self.shared.pid
    }

    /// The entry it runs.
    pub fn entry(&self) -> &EntryId {
        &self.entry
    }

    /// Whether this is a function that a process calls. It has no mailbox: messages and
    /// events go to its caller.
    pub fn is_function(&self) -> bool {
        self.frame.is_some()
    }

    /// The host that runs it.
    pub fn host(&self) -> &HostSpec {
        &self.shared.host.spec
    }

    /// Principal, values, trace and deadline it was spawned with.
    pub fn context(&self) -> &Context {
        self.frame().map_or(&self.shared.context, |frame| &frame.context)
    }

    /// Calls a function of the function registry, with this context or another. It runs on
    /// this process's task, beside the code that calls it; dropping the call ends it.
    ///
    /// Must be called from the process's own task, which looks for new calls after each
    /// step.
    pub fn call(&self, function: EntryId, args: Vec<Value>, context: Context) -> FunctionCall {
        FunctionCall::start(self, function, args, context)
    }

    /// The kernel, while it is there.
    pub fn kernel(&self) -> Option<Kernel> {
        self.shared.host.kernel.upgrade().map(Kernel::from_inner)
    }

    /// Asks the authorizer whether the process may do this.
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor; `Unavailable` when the
    /// kernel is gone.
    pub fn authorize(&self, action: &str, resource: &str) -> Result<()> {
        match self.kernel() {
            Some(kernel) => kernel.authorize(self.context(), action, resource),
            None => Err(Error::unavailable("the node is stopping")),
        }
    }

    /// Whether a busy guest has used up its time slice, or shall end. An engine's
    /// preemption check asks this and yields.
    pub fn slice_is_over(&self) -> bool {
        let now = self.shared.host.started.elapsed().as_nanos() as u64;
        let used = now.saturating_sub(self.shared.slice_start_ns.load(Relaxed));
        self.must_end() || used >= self.shared.host.spec.give_way_after().as_nanos() as u64
    }

    /// Whether the process was told to end at once.
    pub fn must_end(&self) -> bool {
        self.shared.signalled(SIGNALS_END)
    }

    /// When limits and deadlines end the process, or the function and whatever called it.
    pub(crate) fn end_by(&self) -> Option<Instant> {
        match self.frame() {
            Some(frame) => frame.end_by.get().copied(),
            None => *self.shared.end_by.lock(),
        }
    }

    /// Whether this has run for longer than it may: by its own limit, by those of its
    /// callers, or by the deadline of a cancel. The kernel ends it between two polls; an
    /// engine whose code cannot give way asks here, stops, and lets the kernel do so.
    pub fn is_overdue(&self) -> bool {
        let cancel = match self.is_cancelled() {
            true => self.shared.cancel.lock().as_ref().map(|cancel| cancel.deadline),
            false => None,
        };
        let deadlines = [self.end_by(), cancel];
        let now = Instant::now();
        deadlines.into_iter().flatten().any(|deadline| deadline <= now)
    }

    /// Whether somebody asked the process to end.
    pub fn is_cancelled(&self) -> bool {
        self.shared.signalled(SIGNAL_CANCEL)
    }

    /// How long the current slice has run.
    pub fn slice_used(&self) -> Duration {
        let now = self.shared.host.started.elapsed().as_nanos() as u64;
        Duration::from_nanos(now.saturating_sub(self.shared.slice_start_ns.load(Relaxed)))
    }

    /// Sets the memory gauge.
    pub fn set_memory_bytes(&self, bytes: u64) {
        match self.frame() {
            Some(frame) => frame.set_memory_bytes(bytes),
            None => self.shared.memory_bytes.store(bytes, Relaxed),
        }
    }

    /// The next message or event, in order of arrival. A function has no mailbox and waits
    /// for ever, here and in all the others.
    pub fn receive(&self) -> impl Future<Output = Received> + '_ {
        poll_fn(|poller| self.poll_receive(poller))
    }

    /// The next message.
    pub fn receive_message(&self) -> impl Future<Output = Message> + '_ {
        poll_fn(|poller| self.poll_message(poller))
    }

    /// The next event.
    pub fn receive_event(&self) -> impl Future<Output = Event> + '_ {
        poll_fn(|poller| self.poll_event(poller))
    }

    /// Polls for the next message or event.
    pub fn poll_receive(&self, poller: &mut Poller<'_>) -> Poll<Received> {
        if self.is_function() {
            return Poll::Pending;
        }
        self.shared.poll_receive(Lane::Both, poller)
    }

    /// Polls for the next message.
    pub fn poll_message(&self, poller: &mut Poller<'_>) -> Poll<Message> {
        if self.is_function() {
            return Poll::Pending;
        }
        match self.shared.poll_receive(Lane::Messages, poller) {
            Poll::Ready(Received::Message(message)) => Poll::Ready(message),
            _ => Poll::Pending,
        }
    }

    /// Polls for the next event.
    pub fn poll_event(&self, poller: &mut Poller<'_>) -> Poll<Event> {
        if self.is_function() {
            return Poll::Pending;
        }
        match self.shared.poll_receive(Lane::Events, poller) {
            Poll::Ready(Received::Event(event)) => Poll::Ready(event),
            _ => Poll::Pending,
        }
    }

    /// The next message or event, if one waits.
    pub fn try_receive(&self) -> Option<Received> {
        self.try_receive_numbered(Lane::Both).map(|numbered| numbered.received)
    }

    /// The next item of a lane, if one waits, with its place in the order of arrival.
    pub fn try_receive_numbered(&self, lane: Lane) -> Option<Numbered> {
        if self.is_function() { None } else { self.shared.try_numbered(lane) }
    }

    /// Polls for the next item of a lane, with its place in the order of arrival.
    pub fn poll_receive_numbered(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<Numbered> {
        if self.is_function() {
            return Poll::Pending;
        }
        self.shared.poll_numbered(lane, poller)
    }

    /// The sequence number of the oldest item that waits in a lane.
    pub fn oldest_sequence(&self, lane: Lane) -> Option<u64> {
        if self.is_function() { None } else { self.shared.mailbox.oldest(lane) }
    }

    /// The next message, if one waits.
    pub fn try_receive_message(&self) -> Option<Message> {
        match self.try_receive_numbered(Lane::Messages)?.received {
            Received::Message(message) => Some(message),
            Received::Event(_) => None,
        }
    }

    /// Ready while a message waits; takes none.
    pub fn poll_message_waits(&self, poller: &mut Poller<'_>) -> Poll<()> {
        self.poll_waits(Lane::Messages, poller)
    }

    /// Ready while an event waits; takes none.
    pub fn poll_event_waits(&self, poller: &mut Poller<'_>) -> Poll<()> {
        self.poll_waits(Lane::Events, poller)
    }

    fn poll_waits(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<()> {
        match self.is_function() {
            true => Poll::Pending,
            false => self.shared.mailbox.poll_waits(lane, poller),
        }
    }
}

impl fmt::Debug for ProcessContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessContext({:?})", self.shared)
    }
}
