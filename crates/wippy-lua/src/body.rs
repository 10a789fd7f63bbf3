//! The body of the main thread: runs the entry's chunk, finds the method, calls it.
//!
//! A chunk returns a table with the method in it, or the method itself, or defines a global
//! function of its name. Without a method the chunk itself is the body and gets the
//! arguments as `...`. What it returns is the value; a function's second result is its error.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use wippy_model::Error;

use crate::core::Core;
use crate::host_fn::{Answer, host_fn, raise};
use crate::state::{State, Type};

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
    match state.type_of(-1) {
        Type::Function => {}
        Type::Table if state.get_field(-1, method) == Type::Function => {
            state.insert(-2);
            state.pop(1);
        }
        result => {
            let found = state.type_name(-1);
            if result == Type::Table {
                state.pop(1);
            }
            state.push_globals();
            if state.get_field(-1, method) != Type::Function {
                let message = missing(state, method, result, found);
                return Err(raise(state, &Error::not_found(message)));
            }
            state.insert(-3);
            state.pop(2);
        }
    }
    state.replace(1);
    Ok(())
}

fn missing(state: State<'_>, method: &str, result: Type, field: &str) -> String {
    let id = &state.core().program.id;
    let what = match result {
        Type::Table => format!("its source returns a table whose `{method}` is {field}"),
        Type::Nil => "its source returns nothing".to_owned(),
        _ => format!("its source returns a {field}"),
    };
    format!(
        "{id} has no method `{method}`: {what}, and there is no global function of that name. \
         End the source with `return {{ {method} = {method} }}`, or correct `method:`"
    )
}
