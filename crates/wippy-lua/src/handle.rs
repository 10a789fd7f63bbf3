//! Handles of guest resources in Lua: opaque userdata that can be passed on.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use mlua::ffi::{self, lua_State};
use wippy_model::Handle;

use crate::host_fn::{Answer, host_fn};
use crate::state::{Key, State, Type};

static HANDLE: Key = Key::new();

/// Pushes a handle.
pub(crate) fn push(state: State<'_>, handle: Handle) {
    // SAFETY: the block holds one pointer, and `collect` gives it back exactly once.
    unsafe {
        let block = ffi::lua_newuserdatauv(state.raw(), size_of::<*mut Handle>(), 0);
        block.cast::<*mut Handle>().write(Box::into_raw(Box::new(handle)));
    }
    state.get_or_make(&HANDLE, |state| {
        state.push_table(0, 4);
        state.push_function(collect);
        state.set_field(-2, "__gc");
        state.push_bool(false);
        state.set_field(-2, "__metatable");
        state.push_function(host_fn(|state, _| {
            match get(state, 1) {
                Some(handle) => state.push_str(&format!("<{} of {}>", handle.name, handle.owner)),
                None => state.push_str("<handle>"),
            }
            Ok(Answer::Values(1))
        }));
        state.set_field(-2, "__tostring");
    });
    state.set_metatable(-2);
}

/// The handle at `index`, for as long as it stays on the stack.
pub(crate) fn get<'s>(state: State<'s>, index: c_int) -> Option<&'s Handle> {
    if state.type_of(index) != Type::Userdata || !state.has_metatable(index, &HANDLE) {
        return None;
    }
    // SAFETY: only `push` sets this metatable; the pointer is null after collection only.
    unsafe { ffi::lua_touserdata(state.raw(), index).cast::<*const Handle>().read().as_ref() }
}

unsafe extern "C-unwind" fn collect(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it with a userdata that `push` made; scripts cannot reach the
    // metatable. A second call would find null.
    unsafe {
        let block = ffi::lua_touserdata(raw, 1).cast::<*mut Handle>();
        if !block.is_null() {
            let handle = block.replace(ptr::null_mut());
            if !handle.is_null() {
                // Freeing it may run the owner's code; a panic must not unwind into Lua.
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
                if dropped.is_err() {
                    tracing::error!("a handle failed when it was let go");
                }
            }
        }
    }
    0
}
