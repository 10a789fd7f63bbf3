//! Rounds of spawn, message and kill: every monitor hears exactly one exit, and nothing is left,
//! of memory neither.
//!
//! `ROUNDS=1000000 cargo test --release --workspace --test rounds -- --nocapture` is the long run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Options, Prepare, Process, ProcessContext, Scheduler,
    SpawnRequest, Unit, Watcher,
};
use wippy_model::{EntryId, Error, Event, EventKind, Exit, Limits, Pid, Result, Value};

/// Rounds where nobody says.
const ROUNDS: usize = 10_000;
/// Processes that make rounds, and how many rounds of one are under way at once.
const DRIVERS: usize = 4;
const WINDOW: usize = 32;

/// What the resident memory may have grown by between a tenth of the rounds and all of them:
/// what an allocator keeps for itself. A leak of 64 bytes a round is more, in a million.
const GROWTH_MAX: usize = 24 << 20;

type Running = Pin<Box<dyn Future<Output = Exit> + Send>>;

#[derive(Clone, Copy)]
struct Script(fn(ProcessContext, Vec<Value>) -> Running);

struct Scripted(Script, Vec<Value>);

impl Unit for Script {
    fn limits(&self) -> &Limits {
        static LIMITS: std::sync::OnceLock<Limits> = std::sync::OnceLock::new();
        LIMITS.get_or_init(Limits::default)
    }

    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Scripted(*self, spawn.args)))
    }
}

impl Process for Scripted {
    fn run(self: Box<Self>, context: ProcessContext) -> Running {
        (self.0.0)(context, self.1)
    }
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    pages * 4096
}

/// One that does as its first message says: returns, fails, or waits until it is killed.
fn child(context: ProcessContext, _: Vec<Value>) -> Running {
    Box::pin(async move {
        let message = context.receive_message().await;
        match message.payloads.first() {
            Some(Value::Int(0)) => Exit::Normal(Value::Nil),
            Some(Value::Int(1)) => Exit::Failed(Error::internal("told to")),
            _ => std::future::pending().await,
        }
    })
}

static DONE: AtomicUsize = AtomicUsize::new(0);

/// What one driver waits for, by the PID of a child.
#[derive(Default)]
struct Open {
    exits: usize,
    links: usize,
}

struct Driver {
    context: ProcessContext,
    open: BTreeMap<Pid, Open>,
}

impl Driver {
    fn hear(&mut self, event: Event) {
        let open = self.open.get_mut(&event.from).expect("an end of a child that has not ended");
        let count = match event.kind {
            EventKind::Exit => &mut open.exits,
            EventKind::LinkDown => &mut open.links,
            kind => panic!("{kind:?}"),
        };
        *count = count.checked_sub(1).expect("an end is heard of once");
        if open.exits == 0 && open.links == 0 {
            self.open.remove(&event.from);
        }
    }

    async fn round(&mut self, round: usize) {
        let context = &self.context;
        let mut request = SpawnRequest::new(id("rounds:child"), id("rounds:host"), Vec::new());
        request.watcher = Some(Watcher::Process(context.clone()));
        let (linked, todo) = (round % 4 == 1, (round % 5) as i64);
        request.link = linked.then(|| context.clone());
        if round.is_multiple_of(3) {
            request.name = Some(format!("child {} {round}", context.pid().serial()).into());
        }
        let pid = context.spawn(request).await.unwrap();
        if round.is_multiple_of(7) {
            context.monitor(&pid).unwrap();
        }
        let exits = 1 + usize::from(round.is_multiple_of(7));
        // A link with one that returns is dissolved without a word.
        let links = usize::from(linked && todo != 0);
        self.open.insert(pid.clone(), Open { exits, links });
        context.send(&pid, "go", vec![Value::Int(todo)]).unwrap();
        if todo > 1 {
            context.terminate(&pid).unwrap();
        }
    }
}

fn drive(context: ProcessContext, args: Vec<Value>) -> Running {
    Box::pin(async move {
        let Some(Value::Int(rounds)) = args.first().cloned() else { panic!("no rounds") };
        context.set_options(Options { trap_links: true, upgradable: false }).unwrap();
        let mut driver = Driver { context: context.clone(), open: BTreeMap::new() };
        for round in 0..rounds as usize {
            while driver.open.len() >= WINDOW {
                let event = context.receive_event().await;
                driver.hear(event);
            }
            driver.round(round).await;
            DONE.fetch_add(1, SeqCst);
        }
        while !driver.open.is_empty() {
            let event = context.receive_event().await;
            driver.hear(event);
        }
        assert!(context.try_receive().is_none());
        Exit::Normal(Value::Nil)
    })
}

async fn rounds(scheduler: Scheduler, rounds: usize, on: &str) {
    let kernel = Kernel::new(KernelOptions::default());
    let mut host = HostSpec::new(id("rounds:host"));
    host.scheduler = scheduler;
    kernel.add_host(host);
    for (name, script) in [("rounds:child", Script(child)), ("rounds:driver", Script(drive))] {
        kernel.add_unit(id(name), Box::new(move || Ok(Arc::new(script))));
    }
    let start = Instant::now();
    let mut figures = Vec::new();
    // A tenth, and then the rest.
    for share in [rounds / 10, rounds - rounds / 10] {
        let mut watches = Vec::new();
        for _ in 0..DRIVERS {
            let args = vec![Value::Int((share / DRIVERS) as i64)];
            let request = SpawnRequest::new(id("rounds:driver"), id("rounds:host"), args);
            watches.push(kernel.spawn_watched(request).await.unwrap().1);
        }
        for watch in watches {
            let exit = watch.await;
            assert!(exit.is_normal(), "{exit}");
        }
        let left = (kernel.process_count(), kernel.bond_count(), kernel.waiting_count());
        assert_eq!(left, (0, 0, 0), "processes, bonds and spawns that are left");
        figures.push(resident_bytes());
    }
    println!(
        "{rounds} rounds on {on}: {:?}, resident {} KiB after a tenth, {} KiB after all",
        start.elapsed(),
        figures[0] >> 10,
        figures[1] >> 10
    );
    assert!(figures[1] < figures[0] + GROWTH_MAX, "memory grows: {figures:?}");
    kernel.shutdown(std::time::Duration::ZERO).await;
}

/// One after the other: they share the memory that is looked at.
#[test]
fn nothing_is_left_of_many_rounds() {
    let count = std::env::var("ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let paused = builder.enable_all().start_paused(true).build().unwrap();
    paused.block_on(async {
        let scheduler = Scheduler::Shared(tokio::runtime::Handle::current());
        rounds(scheduler, count, "one thread with virtual time").await;
    });
    let outside = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    outside.block_on(rounds(Scheduler::Own { workers: 2 }, count, "two workers"));
    assert!(DONE.load(SeqCst) >= count / 10 * 19);
}
