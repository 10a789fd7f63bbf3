//! Taking the processor from a busy script.
//!
//! A hook that is always on slows Lua down two to three times. Here a script runs without
//! one. Each step of a process stamps its system thread with a deadline; a watcher thread
//! looks at the stamps every millisecond and signals a thread that is late; the signal's
//! handler, which runs on that very thread, sets a hook on the Lua thread that runs there
//! (`lua_sethook` is made for that); and the hook yields. Where a script cannot yield, as in
//! a comparison of `table.sort`, the hook comes back later, and only ends what must end.
//!
//! Rules:
//!
//! 1. `RUNNING` names the Lua thread that runs on this system thread. Only [`enter`] and
//!    [`leave`] write it, around each resume, so that the handler never sees a dead one.
//! 2. The hook stays set when it yields and is removed before the next resume: removing it
//!    first would make Lua forget that an instruction is to be repeated.
//! 3. The handler reads `RUNNING` and sets the hook, and does nothing else.
//!
//! The stamps and the watcher belong to the program and not to a node, because signals do.
//! The watcher sleeps while no stamp is set. Code of C runs no instruction and is not
//! interrupted: what takes long there looks at the clock itself (`budget.rs`).

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use mlua::ffi::{self, lua_Debug, lua_State};
use parking_lot::Mutex;

use crate::core::{Core, Pause};

/// How often the watcher looks.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a stamp after which the watcher sleeps.
const IDLE_TICKS: u32 = 20;
/// Instructions until the hook looks again where it could not yield.
const RETRY_INSTRUCTIONS: c_int = 10_000;
/// The same inside the runtime's own Lua code, which is soon left.
const RETRY_OWN_INSTRUCTIONS: c_int = 100;
/// How long a function of C may take before it counts as stuck.
const STUCK: Duration = Duration::from_millis(50);

/// Ignored by default, and used for this by other runtimes too.
const SIGNAL: c_int = libc::SIGURG;

/// The name of the runtime's own Lua code. Names of entries begin with `@`, and `load` refuses
/// this one, so that no script can pass for it.
pub(crate) const OWN_CODE: &CStr = c"=channel";

thread_local! {
    static RUNNING: Cell<*mut lua_State> = const { Cell::new(ptr::null_mut()) };
    static STAMP: Guard = Guard::register();
}

/// One system thread that runs scripts.
struct Stamp {
    thread: libc::pthread_t,
    /// Ticks until the next signal of this step; doubled at each, because setting the hook
    /// takes time where calls nest deeply, and one signal is usually enough. The watcher's
    /// alone, but for the start of a step.
    wait_ticks: AtomicU64,
    /// Nanoseconds since the watcher's zero after which the thread is late; 0 while it runs
    /// no script. `Relaxed`: a late or early look costs a tick.
    deadline_ns: AtomicU64,
}

struct Watcher {
    zero: Instant,
    stamps: Mutex<Vec<Arc<Stamp>>>,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Takes the stamp back when its thread ends, so that no signal goes to a thread that is
/// no more.
struct Guard(Arc<Stamp>);

impl Guard {
    fn register() -> Self {
        // SAFETY: names the calling thread.
        let thread = unsafe { libc::pthread_self() };
        let stamp = Arc::new(Stamp {
            thread,
            wait_ticks: AtomicU64::new(1),
            deadline_ns: AtomicU64::new(0),
        });
        watcher().stamps.lock().push(stamp.clone());
        Self(stamp)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        watcher().stamps.lock().retain(|stamp| !Arc::ptr_eq(stamp, &self.0));
    }
}

/// Takes the stamp of a step back: Drop sets the deadline of the step around it, if any.
pub(crate) struct StepGuard {
    before_ns: u64,
}

impl Drop for StepGuard {
    fn drop(&mut self) {
        let _ = STAMP.try_with(|stamp| {
            stamp.0.deadline_ns.store(self.before_ns, Ordering::Relaxed);
        });
    }
}

/// Says that this thread begins a step that shall give way after `slice`.
pub(crate) fn step(slice: Duration) -> StepGuard {
    let watcher = watcher();
    let deadline = watcher.zero.elapsed() + slice;
    let deadline_ns = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
    let before_ns = STAMP.try_with(|stamp| {
        stamp.0.wait_ticks.store(1, Ordering::Relaxed);
        stamp.0.deadline_ns.swap(deadline_ns, Ordering::Relaxed)
    });
    if watcher.asleep.load(Ordering::Relaxed)
        && watcher.asleep.swap(false, Ordering::AcqRel)
        && let Some(thread) = watcher.thread.get()
    {
        thread.unpark();
    }
    StepGuard { before_ns: before_ns.unwrap_or(0) }
}

/// Notes the Lua thread that is about to run; returns the one that ran before.
pub(crate) fn enter(thread: *mut lua_State) -> *mut lua_State {
    RUNNING.with(|running| running.replace(thread))
}

/// Notes that the Lua thread before runs again.
pub(crate) fn leave(before: *mut lua_State) {
    RUNNING.with(|running| running.set(before));
}

/// Sets the hook on a thread.
///
/// # Safety
///
/// `thread` is a live thread of a VM of this crate.
pub(crate) unsafe fn arm(thread: *mut lua_State) {
    // SAFETY: sets fields of the thread only.
    unsafe { ffi::lua_sethook(thread, Some(hook), ffi::LUA_MASKCOUNT, 1) }
}

/// Sets the hook on the thread that runs here, if one does.
pub(crate) fn arm_running() {
    let running = RUNNING.with(Cell::get);
    if !running.is_null() {
        // SAFETY: `enter` and `leave` keep it live.
        unsafe { arm(running) }
    }
}

/// Whether no instruction has run here for a while although the slice is over: some function
/// of C is busy. For what such a function asks of us.
pub(crate) fn is_stuck() -> bool {
    let running = RUNNING.with(Cell::get);
    if running.is_null() {
        return false;
    }
    // SAFETY: `enter` and `leave` keep it live; this reads fields of the thread only.
    unsafe {
        let core = Core::of(running);
        let waits = ffi::lua_gethookmask(running) != 0 && ffi::lua_gethookcount(running) == 1;
        waits && core.context.slice_used().saturating_sub(core.hooked_at.get()) > STUCK
    }
}

/// Removes the hook from a thread.
///
/// # Safety
///
/// As [`arm`].
pub(crate) unsafe fn clear(thread: *mut lua_State) {
    // SAFETY: reads and sets fields of the thread only.
    unsafe {
        if ffi::lua_gethookmask(thread) != 0 {
            ffi::lua_sethook(thread, None, 0, 0);
        }
    }
}

/// Runs between two instructions of a script that is late or dead.
unsafe extern "C-unwind" fn hook(raw: *mut lua_State, activation: *mut lua_Debug) {
    // SAFETY: Lua calls it with the thread that runs; nothing here needs dropping when an
    // error leaves.
    unsafe {
        let core = Core::of(raw);
        core.hooked_at.set(core.context.slice_used());
        let in_own_code = in_own_code(raw, activation);
        let gives_way = core.can_wait(raw) && !in_own_code;
        // Where it gives way, the kernel ends it between two polls.
        if !gives_way && core.is_done_for() {
            core.killed.set(true);
        }
        if core.killed.get() || core.heap.is_exhausted() {
            die(raw);
        } else if !core.context.slice_is_over() {
            ffi::lua_sethook(raw, None, 0, 0);
        } else if in_own_code {
            ffi::lua_sethook(raw, Some(hook), ffi::LUA_MASKCOUNT, RETRY_OWN_INSTRUCTIONS);
        } else if gives_way {
            core.pause.set(Some(Pause::Slice));
            Core::set_paused(raw, true);
            ffi::lua_yield(raw, 0);
        } else {
            ffi::lua_sethook(raw, Some(hook), ffi::LUA_MASKCOUNT, RETRY_INSTRUCTIONS);
        }
    }
}

/// Unwinds a script whose process is dead.
///
/// # Safety
///
/// `raw` is the thread that runs. Nothing that needs dropping is lost by an error.
pub(crate) unsafe fn die(raw: *mut lua_State) -> ! {
    // SAFETY: as the caller says.
    unsafe {
        // Before it raises: no message handler of the script may run now, see `xpcall`.
        Core::of(raw).killed.set(true);
        // Again at the next instruction, should the script catch it.
        arm(raw);
        ffi::lua_pushboolean(raw, 0);
        ffi::lua_error(raw);
    }
}

/// Whether the runtime's own Lua code runs, in which no thread gives way: a channel looks
/// for a partner and then queues, and nobody may come between the two. Scripts cannot reach
/// what that code works on, so its loops are as long as its queues, and it is soon left; the
/// end of the process does not wait for it.
unsafe fn in_own_code(raw: *mut lua_State, activation: *mut lua_Debug) -> bool {
    // SAFETY: Lua handed the activation to the hook; its source is a text of the function.
    unsafe {
        ffi::lua_getinfo(raw, c"S".as_ptr(), activation) != 0
            && CStr::from_ptr((*activation).source) == OWN_CODE
    }
}

extern "C" fn on_signal(_: c_int) {
    arm_running();
}

fn watcher() -> &'static Watcher {
    static WATCHER: OnceLock<Watcher> = OnceLock::new();
    let mut made = false;
    let watcher = WATCHER.get_or_init(|| {
        made = true;
        Watcher {
            zero: Instant::now(),
            stamps: Mutex::new(Vec::new()),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    });
    if made {
        install_handler();
        // Without the thread, scripts run unwatched: their limits still hold.
        match thread::Builder::new().name("lua-slices".into()).spawn(move || watch(watcher)) {
            Ok(handle) => drop(watcher.thread.set(handle.thread().clone())),
            Err(error) => tracing::error!("busy Lua scripts will not give way: {error}"),
        }
    }
    watcher
}

fn install_handler() {
    // SAFETY: the handler touches a thread-local without a destructor and one Lua thread;
    // an interrupted system call starts again.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(SIGNAL, &raw const action, ptr::null_mut());
    }
}

fn watch(watcher: &Watcher) {
    let mut idle = 0;
    loop {
        thread::sleep(TICK);
        let now_ns = u64::try_from(watcher.zero.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut busy = false;
        // Held while signalling: a thread that ends waits here, so it is alive.
        for stamp in &*watcher.stamps.lock() {
            let deadline_ns = stamp.deadline_ns.load(Ordering::Relaxed);
            busy |= deadline_ns != 0;
            if deadline_ns != 0 && deadline_ns <= now_ns {
                let ticks = stamp.wait_ticks.load(Ordering::Relaxed).saturating_mul(2).min(1024);
                stamp.wait_ticks.store(ticks, Ordering::Relaxed);
                let next_ns = now_ns.saturating_add(ticks * TICK.as_nanos() as u64);
                // Another step may have begun meanwhile; its deadline stands.
                let late = stamp.deadline_ns.compare_exchange(
                    deadline_ns,
                    next_ns,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if late.is_err() {
                    continue;
                }
                // SAFETY: see above.
                unsafe {
                    libc::pthread_kill(stamp.thread, SIGNAL);
                }
            }
        }
        idle = if busy { 0 } else { idle + 1 };
        if idle >= IDLE_TICKS {
            idle = 0;
            watcher.asleep.store(true, Ordering::Release);
            while watcher.asleep.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}
