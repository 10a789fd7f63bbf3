//! Very many processes that sleep: how long they take to start, what each costs in memory,
//! and how late the last one wakes; on a density host, beside a program that does the same
//! with wasmtime and tokio and the same slabs.
//!
//! `cargo bench --workspace --bench sleepers [-- NUMBER]`
//!
//! Each of the two runs in a process of its own, so that neither finds memory of the other.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::{
    Component, ComponentExportIndex, InstancePre, Linker, ResourceTable, Val,
};
use wasmtime::{Config, Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wippy_benches::cpu_time;
use wippy_benches::node::{id, spec};
use wippy_host::Terminal;
use wippy_kernel::{HostSpec, Kernel, KernelOptions, SpawnRequest};
use wippy_model::{Limits, Value};
use wippy_wasm::{BinarySource, WasmOptions, WasmRuntime, density_config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLEEPERS: usize = 100_000;

/// When all wake, counted from the first spawn.
const WAKE: Duration = Duration::from_secs(15);

/// Spawns that may wait for their first slice.
const WAITING: usize = 256;

const STACK_BYTES: usize = 512 << 10;

/// What sleeps: a memory, and the address to which the guest writes before it sleeps. One
/// has a single page and touches it; the other is laid out as a Rust compiler does it, with
/// its stack below 1 MiB and its data above, and touches a page of each.
const GUESTS: [(&str, &str, &str); 2] = [
    ("one page", "(memory 1)", "16"),
    ("as Rust", r#"(memory 17) (data (i32.const 1048576) "data")"#, "1048560"),
];

const GUEST: &str = r#"(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $imported))
    (export "pollable" (type $pollable (eq $imported)))
    (type $u64 u64)
    (export "duration" (type $duration (eq $u64)))
    (export "subscribe-duration" (func (param "when" $duration) (result (own $pollable))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))
  (core module $m
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "wasi" "drop" (func $drop (param i32)))
    MEMORY
    (func (export "run") (param $ms i32) (local $pollable i32)
      (i32.store (i32.const ADDRESS) (local.get $ms))
      (local.set $pollable (call $subscribe
        (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000))))
      (call $block (local.get $pollable))
      (call $drop (local.get $pollable))))
  (core instance $i (instantiate $m (with "wasi" (instance
    (export "subscribe" (func $subscribe))
    (export "block" (func $block))
    (export "drop" (func $drop))))))
  (func (export "run") (param "ms" u32) (canon lift (core func $i "run"))))"#;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` builds and runs benches too, with `--test`: nothing to check here.
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    let number = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(SLEEPERS);
    let guest = || {
        let (name, memory, address) = GUESTS[usize::from(args[1] != GUESTS[0].0)];
        let text = GUEST.replace("MEMORY", memory).replace("ADDRESS", address);
        (name, wat::parse_str(text).unwrap())
    };
    match args.first().map(String::as_str) {
        Some("floor") => run(Bare::new(&guest().1), guest().0, number),
        Some("wippy") => run(Node::new(guest().1, number), guest().0, number),
        _ => {
            println!("{number} guests asleep in WASI, all to wake {WAKE:?} after the first spawn");
            println!(
                "{:>8} {:>8} {:>9} {:>10} {:>10} {:>10} {:>6} {:>11}",
                "", "guest", "started", "CPU each", "KiB each", "in tables", "maps", "last awake"
            );
            for (guest, _, _) in GUESTS {
                for which in ["floor", "wippy"] {
                    let program = std::env::current_exe().unwrap();
                    let arguments = [which, guest, &number.to_string()];
                    assert!(Command::new(program).args(arguments).status().unwrap().success());
                }
            }
        }
    }
}

/// What runs sleepers.
trait Sleepers {
    const NAME: &str;
    /// Starts one that sleeps this many milliseconds.
    fn start(&self, ms: u32);
    /// Those that have not begun.
    fn waiting(&self) -> usize;
    fn alive(&self) -> usize;
}

fn run<S: Sleepers>(sleepers: S, guest: &str, number: usize) {
    // What is made once is made now.
    for _ in 0..100 {
        sleepers.start(1);
    }
    until(|| sleepers.alive() == 0);
    sleep(Duration::from_millis(200));
    let before = Memory::of_this_process();
    let (start, cpu) = (Instant::now(), cpu_time());
    let wake = start + WAKE;
    for _ in 0..number {
        // A guest sleeps from its first slice on, so it must not wait long for that.
        while sleepers.waiting() > WAITING {
            sleep(Duration::from_micros(100));
        }
        sleepers.start(wake.saturating_duration_since(Instant::now()).as_millis() as u32);
    }
    until(|| sleepers.waiting() == 0);
    let (started, cpu) = (start.elapsed(), cpu_time() - cpu);
    sleep(Duration::from_millis(500));
    assert_eq!(sleepers.alive(), number, "some woke early");
    let asleep = Memory::of_this_process();
    until(|| sleepers.alive() == 0);
    let late = Instant::now().saturating_duration_since(wake);
    let each = |bytes: usize, before: usize| (bytes as f64 - before as f64) / number as f64;
    println!(
        "{:>8} {guest:>8} {:>7.2} s {:>7.1} us {:>10.1} {:>10.1} {:>6} {:>9.2} s",
        S::NAME,
        started.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / number as f64,
        each(asleep.resident + asleep.tables, before.resident + before.tables),
        each(asleep.tables, before.tables),
        asleep.maps - before.maps,
        late.as_secs_f64(),
    );
    // What is left needs no tidying up.
    std::process::exit(0);
}

/// Waits, looking each millisecond.
fn until(done: impl Fn() -> bool) {
    while !done() {
        sleep(Duration::from_millis(1));
    }
}

/// What this process has of memory, in KiB, and its number of maps.
struct Memory {
    resident: usize,
    tables: usize,
    maps: usize,
}

impl Memory {
    fn of_this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        Self { resident: field("VmRSS:"), tables: field("VmPTE:"), maps }
    }
}

/// A density host of the kernel.
struct Node {
    kernel: Kernel,
    outside: Runtime,
}

impl Node {
    fn new(guest: Vec<u8>, number: usize) -> Self {
        let kernel = Kernel::new(KernelOptions::default());
        let mut host = HostSpec::density(id("bench:sleepers"));
        host.processes_max = host.processes_max.max(number);
        host.queue_size = host.queue_size.max(number);
        host.stack_bytes = STACK_BYTES;
        kernel.add_host(host);
        let (terminal, _, _) = Terminal::memory("");
        let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
        let bytes = guest.into();
        let mut spec = spec("sleeper", "run");
        spec.source = BinarySource::Bytes { name: "sleeper.wat".to_owned(), bytes };
        kernel.add_unit(
            id("bench:sleeper"),
            Box::new(move || Ok(Arc::new(wasm.load(spec.clone())?))),
        );
        let outside = Builder::new_current_thread().enable_all().build().unwrap();
        Self { kernel, outside }
    }
}

impl Sleepers for Node {
    const NAME: &str = "wippy";

    fn start(&self, ms: u32) {
        let args = vec![Value::Int(ms.into())];
        let request = SpawnRequest::new(id("bench:sleeper"), id("bench:sleepers"), args);
        self.outside.block_on(self.kernel.spawn(request)).unwrap();
    }

    fn waiting(&self) -> usize {
        self.kernel.waiting_count()
    }

    fn alive(&self) -> usize {
        self.kernel.process_count()
    }
}

/// wasmtime and tokio alone, with a density host's settings.
struct Bare {
    runtime: Runtime,
    guest: Arc<Guest>,
}

struct Guest {
    engine: Engine,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
    waiting: AtomicUsize,
    alive: AtomicUsize,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Bare {
    fn new(guest: &[u8]) -> Self {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        density_config(&mut config, &Limits::default(), STACK_BYTES);
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, guest).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let runtime = Builder::new_multi_thread()
            .worker_threads(available_parallelism().map_or(1, usize::from))
            .event_interval(1)
            .global_queue_interval(1)
            .enable_all()
            .build()
            .unwrap();
        let guest = Guest {
            pre: linker.instantiate_pre(&component).unwrap(),
            export: component.get_export_index(None, "run").unwrap(),
            engine,
            waiting: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
        };
        Self { runtime, guest: Arc::new(guest) }
    }
}

impl Guest {
    async fn run(&self, ms: u32) {
        self.waiting.fetch_sub(1, Relaxed);
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let func = instance.get_func(&mut store, self.export).unwrap();
        func.call_async(&mut store, &[Val::U32(ms)], &mut []).await.unwrap();
        drop(store);
        self.alive.fetch_sub(1, Relaxed);
    }
}

impl Sleepers for Bare {
    const NAME: &str = "floor";

    fn start(&self, ms: u32) {
        self.guest.waiting.fetch_add(1, Relaxed);
        self.guest.alive.fetch_add(1, Relaxed);
        let guest = self.guest.clone();
        self.runtime.spawn(async move { guest.run(ms).await });
    }

    fn waiting(&self) -> usize {
        self.guest.waiting.load(Relaxed)
    }

    fn alive(&self) -> usize {
        self.guest.alive.load(Relaxed)
    }
}
