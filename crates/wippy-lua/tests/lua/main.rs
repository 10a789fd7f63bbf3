//! Scripts on a real kernel. One file for each module of the runtime.

mod support;

mod abuse;
mod base;
mod channel;
mod convert;
mod coroutine;
mod cost;
mod errors;
mod io;
mod preempt;
mod process;
mod time;
mod unit;
