//! The runtime's own Lua code for what may take long (`long.lua`): loaded when a process
//! first needs it, and called in place of a function of C.
//!
//! Other than the code of channels it gives way like a script's. Scripts reach it only
//! through the functions of `bounded.rs`, which check the arguments.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use mlua::ffi::{self, lua_Debug, lua_State};

use crate::core::Core;
use crate::host_fn::{Answer, host_fn};
use crate::protected::{overflowed, push_overflow};
use crate::sort::sort_range;
use crate::state::{Key, State, Type};
use crate::vm::Compiler;

const SOURCE: &str = include_str!("long.lua");
/// The name of all of this code.
pub(crate) const NAME: &CStr = c"=library";

/// Steps of the collector between two instructions.
const COLLECTOR_STEPS: usize = 8;

/// The table that the code returns.
static LONG: Key = Key::new();

fn bytecode() -> &'static [u8] {
    static BYTECODE: OnceLock<Vec<u8>> = OnceLock::new();
    BYTECODE.get_or_init(|| {
        Compiler::new().compile(SOURCE.as_bytes(), NAME).unwrap_or_else(|message| {
            // A test runs it; without it the functions fail.
            tracing::error!("long.lua does not compile: {message}");
            Vec::new()
        })
    })
}

/// Calls a function of the code with the `args` values on top, which may wait, and returns
/// its results to Lua. Those of our functions that themselves do what a script may have
/// done wrong are called `as_c`: the position in our code is taken off the error.
///
/// # Safety
///
/// `raw` is the thread that runs. Nothing that needs dropping is lost by an error or a yield.
pub(crate) unsafe fn call(raw: *mut lua_State, name: &str, args: c_int, as_c: bool) -> c_int {
    // SAFETY: as the caller says.
    unsafe { call_of(raw, &LONG, make, name, args, as_c) }
}

/// As [`call`], of other code of the runtime: `make` pushes the table that it returns.
///
/// # Safety
///
/// As [`call`].
pub(crate) unsafe fn call_of(
    raw: *mut lua_State,
    key: &'static Key,
    make: fn(State<'_>),
    name: &str,
    args: c_int,
    as_c: bool,
) -> c_int {
    // SAFETY: as the caller says; the state is gone before the call.
    unsafe {
        let core = Core::of(raw);
        let before = core.heap.host_mode(true);
        let state = State::new(raw);
        state.get_or_make(key, make);
        state.get_field(-1, name);
        state.insert(-(args + 2));
        state.pop(1);
        core.charge(raw);
        core.heap.host_mode(before);
        let below = (ffi::lua_gettop(raw) - args - 1) as isize;
        let mut status = ffi::LUA_OK;
        if as_c {
            status = ffi::lua_pcallk(raw, args, ffi::LUA_MULTRET, 0, below, Some(returned));
        } else {
            ffi::lua_callk(raw, args, ffi::LUA_MULTRET, below, Some(returned));
        }
        returned(raw, status, below)
    }
}

/// The results, or the error, stand above what was below the function.
unsafe extern "C-unwind" fn returned(raw: *mut lua_State, status: c_int, below: isize) -> c_int {
    // SAFETY: reads the stack, or raises what is on top.
    unsafe {
        if status == ffi::LUA_OK || status == ffi::LUA_YIELD {
            return ffi::lua_gettop(raw) - c_int::try_from(below).unwrap_or(0);
        }
        if overflowed(raw, status) {
            push_overflow(raw);
        } else if ffi::lua_type(raw, -1) == ffi::LUA_TSTRING {
            let mut len = 0;
            let text = ffi::lua_tolstring(raw, -1, &raw mut len);
            let text = std::slice::from_raw_parts(text.cast::<u8>(), len);
            if let Some(own) = after_position(text) {
                ffi::lua_pushlstring(raw, own.as_ptr().cast(), own.len());
            }
        }
        ffi::lua_error(raw)
    }
}

/// What stands behind `library:38: `.
fn after_position(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"library:")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest.get(digits..)?.strip_prefix(b": ")
}

fn make(state: State<'_>) {
    let base = state.top();
    if state.load(bytecode(), NAME, true) {
        state.push_function(byte);
        state.push_function(sub);
        push_library_function(state, ffi::luaopen_table, "concat");
        push_library_function(state, ffi::luaopen_utf8, "len");
        state.push_function(pieces);
        state.push_function(host_fn(|state, _| {
            let range = state.to_exact_integer(2).zip(state.to_exact_integer(3));
            let sorted = range.is_some_and(|(low, high)| sort_range(state, 1, low, high));
            state.push_bool(sorted);
            Ok(Answer::Values(1))
        }));
        state.push_function(fail);
        state.push_function(next);
        state.push_function(set_metatable);
        state.call_trusted(9, 1);
    }
    state.set_top(base + 1);
    if state.type_of(-1) != Type::Table {
        state.pop(1);
        state.push_table(0, 0);
    }
}

/// A function of a library that is opened for this alone, so that no script has changed it.
fn push_library_function(
    state: State<'_>,
    open: unsafe extern "C-unwind" fn(*mut lua_State) -> c_int,
    name: &str,
) {
    // SAFETY: in host mode the openers of Lua's libraries neither raise nor are refused.
    unsafe { open(state.raw()) };
    state.get_field(-1, name);
    state.insert(-2);
    state.pop(1);
}

/// `byte(text, position)`
unsafe extern "C-unwind" fn byte(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a string and an integer.
    unsafe {
        let (bytes, at) = text_and(raw, 2);
        match usize::try_from(at - 1).ok().and_then(|at| bytes.get(at)) {
            Some(byte) => ffi::lua_pushinteger(raw, i64::from(*byte)),
            None => ffi::lua_pushnil(raw),
        }
    }
    1
}

/// `sub(text, first, last)`, both positive
unsafe extern "C-unwind" fn sub(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a string and two integers.
    unsafe {
        let (bytes, first) = text_and(raw, 2);
        let last = usize::try_from(ffi::lua_tointegerx(raw, 3, std::ptr::null_mut())).unwrap_or(0);
        let first = usize::try_from(first - 1).unwrap_or(0);
        let piece = bytes.get(first..last.min(bytes.len())).unwrap_or_default();
        ffi::lua_pushlstring(raw, piece.as_ptr().cast(), piece.len());
    }
    1
}

unsafe fn text_and<'a>(raw: *mut lua_State, index: c_int) -> (&'a [u8], i64) {
    let mut len = 0;
    // SAFETY: the string stands in the first slot while the function runs.
    unsafe {
        let bytes = ffi::luaL_checklstring(raw, 1, &raw mut len);
        let bytes = std::slice::from_raw_parts(bytes.cast(), len);
        (bytes, ffi::lua_tointegerx(raw, index, std::ptr::null_mut()))
    }
}

/// Collects some garbage; whether that ended a cycle.
unsafe extern "C-unwind" fn pieces(raw: *mut lua_State) -> c_int {
    // SAFETY: scripts have no finalizers, so this runs none of their code.
    unsafe {
        let ended = (0..COLLECTOR_STEPS).any(|_| ffi::lua_gc(raw, ffi::LUA_GCSTEP, 0) != 0);
        ffi::lua_pushboolean(raw, ended.into());
    }
    1
}

/// `next(table, key)`, which does not look behind a frozen table.
unsafe extern "C-unwind" fn next(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a table and a key of it.
    unsafe {
        ffi::lua_settop(raw, 2);
        if ffi::lua_next(raw, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(raw);
    }
    1
}

/// `set_metatable(table, metatable or nil)`
unsafe extern "C-unwind" fn set_metatable(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with such values.
    unsafe {
        ffi::lua_settop(raw, 2);
        ffi::lua_setmetatable(raw, 1);
    }
    0
}

/// Raises a text with the position of whoever called the function that our code stands for.
unsafe extern "C-unwind" fn fail(raw: *mut lua_State) -> c_int {
    // SAFETY: reads activations of this thread. Below our own stands the function of C that
    // the script called.
    unsafe {
        let mut level = 1;
        let mut activation: lua_Debug = std::mem::zeroed();
        while ffi::lua_getstack(raw, level, &raw mut activation) != 0
            && ffi::lua_getinfo(raw, c"S".as_ptr(), &raw mut activation) != 0
            && CStr::from_ptr(activation.source) == NAME
        {
            level += 1;
        }
        ffi::luaL_where(raw, level + 1);
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_concat(raw, 2);
        ffi::lua_error(raw)
    }
}
