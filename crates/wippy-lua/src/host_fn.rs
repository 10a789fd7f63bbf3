//! How a Rust function becomes a function of Lua.
//!
//! A host function is written like a poll: it returns its results, or that it must wait.
//! Then the coroutine it runs in yields outward, through every coroutine around it, to the
//! driver, and the function is called again, with the same stack and `again` set, once
//! something it waits for has happened. So it keeps what it must remember on the Lua stack,
//! and a function that need not wait costs no more than a call.
//!
//! Lua's errors are `longjmp`s. They leave from the outermost frame here, after every Rust
//! value of the function has been dropped.

#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mlua::ffi::{self, lua_State};
use wippy_model::Error;

use crate::core::{Core, Pause};
use crate::failure;
use crate::state::State;

/// What a host function did.
pub(crate) enum Answer {
    /// This many values on top of the stack are its results.
    Values(c_int),
    /// It waits for what it has told the core; it will be called again.
    Wait,
    /// Its slice is over, and it can wait; it will be called again.
    GiveWay,
}

/// The value on top of the stack is to be raised.
pub(crate) struct Raised;

pub(crate) type Outcome = Result<Answer, Raised>;

/// Pushes an error for raising it.
pub(crate) fn raise(state: State<'_>, error: &Error) -> Raised {
    failure::push(state, error);
    Raised
}

/// Pushes an error of kind `Invalid` about a call, with the caller's position.
pub(crate) fn misuse(state: State<'_>, message: impl std::fmt::Display) -> Raised {
    let position = state.position(1);
    raise(state, &Error::invalid(format!("{position}{message}")))
}

/// The results of a call that failed: `nil, error`.
pub(crate) fn failed(state: State<'_>, error: &Error) -> Outcome {
    state.push_nil();
    failure::push(state, error);
    Ok(Answer::Values(2))
}

/// The function of Lua that calls `function`, which must capture nothing.
pub(crate) fn host_fn<F>(_: F) -> ffi::lua_CFunction
where
    F: Fn(State<'_>, bool) -> Outcome + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a host function captures nothing") };
    first::<F>
}

unsafe extern "C-unwind" fn first<F>(raw: *mut lua_State) -> c_int
where
    F: Fn(State<'_>, bool) -> Outcome + Copy + 'static,
{
    // SAFETY: Lua calls with a live thread of a VM of this crate.
    unsafe { call::<F>(raw, false) }
}

unsafe extern "C-unwind" fn again<F>(raw: *mut lua_State, _: c_int, _: isize) -> c_int
where
    F: Fn(State<'_>, bool) -> Outcome + Copy + 'static,
{
    // SAFETY: as `first`.
    unsafe { call::<F>(raw, true) }
}

enum Verdict {
    Return(c_int),
    Yield(Pause),
    Raise,
}

/// SAFETY: `raw` is a live thread of a VM of this crate.
unsafe fn call<F>(raw: *mut lua_State, again_: bool) -> c_int
where
    F: Fn(State<'_>, bool) -> Outcome + Copy + 'static,
{
    // SAFETY: `host_fn` made sure that F has no content, so that any well-aligned address
    // holds one. The state lives as long as the call, in host mode. Nothing that needs
    // dropping is alive when an error leaves or the coroutine yields below.
    unsafe {
        let function = NonNull::<F>::dangling().read();
        let core = Core::of(raw);
        let before = core.heap.host_mode(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| function(State::new(raw), again_)));
        let verdict = match outcome {
            Ok(Ok(Answer::Values(count))) => Verdict::Return(count),
            Ok(Ok(Answer::Wait)) if core.can_wait(raw) => Verdict::Yield(Pause::Wait),
            Ok(Ok(Answer::GiveWay)) if core.can_wait(raw) => Verdict::Yield(Pause::Slice),
            Ok(Ok(Answer::Wait | Answer::GiveWay)) => {
                core.forget_wait();
                let Raised = cannot_wait(State::new(raw));
                Verdict::Raise
            }
            Ok(Err(Raised)) => Verdict::Raise,
            Err(panic) => {
                panicked(State::new(raw), &*panic);
                Verdict::Raise
            }
        };
        core.charge(raw);
        core.heap.host_mode(before);
        match verdict {
            Verdict::Return(count) => count,
            Verdict::Yield(pause) => {
                core.pause.set(Some(pause));
                Core::set_paused(raw, true);
                ffi::lua_yieldk(raw, 0, 0, Some(again::<F>))
            }
            Verdict::Raise => ffi::lua_error(raw),
        }
    }
}

/// Pushes the error of a wait where nothing can wait.
pub(crate) fn cannot_wait(state: State<'_>) -> Raised {
    misuse(
        state,
        "cannot wait here: a function that Lua's C code calls (such as `__tostring` or the \
         reader of `load`) may not sleep, receive or the like",
    )
}

fn panicked(state: State<'_>, panic: &(dyn Any + Send)) {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    state.core().note_panic(text);
    state.push_str(text);
}
