//! What a VM knows beside Lua: its memory account, its threads, its mail, its process.
//!
//! Every Lua thread of the VM carries the address of its core in the extra space before its
//! state. The lowest bit of that space says that the thread is *paused*: suspended by the
//! runtime and not by the script, so that scripts may neither resume nor close it. (Lua
//! copies the space from the main thread, which never pauses, so new threads start clear.)
//!
//! The core is shared by reference among host functions and the driver, never across
//! threads of the system at once; hence cells.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use mlua::ffi::{self, lua_State};
use tokio::time::Instant;
use wippy_kernel::ProcessContext;
use wippy_model::{Error, Pid};

use crate::calls::Calls;
use crate::heap::Heap;
use crate::mail::Mail;
use crate::modules::io::Input;
use crate::output::Output;
use crate::preempt;
use crate::program::Program;
use crate::tasks::{Deliver, Tasks, Want};

/// Why a thread yielded to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It waits.
    Wait,
    /// Its time slice is over.
    Slice,
}

/// What a VM knows beside Lua.
pub(crate) struct Core {
    pub(crate) heap: Heap,
    pub(crate) program: Arc<Program>,
    pub(crate) context: ProcessContext,
    pub(crate) tasks: RefCell<Tasks>,
    pub(crate) mail: RefCell<Mail>,
    /// What `funcs.async` has begun.
    pub(crate) calls: RefCell<Calls>,
    pub(crate) output: RefCell<Output>,
    pub(crate) input: Input,
    /// Whether the process is to go on as another instance: nothing runs here any more.
    pub(crate) upgrading: Cell<bool>,
    /// The last sender, and its text.
    pub(crate) last_pid: RefCell<Option<(Pid, Box<str>)>>,
    /// Why the last resume of a thread came back before its end, if it did.
    pub(crate) pause: Cell<Option<Pause>>,
    /// Resumes under way around which nothing can wait.
    pub(crate) unyielding: Cell<u32>,
    /// Whether everything must unwind: the process is dead and only its stack is not.
    pub(crate) killed: Cell<bool>,
    /// When in the slice the hook ran last.
    pub(crate) hooked_at: Cell<Duration>,
    /// The root of the running thread.
    pub(crate) root: Cell<*mut lua_State>,
    panic: RefCell<Option<Box<str>>>,
    /// Why the entry cannot run as it is written.
    misfit: RefCell<Option<Error>>,
    started: Instant,
}

const PAUSED: usize = 1;

impl Core {
    pub(crate) fn new(program: Arc<Program>, context: ProcessContext, output: Output) -> Self {
        let limits = &program.limits;
        Self {
            heap: Heap::new(usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX)),
            tasks: RefCell::default(),
            mail: RefCell::new(Mail::new(limits.mailbox)),
            calls: RefCell::default(),
            output: RefCell::new(output),
            input: Input::default(),
            upgrading: Cell::new(false),
            last_pid: RefCell::new(None),
            pause: Cell::new(None),
            unyielding: Cell::new(0),
            killed: Cell::new(false),
            hooked_at: Cell::default(),
            root: Cell::new(ptr::null_mut()),
            panic: RefCell::new(None),
            misfit: RefCell::new(None),
            started: Instant::now(),
            program,
            context,
        }
    }

    /// Writes the core's address into the main thread, before there is any other.
    ///
    /// # Safety
    ///
    /// `main` is the main thread of a new VM; the core outlives it and does not move.
    pub(crate) unsafe fn attach(&self, main: *mut lua_State) {
        // SAFETY: the extra space holds one pointer and is ours.
        unsafe { ffi::lua_getextraspace(main).cast::<usize>().write(ptr::from_ref(self).addr()) };
        // The pointer is made from an address again in `of`.
        ptr::from_ref(self).expose_provenance();
    }

    /// The core of a thread.
    ///
    /// # Safety
    ///
    /// `thread` is a live thread of a VM of this crate.
    pub(crate) unsafe fn of<'a>(thread: *mut lua_State) -> &'a Self {
        // SAFETY: `attach` wrote the address, whose core lives as long as the VM.
        unsafe {
            let space = ffi::lua_getextraspace(thread).cast::<usize>().read();
            &*ptr::with_exposed_provenance::<Self>(space & !PAUSED)
        }
    }

    /// Marks a thread as suspended by the runtime, or not.
    ///
    /// # Safety
    ///
    /// As [`Core::of`].
    pub(crate) unsafe fn set_paused(thread: *mut lua_State, paused: bool) {
        // SAFETY: the extra space is ours; the core's alignment leaves the bit free.
        unsafe {
            let space = ffi::lua_getextraspace(thread).cast::<usize>();
            space.write(space.read() & !PAUSED | usize::from(paused));
        }
    }

    /// Whether a thread is suspended by the runtime.
    ///
    /// # Safety
    ///
    /// As [`Core::of`].
    pub(crate) unsafe fn is_paused(thread: *mut lua_State) -> bool {
        // SAFETY: the extra space is ours.
        unsafe { ffi::lua_getextraspace(thread).cast::<usize>().read() & PAUSED != 0 }
    }

    /// Whether a wait of this thread can reach the driver.
    ///
    /// # Safety
    ///
    /// As [`Core::of`].
    pub(crate) unsafe fn can_wait(&self, thread: *mut lua_State) -> bool {
        // SAFETY: reads.
        self.unyielding.get() == 0 && unsafe { ffi::lua_isyieldable(thread) != 0 }
    }

    /// Runs a thread until it ends, yields or fails, in guest mode.
    ///
    /// # Safety
    ///
    /// `thread` is a live thread of this VM with `args` values on top, and `from` the one
    /// that runs now, or null. No Rust value that needs dropping may be lost by an error
    /// that leaves the caller afterwards.
    pub(crate) unsafe fn resume(
        &self,
        thread: *mut lua_State,
        from: *mut lua_State,
        args: c_int,
        results: &mut c_int,
    ) -> c_int {
        // SAFETY: `lua_resume` catches every error of the guest.
        unsafe {
            let was_paused = Self::is_paused(thread);
            Self::set_paused(thread, false);
            self.pause.set(None);
            let before = self.heap.host_mode(false);
            preempt::clear(thread);
            let outer = preempt::enter(thread);
            if self.killed.get() {
                preempt::arm(thread);
            }
            let status = ffi::lua_resume(thread, from, args, results);
            preempt::leave(outer);
            if status != ffi::LUA_YIELD && !from.is_null() && ffi::lua_gethookmask(thread) != 0 {
                // The signal came when this thread was about to end: it is for the next.
                preempt::arm(from);
            }
            if status != ffi::LUA_YIELD && ffi::lua_status(thread) == ffi::LUA_YIELD {
                // It was not resumed at all, for want of stack: it is as it was.
                Self::set_paused(thread, was_paused);
            }
            self.heap.host_mode(before);
            self.heap.settle();
            if from.is_null() {
                self.charge(thread);
            }
            if self.heap.is_exhausted() {
                self.killed.set(true);
            }
            status
        }
    }

    /// Makes the guest pay for what the host has allocated for it: where that is too much
    /// even without garbage, the process ends. The guest may allocate nothing itself, so
    /// its own next request is no place for this.
    ///
    /// # Safety
    ///
    /// `thread` is a live thread of this VM, in host mode.
    pub(crate) unsafe fn charge(&self, thread: *mut lua_State) {
        if !self.heap.is_over() || self.heap.is_exhausted() {
            return;
        }
        // SAFETY: scripts have no finalizers, so that collecting runs none of their code.
        unsafe {
            ffi::lua_gc(thread, ffi::LUA_GCCOLLECT);
            if self.heap.is_over() {
                self.heap.exhaust();
                preempt::arm(thread);
            }
        }
    }

    /// Says what the running thread waits for.
    pub(crate) fn want(&self, want: Want) {
        self.tasks.borrow_mut().want(want);
    }

    /// Takes back what the running thread said it waits for.
    pub(crate) fn forget_wait(&self) {
        self.want(Want::default());
    }

    /// What the running thread's operation gave.
    pub(crate) fn take_delivery(&self) -> Option<Deliver> {
        self.tasks.borrow_mut().take_delivery()
    }

    /// Whether the process was told to end, or has lived too long.
    pub(crate) fn is_done_for(&self) -> bool {
        self.context.must_end() || self.context.is_overdue()
    }

    /// Nanoseconds since the process began, on the clock that timers use.
    pub(crate) fn now_ns(&self) -> i64 {
        ns(Instant::now().saturating_duration_since(self.started))
    }

    /// The instant of [`Core::now_ns`].
    pub(crate) fn instant(&self, at_ns: i64) -> Instant {
        let since = Duration::from_nanos(u64::try_from(at_ns).unwrap_or(0));
        // Far beyond any clock: wait as long as can be said.
        self.started
            .checked_add(since)
            .unwrap_or_else(|| self.started + Duration::from_secs(u64::from(u32::MAX)))
    }

    /// Keeps why the entry cannot run as it is written.
    pub(crate) fn note_misfit(&self, error: Error) {
        *self.misfit.borrow_mut() = Some(error);
    }

    /// Why the entry cannot run as it is written, if it cannot.
    pub(crate) fn take_misfit(&self) -> Option<Error> {
        self.misfit.borrow_mut().take()
    }

    /// Keeps the text of a panic of the runtime.
    pub(crate) fn note_panic(&self, text: &str) {
        self.killed.set(true);
        *self.panic.borrow_mut() = Some(text.into());
    }

    /// The text of a panic of the runtime, if there was one.
    pub(crate) fn take_panic(&self) -> Option<Box<str>> {
        self.panic.borrow_mut().take()
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
