//! A GiB through a guest: a file read and an HTTP response received through streams, in
//! Wippy and under a bare host with the defaults of wasmtime-wasi and wasmtime-wasi-http.
//!
//! Each figure is a process of its own, so that its peak memory is its own. The HTTP server
//! is in this process. `WIPPY_STREAM_MIB` sets another size.
//!
//! `cargo bench --workspace --bench stream`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Config, Engine, Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wippy_benches::node::id;
use wippy_benches::{guest, median, time};
use wippy_host::{Terminal, Volume};
use wippy_kernel::{HostSpec, Kernel, KernelOptions, Scheduler, SpawnRequest};
use wippy_model::{Limits, Value};
use wippy_wasm::{BinarySource, Grants, Mount, WasmOptions, WasmRuntime, WasmSpec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const FILE: &str = "large";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test` builds and runs benches too, with `--test`: nothing to check here.
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    if let [_, child, host, method, from] = &args[..]
        && child == "child"
    {
        let method_args = match method.as_str() {
            "read" => vec![FILE.to_owned()],
            _ => vec![from.clone(), "/".to_owned()],
        };
        return measure(host, method, Path::new(from), &method_args);
    }
    let mib = std::env::var("WIPPY_STREAM_MIB").ok().and_then(|text| text.parse().ok());
    compare(mib.unwrap_or(1024));
}

// --- The parent -------------------------------------------------------------------------

fn compare(mib: usize) {
    let folder = tempfile::tempdir().unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let mut file = std::fs::File::create(folder.path().join(FILE)).unwrap();
    for _ in 0..mib {
        file.write_all(&chunk).unwrap();
    }
    let authority = serve(mib);
    println!("{mib} MiB through streams.wasm, {ROUNDS} rounds, chunks of 64 KiB");
    println!(
        "{:>10} {:>12} {:>12} {:>7} {:>14} {:>14}",
        "", "bare MiB/s", "wippy MiB/s", "ratio", "bare peak MiB", "wippy peak MiB"
    );
    let file = folder.path().display().to_string();
    for (method, from) in [("read", &file), ("download", &authority)] {
        let (mut bare, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bare_peak, mut our_peak) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            let (floor, floor_peak) = child("bare", method, from, mib);
            let (own, own_peak) = child("wippy", method, from, mib);
            (bare_peak, our_peak) = (bare_peak.max(floor_peak), our_peak.max(own_peak));
            bare.push(floor);
            ours.push(own);
            ratios.push(own / floor);
        }
        println!(
            "{method:>10} {:>12.0} {:>12.0} {:>7.2} {bare_peak:>14.1} {our_peak:>14.1}",
            median(bare),
            median(ours),
            median(ratios)
        );
    }
}

/// MiB a second, and the peak memory in MiB.
fn child(host: &str, method: &str, from: &str, mib: usize) -> (f64, f64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["child", host, method, from])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text.split_whitespace().map(|text| text.parse().unwrap()).collect();
    let [bytes, seconds, peak] = figures[..] else {
        panic!("{host} {method}: {text}{}", String::from_utf8_lossy(&output.stderr))
    };
    assert_eq!(bytes as usize, mib << 20, "{host} {method}");
    (mib as f64 / seconds, peak)
}

/// Answers each connection with so many MiB.
fn serve(mib: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let chunk = vec![b'x'; 1 << 20];
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let stream = reader.get_mut();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", mib << 20);
            stream.write_all(head.as_bytes()).unwrap();
            for _ in 0..mib {
                stream.write_all(&chunk).unwrap();
            }
        }
    });
    authority
}

// --- The children -----------------------------------------------------------------------

fn measure(host: &str, method: &str, folder: &Path, args: &[String]) {
    let folder = (method == "read").then_some(folder);
    let (bytes, took) = match host {
        "bare" => bare(method, folder, args),
        _ => wippy(method, folder, args),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("{bytes} {} {}", took.as_secs_f64(), peak_kib / 1024.0);
}

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: wasmtime_wasi_http::default_hooks(),
        }
    }
}

/// With the engine's settings that the runtime has, but no pool and no clock.
fn bare(method: &str, folder: Option<&Path>, args: &[String]) -> (u64, Duration) {
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let component = Component::from_file(&engine, guest("streams")).unwrap();
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let export = component.get_export_index(None, method).unwrap();
    let mut wasi = WasiCtx::builder();
    if let Some(folder) = folder {
        wasi.preopened_dir(folder, "/", FsPerms::ReadOnly).unwrap();
    }
    let state = State { wasi: wasi.build(), http: WasiHttpCtx::new(), table: ResourceTable::new() };
    let args: Vec<_> = args.iter().map(|arg| Val::String(arg.clone())).collect();
    let runtime = runtime(WORKERS);
    let mut bytes = 0;
    let took = time(|| {
        let run = runtime.spawn(async move {
            let mut store = Store::new(pre.component().engine(), state);
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
            let instance = pre.instantiate_async(&mut store).await.unwrap();
            let func = instance.get_func(&mut store, export).unwrap();
            let mut result = [Val::Bool(false)];
            func.call_async(&mut store, &args, &mut result).await.unwrap();
            result
        });
        let [result] = runtime.block_on(run).unwrap();
        let Val::Result(Ok(Some(value))) = &result else { panic!("{result:?}") };
        let Val::U64(count) = &**value else { panic!("{value:?}") };
        bytes = *count;
    });
    (bytes, took)
}

/// Threads of the host that runs the guest, in both.
const WORKERS: usize = 2;

fn wippy(method: &str, folder: Option<&Path>, args: &[String]) -> (u64, Duration) {
    let kernel = Kernel::new(KernelOptions::default());
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Own { workers: WORKERS },
        ..HostSpec::new(id("bench:processes"))
    });
    let (terminal, _, _) = Terminal::memory("");
    let wasm = WasmRuntime::new(WasmOptions::new(Arc::new(terminal)));
    let path = guest("streams");
    let volume = Arc::new(Volume::open(path.parent().unwrap(), false, None).unwrap());
    let mount = |folder| Mount {
        id: id("bench:folder"),
        volume: Arc::new(Volume::open(folder, false, None).unwrap()),
        guest: "/".to_owned(),
        read_only: true,
    };
    let spec = WasmSpec {
        id: id("bench:streams"),
        source: BinarySource::File { volume, path: "streams.wasm".to_owned() },
        hash: None,
        method: Some(method.to_owned()),
        wit: None,
        grants: Grants { http: true, ..Grants::default() },
        program: "streams".to_owned(),
        args: Vec::new(),
        env: Vec::new(),
        cwd: None,
        mounts: folder.map(mount).into_iter().collect(),
        limits: Limits::default(),
    };
    let unit = Arc::new(wasm.load(spec).unwrap());
    kernel.add_unit(id("bench:streams"), Box::new(move || Ok(unit.clone())));
    let args = args.iter().map(|arg| Value::from(arg.as_str())).collect();
    let request = SpawnRequest::new(id("bench:streams"), id("bench:processes"), args);
    let outside = runtime(1);
    let mut bytes = 0;
    let took = time(|| {
        outside.block_on(async {
            let exit = kernel.spawn_watched(request).await.unwrap().1.await;
            let value = exit.value().and_then(Value::as_i64);
            bytes = value.unwrap_or_else(|| panic!("{exit}")) as u64;
        });
    });
    (bytes, took)
}
