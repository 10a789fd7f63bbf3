//! What a restart without a delay costs: from the trap of a service's process to the first step
//! of the next one, everything together. Beside it a plain loop that spawns a process, watches
//! it and hears of its exit. The processes are native and trap at their first step. Figures are
//! CPU time of all threads, medians of rounds.
//!
//! `cargo run --release -p wippy-kernel --example restart`

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wippy_kernel::{
    Budget, HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Restart, Scheduler,
    ServiceSpec, ServiceState, SpawnRequest, Unit,
};
use wippy_model::{EntryId, Error, Exit, Limits, Result, Value};

const RESTARTS: u32 = 20_000;
const ROUNDS: usize = 9;

struct Trapping(Limits);

impl Unit for Trapping {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Trap))
    }
}

struct Trap;

impl Process for Trap {
    fn run(self: Box<Self>, _: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async { Exit::Trap(Error::internal("unreachable")) })
    }
}

/// The threads of this program.
fn threads() -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten()
}

/// CPU time of all threads so far; that of threads which have ended is lost.
fn cpu_time() -> Duration {
    let tasks = threads();
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    let times = stats.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(times.sum())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Measures on a runtime of its own, and waits until none of its threads is left.
fn measure<T>(
    figures: impl Future<Output = std::result::Result<T, Box<dyn StdError>>>,
) -> std::result::Result<T, Box<dyn StdError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(figures);
    drop(runtime);
    while threads().count() > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    figures
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    println!("one restart, {RESTARTS} in a row, {ROUNDS} rounds");
    for workers in [1, 2] {
        let (mut restarts, mut spawns, mut walls) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (cpu, wall) = measure(restart(workers))?;
            restarts.push(cpu);
            walls.push(wall);
            spawns.push(measure(spawn(workers))?);
        }
        println!(
            "{workers} workers: {:5.2} us CPU, {:5.2} us of wall clock; spawn and watch from \
             outside {:5.2} us CPU",
            median(restarts),
            median(walls),
            median(spawns),
        );
    }
    Ok(())
}

fn node(workers: usize) -> std::result::Result<(Kernel, EntryId, EntryId), Box<dyn StdError>> {
    let kernel = Kernel::new(KernelOptions::default());
    let (host, unit) = (EntryId::parse("bench:host")?, EntryId::parse("bench:trap")?);
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Own { workers },
        ..HostSpec::new(host.clone())
    });
    kernel.add_unit(unit.clone(), Box::new(|| Ok(Arc::new(Trapping(Limits::default())))));
    Ok((kernel, unit, host))
}

async fn restart(workers: usize) -> std::result::Result<(f64, f64), Box<dyn StdError>> {
    let (kernel, unit, host) = node(workers)?;
    kernel.unit(&unit).await?;
    let id = EntryId::parse("bench:service")?;
    let budget = Budget { restarts: RESTARTS, within: Duration::from_secs(3600) };
    kernel.add_service(ServiceSpec {
        restart: Restart {
            initial_delay: Duration::ZERO,
            budget: Some(budget),
            ..Restart::default()
        },
        input: vec![Value::Int(6), Value::Int(7)],
        ..ServiceSpec::new(id.clone(), unit, host)
    })?;
    let mut watch = kernel.watch_service(&id)?;
    let (cpu, wall) = (cpu_time(), Instant::now());
    kernel.start_service(&id).await?;
    // Looking on costs time, too: it looks at the end alone.
    while watch.info().state != ServiceState::Failed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    assert_eq!(watch.info().restarts, u64::from(RESTARTS));
    kernel.kill().await;
    let each = |whole: Duration| whole.as_secs_f64() * 1e6 / f64::from(RESTARTS);
    Ok((each(cpu), each(wall)))
}

async fn spawn(workers: usize) -> std::result::Result<f64, Box<dyn StdError>> {
    let (kernel, unit, host) = node(workers)?;
    kernel.unit(&unit).await?;
    let cpu = cpu_time();
    for _ in 0..RESTARTS {
        let args = vec![Value::Int(6), Value::Int(7)];
        let request = SpawnRequest::new(unit.clone(), host.clone(), args);
        let (_, exit) = kernel.spawn_watched(request).await?;
        exit.await;
    }
    let cpu = cpu_time() - cpu;
    kernel.kill().await;
    Ok(cpu.as_secs_f64() * 1e6 / f64::from(RESTARTS))
}
