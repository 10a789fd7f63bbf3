//! A whole command, from exec to exit: `wippy run greet-rust World` beside a bare program
//! that maps the same component precompiled.
//!
//! `cargo build --release && cargo bench -p wippy-benches --bench startup`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Command;

use wippy_benches::{guest, median, time};

const RUNS: usize = 60;
const COMMAND: &str = "greet-rust";

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("wippy-startup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let programs: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let (bare, wippy) = (programs.join("bare"), programs.join("wippy"));
    for program in [&bare, &wippy] {
        if !program.exists() {
            println!("{} is not there: cargo build --release --workspace", program.display());
            return;
        }
    }
    let code = folder.join("hello.cwasm");
    run(Command::new(&bare).arg("compile").arg(guest("hello-rust")).arg(&code));

    let floor = || millis(Command::new(&bare).arg("run").arg(&code).args(["greet", "World"]));
    let ours = || millis(&mut command(&wippy, &folder));
    let first = ours();
    floor();
    let (mut bare_ms, mut wippy_ms, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (bare, wippy) = (floor(), ours());
        bare_ms.push(bare);
        wippy_ms.push(wippy);
        ratios.push(wippy / bare);
    }
    println!("`wippy run {COMMAND} World`, whole process, {RUNS} pairs, medians");
    println!("first run (compiles)  {first:>8.2} ms");
    println!("bare wasmtime         {:>8.2} ms", median(bare_ms));
    println!("wippy, second run on  {:>8.2} ms", median(wippy_ms));
    println!("ratio                 {:>8.2}", median(ratios));
    std::fs::remove_dir_all(folder).unwrap();
}

fn command(wippy: &Path, cache: &Path) -> Command {
    let mut command = Command::new(wippy);
    command
        .args(["-C", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/hello")])
        .args(["run", COMMAND, "World"])
        .env("WIPPY_CACHE_DIR", cache.join("cache"));
    command
}

fn millis(command: &mut Command) -> f64 {
    time(|| run(command)).as_secs_f64() * 1e3
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
