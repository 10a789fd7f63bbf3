//! `wippy:actor/process`: messages. The hot path: a send takes no more than the values that it
//! makes and the topic, and a destination is read where the guest has it.

use std::sync::Arc;

use wasmtime::component::{Linker, WasmStr};
use wippy_kernel::{Address, ProcessContext};
use wippy_model::Error;

use super::payload::{self, FromGuest};
use super::pollable::{self, Lane};
use super::types::Message;
use super::{MESSAGES, Store, ungranted};
use crate::guest::Guest;

/// What the interface gives: the error is a text.
type Answer<T> = Result<T, String>;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut process = linker.instance(MESSAGES.0)?;
    process.func_wrap("self", |store: Store<'_>, (): ()| {
        let (process, _) = granted(&store, "self")?;
        Ok((process.pid().to_string(),))
    })?;
    process.func_wrap("send", |store: Store<'_>, args: (WasmStr, Arc<str>, Vec<FromGuest>)| {
        Ok((send(&store, args)?,))
    })?;
    process.func_wrap("try-receive", |store: Store<'_>, (): ()| {
        let (process, bytes_max) = granted(&store, "try-receive")?;
        Ok((try_receive(process, bytes_max).map_err(text),))
    })?;
    process.func_wrap_async("receive", |store: Store<'_>, (): ()| {
        Box::new(async move {
            let (process, bytes_max) = granted(&store, "receive")?;
            Ok((receive(process, bytes_max).await.map_err(text),))
        })
    })?;
    process.func_wrap("subscribe", |mut store: Store<'_>, (): ()| {
        granted(&store, "subscribe")?;
        Ok((pollable::new(store.data_mut(), Lane::Messages)?,))
    })
}

/// The process itself, where its entry grants the interface, and what it may be given as JSON.
fn granted<'a>(
    store: &'a Store<'_>,
    function: &str,
) -> wasmtime::Result<(&'a ProcessContext, usize)> {
    let guest = store.data();
    match guest.grants().actor {
        true => Ok((&guest.process, guest.held_bytes_max())),
        false => Err(ungranted(guest, MESSAGES, function).into()),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn send(
    store: &Store<'_>,
    (target, topic, payloads): (WasmStr, Arc<str>, Vec<FromGuest>),
) -> wasmtime::Result<Answer<bool>> {
    let (process, _) = granted(store, "send")?;
    let target = target.to_str(store)?;
    let sent = payload::values(store, payloads)?
        .and_then(|values| process.send(Address::Text(&target), topic, values));
    Ok(sent.map(|()| true).map_err(text))
}

fn try_receive(process: &ProcessContext, bytes_max: usize) -> wippy_model::Result<Option<Message>> {
    process.needs_process("try-receive")?;
    process.try_receive_message().map(|message| Message::new(message, bytes_max)).transpose()
}

async fn receive(process: &ProcessContext, bytes_max: usize) -> wippy_model::Result<Message> {
    process.needs_process("receive")?;
    Message::new(process.receive_message().await, bytes_max)
}
