//! The life of one process: Init has passed, this is Step … Step and Close.
//!
//! The task owns the engine's state and nobody else touches it. At each poll it looks at
//! signals first, then at deadlines, then runs the guest: so a busy guest that yields at
//! the end of its slice cannot outrun a `terminate`. The task ends in exactly one of
//! three ways, and each makes the exit: the guest finished, a signal or deadline ended
//! it, or the task was dropped with its scheduler.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as Poller, Poll, Waker};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Sleep, sleep_until};
use wippy_model::{EntryId, Error, Exit, Kind, Limit, Limits};

use crate::ProcessContext;
use crate::call::Calls;
use crate::figures::sent_here;
use crate::process::{ProcessShared, SIGNAL_CANCEL, SIGNAL_UPGRADE};
use crate::unit::Process;
use crate::upgrade::{self, Prepared, Preparing};

type Run = Pin<Box<dyn Future<Output = Exit> + Send>>;

enum Stage {
    /// Not polled yet.
    Admitted(Box<dyn Process>),
    Running(Run),
    /// The code waits for its end, while what takes its place is prepared.
    Upgrading(Box<Upgrading>),
    Ended,
}

/// An upgrade under way.
struct Upgrading {
    entry: EntryId,
    preparing: Preparing,
    /// Kept until the new process stands ready.
    _old: Run,
}

pub(crate) struct ProcessTask {
    shared: Arc<ProcessShared>,
    stage: Stage,
    /// The functions that its code has called.
    calls: Calls,
    /// What `shared.task` would wake.
    waker: Option<Waker>,
    /// The code has used up the last slice: this one begins with the calls.
    calls_first: bool,
    /// When the first poll was.
    begun: Instant,
    /// `max_execution_ms` of the entry that it runs: counted from the first poll.
    execution_max: Option<Duration>,
    /// By when the work is of no use to whoever asked for it: counted from the spawn.
    context_deadline: Option<Instant>,
    execution: Option<Pin<Box<Sleep>>>,
    /// Ends a cancelled process that does not obey.
    cancel: Option<Pin<Box<Sleep>>>,
    /// The largest result, in bytes: watchers keep it for as long as they like.
    result_bytes_max: u64,
}

impl ProcessTask {
    pub(crate) fn new(
        shared: Arc<ProcessShared>,
        process: Box<dyn Process>,
        limits: &Limits,
    ) -> Self {
        let context_deadline = shared.context.deadline().map(|deadline| {
            Instant::now() + deadline.duration_since(SystemTime::now()).unwrap_or_default()
        });
        Self {
            shared,
            stage: Stage::Admitted(process),
            calls: Calls::default(),
            waker: None,
            calls_first: false,
            begun: Instant::now(),
            execution_max: limits.execution_max,
            context_deadline,
            execution: None,
            cancel: None,
            result_bytes_max: limits.host_buffer_bytes,
        }
    }

    /// The first poll: the process leaves the host's queue and its clock starts.
    fn begin(&mut self) {
        self.shared.host.first_slice();
        self.shared.tell_begin();
        self.begun = Instant::now();
        self.set_end();
    }

    /// Sets when limits end it, by those of the entry that it runs.
    fn set_end(&mut self) {
        let own = self.execution_max.and_then(|max| self.begun.checked_add(max));
        let first = [own, self.context_deadline].into_iter().flatten().min();
        *self.shared.end_by.lock() = first;
        self.execution = first.map(|deadline| Box::pin(sleep_until(deadline)));
    }

    fn start(&mut self, process: Box<dyn Process>) {
        let context = ProcessContext::new(self.shared.clone());
        let run = catch_unwind(AssertUnwindSafe(|| process.run(context)));
        self.stage = Stage::Running(match run {
            Ok(run) => run,
            Err(panic) => Box::pin(std::future::ready(host_panic(&*panic))),
        });
    }

    /// Follows the wish of the code to go on as another instance.
    fn begin_upgrade(&mut self) {
        let Some(wish) = self.shared.take_upgrade() else { return };
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Running(old) => {
                let entry = wish.entry.clone();
                let preparing = upgrade::prepare(&self.shared, *wish);
                self.stage = Stage::Upgrading(Box::new(Upgrading { entry, preparing, _old: old }));
            }
            other => self.stage = other,
        }
    }

    /// Waits for the new process and puts it in the place of the old one.
    fn advance_upgrade(&mut self, poller: &mut Poller<'_>) -> Poll<Exit> {
        let Stage::Upgrading(upgrading) = &mut self.stage else { return Poll::Pending };
        let prepared = catch_unwind(AssertUnwindSafe(|| upgrading.preparing.as_mut().poll(poller)));
        let prepared = match prepared {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(prepared)) => prepared,
            Err(panic) => return Poll::Ready(host_panic(&*panic)),
        };
        let Prepared { process, code, limits } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Poll::Ready(upgrade::failed(&upgrading.entry, error)),
        };
        if let Err(panic) = self.drop_code() {
            return Poll::Ready(host_panic(&*panic));
        }
        self.result_bytes_max = limits.host_buffer_bytes;
        self.execution_max = limits.execution_max;
        self.shared.become_code(code, &limits);
        self.set_end();
        self.start(process);
        // Its first step is one of its own.
        poller.waker().wake_by_ref();
        Poll::Pending
    }

    /// Drops the code, with the calls that it has made.
    fn drop_code(&mut self) -> std::thread::Result<()> {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let calls = std::mem::take(&mut self.calls);
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            drop(stage);
            drop(calls);
        }));
        // Also after a panic: a call that nobody has taken holds its process and its node.
        let cleared = catch_unwind(AssertUnwindSafe(|| self.shared.calls.clear()));
        dropped.and(cleared)
    }

    /// What ends the process from outside, if anything does.
    fn ended_from_outside(&mut self, poller: &mut Poller<'_>) -> Option<Exit> {
        if let Some(exit) = self.shared.told_to_end() {
            return Some(exit);
        }
        if self.shared.signalled(SIGNAL_CANCEL) {
            let deadline = self.shared.cancel.lock().as_ref().map(|cancel| cancel.deadline);
            if let Some(deadline) = deadline {
                let sleep = self.cancel.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                if sleep.as_mut().poll(poller).is_ready() {
                    return Some(self.cancelled());
                }
            }
        }
        if let Some(sleep) = &mut self.execution
            && sleep.as_mut().poll(poller).is_ready()
        {
            return Some(self.out_of_time());
        }
        None
    }

    fn cancelled(&self) -> Exit {
        Exit::Canceled(self.shared.cancel.lock().take().and_then(|cancel| cancel.reason))
    }

    fn out_of_time(&self) -> Exit {
        let entry = self.shared.entry();
        let of_context = self.context_deadline.is_some_and(|deadline| deadline <= Instant::now());
        let message = match self.execution_max {
            Some(max) if !of_context => format!(
                "{entry} did not end within {} ms (limits.max_execution_ms)",
                max.as_millis()
            ),
            _ => format!("{entry} did not end by the deadline of its caller"),
        };
        Exit::Limit(Limit::Execution, Error::new(Kind::Timeout, message))
    }

    /// A result is kept by everyone who watches, so its size has a limit.
    fn bounded(&self, exit: Exit) -> Exit {
        let Exit::Normal(value) = &exit else { return exit };
        let bytes = value.size_bytes() as u64;
        if bytes <= self.result_bytes_max {
            return exit;
        }
        let message = format!(
            "{}: its result has {bytes} bytes; it may have {} (limits.host_buffer_bytes)",
            self.shared.entry(),
            self.result_bytes_max
        );
        Exit::Limit(Limit::HostBuffer, Error::new(Kind::ResourceExhausted, message))
    }

    fn step(&mut self, poller: &mut Poller<'_>) -> Poll<Exit> {
        if matches!(self.stage, Stage::Upgrading(_)) {
            return self.advance_upgrade(poller);
        }
        let step = self.run_step(poller);
        if step.is_pending() && self.shared.signalled(SIGNAL_UPGRADE) {
            self.begin_upgrade();
            return self.advance_upgrade(poller);
        }
        step
    }

    fn run_step(&mut self, poller: &mut Poller<'_>) -> Poll<Exit> {
        let Stage::Running(run) = &mut self.stage else {
            return Poll::Ready(Exit::HostPanic("a process was polled after its end".into()));
        };
        let shared = &*self.shared;
        let start = shared.host.started.elapsed();
        shared.slice_start_ns.store(start.as_nanos() as u64, Relaxed);
        shared.waits.store(false, Relaxed);
        let sent_before = sent_here();
        // Nobody else writes them: a plain addition will do.
        shared.steps.store(shared.steps.load(Relaxed) + 1, Relaxed);
        let slice = shared.host.spec.slice;
        let slice_is_over = || shared.host.started.elapsed().saturating_sub(start) >= slice;
        let (calls, calls_first) = (&mut self.calls, &mut self.calls_first);
        let poll = catch_unwind(AssertUnwindSafe(|| {
            let mut codes_turn = !std::mem::take(calls_first);
            loop {
                if codes_turn {
                    if let Poll::Ready(exit) = run.as_mut().poll(poller) {
                        return Poll::Ready(exit);
                    }
                    if shared.signalled(SIGNAL_UPGRADE) {
                        return Poll::Pending;
                    }
                    if calls.are_there(&shared.calls) && slice_is_over() {
                        *calls_first = true;
                        poller.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                // A call that has ended lets the code go on that made it.
                let ended = calls.advance(&shared.calls, slice_is_over, poller);
                if codes_turn && !ended {
                    return Poll::Pending;
                }
                if slice_is_over() {
                    poller.waker().wake_by_ref();
                    return Poll::Pending;
                }
                codes_turn = true;
            }
        }));
        let used = shared.host.started.elapsed().saturating_sub(start);
        shared.cpu_ns.store(shared.cpu_ns.load(Relaxed) + used.as_nanos() as u64, Relaxed);
        let sent = sent_here().wrapping_sub(sent_before);
        if sent > 0 {
            shared.sent.store(shared.sent.load(Relaxed) + sent, Relaxed);
        }
        shared.waits.store(used < shared.host.busy_after, Relaxed);
        match poll {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(host_panic(&*panic)),
        }
    }

    /// Close: frees the engine's state, then announces the exit.
    fn end(&mut self, exit: Exit) {
        let exit = match self.drop_code() {
            Ok(()) => self.bounded(exit),
            Err(panic) => host_panic(&*panic),
        };
        if let Exit::HostPanic(text) = &exit {
            tracing::error!(pid = %self.shared.pid, entry = %self.shared.entry(), "host panic: {text}");
        }
        self.shared.end(exit);
    }
}

impl Future for ProcessTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Before the signals are read: one set after the look wakes the task again. A waker that
        // is there stays until a signal takes it, and from the first signal on each poll looks.
        let known = this.waker.as_ref().is_some_and(|known| known.will_wake(poller.waker()));
        if !known || this.shared.any_signal() {
            this.shared.task.register(poller.waker());
            this.waker = Some(poller.waker().clone());
        }
        let admitted = matches!(this.stage, Stage::Admitted(_));
        if admitted {
            this.begin();
        }
        if let Some(exit) = this.ended_from_outside(poller) {
            this.end(exit);
            return Poll::Ready(());
        }
        if admitted
            && let Stage::Admitted(process) = std::mem::replace(&mut this.stage, Stage::Ended)
        {
            this.start(process);
        }
        match this.step(poller) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(exit) => {
                // What it did of being told to end, a refused call say, is no end of its own.
                let own = matches!(exit, Exit::HostPanic(_));
                let told = if own { None } else { this.shared.told_to_end() };
                this.end(told.unwrap_or(exit));
                Poll::Ready(())
            }
        }
    }
}

impl Drop for ProcessTask {
    /// A task that is dropped alive lost its scheduler.
    fn drop(&mut self) {
        match &self.stage {
            Stage::Ended => return,
            Stage::Admitted(_) => self.shared.host.first_slice(),
            Stage::Running(_) | Stage::Upgrading(_) => {}
        }
        let exit = self.shared.told_to_end().unwrap_or(Exit::NodeDown);
        self.end(exit);
    }
}

fn host_panic(panic: &(dyn Any + Send)) -> Exit {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Exit::HostPanic(text.unwrap_or("a panic without a text").into())
}
