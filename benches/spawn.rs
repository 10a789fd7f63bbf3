//! Spawn, run, exit seen by a monitor: through the kernel, beside bare wasmtime and tokio.
//!
//! `cargo bench -p wippy-benches --bench spawn`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::Val;
use wippy_benches::floor::Floor;
use wippy_benches::node::{Node, id};
use wippy_benches::{median, time};
use wippy_kernel::SpawnRequest;
use wippy_model::Value;

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
    node: Node,
    outside: Runtime,
}

impl Wippy {
    fn new(threads: usize) -> Self {
        Self { node: Node::new(threads), outside: runtime(1) }
    }

    fn round(&self, drivers: usize) -> f64 {
        let args = || vec![Value::Int(SPAWNS as i64), Value::Int(WINDOW as i64)];
        let took = time(|| {
            self.outside.block_on(async {
                let mut watches = Vec::new();
                for _ in 0..drivers {
                    let request =
                        SpawnRequest::new(id("bench:driver"), id("bench:processes"), args());
                    watches.push(self.node.kernel.spawn_watched(request).await.unwrap().1);
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
