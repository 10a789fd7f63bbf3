//! Other processes and this one: monitors, links, names, endings, options, upgrade.

use std::convert::Infallible;
use std::time::Duration;

use crate::bindings::wippy::process::processes as raw;
use crate::mailbox::nanoseconds;
use crate::payload::to_raw;
use crate::{Payloads, Pid, Result};

/// Hears of a process's exit as an [`Event::Exit`](crate::Event::Exit), once for each call; of
/// one that is gone at once.
///
/// # Errors
///
/// `NotFound` for a name that nobody has.
pub fn monitor(target: impl AsRef<str>) -> Result<()> {
    Ok(raw::monitor(target.as_ref())?)
}

/// Takes all of this process's monitors on another one back.
///
/// # Errors
///
/// `NotFound` for a name that nobody has.
pub fn unmonitor(target: impl AsRef<str>) -> Result<()> {
    Ok(raw::unmonitor(target.as_ref())?)
}

/// Links this process with another one: when one of them ends badly, the other ends too, unless
/// it [traps links](trap_links).
///
/// # Errors
///
/// `NotFound` for a name that nobody has.
pub fn link(target: impl AsRef<str>) -> Result<()> {
    Ok(raw::link(target.as_ref())?)
}

/// Takes a link back, on both sides.
///
/// # Errors
///
/// `NotFound` for a name that nobody has.
pub fn unlink(target: impl AsRef<str>) -> Result<()> {
    Ok(raw::unlink(target.as_ref())?)
}

/// Asks a process to end, and ends it after `within` (without it the `stop_timeout` of its host).
///
/// # Errors
///
/// `NotFound` when it is gone.
pub fn cancel(
    target: impl AsRef<str>,
    within: Option<Duration>,
    reason: Option<&str>,
) -> Result<()> {
    Ok(raw::cancel(target.as_ref(), within.map(nanoseconds), reason)?)
}

/// Ends a process now.
///
/// # Errors
///
/// `NotFound` when it is gone.
pub fn terminate(target: impl AsRef<str>) -> Result<()> {
    Ok(raw::terminate(target.as_ref())?)
}

/// Gives this process a name, until it ends.
///
/// # Errors
///
/// `AlreadyExists` when another process has it.
pub fn register(name: &str) -> Result<()> {
    Ok(raw::register(name)?)
}

/// Takes a name of this process back.
///
/// # Errors
///
/// When this process does not have it.
pub fn unregister(name: &str) -> Result<()> {
    Ok(raw::unregister(name)?)
}

/// Who has a name.
///
/// # Errors
///
/// `NotFound` when nobody has it.
pub fn lookup(name: &str) -> Result<Pid> {
    Ok(raw::lookup(name)?.into())
}

/// Whether the bad end of a linked process comes as an
/// [`Event::LinkDown`](crate::Event::LinkDown) from now on, and does not end this one.
///
/// # Errors
///
/// `Invalid` in a function.
pub fn trap_links(trap: bool) -> Result<()> {
    Ok(raw::set_options(raw::Options { trap_links: trap, ..raw::get_options() })?)
}

/// Whether this process hears of newer versions of its entry, as
/// [`Event::Outdated`](crate::Event::Outdated).
///
/// # Errors
///
/// `Invalid` in a function.
pub fn upgradable(upgradable: bool) -> Result<()> {
    Ok(raw::set_options(raw::Options { upgradable, ..raw::get_options() })?)
}

/// Goes on as a new instance of the newest version of this process's entry, with the same PID,
/// mailbox, names and links. The state that is handed over are the arguments of its method.
///
/// # Errors
///
/// Returns only where it is refused; what fails later is this process's exit. Nothing is dropped
/// on the way: let go of what should be closed before.
pub fn upgrade(state: impl Payloads) -> Result<Infallible> {
    match raw::upgrade(None, &to_raw(state)) {
        Ok(()) => unreachable!("no code of the old instance runs after an upgrade"),
        Err(error) => Err(error.into()),
    }
}

/// [`upgrade`] to another entry.
///
/// # Errors
///
/// As [`upgrade`].
pub fn upgrade_to(entry: &str, state: impl Payloads) -> Result<Infallible> {
    match raw::upgrade(Some(entry), &to_raw(state)) {
        Ok(()) => unreachable!("no code of the old instance runs after an upgrade"),
        Err(error) => Err(error.into()),
    }
}
