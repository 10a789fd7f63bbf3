//! Scripts on a real kernel. One file for each module of the runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect by failing"
)]

mod support;

mod abuse;
mod actors;
mod base;
mod builders;
mod channel;
mod convert;
mod coroutine;
mod errors;
mod frozen;
mod funcs;
mod io;
mod json;
mod long;
mod preempt;
mod process;
mod security;
mod strings;
mod system;
mod time;
mod typed;
mod unit;
mod upgrade;
