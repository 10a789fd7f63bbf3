//! Processes as actors: `wippy:actor/process` (messages) and `wippy:process/processes` (all the
//! rest), as `wit/actor` and `wit/process` have them.
//!
//! All of it is typed: a payload is copied once, between the guest's memory and a value. What
//! waits does so on the guest's own task, which is dropped with its store. A mailbox wakes one
//! receiver, the task; all that a guest can wait for at once is in one `poll`.

mod messages;
mod payload;
mod pollable;
mod processes;
mod types;

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wippy_model::Pid;

use crate::guest::Guest;
use crate::link::Ungranted;

/// The interfaces' names, as guests import them, and those of their grants in `imports`.
pub(crate) const MESSAGES: (&str, &str) = ("wippy:actor/process@0.1.0", "wippy:actor");
pub(crate) const PROCESSES: (&str, &str) = ("wippy:process/processes@0.1.0", "wippy:process");

type Store<'a> = StoreContextMut<'a, Guest>;

/// Defines both interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    messages::add_to_linker(linker)?;
    processes::add_to_linker(linker)
}

/// The trap of a guest that calls what its entry does not grant.
fn ungranted(guest: &Guest, (interface, grant): (&str, &'static str), function: &str) -> Ungranted {
    Ungranted::new(guest.process.entry(), interface, function, Some(grant))
}

/// The text of a PID, written without growing.
fn pid_text(pid: &Pid) -> String {
    let mut text = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(text, "{pid}");
    text
}

/// Nanoseconds since 1970.
fn unix_ns(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
