//! What a Lua process costs: its start, and a loop of `spawn_monitored` and `receive` around
//! native processes that end at once. Figures are CPU time on one thread, medians of rounds.
//!
//! `cargo run --release -p wippy-lua --example cost`

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Scheduler, SpawnRequest,
    Unit,
};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{EntryId, Exit, Limits, Result as ModelResult, Value};

const ROUNDS: usize = 15;
const PROCESSES: u32 = 2_000;

struct Multiply(Limits);

impl Unit for Multiply {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, spawn: Prepare<'_>) -> ModelResult<Box<dyn Process>> {
        Ok(Box::new(Product(spawn.args.iter().filter_map(Value::as_i64).product())))
    }
}

struct Product(i64);

impl Process for Product {
    fn run(self: Box<Self>, _: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(std::future::ready(Exit::Normal(Value::Int(self.0))))
    }
}

const EMPTY: &str = "return 1";

const LOOP: &str = r#"
    local process = require("process")
    local time = require("time")
    local sum = 0
    for i = 1, ... do
        local pid, err = process.spawn_monitored("myns:compute_worker", "myns:processes", 6, 7)
        if err then error("spawn failed: " .. tostring(err)) end
        local event = process.receive(time.seconds(10))
        if event and event.type == "EXIT" then
            sum = sum + event.value
        end
    end
    return sum
"#;

const EVENTS: &str = r#"
    local events = process.events()
    local sum = 0
    for i = 1, ... do
        local pid = process.spawn_monitored("myns:compute_worker", "myns:processes", 6, 7)
        local event = events:receive()
        if event and event.kind == process.event.EXIT then
            sum = sum + event.result.value
        end
    end
    return sum
"#;

const CHANNEL: &str = "local req, rep = channel.new(), channel.new()
    coroutine.spawn(function() while true do rep:send(req:receive() + 1) end end)
    local n = 0 for _ = 1, ... do req:send(n) n = rep:receive() end return n";

fn id(text: &str) -> Result<EntryId, Box<dyn Error>> {
    Ok(EntryId::parse(text)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::new(KernelOptions::default());
    let host = id("myns:processes")?;
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Shared(Handle::current()),
        ..HostSpec::new(host.clone())
    });
    let multiply: Arc<dyn Unit> = Arc::new(Multiply(Limits::default()));
    kernel.add_unit(id("myns:compute_worker")?, Box::new(move || Ok(multiply.clone())));
    for (name, source) in [
        ("myns:empty", EMPTY),
        ("myns:loop", LOOP),
        ("myns:events", EVENTS),
        ("myns:channel", CHANNEL),
    ] {
        let spec = LuaSpec { method: None, ..LuaSpec::new(id(name)?, source) };
        let unit = LuaUnit::load(spec)?;
        kernel.add_unit(id(name)?, Box::new(move || Ok(unit.clone())));
    }
    let run_one = async |unit: &str, args: Vec<Value>| -> Result<Exit, Box<dyn Error>> {
        let request = SpawnRequest::new(id(unit)?, host.clone(), args);
        let (_, watch) = kernel.spawn_watched(request).await?;
        Ok(Exit::clone(&*watch.await))
    };

    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let [native, start, polled, evented, channel] = &mut figures;
        for (unit, figure) in [("myns:compute_worker", native), ("myns:empty", start)] {
            let begun = Instant::now();
            for _ in 0..PROCESSES {
                run_one(unit, vec![]).await?;
            }
            figure.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(PROCESSES));
        }
        let count = vec![Value::Int(PROCESSES.into())];
        for (unit, figure) in
            [("myns:loop", polled), ("myns:events", evented), ("myns:channel", channel)]
        {
            let begun = Instant::now();
            let exit = run_one(unit, count.clone()).await?;
            figure.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(PROCESSES));
            if !exit.is_normal() {
                return Err(format!("{unit}: {exit:?}").into());
            }
        }
    }
    let names = [
        "a native process, spawned and watched from Rust",
        "a Lua process, the same (`return 1`)",
        "spawn_monitored + receive(10 s) of a native process",
        "spawn_monitored + events():receive() of a native process",
        "a round trip over two channels",
    ];
    for (name, mut figure) in names.iter().zip(figures) {
        figure.sort_by(f64::total_cmp);
        let median = figure.get(figure.len() / 2).copied().unwrap_or_default();
        let best = figure.first().copied().unwrap_or_default();
        println!("{median:8.2} us (best {best:.2})  {name}");
    }
    Ok(())
}
