//! `load`: text alone, of the same dialect as entries, and only as much of it as compiles in
//! a quarter of a second.
//!
//! The compiler is C and runs no instruction. It is fed small pieces, and between them this
//! looks whether the process is to end and how long compiling has taken: a text can be made
//! so that each further byte takes longer. What comes before, the eraser of types, asks the
//! same now and then. It needs the text as a whole, so that one in parts is put together
//! first.

#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::time::Duration;

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::dialect::{self, Erased, Refused};
use crate::failure;
use crate::host_fn::{Answer, Outcome, host_fn};
use crate::preempt;
use crate::state::State;
use crate::typed;

/// Processor time that compiling one text may take.
const COMPILE_MAX: Duration = Duration::from_millis(250);

const PIECE_BYTES: usize = 1 << 10;

/// Bytes of a text that comes in parts.
const PARTS_BYTES_MAX: usize = 16 << 20;

/// Slots: the text, its name, the environment; and whether the text uses types as values.
const TEXT: c_int = 1;
const NAME: c_int = 2;
const ENVIRONMENT: c_int = 4;
const HAS_TYPES: c_int = 5;

/// Bytes of a name that messages show, as Lua has it.
const NAME_BYTES_MAX: usize = 60;

const TOO_LONG: &CStr = c"load: compiling the text takes too long";

/// What the compiler is fed from. Plain data: errors may leave at any time.
struct Feed {
    left: *const c_char,
    left_bytes: usize,
    begun: Duration,
}

/// `load(chunk, [name], [mode], [env])`; the mode is "t" whatever is asked for.
pub(crate) unsafe extern "C-unwind" fn load(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation; the feed outlives the compiler.
    unsafe {
        let has_env = ffi::lua_type(raw, ENVIRONMENT) != ffi::LUA_TNONE;
        let text = ffi::lua_tolstring(raw, TEXT, ptr::null_mut());
        let from_function = text.is_null();
        let default = if from_function { c"=(load)".as_ptr() } else { text };
        let name = ffi::luaL_optlstring(raw, NAME, default, ptr::null_mut());
        ffi::luaL_optlstring(raw, 3, c"t".as_ptr(), ptr::null_mut());
        if CStr::from_ptr(name) == preempt::OWN_CODE {
            return ffi::luaL_error(raw, c"load: the chunk name '%s' is taken".as_ptr(), name);
        }
        if from_function {
            ffi::luaL_checktype(raw, TEXT, ffi::LUA_TFUNCTION);
        }
        ffi::lua_settop(raw, ENVIRONMENT);
        // The name stays on the stack while it is used, also where it is the text.
        if ffi::lua_type(raw, NAME) == ffi::LUA_TNIL {
            if from_function {
                ffi::lua_pushstring(raw, name);
            } else {
                ffi::lua_pushvalue(raw, TEXT);
            }
            ffi::lua_replace(raw, NAME);
        }
        let name = ffi::lua_tolstring(raw, NAME, ptr::null_mut());
        if from_function {
            ffi::lua_pushcclosure(raw, join, 0);
            ffi::lua_pushvalue(raw, TEXT);
            if ffi::lua_pcallk(raw, 1, 1, 0, 0, None) != ffi::LUA_OK {
                return failed(raw);
            }
            ffi::lua_replace(raw, TEXT);
        }
        let begun = processor_time();
        ffi::lua_pushboolean(raw, 0);
        if host_fn(|state, _| erase(state))(raw) != 0 {
            return failed(raw);
        }
        let mut feed = Feed { left: ptr::null(), left_bytes: 0, begun };
        feed.left = ffi::lua_tolstring(raw, TEXT, &raw mut feed.left_bytes);
        let data = (&raw mut feed).cast::<c_void>();
        if ffi::lua_load(raw, read, data, name, c"t".as_ptr()) != ffi::LUA_OK {
            return failed(raw);
        }
        if ffi::lua_toboolean(raw, HAS_TYPES) != 0 {
            if has_env {
                ffi::lua_pushvalue(raw, ENVIRONMENT);
            } else {
                ffi::lua_rawgeti(raw, ffi::LUA_REGISTRYINDEX, ffi::LUA_RIDX_GLOBALS);
            }
            host_fn(|state, _| {
                typed::wrap_environment(state);
                Ok(Answer::Values(1))
            })(raw);
        } else if has_env {
            ffi::lua_pushvalue(raw, ENVIRONMENT);
            if ffi::lua_setupvalue(raw, -2, 1).is_null() {
                ffi::lua_settop(raw, -2);
            }
        }
    }
    1
}

/// `nil` and the message on top.
unsafe fn failed(raw: *mut lua_State) -> c_int {
    // SAFETY: as the caller says.
    unsafe {
        ffi::lua_pushnil(raw);
        ffi::lua_insert(raw, -2);
    }
    2
}

/// Puts plain Lua in the place of the text; pushes a message where that cannot be.
fn erase(state: State<'_>) -> Outcome {
    let text = state.to_bytes(TEXT).unwrap_or_default();
    let begun = processor_time();
    let mut ending = false;
    let mut go_on = || {
        let core = state.core();
        ending = core.killed.get() || core.is_done_for();
        !ending && processor_time().saturating_sub(begun) <= COMPILE_MAX
    };
    match dialect::erase(text, &mut go_on) {
        Ok(Erased { text: Cow::Borrowed(_), types: None }) => return Ok(Answer::Values(0)),
        Ok(Erased { text, types }) => {
            match &types {
                None => state.push_bytes(&text),
                Some(types) => {
                    let head = dialect::head(types, false);
                    state.push_bytes(&[head.as_bytes(), &text].concat());
                }
            }
            state.replace(TEXT);
            state.push_bool(types.is_some());
            state.replace(HAS_TYPES);
            return Ok(Answer::Values(0));
        }
        Err(Refused::Wrong { line, column, message }) => {
            let name = shown_name(&failure::text(state, NAME));
            state.push_str(&format!("{name}:{line}:{column}: {message}"));
        }
        // The hook ends the process as soon as an instruction runs.
        Err(Refused::Abandoned) => state.push_bytes(TOO_LONG.to_bytes()),
    }
    Ok(Answer::Values(1))
}

/// The name of a chunk as Lua shows it in messages.
fn shown_name(name: &str) -> String {
    let front = |text: &str, bytes_max: usize| -> String {
        let fits = text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= bytes_max);
        fits.map(|(_, c)| c).collect()
    };
    if let Some(file) = name.strip_prefix('=') {
        return front(file, NAME_BYTES_MAX - 1);
    }
    if let Some(file) = name.strip_prefix('@') {
        return front(file, NAME_BYTES_MAX - 1);
    }
    let line = name.split('\n').next().unwrap_or_default();
    let room = NAME_BYTES_MAX - "[string \"...\"]".len() - 1;
    let whole = line.len() == name.len() && line.len() <= room;
    let cut = if whole { "" } else { "..." };
    format!("[string \"{}{cut}\"]", front(line, room))
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
        if core.killed.get() || core.is_done_for() {
            preempt::die(raw);
        }
        if processor_time().saturating_sub((*feed).begun) > COMPILE_MAX {
            ffi::luaL_error(raw, TOO_LONG.as_ptr());
        }
        let piece = (*feed).left;
        *size = (*feed).left_bytes.min(PIECE_BYTES);
        (*feed).left = piece.add(*size);
        (*feed).left_bytes -= *size;
        if *size == 0 { ptr::null() } else { piece }
    }
}

/// Asks the script's function for parts until one is empty or nil: the whole text.
unsafe extern "C-unwind" fn join(raw: *mut lua_State) -> c_int {
    // SAFETY: the function is the only argument. The buffer keeps its memory on the Lua
    // stack, so that an error frees it.
    unsafe {
        let mut text: ffi::luaL_Buffer = std::mem::zeroed();
        let mut bytes = 0_usize;
        ffi::luaL_buffinit(raw, &raw mut text);
        loop {
            ffi::luaL_checkstack(raw, 2, c"too many nested functions".as_ptr());
            ffi::lua_pushvalue(raw, 1);
            ffi::lua_callk(raw, 0, 1, 0, None);
            if ffi::lua_type(raw, -1) == ffi::LUA_TNIL {
                ffi::lua_settop(raw, -2);
                break;
            }
            if ffi::lua_isstring(raw, -1) == 0 {
                ffi::luaL_error(raw, c"reader function must return a string".as_ptr());
            }
            let mut len = 0;
            ffi::lua_tolstring(raw, -1, &raw mut len);
            bytes = bytes.saturating_add(len);
            if bytes > PARTS_BYTES_MAX {
                ffi::luaL_error(raw, c"load: the text is too long".as_ptr());
            }
            // Takes it off the stack.
            ffi::luaL_addvalue(&raw mut text);
            if len == 0 {
                break;
            }
        }
        ffi::luaL_pushresult(&raw mut text);
    }
    1
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
