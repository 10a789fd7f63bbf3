//! Functions of Lua's libraries whose C loops a script could make endless.
//!
//! Inside C no instruction runs, so nothing interrupts such a loop. `table.insert`, `remove`
//! and `sort` believe what `#` says, `table.move` and `concat` what they are told, and
//! `string.rep` repeats nothing as often as it is asked. Here their counts are bounded by
//! what a table of the process could hold at all. A table whose length is a `__len` of the
//! script is refused, because Lua's function would ask again and may hear something else;
//! `concat` can be told the answer.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::state::State;

/// Bytes of a table's element.
const ELEMENT_BYTES: u64 = 16;

/// Bounds the functions of `string` in the table on top.
pub(crate) fn bound_string(state: State<'_>) {
    wrap(state, "rep", rep);
}

/// Bounds the functions of `table` in the table on top.
pub(crate) fn bound_table(state: State<'_>) {
    for name in ["insert", "remove", "sort"] {
        wrap(state, name, sized);
    }
    wrap(state, "move", moved);
    wrap(state, "concat", concat);
}

fn wrap(state: State<'_>, name: &str, with: ffi::lua_CFunction) {
    state.get_field(-1, name);
    // SAFETY: the function on top becomes the upvalue.
    unsafe { ffi::lua_pushcclosure(state.raw(), with, 1) };
    state.set_field(-2, name);
}

/// Calls the function of Lua that is the upvalue, with the stack as it is.
unsafe fn original(raw: *mut lua_State) -> c_int {
    // SAFETY: `wrap` set the upvalue to a C function without upvalues.
    unsafe {
        match ffi::lua_tocfunction(raw, ffi::lua_upvalueindex(1)) {
            Some(function) => function(raw),
            None => 0,
        }
    }
}

unsafe fn check(raw: *mut lua_State, count: i64) {
    // SAFETY: raises where there are too many; nothing here needs dropping.
    unsafe {
        let max = Core::of(raw).program.limits.memory_bytes / ELEMENT_BYTES;
        if u64::try_from(count).is_ok_and(|count| count > max) {
            ffi::luaL_error(
                raw,
                c"%p: more elements than a table of this process can have".as_ptr(),
                ffi::lua_topointer(raw, 1).cast::<c_void>(),
            );
        }
    }
}

unsafe extern "C-unwind" fn sized(raw: *mut lua_State) -> c_int {
    // SAFETY: without `__len`, Lua's own functions find the same length.
    unsafe {
        if ffi::luaL_getmetafield(raw, 1, c"__len".as_ptr()) != ffi::LUA_TNIL {
            return ffi::luaL_argerror(
                raw,
                1,
                c"it has a __len, which this function does not take".as_ptr(),
            );
        }
        if ffi::lua_type(raw, 1) == ffi::LUA_TTABLE {
            check(raw, i64::try_from(ffi::lua_rawlen(raw, 1)).unwrap_or(i64::MAX));
        }
        original(raw)
    }
}

unsafe extern "C-unwind" fn concat(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own function, which checks the arguments again. It is told the last
    // position, so that it does not ask for the length.
    unsafe {
        ffi::lua_settop(raw, 4);
        if ffi::lua_type(raw, 4) == ffi::LUA_TNIL && ffi::lua_type(raw, 1) == ffi::LUA_TTABLE {
            let len = ffi::luaL_len(raw, 1);
            ffi::lua_pushinteger(raw, len);
            ffi::lua_copy(raw, -1, 4);
            ffi::lua_settop(raw, 4);
        }
        let first = ffi::luaL_optinteger(raw, 3, 1);
        let last = ffi::lua_tointegerx(raw, 4, std::ptr::null_mut());
        check(raw, last.saturating_sub(first));
        original(raw)
    }
}

unsafe extern "C-unwind" fn moved(raw: *mut lua_State) -> c_int {
    // SAFETY: what is no integer is left to Lua's own function to refuse.
    unsafe {
        let first = ffi::lua_tointegerx(raw, 2, std::ptr::null_mut());
        let last = ffi::lua_tointegerx(raw, 3, std::ptr::null_mut());
        check(raw, last.saturating_sub(first));
        original(raw)
    }
}

unsafe extern "C-unwind" fn rep(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own function, which checks the arguments again.
    unsafe {
        let (mut len, mut separator) = (0, 0);
        ffi::luaL_checklstring(raw, 1, &raw mut len);
        ffi::luaL_optlstring(raw, 3, c"".as_ptr(), &raw mut separator);
        if len + separator == 0 {
            ffi::luaL_checkinteger(raw, 2);
            ffi::lua_pushstring(raw, c"".as_ptr());
            return 1;
        }
        original(raw)
    }
}
