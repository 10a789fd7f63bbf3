//! Pollables over the mailbox, of the type that `wasi:io/poll` polls with all others.

use std::future::poll_fn;

use wasmtime::component::Resource;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wippy_kernel::ProcessContext;

use crate::guest::Guest;

/// What it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    Messages,
    Events,
}

/// Ready while something waits in a lane of the mailbox. In a function it is ready at once:
/// the receive after it says why nothing comes.
struct Waits {
    process: ProcessContext,
    lane: Lane,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Waits {
    async fn ready(&mut self) {
        let Self { process, lane } = self;
        if process.is_function() {
            return;
        }
        poll_fn(|poller| match lane {
            Lane::Messages => process.poll_message_waits(poller),
            Lane::Events => process.poll_event_waits(poller),
        })
        .await;
    }
}

/// A new pollable, which counts as one of the guest's handles.
pub(super) fn new(guest: &mut Guest, lane: Lane) -> wasmtime::Result<Resource<DynPollable>> {
    let waits = Waits { process: guest.process.clone(), lane };
    let table = guest.ctx().table;
    let waits = table.push(waits)?;
    subscribe(table, waits)
}
