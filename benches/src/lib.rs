//! What the benches share: guests, medians, and the bare-wasmtime floor that stands beside
//! each figure.
//!
//! Benches measure and print; they assert nothing. Machines are shared and noisy, so a
//! figure is the median of rounds that alternate with the floor's, and what counts is the
//! ratio of the two.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub mod erlang;
pub mod floor;
pub mod node;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A built guest.
pub fn guest(name: &str) -> PathBuf {
    let path = format!("{}/../guests/built/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    PathBuf::from(path)
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How long something took.
pub fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// CPU time of this whole process so far, all threads together.
pub fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own: u64 = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    // /proc/self/schedstat counts the main thread alone; the tasks have files of their own.
    let mut total = 0;
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        for task in tasks.flatten() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total += stat.split(' ').next().and_then(|t| t.parse::<u64>().ok()).unwrap_or_default();
        }
    }
    Duration::from_nanos(total.max(own))
}
