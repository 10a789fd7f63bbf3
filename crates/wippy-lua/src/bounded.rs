//! Functions of Lua's libraries that a script could keep busy for long.
//!
//! Inside C no instruction runs, so nothing interrupts a loop there. Where the arguments
//! make such a loop short, Lua's own function is called; where they make it long, Lua code
//! of ours does the same piece by piece (`long.lua`); and what makes no sense that long is
//! refused. `table.move` and `concat` believe what they are told: their counts are bounded
//! by what a table of the process could hold at all. A table whose length is a `__len` of
//! the script is refused by `insert` and `remove`, because Lua's function would ask again
//! and may hear something else; `concat` can be told the answer, and `sort` is ours.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::frozen;
use crate::long;
use crate::sort;
use crate::state::{State, TEXT_BYTES_MAX};

/// Bytes of a table's element.
const ELEMENT_BYTES: u64 = 16;

/// Elements that one function of C may work on: some ten microseconds.
const ELEMENTS_MAX: i64 = 4096;

/// Bytes that one function of C may work on one by one: a millisecond at most.
const BYTES_MAX: usize = 256 << 10;

/// Values that one function gives at most.
pub(crate) const RESULTS_MAX: i64 = 40_000;

/// Bytes of a format of `os.date`, each of which may name the whole date.
const DATE_FORMAT_BYTES_MAX: usize = 1 << 10;

/// Bytes of the fixed sizes in a format of `string.pack` together.
const PACKED_BYTES_MAX: usize = 16 << 20;

/// Bounds the functions among the globals in the table on top.
pub(crate) fn bound_base(state: State<'_>) {
    wrap(state, "tonumber", tonumber);
    state.set_functions(&[
        ("next", frozen::next),
        ("rawget", frozen::raw_get),
        ("rawlen", frozen::raw_len),
        ("rawset", frozen::raw_set),
    ]);
}

/// Bounds the functions of `string` in the table on top.
pub(crate) fn bound_string(state: State<'_>) {
    wrap(state, "rep", rep);
    wrap(state, "lower", change);
    wrap(state, "upper", change);
    wrap(state, "reverse", reverse);
    wrap(state, "format", format);
    wrap(state, "byte", codes);
    for name in ["pack", "unpack", "packsize"] {
        wrap(state, name, pack);
    }
}

/// Bounds the functions of `table` in the table on top.
pub(crate) fn bound_table(state: State<'_>) {
    wrap(state, "insert", insert);
    wrap(state, "remove", remove);
    wrap(state, "move", moved);
    wrap(state, "concat", concat);
    wrap(state, "unpack", unpack);
    state.set_functions(&[
        ("sort", sort),
        ("create", create),
        ("freeze", frozen::freeze),
        ("isfrozen", frozen::isfrozen),
    ]);
}

/// Pushes the function `unpack`, which is that of `table`.
pub(crate) fn push_unpack(state: State<'_>) {
    // SAFETY: in host mode the openers of Lua's libraries neither raise nor are refused.
    unsafe { ffi::luaopen_table(state.raw()) };
    wrap(state, "unpack", unpack);
    state.get_field(-1, "unpack");
    state.insert(-2);
    state.pop(1);
}

/// Bounds the functions of `utf8` in the table on top.
pub(crate) fn bound_utf8(state: State<'_>) {
    wrap(state, "len", utf8_len);
    wrap(state, "offset", utf8_offset);
    wrap(state, "codepoint", codes);
}

/// Bounds the functions of `os` in the table on top.
pub(crate) fn bound_os(state: State<'_>) {
    wrap(state, "date", date);
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

/// An argument that is an integer, or a number or text that stands for one.
unsafe fn integer(raw: *mut lua_State, arg: c_int) -> Option<i64> {
    let mut is_integer = 0;
    // SAFETY: any acceptable index may be asked.
    let number = unsafe { ffi::lua_tointegerx(raw, arg, &raw mut is_integer) };
    (is_integer != 0).then_some(number)
}

unsafe fn is_table(raw: *mut lua_State, arg: c_int) -> bool {
    // SAFETY: any acceptable index may be asked.
    unsafe { ffi::lua_type(raw, arg) == ffi::LUA_TTABLE }
}

/// The length of a string, which is 0 where there is none.
unsafe fn string_len(raw: *mut lua_State, arg: c_int) -> usize {
    // SAFETY: any acceptable index may be asked.
    unsafe {
        match ffi::lua_type(raw, arg) {
            ffi::LUA_TSTRING => ffi::lua_rawlen(raw, arg),
            _ => 0,
        }
    }
}

/// Elements of the largest table that the process's memory has room for.
unsafe fn elements_max(raw: *mut lua_State) -> u64 {
    // SAFETY: the thread is of a VM of this crate.
    unsafe { Core::of(raw).program.limits.memory_bytes / ELEMENT_BYTES }
}

unsafe fn check(raw: *mut lua_State, count: i64) {
    // SAFETY: raises where there are too many; nothing here needs dropping.
    unsafe {
        if u64::try_from(count).is_ok_and(|count| count > elements_max(raw)) {
            ffi::luaL_error(
                raw,
                c"%p: more elements than a table of this process can have".as_ptr(),
                ffi::lua_topointer(raw, 1).cast::<c_void>(),
            );
        }
    }
}

/// The length of the table that is the first argument; raises where it has a `__len`.
unsafe fn plain_len(raw: *mut lua_State) -> i64 {
    // SAFETY: raises or reads; nothing here needs dropping.
    unsafe {
        frozen::check_writable(raw);
        if ffi::luaL_getmetafield(raw, 1, c"__len".as_ptr()) != ffi::LUA_TNIL {
            ffi::luaL_argerror(
                raw,
                1,
                c"it has a __len, which this function does not take".as_ptr(),
            );
        }
        if !is_table(raw, 1) {
            return 0;
        }
        let len = i64::try_from(ffi::lua_rawlen(raw, 1)).unwrap_or(i64::MAX);
        check(raw, len);
        len
    }
}

unsafe extern "C-unwind" fn insert(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua's own function finds the same length, and raises what is to be raised.
    unsafe {
        let len = plain_len(raw);
        match integer(raw, 2) {
            Some(place)
                if ffi::lua_gettop(raw) == 3
                    && (1..=len).contains(&place)
                    && len - place > ELEMENTS_MAX =>
            {
                ffi::lua_pushinteger(raw, len);
                ffi::lua_insert(raw, 2);
                long::call(raw, "insert", 4, false)
            }
            _ => original(raw),
        }
    }
}

unsafe extern "C-unwind" fn remove(raw: *mut lua_State) -> c_int {
    // SAFETY: as `insert`.
    unsafe {
        let len = plain_len(raw);
        match integer(raw, 2) {
            Some(place) if (1..=len).contains(&place) && len - place > ELEMENTS_MAX => {
                ffi::lua_settop(raw, 2);
                ffi::lua_pushinteger(raw, len);
                ffi::lua_insert(raw, 2);
                long::call(raw, "remove", 3, false)
            }
            _ => original(raw),
        }
    }
}

unsafe extern "C-unwind" fn sort(raw: *mut lua_State) -> c_int {
    // SAFETY: the arguments are checked as by Lua's own function.
    unsafe {
        if !is_table(raw, 1) {
            let fields = [c"__index", c"__newindex", c"__len"];
            let like_table = fields.iter().all(|field| {
                let found = ffi::luaL_getmetafield(raw, 1, field.as_ptr()) != ffi::LUA_TNIL;
                if found {
                    ffi::lua_settop(raw, -2);
                }
                found
            });
            if !like_table {
                ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
            }
        }
        frozen::check_writable(raw);
        let len = ffi::luaL_len(raw, 1);
        if len < 2 {
            return 0;
        }
        if len >= i64::from(c_int::MAX) {
            ffi::luaL_argerror(raw, 1, c"array too big".as_ptr());
        }
        if ffi::lua_type(raw, 2) > ffi::LUA_TNIL {
            ffi::luaL_checktype(raw, 2, ffi::LUA_TFUNCTION);
        }
        ffi::lua_settop(raw, 2);
        // A comparison of the script keeps its place in tracebacks.
        let compares = ffi::lua_type(raw, 2) == ffi::LUA_TNIL;
        if compares && len <= sort::RANGE_MAX && sort_numbers(raw, len) {
            return 0;
        }
        ffi::lua_pushinteger(raw, len);
        ffi::lua_insert(raw, 2);
        long::call(raw, "sort", 3, compares)
    }
}

unsafe fn sort_numbers(raw: *mut lua_State, len: i64) -> bool {
    // SAFETY: in host mode nothing raises.
    unsafe {
        let heap = &Core::of(raw).heap;
        let before = heap.host_mode(true);
        let sorted = is_table(raw, 1) && sort::sort_range(State::new(raw), 1, 1, len);
        heap.host_mode(before);
        sorted
    }
}

unsafe extern "C-unwind" fn concat(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own function, which checks the arguments again. It is told the last
    // position, so that it does not ask for the length.
    unsafe {
        ffi::lua_settop(raw, 4);
        if ffi::lua_type(raw, 4) == ffi::LUA_TNIL && is_table(raw, 1) {
            let len = ffi::luaL_len(raw, 1);
            ffi::lua_pushinteger(raw, len);
            ffi::lua_copy(raw, -1, 4);
            ffi::lua_settop(raw, 4);
        }
        let first = ffi::luaL_optinteger(raw, 3, 1);
        let last = ffi::lua_tointegerx(raw, 4, ptr::null_mut());
        let count = last.saturating_sub(first);
        check(raw, count);
        if count > ELEMENTS_MAX && is_table(raw, 1) && last < i64::MAX {
            ffi::luaL_optlstring(raw, 2, c"".as_ptr(), ptr::null_mut());
            if ffi::lua_type(raw, 2) == ffi::LUA_TNIL {
                ffi::lua_pushstring(raw, c"".as_ptr());
                ffi::lua_replace(raw, 2);
            }
            ffi::lua_pushinteger(raw, first);
            ffi::lua_replace(raw, 3);
            return long::call(raw, "concat", 4, true);
        }
        original(raw)
    }
}

unsafe extern "C-unwind" fn moved(raw: *mut lua_State) -> c_int {
    // SAFETY: what is no integer, and what would wrap around, is left to Lua's own function
    // to refuse.
    unsafe {
        let first = ffi::lua_tointegerx(raw, 2, ptr::null_mut());
        let last = ffi::lua_tointegerx(raw, 3, ptr::null_mut());
        let count = last.saturating_sub(first);
        check(raw, count);
        let into = if ffi::lua_type(raw, 5) > ffi::LUA_TNIL { 5 } else { 1 };
        if count > ELEMENTS_MAX
            && is_table(raw, 1)
            && is_table(raw, into)
            && (2..=3).all(|arg| integer(raw, arg).is_some())
            && integer(raw, 4).is_some_and(|to| to.checked_add(count).is_some())
        {
            ffi::lua_pushvalue(raw, into);
            ffi::lua_insert(raw, 5);
            ffi::lua_settop(raw, 5);
            return long::call(raw, "move", 5, false);
        }
        original(raw)
    }
}

unsafe extern "C-unwind" fn rep(raw: *mut lua_State) -> c_int {
    // SAFETY: as Lua's own function, which checks the arguments again.
    unsafe {
        let (mut len, mut separator) = (0, 0);
        ffi::luaL_checklstring(raw, 1, &raw mut len);
        let count = ffi::luaL_checkinteger(raw, 2);
        ffi::luaL_optlstring(raw, 3, c"".as_ptr(), &raw mut separator);
        if len + separator == 0 {
            ffi::lua_pushstring(raw, c"".as_ptr());
            return 1;
        }
        let bytes = usize::try_from(count).ok().and_then(|n| n.checked_mul(len + separator));
        let max = usize::try_from(Core::of(raw).program.limits.memory_bytes).unwrap_or(usize::MAX);
        match bytes {
            // What does not fit at all is refused by the allocator.
            Some(bytes) if bytes > BYTES_MAX && bytes < max => {
                ffi::lua_settop(raw, 3);
                if separator == 0 {
                    ffi::lua_pushstring(raw, c"".as_ptr());
                    ffi::lua_replace(raw, 3);
                }
                ffi::lua_pushinteger(raw, count);
                ffi::lua_replace(raw, 2);
                long::call(raw, "rep", 3, false)
            }
            _ => original(raw),
        }
    }
}

unsafe extern "C-unwind" fn change(raw: *mut lua_State) -> c_int {
    // SAFETY: a number is a short text.
    unsafe { change_long(raw, false) }
}

unsafe extern "C-unwind" fn reverse(raw: *mut lua_State) -> c_int {
    // SAFETY: as `change`.
    unsafe { change_long(raw, true) }
}

unsafe fn change_long(raw: *mut lua_State, backwards: bool) -> c_int {
    // SAFETY: the function and the text are what `long.lua` wants.
    unsafe {
        if string_len(raw, 1) <= BYTES_MAX {
            return original(raw);
        }
        ffi::lua_settop(raw, 1);
        ffi::lua_pushvalue(raw, ffi::lua_upvalueindex(1));
        ffi::lua_insert(raw, 1);
        ffi::lua_pushboolean(raw, backwards.into());
        long::call(raw, "change", 3, false)
    }
}

/// `table.create(count, [value])`: a table with room for so many elements, each of which is
/// the value.
unsafe extern "C-unwind" fn create(raw: *mut lua_State) -> c_int {
    // SAFETY: raises or makes a table; nothing here needs dropping.
    unsafe {
        let count = ffi::luaL_checkinteger(raw, 1);
        if count < 0 {
            return ffi::luaL_argerror(raw, 1, c"there are no negative sizes".as_ptr());
        }
        if u64::try_from(count).is_ok_and(|count| count > elements_max(raw)) {
            let message = c"more elements than a table of this process can have";
            return ffi::luaL_argerror(raw, 1, message.as_ptr());
        }
        ffi::lua_settop(raw, 2);
        ffi::lua_createtable(raw, c_int::try_from(count).unwrap_or(c_int::MAX), 0);
        if ffi::lua_type(raw, 2) == ffi::LUA_TNIL {
            return 1;
        }
        let at_once = count.min(ELEMENTS_MAX);
        for place in 1..=at_once {
            ffi::lua_pushvalue(raw, 2);
            ffi::lua_rawseti(raw, 3, place);
        }
        if at_once == count {
            return 1;
        }
        ffi::lua_insert(raw, 2);
        ffi::lua_pushinteger(raw, at_once + 1);
        ffi::lua_pushinteger(raw, count);
        long::call(raw, "fill", 4, false)
    }
}

/// `table.unpack`: as many results as the stack has room for without being moved often.
unsafe extern "C-unwind" fn unpack(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua's own function checks the arguments.
    unsafe {
        let first = ffi::luaL_optinteger(raw, 2, 1);
        let last = match integer(raw, 3) {
            Some(last) => last,
            None if is_table(raw, 1) => ffi::luaL_len(raw, 1),
            None => return original(raw),
        };
        if first <= last && last.saturating_sub(first) >= RESULTS_MAX {
            return ffi::luaL_error(raw, c"too many results to unpack".as_ptr());
        }
        original(raw)
    }
}

/// `string.byte` and `utf8.codepoint`: the same.
unsafe extern "C-unwind" fn codes(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua's own function checks the arguments.
    unsafe {
        let len = i64::try_from(string_len(raw, 1)).unwrap_or(i64::MAX);
        if len > RESULTS_MAX {
            let first = from_front(ffi::luaL_optinteger(raw, 2, 1), len);
            let last = from_front(ffi::luaL_optinteger(raw, 3, first), len).min(len);
            if last.saturating_sub(first.max(1)) >= RESULTS_MAX {
                return ffi::luaL_error(raw, c"string slice too long".as_ptr());
            }
        }
        original(raw)
    }
}

/// Raises that a text is too long for a function.
unsafe fn too_long(raw: *mut lua_State, arg: c_int) -> c_int {
    // SAFETY: raises.
    unsafe { ffi::luaL_argerror(raw, arg, c"too long for this function".as_ptr()) }
}

/// A text as long as that stands for no number.
unsafe extern "C-unwind" fn tonumber(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua's own function checks the arguments.
    unsafe {
        if string_len(raw, 1) > TEXT_BYTES_MAX {
            ffi::lua_pushnil(raw);
            return 1;
        }
        original(raw)
    }
}

unsafe extern "C-unwind" fn format(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua's own function checks the arguments.
    unsafe {
        if string_len(raw, 1) > BYTES_MAX {
            return too_long(raw, 1);
        }
        // A quoted text is written byte by byte; any other is copied.
        for arg in 2..=ffi::lua_gettop(raw) {
            if string_len(raw, arg) > BYTES_MAX {
                let mut len = 0;
                let format = ffi::luaL_checklstring(raw, 1, &raw mut len);
                let format = std::slice::from_raw_parts(format.cast::<u8>(), len);
                if format.windows(2).any(|pair| pair == b"%q") {
                    return too_long(raw, arg);
                }
                break;
            }
        }
        truncate(raw);
        original(raw)
    }
}

/// Makes integers of the numbers with a fraction that `%d` and `%i` of a format stand for,
/// towards zero. What Lua has no integer for is left to it to refuse.
unsafe fn truncate(raw: *mut lua_State) {
    // SAFETY: the format is a string by now where it can be one, and stays in its slot.
    unsafe {
        let has_fraction =
            |arg: c_int| ffi::lua_type(raw, arg) == ffi::LUA_TNUMBER && integer(raw, arg).is_none();
        if !(2..=ffi::lua_gettop(raw)).any(has_fraction) {
            return;
        }
        let mut len = 0;
        let format = ffi::luaL_checklstring(raw, 1, &raw mut len);
        let format = std::slice::from_raw_parts(format.cast::<u8>(), len);
        let (mut rest, mut arg) = (format, 2);
        while let Some(percent) = memchr::memchr(b'%', rest) {
            rest = rest.get(percent + 1..).unwrap_or_default();
            let is_flag =
                |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b' ' | b'#' | b'.');
            let flags = rest.iter().take_while(is_flag).count();
            let conversion = rest.get(flags);
            rest = rest.get(flags + 1..).unwrap_or_default();
            if conversion == Some(&b'%') && flags == 0 {
                continue;
            }
            if matches!(conversion, Some(b'd' | b'i')) && has_fraction(arg) {
                let whole = ffi::lua_tonumberx(raw, arg, ptr::null_mut()).trunc();
                ffi::lua_pushnumber(raw, whole);
                ffi::lua_replace(raw, arg);
            }
            arg += 1;
        }
    }
}

unsafe extern "C-unwind" fn pack(raw: *mut lua_State) -> c_int {
    // SAFETY: as `format`.
    unsafe {
        let mut len = 0;
        let format = ffi::luaL_checklstring(raw, 1, &raw mut len);
        let format = std::slice::from_raw_parts(format.cast::<u8>(), len);
        let (mut sizes, mut size) = (0_usize, None);
        for byte in format {
            size = match (byte, size) {
                (b'c', _) => Some(0_usize),
                (b'0'..=b'9', Some(size)) => {
                    Some(size.saturating_mul(10).saturating_add(usize::from(byte - b'0')))
                }
                (_, size) => {
                    sizes = sizes.saturating_add(size.unwrap_or(0));
                    None
                }
            };
        }
        if len > RESULTS_MAX as usize || sizes.saturating_add(size.unwrap_or(0)) > PACKED_BYTES_MAX
        {
            return too_long(raw, 1);
        }
        original(raw)
    }
}

unsafe extern "C-unwind" fn date(raw: *mut lua_State) -> c_int {
    // SAFETY: as `format`.
    unsafe {
        if string_len(raw, 1) > DATE_FORMAT_BYTES_MAX {
            return too_long(raw, 1);
        }
        original(raw)
    }
}

/// A position from the front, of one that may count from the end.
fn from_front(position: i64, len: i64) -> i64 {
    match position {
        0.. => position,
        _ if position < -len => 0,
        _ => len + position + 1,
    }
}

unsafe extern "C-unwind" fn utf8_len(raw: *mut lua_State) -> c_int {
    // SAFETY: what is out of bounds is left to Lua's own function to refuse.
    unsafe {
        if string_len(raw, 1) <= BYTES_MAX {
            return original(raw);
        }
        let len = i64::try_from(string_len(raw, 1)).unwrap_or(i64::MAX);
        let first = from_front(ffi::luaL_optinteger(raw, 2, 1), len);
        let last = from_front(ffi::luaL_optinteger(raw, 3, -1), len);
        if !(1..=len + 1).contains(&first) || last > len || last < first {
            return original(raw);
        }
        let lax = ffi::lua_toboolean(raw, 4);
        ffi::lua_settop(raw, 1);
        ffi::lua_pushinteger(raw, first);
        ffi::lua_pushinteger(raw, last);
        ffi::lua_pushboolean(raw, lax);
        long::call(raw, "utf8_len", 4, false)
    }
}

unsafe extern "C-unwind" fn utf8_offset(raw: *mut lua_State) -> c_int {
    // SAFETY: as `utf8_len`.
    unsafe {
        let bytes = string_len(raw, 1);
        if bytes <= BYTES_MAX {
            return original(raw);
        }
        let len = i64::try_from(bytes).unwrap_or(i64::MAX);
        let count = ffi::luaL_checkinteger(raw, 2);
        let default = if count > 0 { 1 } else { len + 1 };
        let at = from_front(ffi::luaL_optinteger(raw, 3, default), len);
        let text = ffi::lua_tolstring(raw, 1, ptr::null_mut()).cast::<u8>();
        let here = usize::try_from(at - 1).ok().filter(|at| *at < bytes).map(|at| *text.add(at));
        let inner = here.is_some_and(|byte| byte & 0xC0 == 0x80);
        if !(1..=len + 1).contains(&at) || inner && count != 0 {
            return original(raw);
        }
        ffi::lua_settop(raw, 1);
        ffi::lua_pushinteger(raw, count);
        ffi::lua_pushinteger(raw, at);
        long::call(raw, "utf8_offset", 3, false)
    }
}
