//! `table.freeze` and `table.isfrozen`.
//!
//! Lua 5.4 has no tables that cannot be written, and a write to a key that is there asks no
//! metamethod. So freezing moves what a table holds into another one that no script gets hold
//! of, and leaves an empty table with a metatable of its own: reads find the content, writes
//! raise. What looks at tables without metamethods knows of it: `next`, `rawget`, `rawlen`,
//! `rawset` here, and the host in `state.rs`.
//!
//! The metatable is protected, so that nobody takes it off. A table that holds metamethods
//! cannot be frozen: as a metatable Lua would look into it and find nothing.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use crate::long;
use crate::state::Key;

/// The key of the content in the metatable of a frozen table.
static CONTENT: Key = Key::new();

const REFUSED: &CStr = c"attempt to modify a frozen table";

/// What a metatable may hold for Lua. All but the first few go on to hold for the table.
const METAMETHODS: [&CStr; 28] = [
    c"__index",
    c"__newindex",
    c"__mode",
    c"__metatable",
    c"__call",
    c"__tostring",
    c"__name",
    c"__len",
    c"__pairs",
    c"__eq",
    c"__lt",
    c"__le",
    c"__concat",
    c"__unm",
    c"__add",
    c"__sub",
    c"__mul",
    c"__div",
    c"__mod",
    c"__pow",
    c"__idiv",
    c"__band",
    c"__bor",
    c"__bxor",
    c"__shl",
    c"__shr",
    c"__bnot",
    c"__close",
];

/// Pushes the content of a frozen table; false, and nothing pushed, for anything else.
///
/// # Safety
///
/// `raw` is a live thread with two slots to spare.
pub(crate) unsafe fn push_content(raw: *mut lua_State, index: c_int) -> bool {
    // SAFETY: reads; the metatable is a table.
    unsafe {
        if ffi::lua_type(raw, index) != ffi::LUA_TTABLE || ffi::lua_getmetatable(raw, index) == 0 {
            return false;
        }
        if ffi::lua_rawgetp(raw, -1, CONTENT.pointer()) == ffi::LUA_TTABLE {
            ffi::lua_copy(raw, -1, -2);
            ffi::lua_settop(raw, -2);
            return true;
        }
        ffi::lua_settop(raw, -3);
        false
    }
}

/// Puts the content of a frozen table in its place, in the slot at `index`.
///
/// # Safety
///
/// As [`push_content`].
pub(crate) unsafe fn thaw(raw: *mut lua_State, index: c_int) {
    // SAFETY: as `push_content`; the content takes the slot.
    unsafe {
        if push_content(raw, index) {
            ffi::lua_copy(raw, -1, index);
            ffi::lua_settop(raw, -2);
        }
    }
}

/// `table.freeze(t)`: `t` itself, which cannot be written any more.
pub(crate) unsafe extern "C-unwind" fn freeze(raw: *mut lua_State) -> c_int {
    // SAFETY: raises where the table is none that can be frozen; no Rust value is alive.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(raw, 1);
        if is_frozen(raw, 1) {
            return 1;
        }
        for name in METAMETHODS {
            if get(raw, 1, name) != ffi::LUA_TNIL {
                return ffi::luaL_error(
                    raw,
                    c"freeze: a table with the metamethod '%s' cannot be frozen".as_ptr(),
                    name.as_ptr(),
                );
            }
            ffi::lua_settop(raw, 1);
        }
        // The content, the new metatable, and one of the content, if it needs one.
        ffi::lua_createtable(raw, 0, 0);
        ffi::lua_createtable(raw, 0, 6);
        ffi::lua_pushnil(raw);
        let metatable = if ffi::lua_getmetatable(raw, 1) == 0 { None } else { Some(5) };
        ffi::lua_settop(raw, 5);
        if let Some(old) = metatable {
            take_over(raw, old);
        }
        ffi::lua_pushvalue(raw, 2);
        ffi::lua_rawsetp(raw, 3, CONTENT.pointer());
        ffi::lua_pushvalue(raw, 2);
        set(raw, c"__index");
        ffi::lua_pushcclosure(raw, refuse, 0);
        set(raw, c"__newindex");
        for (name, function) in
            [(c"__len", raw_len as ffi::lua_CFunction), (c"__pairs", pairs as ffi::lua_CFunction)]
        {
            if get(raw, 3, name) == ffi::LUA_TNIL {
                ffi::lua_pushcclosure(raw, function, 0);
                set(raw, name);
            }
            ffi::lua_settop(raw, 5);
        }
        // What `getmetatable` gives: the old one, or false.
        if metatable.is_some() {
            ffi::lua_pushvalue(raw, 5);
        } else {
            ffi::lua_pushboolean(raw, 0);
        }
        set(raw, c"__metatable");
        ffi::lua_settop(raw, 4);
        long::call(raw, "freeze", 4, false)
    }
}

/// Takes metamethods of the old metatable over into the new one.
unsafe fn take_over(raw: *mut lua_State, old: c_int) {
    // SAFETY: both are tables; raises where the old one is protected.
    unsafe {
        if get(raw, old, c"__metatable") != ffi::LUA_TNIL {
            ffi::luaL_error(
                raw,
                c"freeze: a table with a protected metatable cannot be frozen".as_ptr(),
            );
        }
        match get(raw, old, c"__index") {
            ffi::LUA_TNIL => {}
            ffi::LUA_TTABLE => {
                // The content finds there what it does not have.
                ffi::lua_createtable(raw, 0, 1);
                ffi::lua_insert(raw, -2);
                ffi::lua_pushstring(raw, c"__index".as_ptr());
                ffi::lua_insert(raw, -2);
                ffi::lua_rawset(raw, -3);
                ffi::lua_copy(raw, -1, 4);
            }
            _ => {
                // It would get the content as its argument.
                ffi::luaL_error(
                    raw,
                    c"freeze: a table whose '__index' is no table cannot be frozen".as_ptr(),
                );
            }
        }
        ffi::lua_settop(raw, 5);
        for name in METAMETHODS.into_iter().skip(4) {
            if get(raw, old, name) != ffi::LUA_TNIL {
                set(raw, name);
            }
            ffi::lua_settop(raw, 5);
        }
    }
}

/// Pushes a field of a table, raw.
unsafe fn get(raw: *mut lua_State, table: c_int, name: &CStr) -> c_int {
    // SAFETY: the caller says that it is a table.
    unsafe {
        ffi::lua_pushstring(raw, name.as_ptr());
        ffi::lua_rawget(raw, table)
    }
}

/// Pops a value into a field of the new metatable, which is in slot 3.
unsafe fn set(raw: *mut lua_State, name: &CStr) {
    // SAFETY: it is a table, and the value is on top.
    unsafe {
        ffi::lua_pushstring(raw, name.as_ptr());
        ffi::lua_insert(raw, -2);
        ffi::lua_rawset(raw, 3);
    }
}

unsafe fn is_frozen(raw: *mut lua_State, index: c_int) -> bool {
    // SAFETY: as `push_content`.
    unsafe {
        let frozen = push_content(raw, index);
        if frozen {
            ffi::lua_settop(raw, -2);
        }
        frozen
    }
}

/// Raises where the first argument is a frozen table.
///
/// # Safety
///
/// As [`push_content`]; nothing that needs dropping is lost by an error.
pub(crate) unsafe fn check_writable(raw: *mut lua_State) {
    // SAFETY: reads or raises.
    unsafe {
        if is_frozen(raw, 1) {
            ffi::luaL_error(raw, REFUSED.as_ptr());
        }
    }
}

/// `table.isfrozen(t)`
pub(crate) unsafe extern "C-unwind" fn isfrozen(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own functions.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        let frozen = is_frozen(raw, 1);
        ffi::lua_pushboolean(raw, frozen.into());
    }
    1
}

unsafe extern "C-unwind" fn refuse(raw: *mut lua_State) -> c_int {
    // SAFETY: raises.
    unsafe { ffi::luaL_error(raw, REFUSED.as_ptr()) }
}

unsafe extern "C-unwind" fn pairs(raw: *mut lua_State) -> c_int {
    // SAFETY: called with the frozen table.
    unsafe {
        ffi::lua_pushcclosure(raw, next, 0);
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_pushnil(raw);
    }
    3
}

/// `next`, as Lua's own.
pub(crate) unsafe extern "C-unwind" fn next(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own; what the slot of the table holds does not matter later.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(raw, 2);
        thaw(raw, 1);
        if ffi::lua_next(raw, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(raw);
    }
    1
}

/// `rawget`, as Lua's own.
pub(crate) unsafe extern "C-unwind" fn raw_get(raw: *mut lua_State) -> c_int {
    // SAFETY: as `next`.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(raw, 2);
        ffi::lua_settop(raw, 2);
        thaw(raw, 1);
        ffi::lua_rawget(raw, 1);
    }
    1
}

/// `rawlen`, as Lua's own.
pub(crate) unsafe extern "C-unwind" fn raw_len(raw: *mut lua_State) -> c_int {
    // SAFETY: as `next`.
    unsafe {
        let kind = ffi::lua_type(raw, 1);
        if kind != ffi::LUA_TTABLE && kind != ffi::LUA_TSTRING {
            ffi::luaL_argerror(raw, 1, c"table or string expected".as_ptr());
        }
        ffi::lua_settop(raw, 1);
        thaw(raw, 1);
        let len = ffi::lua_rawlen(raw, 1);
        ffi::lua_pushinteger(raw, i64::try_from(len).unwrap_or(i64::MAX));
    }
    1
}

/// `rawset`, as Lua's own.
pub(crate) unsafe extern "C-unwind" fn raw_set(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(raw, 2);
        ffi::luaL_checkany(raw, 3);
        ffi::lua_settop(raw, 3);
        check_writable(raw);
        ffi::lua_rawset(raw, 1);
    }
    1
}
