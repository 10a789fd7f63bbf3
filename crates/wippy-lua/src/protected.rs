//! `pcall` and `xpcall`, and what a script hears when its stack is full.
//!
//! A stack that may not grow (`heap.rs`) is an error of memory to Lua, which has no position
//! and calls no message handler. To the script it is a stack overflow like any other: it has
//! the position of the protected call, and the handler is called after the stack is unwound.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_Debug, lua_State};

use crate::core::Core;

/// As Lua's own.
pub(crate) unsafe extern "C-unwind" fn pcall(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation.
    unsafe {
        ffi::luaL_checkany(raw, 1);
        // The first result, below the function.
        ffi::lua_pushboolean(raw, 1);
        ffi::lua_insert(raw, 1);
        let args = ffi::lua_gettop(raw) - 2;
        let status = ffi::lua_pcallk(raw, args, ffi::LUA_MULTRET, 0, 0, Some(pcalled));
        pcalled(raw, status, 0)
    }
}

unsafe extern "C-unwind" fn pcalled(raw: *mut lua_State, status: c_int, _: isize) -> c_int {
    // SAFETY: the stack is as `pcall` left it, the results or the error above.
    unsafe {
        if status == ffi::LUA_OK || status == ffi::LUA_YIELD {
            return ffi::lua_gettop(raw);
        }
        if overflowed(raw, status) {
            push_overflow(raw);
        }
        failed(raw)
    }
}

/// `false` and the value on top.
unsafe fn failed(raw: *mut lua_State) -> c_int {
    // SAFETY: there is room for what was called.
    unsafe {
        ffi::lua_pushboolean(raw, 0);
        ffi::lua_pushvalue(raw, -2);
    }
    2
}

/// Whether an error of memory was a stack that may not grow.
///
/// # Safety
///
/// `raw` is a live thread of a VM of this crate.
pub(crate) unsafe fn overflowed(raw: *mut lua_State, status: c_int) -> bool {
    // SAFETY: as the caller says.
    status == ffi::LUA_ERRMEM && !unsafe { Core::of(raw) }.heap.is_refused()
}

/// Pushes the text of an overflow, with the position of whoever called the function of C
/// that runs.
///
/// # Safety
///
/// `raw` is the thread that runs, with room for three values.
pub(crate) unsafe fn push_overflow(raw: *mut lua_State) {
    // SAFETY: as the caller says; nothing needs dropping when memory runs out.
    unsafe {
        ffi::luaL_where(raw, 1);
        ffi::lua_pushstring(raw, c"stack overflow".as_ptr());
        ffi::lua_concat(raw, 2);
    }
}

/// Pushes the text of an overflow that ended `thread`, with the position where it did.
///
/// # Safety
///
/// As [`push_overflow`]; `thread` is a thread of the same VM that failed.
pub(crate) unsafe fn push_overflow_of(raw: *mut lua_State, thread: *mut lua_State) {
    // SAFETY: reads the activations of a thread that nobody runs.
    unsafe {
        let mut activation: lua_Debug = std::mem::zeroed();
        for level in 0..3 {
            if ffi::lua_getstack(thread, level, &raw mut activation) != 0
                && ffi::lua_getinfo(thread, c"Sl".as_ptr(), &raw mut activation) != 0
                && activation.currentline > 0
            {
                ffi::lua_pushfstring(
                    raw,
                    c"%s:%d: stack overflow".as_ptr(),
                    activation.short_src.as_ptr(),
                    activation.currentline,
                );
                return;
            }
        }
        ffi::lua_pushstring(raw, c"stack overflow".as_ptr());
    }
}

/// As Lua's own, but that a message handler is not called once the process is dead: the
/// error may come from the hook of `preempt.rs`, and hooks are off until it is caught, so
/// that nothing would interrupt the handler.
pub(crate) unsafe extern "C-unwind" fn xpcall(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation; the handler becomes the upvalue of `handle`.
    unsafe {
        let args = ffi::lua_gettop(raw) - 2;
        ffi::luaL_checktype(raw, 2, ffi::LUA_TFUNCTION);
        ffi::lua_pushvalue(raw, 2);
        ffi::lua_pushcclosure(raw, handle, 1);
        ffi::lua_copy(raw, -1, 2);
        ffi::lua_settop(raw, -2);
        // The first result, and the function, below its arguments.
        ffi::lua_pushboolean(raw, 1);
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_rotate(raw, 3, 2);
        let status = ffi::lua_pcallk(raw, args, ffi::LUA_MULTRET, 2, 0, Some(xpcalled));
        xpcalled(raw, status, 0)
    }
}

unsafe extern "C-unwind" fn xpcalled(raw: *mut lua_State, status: c_int, _: isize) -> c_int {
    // SAFETY: the stack is as `xpcall` left it, the results or the error above.
    unsafe {
        if status == ffi::LUA_OK || status == ffi::LUA_YIELD {
            return ffi::lua_gettop(raw) - 2;
        }
        if overflowed(raw, status) {
            // Lua has called no handler.
            ffi::lua_pushvalue(raw, 2);
            push_overflow(raw);
            let status = ffi::lua_pcallk(raw, 1, 1, 0, 0, Some(handled));
            return handled(raw, status, 0);
        }
        failed(raw)
    }
}

unsafe extern "C-unwind" fn handled(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: what the handler gave, or its own error, is on top.
    unsafe { failed(raw) }
}

/// The message handler around that of the script.
unsafe extern "C-unwind" fn handle(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it with the error; nothing needs dropping when the handler raises.
    unsafe {
        ffi::lua_settop(raw, 1);
        let core = Core::of(raw);
        if !core.killed.get() && !core.heap.is_exhausted() {
            ffi::lua_pushvalue(raw, ffi::lua_upvalueindex(1));
            ffi::lua_insert(raw, 1);
            ffi::lua_callk(raw, 1, 1, 0, None);
        }
    }
    1
}
