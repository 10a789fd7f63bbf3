//! The `coroutine` library, and how the runtime's own yields pass through it.
//!
//! When a host function waits, or a time slice ends, the innermost coroutine yields nothing
//! and its core says why (`Core::pause`). `resume` and `wrap` see that and yield in turn, so
//! that the whole chain is suspended; later each link resumes the next one. A script's own
//! yields stop at its own `resume`, as ever.
//!
//! These functions run as Lua's own do, outside of host mode: they call guest code and may
//! raise, and hold no Rust value that needs dropping.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::host_fn::{Answer, host_fn, misuse};
use crate::preempt;
use crate::protected::{overflowed, push_overflow_of};
use crate::state::{State, Type};

/// Makes the library's table on top of the stack.
pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 9);
    state.set_functions(&[
        ("close", close),
        ("create", create),
        ("isyieldable", isyieldable),
        ("resume", resume),
        ("running", running),
        ("spawn", spawn_fn()),
        ("status", status),
        ("wrap", wrap),
        ("yield", yield_),
    ]);
}

/// How `resume` and `wrap` give results back.
const RESUME: isize = 0;
const WRAP: isize = 1;

unsafe extern "C-unwind" fn create(raw: *mut lua_State) -> c_int {
    // SAFETY: this is Lua's own implementation.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TFUNCTION);
        let thread = ffi::lua_newthread(raw);
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_xmove(raw, thread, 1);
    }
    1
}

unsafe extern "C-unwind" fn wrap(raw: *mut lua_State) -> c_int {
    // SAFETY: the closure keeps the thread as its only upvalue.
    unsafe {
        create(raw);
        ffi::lua_pushcclosure(raw, call_wrapped, 1);
    }
    1
}

unsafe extern "C-unwind" fn resume(raw: *mut lua_State) -> c_int {
    // SAFETY: the thread stays in the first slot, also while this is suspended.
    unsafe {
        let thread = check_thread(raw);
        let args = ffi::lua_gettop(raw) - 1;
        let results = start(raw, thread, args);
        finish(raw, thread, results, RESUME)
    }
}

unsafe extern "C-unwind" fn call_wrapped(raw: *mut lua_State) -> c_int {
    // SAFETY: `wrap` set the upvalue.
    unsafe {
        let thread = ffi::lua_tothread(raw, ffi::lua_upvalueindex(1));
        let results = start(raw, thread, ffi::lua_gettop(raw));
        finish(raw, thread, results, WRAP)
    }
}

/// The driver resumes the chain: this link resumes the next one, which takes no values.
unsafe extern "C-unwind" fn continue_(raw: *mut lua_State, _: c_int, how: isize) -> c_int {
    // SAFETY: the stack is as `resume` or `call_wrapped` left it.
    unsafe {
        let thread = match how {
            RESUME => ffi::lua_tothread(raw, 1),
            _ => ffi::lua_tothread(raw, ffi::lua_upvalueindex(1)),
        };
        let results = run(raw, thread, 0);
        finish(raw, thread, results, how)
    }
}

unsafe fn check_thread(raw: *mut lua_State) -> *mut lua_State {
    // SAFETY: raises where there is no thread.
    unsafe {
        let thread = ffi::lua_tothread(raw, 1);
        if thread.is_null() {
            ffi::luaL_argerror(raw, 1, c"coroutine expected".as_ptr());
        }
        thread
    }
}

/// Starts or continues a coroutine on behalf of a script. Gives the number of results, now
/// on the stack of `raw`, or -1 with an error value there.
unsafe fn start(raw: *mut lua_State, thread: *mut lua_State, args: c_int) -> c_int {
    // SAFETY: room is made before values move.
    unsafe {
        if Core::is_paused(thread) {
            return fail(raw, c"cannot resume non-suspended coroutine");
        }
        if ffi::lua_checkstack(thread, args) == 0 {
            return fail(raw, c"too many arguments to resume");
        }
        ffi::lua_xmove(raw, thread, args);
        run(raw, thread, args)
    }
}

unsafe fn run(raw: *mut lua_State, thread: *mut lua_State, args: c_int) -> c_int {
    // SAFETY: room is made before values move. The count of unyielding resumes is set back
    // whatever happens, because a resume does not raise.
    unsafe {
        let core = Core::of(raw);
        let unyielding = u32::from(ffi::lua_isyieldable(raw) == 0);
        core.unyielding.set(core.unyielding.get() + unyielding);
        let mut results = 0;
        let status = core.resume(thread, raw, args, &mut results);
        core.unyielding.set(core.unyielding.get().saturating_sub(unyielding));
        match status {
            ffi::LUA_OK | ffi::LUA_YIELD => {
                if ffi::lua_checkstack(raw, results + 1) == 0 {
                    ffi::lua_settop(thread, -results - 1);
                    return fail(raw, c"too many results to resume");
                }
                ffi::lua_xmove(thread, raw, results);
                results
            }
            status if overflowed(raw, status) => {
                push_overflow_of(raw, thread);
                -1
            }
            _ => {
                ffi::lua_xmove(thread, raw, 1);
                -1
            }
        }
    }
}

unsafe fn fail(raw: *mut lua_State, message: &CStr) -> c_int {
    // SAFETY: pushes one value.
    unsafe { ffi::lua_pushstring(raw, message.as_ptr()) };
    -1
}

/// Passes a pause on, or gives the script its results.
unsafe fn finish(raw: *mut lua_State, thread: *mut lua_State, results: c_int, how: isize) -> c_int {
    // SAFETY: nothing here needs dropping when an error or a yield leaves.
    unsafe {
        let core = Core::of(raw);
        if core.killed.get() {
            // The process is dead: nothing may catch that.
            preempt::arm(raw);
            ffi::lua_pushboolean(raw, 0);
            ffi::lua_error(raw);
        }
        if core.pause.get().is_some() {
            Core::set_paused(raw, true);
            return ffi::lua_yieldk(raw, 0, how, Some(continue_));
        }
        match (how, results) {
            (RESUME, -1) => {
                ffi::lua_pushboolean(raw, 0);
                ffi::lua_insert(raw, -2);
                2
            }
            (RESUME, _) => {
                ffi::lua_pushboolean(raw, 1);
                ffi::lua_insert(raw, -(results + 1));
                results + 1
            }
            (_, -1) => raise_wrapped(raw, thread),
            _ => results,
        }
    }
}

/// As Lua does: a coroutine that failed is closed, and a text gets the position.
unsafe fn raise_wrapped(raw: *mut lua_State, thread: *mut lua_State) -> c_int {
    // SAFETY: this is Lua's own implementation.
    unsafe {
        let status = ffi::lua_status(thread);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            let closed = close_thread(raw, thread);
            if closed != ffi::LUA_OK && !overflowed(raw, closed) {
                ffi::lua_settop(raw, -2);
                ffi::lua_xmove(thread, raw, 1);
            }
        }
        if status != ffi::LUA_ERRMEM && ffi::lua_type(raw, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(raw, 1);
            ffi::lua_insert(raw, -2);
            ffi::lua_concat(raw, 2);
        }
        ffi::lua_error(raw)
    }
}

/// Closes a coroutine, whose pending `<close>` variables run now and cannot wait.
unsafe fn close_thread(raw: *mut lua_State, thread: *mut lua_State) -> c_int {
    // SAFETY: `lua_closethread` catches errors of the guest; the thread that runs is noted
    // for the length of the call.
    unsafe {
        let core = Core::of(raw);
        core.unyielding.set(core.unyielding.get() + 1);
        preempt::clear(thread);
        let outer = preempt::enter(thread);
        let status = ffi::lua_closethread(thread, raw);
        preempt::leave(outer);
        core.unyielding.set(core.unyielding.get().saturating_sub(1));
        if core.killed.get() || core.heap.is_exhausted() {
            preempt::arm(raw);
        }
        status
    }
}

unsafe extern "C-unwind" fn yield_(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own; the root of a task has nobody to yield to.
    unsafe {
        if Core::of(raw).root.get() == raw {
            ffi::luaL_error(raw, c"attempt to yield from outside a coroutine".as_ptr());
        }
        ffi::lua_yield(raw, ffi::lua_gettop(raw))
    }
}

unsafe extern "C-unwind" fn isyieldable(raw: *mut lua_State) -> c_int {
    // SAFETY: reads.
    unsafe {
        let thread = ffi::lua_tothread(raw, 1);
        let thread = if thread.is_null() { raw } else { thread };
        let root = Core::of(raw).root.get() == thread;
        ffi::lua_pushboolean(raw, c_int::from(!root && ffi::lua_isyieldable(thread) != 0));
    }
    1
}

unsafe extern "C-unwind" fn running(raw: *mut lua_State) -> c_int {
    // SAFETY: pushes two values.
    unsafe {
        ffi::lua_pushthread(raw);
        ffi::lua_pushboolean(raw, c_int::from(Core::of(raw).root.get() == raw));
    }
    2
}

unsafe fn status_of(raw: *mut lua_State, thread: *mut lua_State) -> &'static CStr {
    // SAFETY: reads, as Lua's own implementation does.
    unsafe {
        if raw == thread {
            return c"running";
        }
        if Core::is_paused(thread) {
            return c"normal";
        }
        match ffi::lua_status(thread) {
            ffi::LUA_YIELD => c"suspended",
            ffi::LUA_OK => {
                let mut activation: ffi::lua_Debug = std::mem::zeroed();
                if ffi::lua_getstack(thread, 0, &raw mut activation) != 0 {
                    c"normal"
                } else if ffi::lua_gettop(thread) == 0 {
                    c"dead"
                } else {
                    c"suspended"
                }
            }
            _ => c"dead",
        }
    }
}

unsafe extern "C-unwind" fn status(raw: *mut lua_State) -> c_int {
    // SAFETY: reads and pushes one value.
    unsafe {
        let thread = check_thread(raw);
        ffi::lua_pushstring(raw, status_of(raw, thread).as_ptr());
    }
    1
}

unsafe extern "C-unwind" fn close(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation.
    unsafe {
        let thread = check_thread(raw);
        let status = status_of(raw, thread);
        if status != c"suspended" && status != c"dead" {
            return ffi::luaL_error(raw, c"cannot close a %s coroutine".as_ptr(), status.as_ptr());
        }
        match close_thread(raw, thread) {
            ffi::LUA_OK => {
                ffi::lua_pushboolean(raw, 1);
                1
            }
            closed => {
                ffi::lua_pushboolean(raw, 0);
                if overflowed(raw, closed) {
                    ffi::lua_pushstring(raw, c"stack overflow".as_ptr());
                } else {
                    ffi::lua_xmove(thread, raw, 1);
                }
                2
            }
        }
    }
}

/// `coroutine.spawn(f, ...)`: a Lua thread that the driver runs beside the others.
fn spawn_fn() -> ffi::lua_CFunction {
    host_fn(|state, _| {
        if state.type_of(1) != Type::Function {
            return Err(misuse(
                state,
                format_args!("coroutine.spawn takes a function, got {}", state.type_name(1)),
            ));
        }
        let args = state.top();
        // SAFETY: the new thread is anchored before anything else happens to the VM; it has
        // room for the values that move.
        let thread = unsafe {
            let thread = ffi::lua_newthread(state.raw());
            state.push_copy(-1);
            crate::vm::anchor(state, thread);
            if ffi::lua_checkstack(thread, args) == 0 {
                crate::vm::let_go(state, thread);
                return Err(misuse(state, "too many arguments to coroutine.spawn"));
            }
            for index in 1..=args {
                ffi::lua_pushvalue(state.raw(), index);
                ffi::lua_xmove(state.raw(), thread, 1);
            }
            thread
        };
        state.core().tasks.borrow_mut().add(thread);
        Ok(Answer::Values(0))
    })
}
