//! The body of the main thread: runs the entry's chunk, finds the method, calls it.
//!
//! A chunk returns a table with the method in it, or the method itself, or defines a global
//! function of its name. Without a method the chunk itself is the body and gets the
//! arguments as `...`. What it returns is the value; a function's second result is its error.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use wippy_model::{Error, Value};

use crate::core::Core;
use crate::host_fn::{Answer, host_fn, raise};
use crate::state::{State, Type};

/// How many fields of a table are looked at, how many functions a message names, and how much
/// of each name.
const FIELDS_MAX: usize = 1_000;
const NAMES_MAX: usize = 32;
const NAME_CHARS_MAX: usize = 64;

/// Called with the chunk and the arguments.
pub(crate) unsafe extern "C-unwind" fn run(raw: *mut lua_State) -> c_int {
    // SAFETY: the stack holds the chunk and the arguments; no Rust value is alive when an
    // error or a yield leaves.
    unsafe {
        if Core::of(raw).program.method.is_empty() {
            return finish(raw);
        }
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_callk(raw, 0, 1, 0, Some(loaded));
        loaded(raw, ffi::LUA_OK, 0)
    }
}

/// The chunk has returned: its result is on top, above the arguments.
unsafe extern "C-unwind" fn loaded(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: as `run`. The host function takes the result away and puts the method where
    // the chunk was.
    unsafe {
        host_fn(|state, _| {
            find_method(state)?;
            Ok(Answer::Values(0))
        })(raw);
        finish(raw)
    }
}

/// Calls what is below the arguments.
///
/// SAFETY: as `run`.
unsafe fn finish(raw: *mut lua_State) -> c_int {
    // SAFETY: as `run`.
    unsafe {
        let results = if Core::of(raw).context.is_function() { 2 } else { 1 };
        ffi::lua_callk(raw, ffi::lua_gettop(raw) - 1, results, results as isize, Some(done));
        results
    }
}

unsafe extern "C-unwind" fn done(_: *mut lua_State, _: c_int, results: isize) -> c_int {
    c_int::from(results > 1) + 1
}

fn find_method(state: State<'_>) -> Result<(), crate::host_fn::Raised> {
    let program = &state.core().program;
    let method = &*program.method;
    let result = state.top();
    match state.type_of(-1) {
        Type::Function => {}
        Type::Table if state.get_field(-1, method) == Type::Function => {
            state.insert(-2);
            state.pop(1);
        }
        kind => {
            let field = state.type_name(-1);
            if kind == Type::Table {
                state.pop(1);
            }
            state.push_globals();
            if state.get_field(-1, method) != Type::Function {
                let message = missing(state, method, result, field);
                let place = Value::map([("field", Value::from("method"))]);
                let error = Error::not_found(message).with_details(place);
                state.core().note_misfit(error.clone());
                return Err(raise(state, &error));
            }
            state.insert(-3);
            state.pop(2);
        }
    }
    state.replace(1);
    Ok(())
}

/// Says what the source returned instead, and the next step.
fn missing(state: State<'_>, method: &str, result: c_int, field: &str) -> String {
    let id = &state.core().program.id;
    let functions = functions(state, result);
    let what = match state.type_of(result) {
        Type::Table if field != "nil" => {
            format!("its source returns a table whose `{method}` is a {field}")
        }
        Type::Table if functions.is_empty() => {
            "its source returns a table without functions".to_owned()
        }
        Type::Table => {
            format!("its source returns a table whose functions are: {}", functions.join(", "))
        }
        Type::Nil => "its source returns nothing".to_owned(),
        _ => format!("its source returns a {}", state.type_name(result)),
    };
    let near = functions
        .iter()
        .map(|name| (strsim::damerau_levenshtein(method, name), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min();
    let next = match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => {
            format!("end the source with `return {{ {method} = {method} }}`, or correct `method`")
        }
    };
    format!(
        "{id} has no method `{method}`: {what}, and there is no global function of that name; {next}"
    )
}

/// The names of the functions in a table, in the order of the alphabet; none of another value.
fn functions(state: State<'_>, table: c_int) -> Vec<String> {
    let mut names = Vec::new();
    if state.type_of(table) != Type::Table {
        return names;
    }
    state.push_nil();
    for _ in 0..FIELDS_MAX {
        if !state.next(table) {
            break;
        }
        if state.type_of(-2) == Type::String
            && state.type_of(-1) == Type::Function
            && let Some(name) = state.to_str(-2)
        {
            names.push(name.chars().take(NAME_CHARS_MAX).collect());
        }
        state.pop(1);
    }
    names.sort_unstable();
    names.truncate(NAMES_MAX);
    names
}
