//! The globals of a script: Lua's own that are safe, ours, and `require`.
//!
//! Left out is what reaches the system or the VM itself: files, `os.execute` and its kin,
//! bytecode, debug hooks. `setmetatable` ignores `__gc`: a finalizer runs where nothing can
//! interrupt it, so a script could hang its worker with one; `<close>` variables serve.
//!
//! Libraries are opened before the script runs where the text of the entry names them, and
//! at the first access otherwise.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use crate::bounded;
use crate::core::Core;
use crate::host_fn::{Answer, Outcome, host_fn, misuse};
use crate::load;
use crate::long;
use crate::modules;
use crate::modules::io::{Writing, write_on};
use crate::program::Import;
use crate::protected::{pcall, xpcall};
use crate::state::{Key, State, Type};
use crate::strings;
use crate::typed;
use crate::work::deliver;

/// Libraries and modules that are globals, opened when they are named.
pub(crate) const ON_DEMAND: [&str; 10] =
    ["table", "math", "utf8", "coroutine", "os", "process", "channel", "errors", "payload", "io"];

/// A function that is a global besides, made at the first access.
const UNPACK: &str = "unpack";

const REMOVED: [&str; 3] = ["dofile", "loadfile", "warn"];

/// Bytes of a heap that is collected at once: a millisecond or two.
const COLLECT_BYTES_MAX: usize = 1 << 20;

/// What modules gave, by name; `loading` while a library runs.
static LOADED: Key = Key::new();

/// Fills the globals.
pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 16);
    state.set_registry(&LOADED);
    // SAFETY: in host mode the openers of Lua's libraries neither raise nor are refused.
    unsafe {
        ffi::luaopen_base(state.raw());
        note_loaded(state, "_G");
        ffi::luaopen_string(state.raw());
        note_loaded(state, "string");
    }
    // Globals at -2, `string` at -1.
    bounded::bound_string(state);
    strings::open(state);
    state.push_nil();
    state.set_field(-2, "dump");
    note_names(state, "string");
    state.set_field(-2, "string");
    bounded::bound_base(state);
    for name in REMOVED {
        state.push_nil();
        state.set_field(-2, name);
    }
    state.set_functions(&[
        ("setmetatable", setmetatable),
        ("collectgarbage", collectgarbage),
        ("load", load::load),
        ("print", print),
        ("require", require),
        ("pcall", pcall),
        ("xpcall", xpcall),
    ]);
    note_names(state, "_G");
    for name in &state.core().program.globals {
        open_named(state, name);
        state.set_field(-2, name);
    }
    state.push_table(0, 1);
    state.push_function(host_fn(|state, _| missing_global(state)));
    state.set_field(-2, "__index");
    state.set_metatable(-2);
    state.pop(1);
}

/// Notes the names of the functions in the library on top, for messages and tracebacks. Lua
/// searches the registry's table of this name for each line of one; it must be none that a
/// script can fill, because the search is long then and nothing interrupts it.
fn note_names(state: State<'_>, library: &str) {
    let from = state.top();
    // SAFETY: in host mode nothing is refused; the registry is a table.
    unsafe { ffi::luaL_getsubtable(state.raw(), ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE) };
    state.push_table(0, 24);
    state.push_nil();
    while state.next(from) {
        match state.to_str(-2) {
            Some(name) if state.type_of(-1) == Type::Function => state.set_field(from + 2, name),
            _ => state.pop(1),
        }
    }
    state.set_field(from + 1, library);
    state.set_top(from);
}

/// Notes the name of the function on top, as one of a library that was opened.
pub(crate) fn note_name(state: State<'_>, library: &str, name: &str) {
    let function = state.top();
    // SAFETY: as `note_names`.
    unsafe { ffi::luaL_getsubtable(state.raw(), ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE) };
    if state.get_field(-1, library) == Type::Table {
        state.push_copy(function);
        state.set_field(-2, name);
    }
    state.set_top(function);
}

/// Notes the value on top as what `require` of that name gives.
fn note_loaded(state: State<'_>, name: &str) {
    state.get_registry(&LOADED);
    state.push_copy(-2);
    state.set_field(-2, name);
    state.pop(1);
}

/// The first access to a global that is not there.
fn missing_global(state: State<'_>) -> Outcome {
    let asked = state.to_str(2);
    let name = ON_DEMAND.into_iter().find(|known| asked == Some(*known));
    match name {
        None if asked == Some(UNPACK) => {
            bounded::push_unpack(state);
            state.push_globals();
            state.push_copy(-2);
            state.set_field(-2, UNPACK);
            state.pop(1);
        }
        None => state.push_nil(),
        Some(name) => {
            open_named(state, name);
            state.push_globals();
            state.push_copy(-2);
            state.set_field(-2, name);
            state.pop(1);
        }
    }
    Ok(Answer::Values(1))
}

/// Pushes the library or module of a name.
fn open_named(state: State<'_>, name: &str) {
    // SAFETY: as in `open`.
    unsafe {
        match name {
            "table" => {
                ffi::luaopen_table(state.raw());
                bounded::bound_table(state);
            }
            "math" => _ = ffi::luaopen_math(state.raw()),
            "utf8" => {
                ffi::luaopen_utf8(state.raw());
                bounded::bound_utf8(state);
            }
            "os" => open_os(state),
            "coroutine" => crate::coroutine::open(state),
            _ => modules::push(state, name),
        }
    }
    note_names(state, name);
    note_loaded(state, name);
}

fn open_os(state: State<'_>) {
    // SAFETY: as in `open`.
    unsafe { ffi::luaopen_os(state.raw()) };
    bounded::bound_os(state);
    state.push_table(0, 4);
    for name in ["clock", "date", "difftime", "time"] {
        state.get_field(-2, name);
        state.set_field(-2, name);
    }
    state.insert(-2);
    state.pop(1);
}

unsafe extern "C-unwind" fn setmetatable(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own implementation, but that the metatable is without `__gc` while
    // it is set, so that Lua does not note a finalizer. Setting a field that is there needs
    // no memory.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        let kind = ffi::lua_type(raw, 2);
        if kind != ffi::LUA_TNIL && kind != ffi::LUA_TTABLE {
            return ffi::luaL_argerror(raw, 2, c"nil or table expected".as_ptr());
        }
        if ffi::luaL_getmetafield(raw, 1, c"__metatable".as_ptr()) != ffi::LUA_TNIL {
            return ffi::luaL_error(raw, c"cannot change a protected metatable".as_ptr());
        }
        ffi::lua_settop(raw, 2);
        let mut finalizer = false;
        if kind == ffi::LUA_TTABLE {
            ffi::lua_pushstring(raw, c"__gc".as_ptr());
            ffi::lua_pushvalue(raw, -1);
            finalizer = ffi::lua_rawget(raw, 2) != ffi::LUA_TNIL;
            if finalizer {
                ffi::lua_pushvalue(raw, 3);
                ffi::lua_pushnil(raw);
                ffi::lua_rawset(raw, 2);
            }
        }
        ffi::lua_pushvalue(raw, 2);
        ffi::lua_setmetatable(raw, 1);
        if finalizer {
            ffi::lua_rawset(raw, 2);
        }
        ffi::lua_settop(raw, 1);
    }
    1
}

/// A small heap is collected at once, a large one piece by piece.
unsafe extern "C-unwind" fn collectgarbage(raw: *mut lua_State) -> c_int {
    // SAFETY: no Rust value is alive when our Lua code is called.
    unsafe {
        let option = ffi::luaL_optlstring(raw, 1, c"collect".as_ptr(), std::ptr::null_mut());
        let option = CStr::from_ptr(option);
        let collects = option == c"collect" || option == c"step";
        if collects && Core::of(raw).heap.used() > COLLECT_BYTES_MAX {
            return long::call(raw, "collect", 0, false);
        }
        host_fn(|state, _| collect(state))(raw)
    }
}

fn collect(state: State<'_>) -> Outcome {
    let option = if state.is_absent(1) { Some("collect") } else { state.to_str(1) };
    match option {
        Some("collect" | "step") => {
            // SAFETY: scripts have no finalizers, so this runs none of their code.
            unsafe { ffi::lua_gc(state.raw(), ffi::LUA_GCCOLLECT) };
            state.push_integer(0);
        }
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        Some("count") => state.push_number(state.core().heap.used() as f64 / 1024.0),
        Some("isrunning") => state.push_bool(true),
        Some("incremental" | "generational") => state.push_str("incremental"),
        // A script that stops the collector only meets its limit sooner.
        Some("stop" | "restart" | "setpause" | "setstepmul") => state.push_integer(0),
        _ => return Err(misuse(state, "collectgarbage: unknown option")),
    }
    Ok(Answer::Values(1))
}

/// Leaves the arguments as one line of text on the stack. Calls `__tostring` of the script.
unsafe extern "C-unwind" fn print(raw: *mut lua_State) -> c_int {
    // SAFETY: no Rust value is alive while the script's code runs.
    unsafe {
        let args = ffi::lua_gettop(raw);
        ffi::luaL_checkstack(raw, 8, c"too many arguments to print".as_ptr());
        // The buffer keeps its memory on the Lua stack, so that an error frees it.
        let mut line: ffi::luaL_Buffer = std::mem::zeroed();
        ffi::luaL_buffinit(raw, &raw mut line);
        for index in 1..=args {
            if index > 1 {
                ffi::luaL_addlstring(&raw mut line, c"\t".as_ptr(), 1);
            }
            ffi::luaL_tolstring(raw, index, std::ptr::null_mut());
            ffi::luaL_addvalue(&raw mut line);
        }
        ffi::luaL_addlstring(&raw mut line, c"\n".as_ptr(), 1);
        ffi::luaL_pushresult(&raw mut line);
        // Where nobody reads any more, a line that is lost hurts nobody.
        host_fn(|state, again| match again {
            false => write_on(state, Writing::line(state)),
            true => deliver(state),
        })(raw)
    }
}

/// `require(name)`: a module, or a library of the entry's imports. The `require` of a library
/// carries the library's place among them.
unsafe extern "C-unwind" fn require(raw: *mut lua_State) -> c_int {
    // SAFETY: no Rust value is alive while a library runs or an error leaves.
    unsafe {
        ffi::luaL_checklstring(raw, 1, std::ptr::null_mut());
        ffi::lua_settop(raw, 1);
        let pushed = host_fn(|state, _| find_required(state))(raw);
        if pushed == 1 {
            return 1;
        }
        // A library's chunk is on top.
        ffi::lua_callk(raw, 0, 1, 0, Some(required));
        required(raw, ffi::LUA_OK, 0)
    }
}

/// A library has returned.
unsafe extern "C-unwind" fn required(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: as `require`; the name is in the first slot.
    unsafe {
        host_fn(|state, _| {
            if state.is_absent(-1) {
                state.pop(1);
                state.push_bool(true);
            }
            if let Some(name) = state.to_str(1) {
                note_loaded(state, name);
            }
            Ok(Answer::Values(1))
        })(raw)
    }
}

fn find_required(state: State<'_>) -> Outcome {
    let Some(name) = state.to_str(1) else {
        return Err(misuse(state, "require takes the name of a module"));
    };
    let program = &state.core().program;
    let library = program.imports.iter().position(|import| import.alias == name);
    if library.is_none() && name != "_G" {
        let by = program.requirer(requiring(state));
        if let Err(message) = modules::check(program, &by, name) {
            return Err(misuse(state, message));
        }
    }
    state.get_registry(&LOADED);
    match state.get_field(-1, name) {
        Type::Nil => state.pop(2),
        Type::Light => {
            return Err(misuse(
                state,
                format_args!("the library \"{name}\" requires itself, or failed when it ran"),
            ));
        }
        _ => return Ok(Answer::Values(1)),
    }
    let import = library.and_then(|index| Some((index, program.imports.get(index)?)));
    if let Some((index, Import { chunk, .. })) = import {
        state.get_registry(&LOADED);
        // SAFETY: pushes a value that no script can make.
        unsafe { ffi::lua_pushlightuserdata(state.raw(), std::ptr::null_mut()) };
        state.set_field(-2, name);
        if !state.load(&chunk.bytecode, chunk.name(), true) {
            return Err(crate::host_fn::Raised);
        }
        push_environment(state, index);
        if chunk.has_types {
            typed::add_to_environment(state);
        }
        // SAFETY: the first upvalue of a chunk is its `_ENV`.
        unsafe { ffi::lua_setupvalue(state.raw(), -2, 1) };
        return Ok(Answer::Values(2));
    }
    open_named(state, name);
    Ok(Answer::Values(1))
}

/// What the head of a library reads: its own `require`, and the globals.
fn push_environment(state: State<'_>, library: usize) {
    state.push_table(0, 3);
    state.push_integer(i64::try_from(library).unwrap_or(i64::MAX));
    // SAFETY: in host mode nothing is refused.
    unsafe { ffi::lua_pushcclosure(state.raw(), require, 1) };
    state.set_field(-2, "require");
    state.push_globals();
    state.set_field(-2, "_G");
}

/// The library whose `require` runs; none for that of the globals.
fn requiring(state: State<'_>) -> Option<usize> {
    let own = ffi::lua_upvalueindex(1);
    // SAFETY: only reads; a function without upvalues has nothing there.
    let is_library = unsafe { ffi::lua_type(state.raw(), own) == ffi::LUA_TNUMBER };
    if !is_library {
        return None;
    }
    // SAFETY: as above; converting a number allocates nothing.
    usize::try_from(unsafe { ffi::lua_tointeger(state.raw(), own) }).ok()
}
