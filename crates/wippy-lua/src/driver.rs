//! The life of one Lua process: a future that resumes the VM's threads.
//!
//! Each poll resumes threads that are ready until none is; then it looks at what threads
//! wait for (the mailbox, the clock, host operations), and returns to the scheduler when
//! nothing of that has happened. Nobody else touches the VM, and dropping the future closes
//! it.
//!
//! A poll also returns when the process's time slice is over, be it because the hook of
//! `preempt.rs` made a thread yield or because many threads each ran a little.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use mlua::ffi::{self, lua_State};
use tokio::time::{Instant, Sleep, sleep_until};
use wippy_kernel::ProcessContext;
use wippy_model::{Error, Exit, Kind, Limit, Stack, Value};

use crate::convert;
use crate::core::Pause;
use crate::failure;
use crate::modules::funcs;
use crate::preempt;
use crate::state::{State, Type};
use crate::tasks::TaskId;
use crate::vm::{self, Vm};

/// What a step has at the least, so that everybody advances.
const STEP_MIN: Duration = Duration::from_micros(500);

/// The future of one process.
pub(crate) struct Driver {
    vm: Vm,
    /// Set to a deadline that some thread had; a later one leaves it alone.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What a step of a thread came to.
enum Step {
    /// The process goes on.
    Continue,
    /// The time slice is over.
    GiveWay,
    /// It met a deadline where it could not give way: the kernel will end it.
    Overdue,
    /// The process has ended.
    End(Exit),
}

impl Driver {
    pub(crate) fn new(vm: Vm) -> Self {
        Self { vm, alarm: None }
    }

    /// Resumes one thread until it ends or yields.
    #[allow(unsafe_code)]
    fn step(&mut self, id: TaskId, thread: *mut lua_State) -> Step {
        let core = self.vm.core();
        core.root.set(thread);
        core.unyielding.set(0);
        core.hooked_at.set(std::time::Duration::ZERO);
        // A thread that has not begun has its function below the arguments.
        // SAFETY: the thread is anchored while it is in the tasks. Nothing here is lost by
        // an error: a resume raises none.
        let (status, results) = unsafe {
            let args = match ffi::lua_status(thread) {
                ffi::LUA_OK => ffi::lua_gettop(thread) - 1,
                _ => 0,
            };
            let mut results = 0;
            let status = core.resume(thread, std::ptr::null_mut(), args, &mut results);
            (status, results)
        };
        if let Some(text) = core.take_panic() {
            return Step::End(Exit::HostPanic(text));
        }
        if let Some(error) = core.take_misfit() {
            return Step::End(Exit::Config(error));
        }
        if core.heap.is_exhausted() {
            return Step::End(self.out_of_memory());
        }
        if core.killed.get() {
            return match core.context.must_end() {
                true => Step::End(Exit::Terminated),
                false => Step::Overdue,
            };
        }
        match (status, core.pause.get()) {
            (ffi::LUA_YIELD, Some(Pause::Wait)) => {
                core.tasks.borrow_mut().wait();
                Step::Continue
            }
            (ffi::LUA_YIELD, Some(Pause::Slice)) => {
                core.tasks.borrow_mut().give_way();
                Step::GiveWay
            }
            (ffi::LUA_YIELD, None) => Step::End(Exit::Failed(Error::internal(format!(
                "{}: a thread yielded outside of any coroutine",
                core.program.id
            )))),
            (ffi::LUA_OK, _) if id == TaskId::MAIN => Step::End(self.result(thread, results)),
            (ffi::LUA_OK, _) => {
                self.forget(id, thread);
                Step::Continue
            }
            // Only the stack was refused, see `heap.rs`.
            (ffi::LUA_ERRMEM, _) => Step::End(Exit::Failed(self.stack_overflow(thread))),
            _ => Step::End(Exit::Failed(self.failure(thread))),
        }
    }

    /// Lets a thread go that has returned.
    #[allow(unsafe_code)]
    fn forget(&self, id: TaskId, thread: *mut lua_State) {
        let core = self.vm.core();
        core.tasks.borrow_mut().remove(id);
        core.root.set(std::ptr::null_mut());
        // SAFETY: it was anchored and nobody runs it any more. Without its results it is dead
        // to a script that kept it, and cannot be resumed.
        unsafe {
            ffi::lua_settop(thread, 0);
            vm::let_go(self.vm.state(), thread);
        }
    }

    #[allow(unsafe_code)]
    fn result(&self, thread: *mut lua_State, results: i32) -> Exit {
        // SAFETY: the thread has ended and is still anchored.
        let state = unsafe { self.vm.thread(thread) };
        if results == 0 {
            return Exit::Normal(Value::Nil);
        }
        let first = state.top() - results + 1;
        if results > 1 && state.type_of(first) == Type::Nil && !state.is_absent(first + 1) {
            return Exit::Failed(self.returned_error(state, first + 1));
        }
        match convert::to_value(state, first, "the result") {
            Ok(value) => Exit::Normal(value),
            Err(error) => Exit::Failed(error.context(&self.vm.core().program.id)),
        }
    }

    /// What a function means that returns `nil, err`.
    fn returned_error(&self, state: State<'_>, index: i32) -> Error {
        match state.type_of(index) {
            Type::String | Type::Number | Type::Table => failure::from_value(state, index, None),
            _ => Error::internal(format!(
                "{} returned a {} as its error; return a text, a table or an error of errors.new",
                self.vm.core().program.id,
                state.type_name(index)
            )),
        }
    }

    #[allow(unsafe_code)]
    fn failure(&self, thread: *mut lua_State) -> Error {
        // SAFETY: the thread has ended and is still anchored, its frames are still there.
        let state = unsafe { self.vm.thread(thread) };
        let traceback = self.vm.state().traceback(thread, 0);
        if !state.reserve(8) {
            return Error::internal("stack overflow").with_stack(Stack::new(traceback));
        }
        failure::from_value(state, -1, Some(traceback))
    }

    fn stack_overflow(&self, thread: *mut lua_State) -> Error {
        let message = format!(
            "{}: stack overflow: calls nest too deep, or a chain of `__call` does not end",
            self.vm.core().program.id
        );
        let traceback = self.vm.state().traceback(thread, 0);
        Error::internal(message).with_stack(Stack::new(traceback))
    }

    fn out_of_memory(&self) -> Exit {
        let program = &self.vm.core().program;
        let message = format!(
            "{} needs more than {} bytes of memory (limits.memory_bytes)",
            program.id, program.limits.memory_bytes
        );
        Exit::Limit(Limit::Memory, Error::new(Kind::ResourceExhausted, message))
    }

    fn deadlock(&self) -> Exit {
        let core = self.vm.core();
        let count = core.tasks.borrow().len();
        let message = format!(
            "{}: deadlock: {} waits on a channel that nobody can feed any more",
            core.program.id,
            if count == 1 {
                "the main function".to_owned()
            } else {
                format!("each of {count} threads")
            }
        );
        Exit::Failed(Error::internal(message).with_stack(Stack::new(self.stacks())))
    }

    /// The traceback of the main thread.
    fn stacks(&self) -> String {
        let main = self.vm.core().tasks.borrow_mut().thread(TaskId::MAIN);
        main.map(|thread| self.vm.state().traceback(thread, 0)).unwrap_or_default()
    }

    /// Gives results of calls to their futures.
    #[allow(unsafe_code)]
    fn settle_calls(&self, poller: &mut Poller<'_>) {
        let core = self.vm.core();
        let next = |poller: &mut Poller<'_>| core.calls.borrow_mut().take_ended(poller);
        while let Some((number, result)) = next(poller) {
            funcs::settle(self.vm.state(), number, result);
            // SAFETY: the main thread of the VM, in host mode.
            unsafe { core.charge(self.vm.state().raw()) };
        }
    }

    /// Looks at what threads wait for; whether one became ready.
    fn pump(&mut self, poller: &mut Poller<'_>) -> bool {
        self.settle_calls(poller);
        let core = self.vm.core();
        let mut tasks = core.tasks.borrow_mut();
        tasks.poll_operations(poller);
        let lanes = tasks.lanes();
        if lanes != 0
            && let Some(lane) = core.mail.borrow_mut().pump(&core.context, lanes, poller)
        {
            tasks.wake_lanes(lane);
        }
        // Before looking who is ready: a busy thread always is.
        if tasks.next_deadline().is_some() {
            tasks.wake_due(Instant::now());
        }
        if tasks.any_ready() {
            return true;
        }
        while let Some(deadline) = tasks.next_deadline() {
            let now = Instant::now();
            if deadline <= now {
                tasks.wake_due(now);
                return true;
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // An alarm that is too early costs a look; setting it costs more.
            if alarm.deadline() > deadline || alarm.is_elapsed() {
                alarm.as_mut().reset(deadline);
            }
            if alarm.as_mut().poll(poller).is_pending() {
                return false;
            }
        }
        false
    }

    fn advance(&mut self, poller: &mut Poller<'_>) -> Poll<Exit> {
        if self.vm.core().killed.get() {
            poller.waker().wake_by_ref();
            return Poll::Pending;
        }
        // A function that is called runs in what is left of its process's slice.
        let context = &self.vm.core().context;
        let left = context.host().give_way_after().saturating_sub(context.slice_used());
        let _step = preempt::step(left.max(STEP_MIN));
        let mut first = true;
        // Also where threads are ready already: one that is always busy would keep those that
        // wait from ever hearing of anything.
        self.pump(poller);
        loop {
            loop {
                // A result that came in was too large for it.
                if self.vm.core().heap.is_exhausted() {
                    return Poll::Ready(self.out_of_memory());
                }
                if !first && self.vm.core().context.slice_is_over() {
                    poller.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let next = self.vm.core().tasks.borrow_mut().start_next();
                let Some((id, thread)) = next else { break };
                match self.step(id, thread) {
                    // Its own task drops it, and no other thread has a turn.
                    Step::Continue if self.vm.core().upgrading.get() => return Poll::Pending,
                    Step::Continue => first = false,
                    Step::GiveWay | Step::Overdue => {
                        poller.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Step::End(exit) => return Poll::Ready(exit),
                }
            }
            if !self.pump(poller) {
                break;
            }
        }
        let core = self.vm.core();
        if core.tasks.borrow().awaits_outside() || !core.calls.borrow().is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(self.deadlock())
        }
    }
}

impl Future for Driver {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Exit> {
        let polled = self.advance(poller);
        let core = self.vm.core();
        core.context.set_memory_bytes(core.heap.used() as u64);
        polled
    }
}

/// Runs a VM to its end.
pub(crate) fn drive(
    vm: Result<Vm, Error>,
    context: &ProcessContext,
) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
    match vm {
        Ok(vm) => Box::pin(Driver::new(vm)),
        Err(error) => {
            tracing::warn!(pid = %context.pid(), entry = %context.entry(), "cannot start: {error}");
            Box::pin(std::future::ready(Exit::Config(error)))
        }
    }
}
