//! `load`: text alone, and only as much of it as compiles in a quarter of a second.
//!
//! The compiler is C and runs no instruction. It is fed small pieces, and between them this
//! looks whether the process is to end and how long compiling has taken: a text can be made
//! so that each further byte takes longer.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::time::Duration;

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::preempt;

/// Processor time that compiling one text may take.
const COMPILE_MAX: Duration = Duration::from_millis(250);

const PIECE_BYTES: usize = 1 << 10;

/// The slot of the text that is being fed.
const PIECE: c_int = 5;

/// What the compiler is fed from. Plain data: errors may leave at any time.
struct Feed {
    left: *const c_char,
    left_bytes: usize,
    /// Whether the first argument is a function that gives the text in parts.
    from_function: bool,
    begun: Duration,
}

/// `load(chunk, [name], [mode], [env])`; the mode is "t" whatever is asked for.
pub(crate) unsafe extern "C-unwind" fn load(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation; the feed outlives the compiler.
    unsafe {
        let has_env = ffi::lua_type(raw, 4) != ffi::LUA_TNONE;
        let mut left_bytes = 0;
        let left = ffi::lua_tolstring(raw, 1, &raw mut left_bytes);
        let from_function = left.is_null();
        let default = if from_function { c"=(load)".as_ptr() } else { left };
        let name = ffi::luaL_optlstring(raw, 2, default, ptr::null_mut());
        ffi::luaL_optlstring(raw, 3, c"t".as_ptr(), ptr::null_mut());
        if CStr::from_ptr(name) == preempt::OWN_CODE {
            return ffi::luaL_error(raw, c"load: the chunk name '%s' is taken".as_ptr(), name);
        }
        if from_function {
            ffi::luaL_checktype(raw, 1, ffi::LUA_TFUNCTION);
        }
        ffi::lua_settop(raw, PIECE);
        let mut feed = Feed { left, left_bytes, from_function, begun: processor_time() };
        let data = (&raw mut feed).cast::<c_void>();
        if ffi::lua_load(raw, read, data, name, c"t".as_ptr()) != ffi::LUA_OK {
            ffi::lua_pushnil(raw);
            ffi::lua_insert(raw, -2);
            return 2;
        }
        if has_env {
            ffi::lua_pushvalue(raw, 4);
            if ffi::lua_setupvalue(raw, -2, 1).is_null() {
                ffi::lua_settop(raw, -2);
            }
        }
    }
    1
}

unsafe extern "C-unwind" fn read(
    raw: *mut lua_State,
    data: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load` handed the feed, which nobody else uses; what raises here is caught by
    // `lua_load`.
    unsafe {
        let feed = data.cast::<Feed>();
        let core = Core::of(raw);
        let now = processor_time();
        if core.killed.get() || core.is_done_for() {
            preempt::die(raw);
        }
        if now.saturating_sub((*feed).begun) > COMPILE_MAX {
            ffi::luaL_error(raw, c"load: compiling the text takes too long".as_ptr());
        }
        if (*feed).left_bytes == 0 && (*feed).from_function {
            next_part(raw, feed);
            // That took the script's own time.
            (*feed).begun += processor_time().saturating_sub(now);
        }
        let piece = (*feed).left;
        *size = (*feed).left_bytes.min(PIECE_BYTES);
        (*feed).left = piece.add(*size);
        (*feed).left_bytes -= *size;
        if *size == 0 { ptr::null() } else { piece }
    }
}

/// Asks the script's function for the next part, which stands in its slot until the next.
unsafe fn next_part(raw: *mut lua_State, feed: *mut Feed) {
    // SAFETY: as `read`.
    unsafe {
        ffi::luaL_checkstack(raw, 2, c"too many nested functions".as_ptr());
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_callk(raw, 0, 1, 0, None);
        if ffi::lua_type(raw, -1) == ffi::LUA_TNIL {
            (*feed).from_function = false;
            ffi::lua_settop(raw, -2);
            return;
        }
        if ffi::lua_isstring(raw, -1) == 0 {
            ffi::luaL_error(raw, c"reader function must return a string".as_ptr());
        }
        ffi::lua_replace(raw, PIECE);
        let mut len = 0;
        (*feed).left = ffi::lua_tolstring(raw, PIECE, &raw mut len);
        (*feed).left_bytes = len;
        // An empty part ends the text.
        (*feed).from_function = len > 0;
    }
}

/// Processor time that this thread of the system has used. Not wall time: a loaded machine
/// must not make a text invalid.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let (seconds, ns) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), ns.unwrap_or(0))
}
