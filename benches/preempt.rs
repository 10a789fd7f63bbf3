//! What preemption costs a busy process, and what it gives its neighbours.
//!
//! Busy Lua in a process beside the same in a plain VM without hooks; busy WebAssembly in a
//! process beside bare wasmtime with epochs and the same settings; how late 3 ms timers are
//! beside two endless loops on one worker; how long a busy process takes to end; and how
//! long a bulk operation, which nothing interrupts, holds a worker.
//!
//! `cargo bench --workspace --bench preempt`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::{Component, InstancePre, Linker, ResourceTable, Val};
use wasmtime::{Config, Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wippy_benches::node::{Node, id};
use wippy_benches::{cpu_time, median};
use wippy_host::Terminal;
use wippy_kernel::{ExitWatch, SpawnRequest};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Exit, Limits, Pid, Value};
use wippy_wasm::{BinarySource, Grants, WasmOptions, WasmRuntime, WasmSpec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
const NAPS: u32 = 1_000;
const ENDS: usize = 50;

/// Before each script: objects that live on. Our VM begins with less in it than a plain one
/// with all libraries, so that the collector has shorter cycles, and more of them, where a
/// script keeps next to nothing.
const BALLAST: &str = "local ballast = {} for i = 1, 10000 do ballast[i] = { i } end ";

/// Busy scripts; each is a function body that gives a number.
const SCRIPTS: [(&str, &str); 9] = [
    (
        "fib(30)",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(30)",
    ),
    (
        "table loop",
        "local t, sum = {}, 0 for i = 1, 200000 do t[i] = i end for _ = 1, 20 do for i, v in ipairs(t) do sum = sum + v - i end end return sum",
    ),
    (
        "string building",
        "local n = 0 for i = 1, 3000 do local p = {} for j = 1, 100 do p[j] = i .. ':' .. j end n = n + #table.concat(p, ',') end return n",
    ),
    (
        "sort, default",
        "local n = 0 for _ = 1, 4 do local t = {} for i = 1, 60000 do t[i] = (i * 7919) % 60013 end table.sort(t) n = n + t[9] end return n",
    ),
    (
        "sort, comparison",
        "local n = 0 for _ = 1, 3 do local t = {} for i = 1, 40000 do t[i] = (i * 7919) % 40009 end table.sort(t, function(a, b) return a > b end) n = n + t[9] end return n",
    ),
    (
        "sort, 8 elements",
        "local n = 0 for i = 1, 60000 do local t = { 5, i, 3, 8, 1, 9, 2, 7 } table.sort(t) n = n + t[4] end return n",
    ),
    (
        "find and match",
        "local n, s = 0, 'key_12 = some value, other = 34.5; last=x' for _ = 1, 60000 do local k, v = s:match('^([%w_]+)%s*=%s*(.-),') n = n + #k + #v + s:find('other', 1, true) + s:find('%d+%.%d') end return n",
    ),
    (
        "gmatch",
        "local n, s = 0, ('the quick brown fox, jumps over 12 lazy dogs. '):rep(50) for _ = 1, 600 do for w in s:gmatch('%a+') do n = n + #w end for k in s:gmatch('[^,.]+') do n = n + #k end end return n",
    ),
    (
        "gsub",
        "local n, s = 0, ('the quick <brown> fox & 12 dogs\\n'):rep(40) for _ = 1, 400 do n = n + #s:gsub('[<>&]', { ['<'] = '&lt;', ['>'] = '&gt;', ['&'] = '&amp;' }) + #s:gsub('%s+', ' ') + #s:gsub('(%w+) (%w+)', '%2 %1') + #s:gsub('%a', function(c) return c end) end return n",
    ),
];

const NAP_SCRIPT: &str = "local time = require('time')
    local late = {}
    for i = 1, ... do
        local begun = time.now()
        time.sleep('3ms')
        late[i] = time.now():sub(begun):microseconds() - 3000
    end
    return late";

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let node = BusyNode::new();
    println!("busy Lua: CPU time in a process / in a plain VM, {ROUNDS} rounds");
    for (name, source) in SCRIPTS {
        lua_cost(&node, name, source);
    }
    println!("busy WebAssembly: CPU time in a process / in bare wasmtime with epochs");
    let bare = Bare::new();
    for (name, n) in [("fib", 32), ("sum", 150), ("sieve", 25)] {
        wasm_cost(&node, &bare, name, n);
    }
    println!("{NAPS} timers of 3 ms beside two endless loops on one worker: how late");
    for (loops, spin) in [("Lua", "bench:spin-lua"), ("WebAssembly", "bench:spin")] {
        for (sleeper, naps) in [("Lua", "bench:naps-lua"), ("WebAssembly", "bench:naps")] {
            lateness(loops, spin, sleeper, naps);
        }
    }
    println!("from terminate to the exit of a busy process, {ENDS} times, beside another");
    for spin in ["bench:spin-lua", "bench:spin-match", "bench:spin"] {
        ends(spin);
    }
    println!("one memory.fill, which nothing interrupts (second time)");
    for mib in [1, 16, 64, 128, 250] {
        let exit = node.run("bench:fill", mib);
        println!("{mib:>8} MiB {:>10.2} ms", number(exit.value().unwrap()) / 1e3);
    }
    for mib in [1024, 3500] {
        println!("{mib:>8} MiB {:>10.2} ms (bare)", f64::from(bare.run("fill", mib)) / 1e3);
    }
}

/// A node with one worker and the busy units.
struct BusyNode {
    node: Node,
    outside: Runtime,
}

impl BusyNode {
    fn new() -> Self {
        let node = Node::new(1);
        let (terminal, _, _) = Terminal::memory("");
        let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
        let bytes: Arc<[u8]> = wat::parse_str(include_str!("busy.wat")).unwrap().into();
        for method in ["fib", "sum", "sieve", "fill", "spin", "naps"] {
            let name = format!("bench:{method}");
            let spec = WasmSpec {
                id: id(&name),
                source: BinarySource::Bytes { name: "busy".to_owned(), bytes: bytes.clone() },
                hash: None,
                method: Some(method.to_owned()),
                wit: None,
                grants: Grants::default(),
                program: "busy".to_owned(),
                args: Vec::new(),
                env: Vec::new(),
                cwd: None,
                mounts: Vec::new(),
                limits: Limits::default(),
            };
            let wasm = wasm.clone();
            let load = move || -> wippy_model::Result<Arc<dyn wippy_kernel::Unit>> {
                Ok(Arc::new(wasm.load(spec.clone())?))
            };
            node.kernel.add_unit(id(&name), Box::new(load));
        }
        let node = Self { node, outside: Builder::new_current_thread().build().unwrap() };
        node.add_lua("bench:spin-lua", "while true do end");
        node.add_lua("bench:spin-match", "return (('a'):rep(200)):find(('a*'):rep(60) .. 'b')");
        node.add_lua("bench:naps-lua", NAP_SCRIPT);
        node
    }

    fn add_lua(&self, name: &str, body: &str) {
        let spec = LuaSpec { method: Some(String::new()), ..LuaSpec::new(id(name), body) };
        let unit = LuaUnit::load(spec).unwrap();
        self.node.kernel.add_unit(id(name), Box::new(move || Ok(unit.clone())));
    }

    fn spawn(&self, name: &str, n: u32) -> (Pid, ExitWatch) {
        let args = vec![Value::Int(n.into())];
        let request = SpawnRequest::new(id(name), id("bench:processes"), args);
        self.outside.block_on(self.node.kernel.spawn_watched(request)).unwrap()
    }

    fn run(&self, name: &str, n: u32) -> Exit {
        let (_, watch) = self.spawn(name, n);
        let exit = Arc::unwrap_or_clone(self.outside.block_on(watch));
        assert!(exit.is_normal(), "{name}: {exit}");
        exit
    }
}

fn cpu(work: impl FnOnce()) -> f64 {
    let before = cpu_time();
    work();
    (cpu_time() - before).as_secs_f64() * 1e3
}

/// Rounds of ours and the floor in turn; prints the least of both, and how they compare: what
/// else runs on the machine only ever adds.
fn compare(name: &str, ours: impl Fn(), floor: impl Fn()) {
    ours();
    floor();
    let (mut ours_ms, mut floor_ms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor_ms.push(cpu(&floor));
        ours_ms.push(cpu(&ours));
    }
    let least = |figures: &[f64]| figures.iter().copied().fold(f64::MAX, f64::min);
    let (ours, floor) = (least(&ours_ms), least(&floor_ms));
    let ratios = ours_ms.iter().zip(&floor_ms).map(|(ours, floor)| ours / floor).collect();
    println!(
        "{name:>20} {ours:>9.2} ms {floor:>9.2} ms {:>7.3} (median of ratios {:.3})",
        ours / floor,
        median(ratios)
    );
}

fn lua_cost(node: &BusyNode, name: &str, source: &str) {
    let source = format!("{BALLAST}{source}");
    let source = source.as_str();
    let unit = format!("bench:{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let unit = unit.trim_end_matches('-').replace("--", "-");
    node.add_lua(&unit, source);
    let ours = || drop(node.run(&unit, 0));
    let expected = node.run(&unit, 0);
    let floor = || {
        let lua = mlua::Lua::new();
        let result: i64 = lua.load(source).call(()).unwrap();
        assert_eq!(expected.value().and_then(Value::as_i64), Some(result));
    };
    compare(name, ours, floor);
}

/// Bare wasmtime with the settings of the runtime, and a thread that ticks.
struct Bare {
    engine: Engine,
    pre: InstancePre<State>,
    runtime: Runtime,
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
    fn new() -> Self {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let bytes = wat::parse_str(include_str!("busy.wat")).unwrap();
        let component = Component::new(&engine, bytes).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let pre = linker.instantiate_pre(&component).unwrap();
        let ticking = engine.weak();
        thread::spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { engine, pre, runtime: Builder::new_current_thread().enable_all().build().unwrap() }
    }

    fn run(&self, method: &str, n: u32) -> u32 {
        self.runtime.block_on(async {
            let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
            let mut store = Store::new(&self.engine, state);
            store.set_epoch_deadline(5);
            store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(5)));
            let instance = self.pre.instantiate_async(&mut store).await.unwrap();
            let func = instance.get_func(&mut store, method).unwrap();
            let mut result = [Val::Bool(false)];
            func.call_async(&mut store, &[Val::U32(n)], &mut result).await.unwrap();
            match result {
                [Val::U32(result)] => result,
                other => unreachable!("{other:?}"),
            }
        })
    }
}

fn wasm_cost(node: &BusyNode, bare: &Bare, method: &str, n: u32) {
    let unit = format!("bench:{method}");
    let expected = bare.run(method, n);
    let ours = || {
        let exit = node.run(&unit, n);
        assert_eq!(exit.value(), Some(&Value::Int(expected.into())));
    };
    compare(method, ours, || _ = bare.run(method, n));
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        other => unreachable!("{other:?}"),
    }
}

fn print_late(label: &str, mut us: Vec<f64>) {
    us.sort_by(f64::total_cmp);
    let at = |share: f64| us[((us.len() - 1) as f64 * share) as usize] / 1e3;
    println!(
        "{label:>44}: p50 {:>6.2} ms, p99 {:>6.2} ms, most {:>6.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn lateness(loops: &str, spin: &str, sleeper: &str, naps: &str) {
    let node = BusyNode::new();
    let busy = [node.spawn(spin, 0), node.spawn(spin, 0)];
    let exit = node.run(naps, NAPS);
    let Some(Value::List(late)) = exit.value() else { unreachable!("{exit}") };
    let late = late.iter().map(number).collect();
    print_late(&format!("a timer of {sleeper} beside {loops}"), late);
    for (pid, watch) in busy {
        node.node.kernel.terminate(&pid).unwrap();
        let _ = node.outside.block_on(watch);
    }
}

fn ends(spin: &str) {
    let node = BusyNode::new();
    let mut took = Vec::new();
    let (other, other_watch) = node.spawn(spin, 0);
    for _ in 0..ENDS {
        let (pid, watch) = node.spawn(spin, 0);
        thread::sleep(Duration::from_millis(23));
        let begun = Instant::now();
        node.node.kernel.terminate(&pid).unwrap();
        let exit = node.outside.block_on(watch);
        took.push(begun.elapsed().as_secs_f64() * 1e6);
        assert!(matches!(*exit, Exit::Terminated), "{exit}");
    }
    print_late(spin, took);
    node.node.kernel.terminate(&other).unwrap();
    let _ = node.outside.block_on(other_watch);
}
