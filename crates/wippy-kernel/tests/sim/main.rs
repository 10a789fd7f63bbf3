//! A seeded simulator of the kernel: thousands of processes do at random what processes can do,
//! and what they see is what `docs/semantics.md` says.
//!
//! `cargo test --workspace --test sim` runs some seeds. `SIM_RUNS=n` runs that many of them, and
//! `SIM_SEED=n` the one that failed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod crowd;
mod exact;
mod model;
mod rng;
mod scripts;
mod world;

use wippy_kernel::{HostSpec, Kernel, KernelOptions, Scheduler};

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Seeds of one test run, where nobody says.
const RUNS: u64 = 150;
/// The same of crowds, on one thread and on several.
const CROWDS: u64 = 30;
const CROWDS_ON_THREADS: u64 = 8;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs a simulation for each seed. One that fails says how to run it again.
fn seeds(test: &str, runs: u64, simulate: impl Fn(u64)) {
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SIM_RUNS").unwrap_or(runs) + 1,
    };
    for seed in seeds {
        let simulated = catch_unwind(AssertUnwindSafe(|| simulate(seed)));
        if let Err(panic) = simulated {
            let again = format!("SIM_SEED={seed} cargo test --workspace --test sim {test}");
            std::io::Write::write_all(&mut std::io::stderr(), format!("\n{again}\n").as_bytes())
                .unwrap();
            resume_unwind(panic);
        }
    }
}

/// Keeps panics silent that the simulation makes on purpose.
fn silence() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.starts_with("on purpose") {
                hook(panic);
            }
        }));
    });
}

fn virtual_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn what_is_seen_is_what_the_model_says() {
    silence();
    let spawned = std::cell::Cell::new(0);
    seeds("what_is_seen", RUNS, |seed| {
        let runtime = virtual_time();
        runtime.block_on(async {
            let mut run = exact::Run::new(seed);
            run.run().await;
            spawned.set(spawned.get() + run.spawned);
        });
    });
    assert!(spawned.get() > 10, "processes were spawned");
}

fn crowd_node(scheduler: impl Fn() -> Scheduler) -> Kernel {
    let kernel = Kernel::new(KernelOptions::default());
    for host in ["crowd:one", "crowd:two"] {
        let mut spec = HostSpec::new(world::id(host));
        spec.scheduler = scheduler();
        kernel.add_host(spec);
    }
    kernel
}

#[test]
fn a_crowd_keeps_the_rules_in_virtual_time() {
    silence();
    seeds("a_crowd_keeps_the_rules_in_virtual", CROWDS, |seed| {
        virtual_time().block_on(async {
            let kernel = crowd_node(|| Scheduler::Shared(tokio::runtime::Handle::current()));
            assert!(crowd::run(&kernel, seed).await > 10);
        });
    });
}

#[test]
fn a_crowd_keeps_the_rules_on_threads() {
    silence();
    seeds("a_crowd_keeps_the_rules_on_threads", CROWDS_ON_THREADS, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kernel = crowd_node(|| Scheduler::Own { workers: 2 });
            assert!(crowd::run(&kernel, seed).await > 10);
            kernel.kill().await;
        });
    });
}
