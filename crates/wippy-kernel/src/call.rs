//! Calls of functions: an entry of the function registry, run on its caller's task.
//!
//! A call is a job of the process that makes it. The process's own task polls its jobs
//! beside its code and never inside of it, so that functions which call functions need no
//! deeper stack. A job has a view of the kernel of its own ([`ProcessContext`] with a frame):
//! the function's entry, the context it was called with, and no mailbox. Whoever drops a
//! [`FunctionCall`] ends the call, and a process that ends, ends its calls first.
//!
//! Limits: a process has at most [`CALLS_MAX`] calls under way, and functions call each other
//! at most [`DEPTH_MAX`] deep.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Poller, Poll, ready};
use std::time::SystemTime;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use wippy_model::{Context, EntryId, Error, Exit, Kind, Limits, Result, Value};

use crate::kernel::make_ready;
use crate::process::ProcessShared;
use crate::{Kernel, Prepare, ProcessContext, Role};

/// Calls that one process has under way at once.
pub const CALLS_MAX: u32 = 64;

/// How deep functions call each other.
pub const DEPTH_MAX: u32 = 16;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls that a process has asked for and its task has not taken yet.
#[derive(Default)]
pub(crate) struct CallQueue {
    asked: Mutex<Vec<Job>>,
    /// Asked for, or under way.
    count: AtomicU32,
    /// Memory of all frames together.
    pub(crate) memory_bytes: AtomicU64,
}

impl CallQueue {
    /// Calls asked for, or under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.count.load(Relaxed)
    }
}

/// The calls under way, which the process's task owns.
#[derive(Default)]
pub(crate) struct Calls(Option<FuturesUnordered<Job>>);

/// What sets a call apart from the process that makes it.
pub(crate) struct Frame {
    pub(crate) function: EntryId,
    pub(crate) context: Context,
    depth: u32,
    shared: Arc<ProcessShared>,
    memory_bytes: AtomicU64,
    /// When it is ended, or one that called it; set before its code runs.
    pub(crate) end_by: OnceLock<Instant>,
}

/// One call of a function: resolves to its result. Drop ends the call.
pub struct FunctionCall(State);

enum State {
    Refused(Option<Error>),
    UnderWay(oneshot::Receiver<Result<Value>>),
}

impl FunctionCall {
    /// Starts a call; its job waits for the process's task.
    pub(crate) fn start(
        caller: &ProcessContext,
        function: EntryId,
        args: Vec<Value>,
        context: Context,
    ) -> Self {
        match Self::enqueue(caller, function, args, context) {
            Ok(receiver) => Self(State::UnderWay(receiver)),
            Err(error) => Self(State::Refused(Some(error))),
        }
    }

    fn enqueue(
        caller: &ProcessContext,
        function: EntryId,
        args: Vec<Value>,
        context: Context,
    ) -> Result<oneshot::Receiver<Result<Value>>> {
        let stopping =
            || Error::unavailable(format!("cannot call {function}: the node is stopping"));
        let kernel = caller.kernel().ok_or_else(stopping)?;
        kernel.authorize(&context, "funcs.call", function.as_str())?;
        let depth = caller.frame().map_or(0, |frame| frame.depth) + 1;
        if depth > DEPTH_MAX {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!(
                    "cannot call {function}: functions call each other {DEPTH_MAX} deep already"
                ),
            ));
        }
        let shared = caller.shared();
        let place = Place::take(shared).ok_or_else(|| {
            Error::unavailable(format!(
                "cannot call {function}: {} has {CALLS_MAX} calls under way",
                shared.entry()
            ))
        })?;
        let frame = Frame {
            function,
            context,
            depth,
            shared: shared.clone(),
            memory_bytes: AtomicU64::new(0),
            end_by: OnceLock::new(),
        };
        let around = caller.end_by();
        let called = ProcessContext::in_frame(shared.clone(), Arc::new(frame));
        let (mut sender, receiver) = oneshot::channel();
        let job = async move {
            let _place = place;
            let result = {
                let mut run = std::pin::pin!(run(kernel, called, args, around));
                std::future::poll_fn(|poller| {
                    if sender.poll_closed(poller).is_ready() {
                        return Poll::Ready(None);
                    }
                    run.as_mut().poll(poller).map(Some)
                })
                .await
            };
            if let Some(result) = result {
                // A caller that went away meanwhile does not want to know.
                let _ = sender.send(result);
            }
        };
        shared.calls.asked.lock().push(Box::pin(job));
        Ok(receiver)
    }
}

/// Loads, prepares and runs the function of a frame.
async fn run(
    kernel: Kernel,
    called: ProcessContext,
    args: Vec<Value>,
    around: Option<Instant>,
) -> Result<Value> {
    let id = called.entry().clone();
    let unit = kernel.function(&id).await?;
    let context = called.context().clone();
    make_ready(&unit, &id, &called.shared().host).await?;
    let host = called.host();
    let process = unit.prepare(Prepare {
        args,
        host,
        context: &context,
        kernel: &kernel,
        role: Role::Function,
    })?;
    // Not held while it runs: a process must not keep its node alive.
    drop(kernel);
    let deadlines = Deadlines::new(unit.limits(), &context);
    let first = [around, deadlines.first()].into_iter().flatten().min();
    if let (Some(frame), Some(first)) = (called.frame(), first) {
        // Nobody else sets it.
        let _ = frame.end_by.set(first);
    }
    let exit = deadlines.hold(unit.limits(), &id, process.run(called)).await;
    value(exit, &id, unit.limits())
}

/// What ends one call: the function's own limit, and the deadline of its context. Those of
/// its callers end it with them.
struct Deadlines {
    own: Option<Instant>,
    of_context: Option<Instant>,
}

impl Deadlines {
    fn new(limits: &Limits, context: &Context) -> Self {
        let own = limits.execution_max.map(|max| Instant::now() + max);
        let of_context = context.deadline().map(|deadline| {
            Instant::now() + deadline.duration_since(SystemTime::now()).unwrap_or_default()
        });
        Self { own, of_context }
    }

    fn first(&self) -> Option<Instant> {
        [self.own, self.of_context].into_iter().flatten().min()
    }

    /// Runs to the end, or to the first of them.
    async fn hold(
        &self,
        limits: &Limits,
        id: &EntryId,
        mut running: Pin<Box<dyn Future<Output = Exit> + Send>>,
    ) -> Exit {
        let Some(first) = self.first() else {
            return running.await;
        };
        // The deadline first: a function that is always busy is ended by it all the same.
        let mut over = std::pin::pin!(sleep_until(first));
        let ended = std::future::poll_fn(|poller| {
            if over.as_mut().poll(poller).is_ready() {
                return Poll::Ready(None);
            }
            running.as_mut().poll(poller).map(Some)
        })
        .await;
        ended.unwrap_or_else(|| {
            let message = match limits.execution_max {
                Some(max) if self.own == Some(first) => format!(
                    "{id} did not end within {} ms (limits.max_execution_ms)",
                    max.as_millis()
                ),
                _ => format!("{id} did not end by the deadline of its caller"),
            };
            Exit::Limit(wippy_model::Limit::Execution, Error::new(Kind::Timeout, message))
        })
    }
}

/// The result of a call; how a function ended badly is the call's error.
fn value(exit: Exit, id: &EntryId, limits: &Limits) -> Result<Value> {
    let value = match exit {
        Exit::Normal(value) => value,
        Exit::Failed(error) | Exit::Trap(error) | Exit::Limit(_, error) | Exit::Config(error) => {
            return Err(error);
        }
        other => {
            let error = other.error().unwrap_or_else(|| Error::internal("it ended"));
            return Err(error.context(id));
        }
    };
    let bytes = value.size_bytes() as u64;
    if bytes > limits.host_buffer_bytes {
        let message = format!(
            "{id}: its result has {bytes} bytes; it may have {} (limits.host_buffer_bytes)",
            limits.host_buffer_bytes
        );
        return Err(Error::new(Kind::ResourceExhausted, message));
    }
    Ok(value)
}

impl Future for FunctionCall {
    type Output = Result<Value>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Result<Value>> {
        let lost = || Error::internal("a call was asked for its result twice");
        match &mut self.0 {
            State::Refused(error) => Poll::Ready(Err(error.take().unwrap_or_else(lost))),
            State::UnderWay(receiver) => {
                let result = ready!(Pin::new(receiver).poll(poller));
                // The sender goes without an answer only when the whole process ends.
                Poll::Ready(result.unwrap_or_else(|_| Err(Error::unavailable("its caller ended"))))
            }
        }
    }
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCall").finish_non_exhaustive()
    }
}

/// One of the calls that a process may have under way; drop gives it back.
struct Place(Arc<ProcessShared>);

impl Place {
    fn take(shared: &Arc<ProcessShared>) -> Option<Self> {
        if shared.calls.count.fetch_add(1, Relaxed) >= CALLS_MAX {
            shared.calls.count.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Self(shared.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.count.fetch_sub(1, Relaxed);
    }
}

impl Frame {
    pub(crate) fn set_memory_bytes(&self, bytes: u64) {
        let before = self.memory_bytes.swap(bytes, Relaxed);
        self.shared.calls.memory_bytes.fetch_add(bytes.wrapping_sub(before), Relaxed);
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.set_memory_bytes(0);
    }
}

impl CallQueue {
    /// Drops what nobody has taken.
    pub(crate) fn clear(&self) {
        let asked = std::mem::take(&mut *self.asked.lock());
        drop(asked);
    }
}

impl Calls {
    /// Whether any call is under way or asked for.
    pub(crate) fn are_there(&self, queue: &CallQueue) -> bool {
        // Counted by the process's own task, before a call is asked for.
        self.0.is_some() || queue.count.load(Relaxed) > 0
    }

    /// Advances what is under way; whether a call has ended, so that whoever made it can
    /// go on. Stops when `over` says that the time slice is used up.
    pub(crate) fn advance(
        &mut self,
        queue: &CallQueue,
        over: impl Fn() -> bool,
        poller: &mut Poller<'_>,
    ) -> bool {
        let mut ended = false;
        if !self.are_there(queue) {
            return ended;
        }
        loop {
            let asked = std::mem::take(&mut *queue.asked.lock());
            if asked.is_empty() && self.0.is_none() {
                return ended;
            }
            let under_way = self.0.get_or_insert_default();
            under_way.extend(asked);
            match under_way.poll_next_unpin(poller) {
                Poll::Ready(Some(())) => ended = true,
                Poll::Ready(None) => self.0 = None,
                // Functions may have asked for calls of their own.
                Poll::Pending if queue.asked.lock().is_empty() => return ended,
                Poll::Pending => {}
            }
            if over() {
                poller.waker().wake_by_ref();
                return ended;
            }
        }
    }
}
