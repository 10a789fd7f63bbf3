//! Spawn, run, exit seen by a monitor: through the kernel, beside bare wasmtime and tokio.
//!
//! `cargo bench -p wippy-benches --bench spawn`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::Val;
use wippy_benches::floor::Floor;
use wippy_benches::{guest, median, time};
use wippy_host::{Terminal, Volume};
use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Scheduler, SpawnRequest,
    Unit, Watcher,
};
use wippy_model::{Context, EntryId, Exit, Limits, Result, Value};
use wippy_wasm::{BinarySource, Grants, WasmOptions, WasmRuntime, WasmSpec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Spawns of one driver in a round, and how many of them are under way at once.
const SPAWNS: usize = 50_000;
const WINDOW: usize = 64;
const ROUNDS: usize = 7;

fn main() {
    // `cargo test` builds and runs benches too, with `--test`: nothing to check here.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("spawn -> run -> exit seen by a monitor, bench-small.wasm, {ROUNDS} rounds");
    println!("{:>8} {:>14} {:>14} {:>8}", "threads", "floor", "wippy", "ratio");
    for threads in [1, 2] {
        let floor = Bare::new(threads);
        let wippy = Wippy::new(threads);
        floor.round(threads);
        wippy.round(threads);
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(floor.round(threads));
            ours.push(wippy.round(threads));
        }
        let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        println!(
            "{threads:>8} {:>12.0}/s {:>12.0}/s {:>8.2}",
            median(bare),
            median(ours),
            median(ratios)
        );
    }
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .event_interval(1)
        .global_queue_interval(1)
        .enable_all()
        .build()
        .unwrap()
}

struct Bare {
    runtime: Runtime,
    floor: Arc<Floor>,
}

impl Bare {
    fn new(threads: usize) -> Self {
        Self { runtime: runtime(threads), floor: Floor::new("bench-small", "compute") }
    }

    fn round(&self, drivers: usize) -> f64 {
        let took = time(|| {
            let drivers: Vec<_> = (0..drivers)
                .map(|_| {
                    let floor = self.floor.clone();
                    self.runtime.spawn(async move {
                        for _ in 0..SPAWNS / WINDOW {
                            let tasks: Vec<_> = (0..WINDOW)
                                .map(|_| {
                                    let floor = floor.clone();
                                    tokio::spawn(async move {
                                        floor.run(&[Val::U32(6), Val::U32(7)]).await
                                    })
                                })
                                .collect();
                            for task in tasks {
                                assert!(matches!(task.await.unwrap(), Val::U32(42)));
                            }
                        }
                    })
                })
                .collect();
            self.runtime.block_on(async {
                for driver in drivers {
                    driver.await.unwrap();
                }
            });
        });
        (drivers * (SPAWNS / WINDOW) * WINDOW) as f64 / took.as_secs_f64()
    }
}

struct Wippy {
    kernel: Kernel,
    outside: Runtime,
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

impl Wippy {
    fn new(threads: usize) -> Self {
        let kernel = Kernel::new(KernelOptions::default());
        kernel.add_host(HostSpec {
            scheduler: Scheduler::Own { workers: threads },
            ..HostSpec::new(id("bench:processes"))
        });
        let (terminal, _, _) = Terminal::memory("");
        let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
        let path = guest("bench-small");
        let volume = Arc::new(Volume::open(path.parent().unwrap(), false, None).unwrap());
        let spec = WasmSpec {
            id: id("bench:small"),
            source: BinarySource::File { volume, path: "bench-small.wasm".to_owned() },
            hash: None,
            method: Some("compute".to_owned()),
            wit: None,
            grants: Grants::default(),
            program: "bench-small".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            limits: Limits::default(),
        };
        kernel.add_unit(
            id("bench:small"),
            Box::new(move || Ok(Arc::new(wasm.load(spec.clone())?))),
        );
        kernel.add_unit(
            id("bench:driver"),
            Box::new(|| Ok(Arc::new(Driver(Limits::default())))),
        );
        Self { kernel, outside: runtime(1) }
    }

    fn round(&self, drivers: usize) -> f64 {
        let took = time(|| {
            self.outside.block_on(async {
                let mut watches = Vec::new();
                for _ in 0..drivers {
                    let request =
                        SpawnRequest::new(id("bench:driver"), id("bench:processes"), Vec::new());
                    watches.push(self.kernel.spawn_watched(request).await.unwrap().1);
                }
                for watch in watches {
                    let exit = watch.await;
                    assert!(exit.is_normal(), "{exit}");
                }
            });
        });
        (drivers * (SPAWNS / WINDOW) * WINDOW) as f64 / took.as_secs_f64()
    }
}

/// A native process that spawns guests on its own host and monitors them.
struct Driver(Limits);

impl Unit for Driver {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Driving))
    }
}

struct Driving;

impl Process for Driving {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            let kernel = context.kernel().unwrap();
            let (unit, host) = (id("bench:small"), id("bench:processes"));
            for _ in 0..SPAWNS / WINDOW {
                for _ in 0..WINDOW {
                    kernel
                        .spawn(SpawnRequest {
                            unit: unit.clone(),
                            host: host.clone(),
                            args: vec![Value::Int(6), Value::Int(7)],
                            context: Context::default(),
                            watcher: Some(Watcher::Process(context.clone())),
                        })
                        .await
                        .unwrap();
                }
                for _ in 0..WINDOW {
                    let event = context.receive_event().await;
                    assert_eq!(event.exit.unwrap().value(), Some(&Value::Int(42)));
                }
            }
            Exit::Normal(Value::Nil)
        })
    }
}
