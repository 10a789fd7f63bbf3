//! Types as values: `T:is(v)` and `T(v)`.
//!
//! A chunk whose text uses types as values (`dialect`) begins with a call of [`types`], which
//! makes a userdata for each of a description. The description is read, and values are
//! checked, by Lua code of ours (`typed.lua`), so that a large value gives way like a busy
//! script. It gets along without the script's globals, calls no metamethod, and nests as
//! deep as it says there.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::OnceLock;

use mlua::ffi::{self, lua_State};
use wippy_model::Error;

use crate::failure;
use crate::frozen;
use crate::host_fn::{Answer, Outcome, host_fn, misuse};
use crate::long::{self, NAME};
use crate::state::{Key, State, Type};
use crate::strings;
use crate::vm::Compiler;

const SOURCE: &str = include_str!("typed.lua");

/// Characters of a text that a message shows.
const SHOWN_CHARS_MAX: usize = 40;

/// Tables with an `__index` that a field is looked for in.
const INDEX_CHAIN_MAX: usize = 16;

/// The table that the code returns.
static TYPED: Key = Key::new();

/// The metatable of types.
static TYPE: Key = Key::new();

/// The function that the head of a chunk calls, and the globals, in its environment.
const TYPES: &str = "types";
const GLOBALS: &str = "_G";

fn bytecode() -> &'static [u8] {
    static BYTECODE: OnceLock<Vec<u8>> = OnceLock::new();
    BYTECODE.get_or_init(|| {
        Compiler::new().compile(SOURCE.as_bytes(), NAME).unwrap_or_else(|message| {
            // Tests run it; without it the functions fail.
            tracing::error!("typed.lua does not compile: {message}");
            Vec::new()
        })
    })
}

/// Pops what shall be the globals of the chunk below it, and gives that chunk the environment
/// that its head reads.
pub(crate) fn wrap_environment(state: State<'_>) {
    state.push_table(0, 2);
    state.insert(-2);
    state.set_field(-2, GLOBALS);
    add_to_environment(state);
    // SAFETY: the first upvalue of a chunk is its `_ENV`.
    unsafe { ffi::lua_setupvalue(state.raw(), -2, 1) };
}

/// Adds what the head of a chunk reads to the environment on top.
pub(crate) fn add_to_environment(state: State<'_>) {
    state.push_function(host_fn(|state, _| types(state)));
    state.set_field(-2, TYPES);
}

/// `types(description)`: a table of types by number, and at 0 the function that takes what a
/// variable holds whose fields they refer to.
fn types(state: State<'_>) -> Outcome {
    let description = state.to_bytes(1).unwrap_or_default();
    state.get_or_make(&TYPE, make_metatable);
    state.pop(1);
    let names = names(description);
    state.push_table(names.len(), 1);
    let made = state.top();
    state.push_table(0, 3);
    let set = state.top();
    state.push_copy(1);
    state.set_field(set, "description");
    state.push_table(0, 0);
    state.push_copy(-1);
    state.set_field(set, "slots");
    // SAFETY: in host mode nothing is refused; the table of slots becomes the upvalue.
    unsafe { ffi::lua_pushcclosure(state.raw(), host_fn(|state, _| bind(state)), 1) };
    state.set_position(made, 0);
    for (place, name) in (1..).zip(names) {
        state.push_table(0, 3);
        state.push_copy(set);
        state.set_field(-2, "set");
        state.push_integer(place);
        state.set_field(-2, "place");
        state.push_bytes(name);
        state.set_field(-2, "name");
        state.wrap_table(&TYPE);
        state.set_position(made, place);
    }
    state.push_copy(made);
    Ok(Answer::Values(1))
}

/// The names that a description begins with.
fn names(description: &[u8]) -> Vec<&[u8]> {
    fn number<'d>(rest: &mut &'d [u8]) -> Option<usize> {
        let (number, after): (&'d [u8; 4], _) = rest.split_first_chunk()?;
        *rest = after;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }
    fn name<'d>(rest: &mut &'d [u8]) -> Option<&'d [u8]> {
        let len = number(rest)?;
        let (name, after) = rest.split_at_checked(len)?;
        *rest = after;
        Some(name)
    }
    let mut rest = description;
    let count = number(&mut rest).unwrap_or(0);
    (0..count).map_while(|_| name(&mut rest)).collect()
}

/// Keeps what a variable holds in its slot.
fn bind(state: State<'_>) -> Outcome {
    if let Some(slot) = state.to_exact_integer(1) {
        state.set_top(2);
        state.set_position(ffi::lua_upvalueindex(1), slot);
    }
    Ok(Answer::Values(0))
}

fn make_metatable(state: State<'_>) {
    state.push_table(0, 5);
    state.push_table(0, 1);
    state.set_functions(&[("is", is)]);
    state.set_field(-2, "__index");
    state.set_functions(&[
        ("__call", cast),
        (
            "__tostring",
            host_fn(|state, _| {
                state.get_wrapped(1, &TYPE);
                state.get_field(-1, "name");
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.push_str("type");
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

/// `T:is(value)`
unsafe extern "C-unwind" fn is(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { check(raw, "is") }
}

/// `T(value)`
unsafe extern "C-unwind" fn cast(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { check(raw, "cast") }
}

unsafe fn check(raw: *mut lua_State, how: &str) -> c_int {
    // SAFETY: no Rust value is alive while our Lua code runs. The host function leaves the
    // type's table and the value on top.
    unsafe {
        ffi::lua_settop(raw, 2);
        host_fn(|state, _| {
            if !state.get_wrapped(1, &TYPE) {
                return Err(misuse(state, "call it on a type, as T:is(value)"));
            }
            state.push_copy(2);
            Ok(Answer::Values(2))
        })(raw);
        long::call_of(raw, &TYPED, make, how, 2, true)
    }
}

fn make(state: State<'_>) {
    let base = state.top();
    if state.load(bytecode(), NAME, true) && state.reserve(16) {
        let functions: [ffi::lua_CFunction; 15] = [
            byte_at,
            number_at,
            text_at,
            to_number,
            kind_of,
            is_integer,
            field,
            frozen::next,
            frozen::raw_len,
            strings::find,
            host_fn(|state, _| {
                state.push_bool(failure::is_error(state, 1));
                Ok(Answer::Values(1))
            }),
            host_fn(|state, _| {
                state.get_wrapped(1, &TYPE);
                Ok(Answer::Values(1))
            }),
            host_fn(|state, _| show(state)),
            host_fn(|state, _| {
                failure::push(state, &Error::invalid(failure::text(state, 1)));
                Ok(Answer::Values(1))
            }),
            raise,
        ];
        let count = functions.len();
        for function in functions {
            state.push_function(function);
        }
        state.call_trusted(c_int::try_from(count).unwrap_or(0), 1);
    }
    state.set_top(base + 1);
    if state.type_of(-1) != Type::Table {
        state.pop(1);
        state.push_table(0, 0);
    }
}

/// The bytes from a position on, counted from 1, in the string in slot 1.
unsafe fn bytes_from<'a>(raw: *mut lua_State) -> &'a [u8] {
    // SAFETY: the string stands in its slot while the function runs.
    unsafe {
        let mut len = 0;
        let bytes = ffi::luaL_checklstring(raw, 1, &raw mut len);
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), len);
        let at = ffi::lua_tointegerx(raw, 2, std::ptr::null_mut());
        let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
        bytes.get(at..).unwrap_or_default()
    }
}

fn number_in(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |number| u32::from_le_bytes(*number))
}

/// `byte_at(text, position)`
unsafe extern "C-unwind" fn byte_at(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a string and an integer, as the next two.
    unsafe {
        let byte = bytes_from(raw).first().copied().unwrap_or(0);
        ffi::lua_pushinteger(raw, byte.into());
    }
    1
}

/// `number_at(text, position)`
unsafe extern "C-unwind" fn number_at(raw: *mut lua_State) -> c_int {
    // SAFETY: as `byte_at`.
    unsafe { ffi::lua_pushinteger(raw, number_in(bytes_from(raw)).into()) }
    1
}

/// `text_at(text, position)`: the text, and the position behind it.
unsafe extern "C-unwind" fn text_at(raw: *mut lua_State) -> c_int {
    // SAFETY: as `byte_at`.
    unsafe {
        let from = bytes_from(raw);
        let len = number_in(from) as usize;
        let text = from.get(4..len.saturating_add(4)).unwrap_or_default();
        let at = ffi::lua_tointegerx(raw, 2, std::ptr::null_mut());
        ffi::lua_pushlstring(raw, text.as_ptr().cast(), text.len());
        ffi::lua_pushinteger(raw, at + i64::from(number_in(from)) + 4);
    }
    2
}

/// `to_number(text)`
unsafe extern "C-unwind" fn to_number(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a string. A text that is no number becomes nil.
    unsafe {
        let text = ffi::luaL_checklstring(raw, 1, std::ptr::null_mut());
        if ffi::lua_stringtonumber(raw, text) == 0 {
            ffi::lua_pushnil(raw);
        }
    }
    1
}

unsafe extern "C-unwind" fn kind_of(raw: *mut lua_State) -> c_int {
    // SAFETY: any acceptable index may be asked.
    unsafe { ffi::lua_pushinteger(raw, ffi::lua_type(raw, 1).max(0).into()) }
    1
}

/// Whether a value is a number without a fraction.
unsafe extern "C-unwind" fn is_integer(raw: *mut lua_State) -> c_int {
    // SAFETY: any acceptable index may be asked; a number is converted as a copy.
    unsafe {
        let mut is_integer = 0;
        if ffi::lua_type(raw, 1) == ffi::LUA_TNUMBER {
            ffi::lua_tointegerx(raw, 1, &raw mut is_integer);
            if is_integer == 0 {
                let number = ffi::lua_tonumberx(raw, 1, std::ptr::null_mut());
                is_integer = (number.is_finite() && number.fract() == 0.0).into();
            }
        }
        ffi::lua_pushboolean(raw, is_integer);
    }
    1
}

/// `field(table, key)`, raw, also where tables stand in for a table by `__index`.
unsafe extern "C-unwind" fn field(raw: *mut lua_State) -> c_int {
    // SAFETY: our code calls it with a table and a key. All access is raw.
    unsafe {
        ffi::lua_settop(raw, 2);
        for _ in 0..INDEX_CHAIN_MAX {
            frozen::thaw(raw, 1);
            ffi::lua_pushvalue(raw, 2);
            let found = ffi::lua_rawget(raw, 1) != ffi::LUA_TNIL;
            if found || ffi::lua_getmetatable(raw, 1) == 0 {
                return 1;
            }
            ffi::lua_pushstring(raw, c"__index".as_ptr());
            if ffi::lua_rawget(raw, -2) != ffi::LUA_TTABLE {
                break;
            }
            ffi::lua_copy(raw, -1, 1);
            ffi::lua_settop(raw, 2);
        }
        ffi::lua_pushnil(raw);
    }
    1
}

unsafe extern "C-unwind" fn raise(raw: *mut lua_State) -> c_int {
    // SAFETY: raises what is on top.
    unsafe {
        ffi::lua_settop(raw, 1);
        ffi::lua_error(raw)
    }
}

/// `show(value, how)`: as messages show it. `how` is nothing for the type and the value, true
/// for the value alone, "first" and "key" for a key in a path.
fn show(state: State<'_>) -> Outcome {
    let literal = || match state.type_of(1) {
        Type::String => Some(quoted(state.to_bytes(1).unwrap_or_default())),
        Type::Number => Some(number(state)),
        Type::Bool => Some(state.to_bool(1).to_string()),
        _ => None,
    };
    let name = match state.type_of(1) {
        Type::String => "string",
        _ => state.type_name(1),
    };
    let shown = match (state.type_of(2), state.to_str(2)) {
        (Type::Bool, _) => literal().unwrap_or_else(|| name.to_owned()),
        (Type::String, how) => match state.to_str(1).filter(|key| is_name(key)) {
            Some(key) if how == Some("first") => key.to_owned(),
            Some(key) => format!(".{key}"),
            None => format!("[{}]", literal().unwrap_or_else(|| name.to_owned())),
        },
        _ => literal().map_or_else(|| name.to_owned(), |literal| format!("{name} {literal}")),
    };
    state.push_str(&shown);
    Ok(Answer::Values(1))
}

fn number(state: State<'_>) -> String {
    match (state.to_exact_integer(1), state.to_number(1)) {
        (Some(integer), _) => integer.to_string(),
        (None, Some(float)) => format!("{float:?}"),
        (None, None) => String::new(),
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty()
        && text.len() <= SHOWN_CHARS_MAX
        && text.chars().all(is_part)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn quoted(bytes: &[u8]) -> String {
    // As many bytes as so many characters may have.
    let front = bytes.get(..SHOWN_CHARS_MAX * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(front);
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let cut = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{:?}", format!("{shown}{cut}"))
}
