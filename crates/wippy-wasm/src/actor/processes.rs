//! `wippy:process/processes`: what a full actor needs beside messages.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use wasmtime::component::{Linker, LinkerInstance};
use wippy_kernel::{Address, Options as Chosen, ProcessContext, SpawnRequest, Watcher};
use wippy_model::{self as model, EntryId, Result, Value};

use super::payload::{self, FromGuest, ToGuest};
use super::pollable::{self, Lane};
use super::types::{Error, Event, Message, Options, Received, SpawnOptions};
use super::{PROCESSES, Store, ungranted};
use crate::guest::Guest;

/// What the interface gives.
type Answer<T> = std::result::Result<T, Error>;

type Payloads = Vec<FromGuest>;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut processes = linker.instance(PROCESSES.0)?;
    starting(&mut processes)?;
    others(&mut processes)?;
    names_and_options(&mut processes)?;
    waiting(&mut processes)
}

/// The process itself, where its entry grants the interface, and what it may be given as JSON.
fn granted<'a>(
    store: &'a Store<'_>,
    function: &str,
) -> wasmtime::Result<(&'a ProcessContext, usize)> {
    let guest = store.data();
    match guest.grants().process {
        true => Ok((&guest.process, guest.held_bytes_max())),
        false => Err(ungranted(guest, PROCESSES, function).into()),
    }
}

fn answer<T>(result: Result<T>) -> Answer<T> {
    result.map_err(Error::from)
}

/// `spawn` and its like, `exec` and `upgrade`.
fn starting(processes: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    for (name, monitor, link) in [
        ("spawn", false, false),
        ("spawn-monitored", true, false),
        ("spawn-linked", false, true),
        ("spawn-linked-monitored", true, true),
    ] {
        processes.func_wrap_async(
            name,
            move |store: Store<'_>, (entry, host, args): (String, Option<String>, Payloads)| {
                Box::new(async move {
                    let (process, _) = granted(&store, name)?;
                    let mut start = start(&store, &entry, host.as_deref(), args)?;
                    if let Ok(request) = &mut start {
                        bind(process, request, monitor, link);
                    }
                    Ok((answer(spawn(process, start).await),))
                })
            },
        )?;
    }
    processes.func_wrap_async(
        "spawn-with",
        |store: Store<'_>, (entry, args, options): (String, Payloads, SpawnOptions)| {
            Box::new(async move {
                let (process, _) = granted(&store, "spawn-with")?;
                let start = start_with(&store, &entry, args, options)?;
                Ok((answer(spawn(process, start).await),))
            })
        },
    )?;
    processes.func_wrap_async(
        "exec",
        |store: Store<'_>, (entry, host, args): (String, Option<String>, Payloads)| {
            Box::new(async move {
                let (process, bytes_max) = granted(&store, "exec")?;
                let start = start(&store, &entry, host.as_deref(), args)?;
                Ok((answer(exec(process, bytes_max, start).await),))
            })
        },
    )?;
    processes.func_wrap_async(
        "upgrade",
        |store: Store<'_>, (entry, args): (Option<String>, Payloads)| {
            Box::new(async move {
                let (process, _) = granted(&store, "upgrade")?;
                let args = payload::values(&store, args)?;
                Ok((answer(upgrade(process, entry.as_deref(), args).await),))
            })
        },
    )
}

/// What is done to other processes.
fn others(processes: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type To = fn(&ProcessContext, Address<'_>) -> Result<()>;
    let rows: [(&'static str, To); 5] = [
        ("monitor", |own, target| own.monitor(target)),
        ("unmonitor", |own, target| own.unmonitor(target)),
        ("link", |own, target| own.link(target)),
        ("unlink", |own, target| own.unlink(target)),
        ("terminate", |own, target| own.terminate(target)),
    ];
    for (name, to) in rows {
        processes.func_wrap(name, move |store: Store<'_>, (target,): (String,)| {
            let (process, _) = granted(&store, name)?;
            Ok((answer(to(process, Address::Text(&target))),))
        })?;
    }
    processes.func_wrap(
        "cancel",
        |store: Store<'_>, (target, within, reason): (String, Option<u64>, Option<String>)| {
            let (process, _) = granted(&store, "cancel")?;
            let (target, within) = (Address::Text(&target), within.map(Duration::from_nanos));
            Ok((answer(process.cancel(target, within, reason.as_deref())),))
        },
    )?;
    processes.func_wrap_async(
        "call",
        |store: Store<'_>,
         (target, topic, payloads, timeout): (String, String, Payloads, Option<u64>)| {
            Box::new(async move {
                let (process, bytes_max) = granted(&store, "call")?;
                let payloads = payload::values(&store, payloads)?;
                let reply = call(process, &target, topic, payloads, timeout).await;
                Ok((answer(reply.and_then(|reply| Message::new(reply, bytes_max))),))
            })
        },
    )
}

fn names_and_options(processes: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    processes.func_wrap("register", |store: Store<'_>, (name,): (String,)| {
        Ok((answer(granted(&store, "register")?.0.register(&name, None)),))
    })?;
    processes.func_wrap("unregister", |store: Store<'_>, (name,): (String,)| {
        Ok((answer(granted(&store, "unregister")?.0.unregister(&name)),))
    })?;
    processes.func_wrap("lookup", |store: Store<'_>, (name,): (String,)| {
        let found = granted(&store, "lookup")?.0.lookup(&name);
        Ok((answer(found.map(|pid| pid.to_string())),))
    })?;
    processes.func_wrap("get-options", |store: Store<'_>, (): ()| {
        let Chosen { trap_links, upgradable } = granted(&store, "get-options")?.0.options();
        Ok((Options { trap_links, upgradable },))
    })?;
    processes.func_wrap("set-options", |store: Store<'_>, (options,): (Options,)| {
        let (process, _) = granted(&store, "set-options")?;
        let Options { trap_links, upgradable } = options;
        Ok((answer(process.set_options(Chosen { trap_links, upgradable })),))
    })
}

/// What waits for messages and events.
fn waiting(processes: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    processes.func_wrap_async(
        "receive-event",
        |store: Store<'_>, (timeout,): (Option<u64>,)| {
            Box::new(async move {
                let (process, bytes_max) = granted(&store, "receive-event")?;
                Ok((answer(receive_event(process, bytes_max, timeout).await),))
            })
        },
    )?;
    processes.func_wrap_async("receive", |store: Store<'_>, (timeout,): (Option<u64>,)| {
        Box::new(async move {
            let (process, bytes_max) = granted(&store, "receive")?;
            Ok((answer(receive(process, bytes_max, timeout).await),))
        })
    })?;
    processes.func_wrap("subscribe-events", |mut store: Store<'_>, (): ()| {
        granted(&store, "subscribe-events")?;
        Ok((pollable::new(store.data_mut(), Lane::Events)?,))
    })
}

/// What to start, on the host that is named, else that of the entry, else this process's own.
fn start(
    store: &Store<'_>,
    entry: &str,
    host: Option<&str>,
    args: Payloads,
) -> wasmtime::Result<Result<SpawnRequest>> {
    let own = &store.data().process;
    let args = payload::values(store, args)?;
    let parse = |text: &str| {
        let id = EntryId::parse_in(own.entry().namespace(), text);
        id.map_err(|error| model::Error::invalid(error.to_string()))
    };
    let request = || {
        let unit = parse(entry)?;
        let default = || own.kernel()?.default_host(&unit);
        let host = match host {
            Some(host) => parse(host)?,
            None => default().unwrap_or_else(|| own.host().id.clone()),
        };
        let mut request = SpawnRequest::new(unit, host, args?);
        request.context = own.context().clone();
        Ok(request)
    };
    Ok(request())
}

fn start_with(
    store: &Store<'_>,
    entry: &str,
    args: Payloads,
    options: SpawnOptions,
) -> wasmtime::Result<Result<SpawnRequest>> {
    let SpawnOptions { host, name, messages, monitor, link } = options;
    let mut request = match start(store, entry, host.as_deref(), args)? {
        Ok(request) => request,
        Err(error) => return Ok(Err(error)),
    };
    let own = &store.data().process;
    for ((topic, payloads), number) in messages.into_iter().zip(1..) {
        let payloads = match payload::values(store, payloads)? {
            Ok(payloads) => payloads,
            Err(error) => return Ok(Err(error.context(format_args!("message {number}")))),
        };
        let (from, context) = (Some(own.pid().clone()), own.context().clone());
        request.messages.push(model::Message { from, topic, payloads, context });
    }
    request.name = name.map(Into::into);
    bind(own, &mut request, monitor, link);
    Ok(Ok(request))
}

fn bind(own: &ProcessContext, request: &mut SpawnRequest, monitor: bool, link: bool) {
    request.watcher = monitor.then(|| Watcher::Process(own.clone()));
    request.link = link.then(|| own.clone());
}

async fn spawn(own: &ProcessContext, start: Result<SpawnRequest>) -> Result<String> {
    own.spawn(start?).await.map(|pid| pid.to_string())
}

async fn exec(
    own: &ProcessContext,
    bytes_max: usize,
    start: Result<SpawnRequest>,
) -> Result<ToGuest> {
    ToGuest::new(own.exec(start?).await?, bytes_max)
}

async fn upgrade(
    own: &ProcessContext,
    entry: Option<&str>,
    args: Result<Vec<Value>>,
) -> Result<()> {
    let entry = entry.map(|entry| EntryId::parse_in(own.entry().namespace(), entry));
    let entry = entry.transpose().map_err(|error| model::Error::invalid(error.to_string()))?;
    // Nothing is ever taken out of the mailbox that the guest does not get.
    match own.upgrade(entry, args?, Vec::new).await? {}
}

async fn call(
    own: &ProcessContext,
    target: &str,
    topic: String,
    payloads: Result<Vec<Value>>,
    timeout: Option<u64>,
) -> Result<model::Message> {
    let timeout = timeout.map(Duration::from_nanos);
    own.request(Address::Text(target), topic, payloads?, timeout).await
}

async fn receive_event(
    own: &ProcessContext,
    bytes_max: usize,
    timeout: Option<u64>,
) -> Result<Option<Event>> {
    own.needs_process("receive-event")?;
    let event = within(timeout, own.receive_event()).await;
    Ok(event.map(|event| Event::new(event, bytes_max)))
}

async fn receive(
    own: &ProcessContext,
    bytes_max: usize,
    timeout: Option<u64>,
) -> Result<Option<Received>> {
    own.needs_process("receive")?;
    let received = within(timeout, own.receive()).await;
    received.map(|item| Received::new(item, bytes_max)).transpose()
}

/// What comes in time: what is there already does, also when there is no time at all.
async fn within<T>(limit: Option<u64>, receive: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(receive.await),
        Some(limit) => timeout(Duration::from_nanos(limit), receive).await.ok(),
    }
}
