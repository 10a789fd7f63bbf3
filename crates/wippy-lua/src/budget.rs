//! How a long function of the runtime gives way, or ends with its process.
//!
//! No instruction of Lua runs inside such a function, so the hook of `preempt.rs` does not
//! either. The function burns fuel instead, and each time it is out of it, [`look`] says
//! what to do: go on, give way ([`give_way`], where Lua can suspend it), or die.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use crate::core::{Core, Pause};
use crate::preempt;

/// Steps between two looks: some ten microseconds.
pub(crate) const FUEL: u32 = 4096;

/// What a long function shall do.
pub(crate) enum Look {
    GoOn,
    GiveWay,
}

/// Says what to do; raises where the process is to end and cannot be suspended.
///
/// # Safety
///
/// `raw` is the thread that runs. Nothing that needs dropping is lost by an error.
pub(crate) unsafe fn look(raw: *mut lua_State) -> Look {
    // SAFETY: as the caller says.
    unsafe {
        let core = Core::of(raw);
        let can_wait = core.can_wait(raw);
        if core.killed.get() || core.heap.is_exhausted() || !can_wait && core.is_done_for() {
            preempt::die(raw);
        }
        if can_wait && core.context.slice_is_over() { Look::GiveWay } else { Look::GoOn }
    }
}

/// Suspends the running thread until its process's next slice; then `next` is called with
/// `tag` and the stack as it is.
///
/// # Safety
///
/// As [`look`], which said [`Look::GiveWay`].
pub(crate) unsafe fn give_way(raw: *mut lua_State, tag: isize, next: ffi::lua_KFunction) -> c_int {
    // SAFETY: as the caller says.
    unsafe {
        Core::of(raw).pause.set(Some(Pause::Slice));
        Core::set_paused(raw, true);
        ffi::lua_yieldk(raw, 0, tag, Some(next))
    }
}
