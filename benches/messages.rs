//! Messages between processes, and restarts of a service that traps: CPU time of everything
//! together, beside Erlang and beside a bare program of tokio and wasmtime, in one run.
//!
//! `cargo bench --workspace --bench messages`. Erlang's part needs `erl` and `erlc` (Debian's
//! `erlang-base`) and is left out without them.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store, StoreContextMut, UpdateDeadline};
use wippy_benches::erlang::Erlang;
use wippy_benches::node::{Node, id, spec};
use wippy_benches::{cpu_time, guest, median};
use wippy_host::Terminal;
use wippy_kernel::{
    Budget, Prepare, Process, ProcessContext, Restart, ServiceSpec, ServiceState, SpawnRequest,
    Unit,
};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Exit, Limits, Pid, Result, Value};
use wippy_wasm::{Grants, WasmOptions, WasmRuntime, WasmSpec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
const NATIVE: i64 = 500_000;
const GUEST: u32 = 100_000;
const LUA: i64 = 50_000;
const RESTARTS: u32 = 10_000;
/// What a guest sends.
const TEXT: &str = "a text of some forty bytes, as people send";

/// Two Lua actors, as those of the guest.
const SCRIPT: &str = r#"
local process = require("process")
local function echo()
    while true do
        local message = process.receive()
        process.send(message.from, message.topic, message.payload)
    end
end
local function ping(peer, rounds, text)
    local received = 0
    for _ = 1, rounds do
        process.send(peer, "ping", text)
        received = received + (process.receive().payload == text and 1 or 0)
    end
    return received
end
return { echo = echo, ping = ping }
"#;

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("CPU time of all threads, one after the other, {ROUNDS} rounds in turn");
    let erlang = Erlang::compile();
    for workers in [1, 2] {
        round_trips(workers, erlang.as_ref());
    }
    guests();
    lua();
    restarts(erlang.as_ref());
}

/// Rounds in turn; the medians in microseconds for one of `count`.
fn in_turn(count: f64, one: impl Fn(), other: impl Fn() -> Option<f64>) -> (f64, Option<f64>) {
    one();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = cpu_time();
        one();
        ours.push((cpu_time() - before).as_secs_f64() * 1e6 / count);
        theirs.extend(other());
    }
    (median(ours), (!theirs.is_empty()).then(|| median(theirs)))
}

fn round_trips(workers: usize, erlang: Option<&Erlang>) {
    let node = Node::new(workers);
    for (name, echoes) in [("bench:echo", true), ("bench:ping", false)] {
        node.kernel.add_unit(
            id(name),
            Box::new(move || Ok(Arc::new(Native { limits: Limits::default(), echoes }))),
        );
    }
    let (run, _echo) = pair(&node, vec![Value::Int(NATIVE)]);
    let theirs = || erlang.map(|erlang| erlang.run("round_trip", NATIVE, workers));
    let (ours, theirs) = in_turn(NATIVE as f64, run, theirs);
    println!("\nround trip of native processes, {workers} worker(s)");
    println!("kernel              {ours:>7.3} us");
    if let Some(theirs) = theirs {
        println!("Erlang              {theirs:>7.3} us");
        println!("ratio               {:>7.2}", ours / theirs);
    }
}

/// Spawns `bench:echo`, and gives what runs `bench:ping` against it, once for each call.
fn pair(node: &Node, rest: Vec<Value>) -> (impl Fn() + '_, Pid) {
    let outside = Builder::new_current_thread().enable_all().build().unwrap();
    let host = id("bench:processes");
    let echo = SpawnRequest::new(id("bench:echo"), host.clone(), Vec::new());
    let echo = outside.block_on(node.kernel.spawn(echo)).unwrap();
    let peer = Value::from(echo.to_string());
    let run = move || {
        let args = [vec![peer.clone()], rest.clone()].concat();
        let exit = outside.block_on(async {
            let request = SpawnRequest::new(id("bench:ping"), host.clone(), args);
            node.kernel.spawn_watched(request).await.unwrap().1.await
        });
        assert!(exit.is_normal(), "{exit}");
    };
    (run, echo)
}

/// A native process: sends back what comes, or sends and waits.
struct Native {
    limits: Limits,
    echoes: bool,
}

struct Actor {
    args: Vec<Value>,
    echoes: bool,
}

impl Unit for Native {
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Actor { args: spawn.args, echoes: self.echoes }))
    }
}

impl Process for Actor {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            if self.echoes {
                loop {
                    let message = context.receive_message().await;
                    let from = message.from.unwrap();
                    context.send(&from, message.topic, message.payloads).unwrap();
                }
            }
            let peer = Pid::parse(self.args[0].as_str().unwrap()).unwrap();
            let topic: Arc<str> = "ping".into();
            for number in 0..self.args[1].as_i64().unwrap() {
                context.send(&peer, topic.clone(), vec![Value::Int(number)]).unwrap();
                let answer = context.receive_message().await;
                assert_eq!(answer.payloads[0], Value::Int(number));
            }
            Exit::Normal(Value::Nil)
        })
    }
}

fn guests() {
    let node = Node::new(1);
    let (terminal, _, _) = Terminal::memory("");
    let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
    for method in ["echo", "ping"] {
        let (wasm, name) = (wasm.clone(), id(&format!("bench:{method}")));
        let grants = Grants { actor: true, ..Grants::default() };
        let spec = WasmSpec { id: name.clone(), grants, ..spec("bench-actor", method) };
        node.kernel.add_unit(name, Box::new(move || Ok(Arc::new(wasm.load(spec.clone())?))));
    }
    let (run, _echo) = pair(&node, vec![Value::Int(GUEST.into()), Value::from(TEXT)]);
    let bare = Bare::new();
    bare.run();
    let theirs = || {
        let before = cpu_time();
        bare.run();
        Some((cpu_time() - before).as_secs_f64() * 1e6 / f64::from(GUEST * 2))
    };
    let (ours, theirs) = in_turn(f64::from(GUEST * 2), run, theirs);
    let theirs = theirs.unwrap_or(f64::NAN);
    println!("\none hop from guest to guest, a message of wippy:actor with one text");
    println!("process             {ours:>7.3} us");
    println!("bare                {theirs:>7.3} us");
    println!("ratio               {:>7.2}", ours / theirs);
}

fn lua() {
    let node = Node::new(1);
    for method in ["echo", "ping"] {
        let name = id(&format!("bench:{method}"));
        let load = {
            let name = name.clone();
            move || {
                let method = Some(method.to_owned());
                let unit = LuaUnit::load(LuaSpec { method, ..LuaSpec::new(name.clone(), SCRIPT) })?;
                Ok(unit as Arc<dyn Unit>)
            }
        };
        node.kernel.add_unit(name, Box::new(load));
    }
    let (run, _echo) = pair(&node, vec![Value::Int(LUA), Value::from(TEXT)]);
    let (ours, _) = in_turn((LUA * 2) as f64, run, || None);
    println!("\none hop from Lua to Lua, one text");
    println!("process             {ours:>7.3} us");
}

/// A service whose guest traps at once, and which is started again without a delay until its
/// attempts are used up: from one trap to the next, everything together.
fn restarts(erlang: Option<&Erlang>) {
    let node = Node::new(1);
    let (terminal, _, _) = Terminal::memory("");
    let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
    let (trap, host) = (id("bench:trap"), id("bench:processes"));
    let guest = spec("trap", "run");
    node.kernel.add_unit(trap.clone(), Box::new(move || Ok(Arc::new(wasm.load(guest.clone())?))));
    let outside = Builder::new_current_thread().enable_all().build().unwrap();
    let rounds = Cell::new(0);
    let run = || {
        rounds.set(rounds.get() + 1);
        let service = id(&format!("bench:service-{}", rounds.get()));
        let mut spec = ServiceSpec::new(service.clone(), trap.clone(), host.clone());
        spec.restart = Restart {
            initial_delay: Duration::ZERO,
            max_attempts: RESTARTS,
            budget: Some(Budget { restarts: u32::MAX, within: Duration::from_secs(3600) }),
            ..Restart::default()
        };
        node.kernel.add_service(spec).unwrap();
        outside.block_on(async {
            // It may have failed before it was seen to run.
            let _ = node.kernel.start_service(&service).await;
            loop {
                let services = node.kernel.services();
                let own = services.iter().find(|own| own.id == service).unwrap();
                if own.state == ServiceState::Failed {
                    assert_eq!(own.restarts, u64::from(RESTARTS));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    };
    let theirs = || erlang.map(|erlang| erlang.run("restart", RESTARTS.into(), 1));
    let (ours, theirs) = in_turn(RESTARTS.into(), run, theirs);
    println!("\nrestart of a service whose WebAssembly traps, without a delay");
    println!("service             {ours:>7.3} us");
    if let Some(theirs) = theirs {
        println!("Erlang's supervisor {theirs:>7.3} us");
        println!("ratio               {:>7.2}", ours / theirs);
    }
}

/// The record that the interface sends.
#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Payload {
    format: String,
    data: Vec<u8>,
}

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Message {
    from: String,
    topic: String,
    payloads: Vec<Payload>,
}

/// What a program holds for a guest that does no more than this.
struct State {
    own: String,
    peer: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
}

/// Two guests, two channels, and nothing else.
struct Bare {
    engine: Engine,
    component: Component,
    linker: Linker<State>,
    worker: Runtime,
}

impl Bare {
    fn new() -> Self {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_file(&engine, guest("bench-actor")).unwrap();
        let mut linker = Linker::new(&engine);
        let mut process = linker.instance("wippy:actor/process@0.1.0").unwrap();
        type Send = (String, String, Vec<Payload>);
        process
            .func_wrap("send", |store: StoreContextMut<'_, State>, (_, topic, payloads): Send| {
                let from = store.data().own.clone();
                let sent = store.data().peer.try_send(Message { from, topic, payloads });
                Ok((sent.map(|()| true).map_err(|error| error.to_string()),))
            })
            .unwrap();
        process
            .func_wrap_async("receive", |mut store: StoreContextMut<'_, State>, (): ()| {
                Box::new(async move {
                    let message = store.data_mut().inbox.recv().await;
                    Ok((message.ok_or_else(|| "closed".to_owned()),))
                })
            })
            .unwrap();
        let worker = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { engine, component, linker, worker }
    }

    async fn store(&self, state: State) -> (Store<State>, wasmtime::component::Instance) {
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        let instance = self.linker.instantiate_async(&mut store, &self.component).await.unwrap();
        (store, instance)
    }

    fn run(&self) {
        let worker = &self.worker;
        let (to_echo, echo_inbox) = mpsc::channel(1024);
        let (to_ping, ping_inbox) = mpsc::channel(1024);
        let state = |own: &str, peer, inbox| State { own: own.to_owned(), peer, inbox };
        let (mut echo, instance) =
            worker.block_on(self.store(state("{node@bench:processes|1.1}", to_ping, echo_inbox)));
        type Ends = (std::result::Result<(), String>,);
        let call: TypedFunc<(), Ends> = instance.get_typed_func(&mut echo, "echo").unwrap();
        worker.spawn(async move { call.call_async(&mut echo, ()).await.map(drop) });
        let (mut ping, instance) =
            worker.block_on(self.store(state("{node@bench:processes|1.2}", to_echo, ping_inbox)));
        type Counts = (std::result::Result<u32, String>,);
        let call: TypedFunc<(&str, u32, &str), Counts> =
            instance.get_typed_func(&mut ping, "ping").unwrap();
        let done = worker.spawn(async move {
            call.call_async(&mut ping, ("{node@bench:processes|1.1}", GUEST, TEXT)).await.unwrap()
        });
        let (received,) = worker.block_on(done).unwrap();
        assert_eq!(received, Ok(GUEST));
    }
}
