//! `process.spawn_monitored` and `process.receive` from Lua, of a small component: CPU time
//! of everything together, beside the same through the kernel without Lua's part.
//!
//! `cargo bench -p wippy-benches --bench lua`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use tokio::runtime::Builder;
use wippy_benches::node::{Node, id};
use wippy_benches::{cpu_time, median};
use wippy_kernel::SpawnRequest;
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPAWNS: i64 = 20_000;
const ROUNDS: usize = 7;

const SCRIPT: &str = r#"
local process = require("process")
local time = require("time")
local function main(count)
    local sum = 0
    for i = 1, count do
        local pid, err = process.spawn_monitored("bench:small", "bench:processes", 6, 7)
        if err then error(tostring(err)) end
        local event = process.receive(time.seconds(10))
        sum = sum + event.value
    end
    return sum
end
return { main = main }
"#;

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let node = Node::new(1);
    node.kernel.add_unit(
        id("bench:script"),
        Box::new(|| Ok(LuaUnit::load(LuaSpec::new(id("bench:script"), SCRIPT))?)),
    );
    let outside = Builder::new_current_thread().build().unwrap();
    let round = |unit: &str, args: Vec<Value>, expected: Value| {
        let before = cpu_time();
        let exit = outside.block_on(async {
            let request = SpawnRequest::new(id(unit), id("bench:processes"), args);
            node.kernel.spawn_watched(request).await.unwrap().1.await
        });
        assert_eq!(exit.value(), Some(&expected), "{exit}");
        (cpu_time() - before).as_secs_f64() * 1e6 / SPAWNS as f64
    };
    let lua = || round("bench:script", vec![Value::Int(SPAWNS)], Value::Int(42 * SPAWNS));
    let native = || {
        let args = vec![Value::Int(SPAWNS), Value::Int(1)];
        round("bench:driver", args, Value::Nil)
    };
    let _ = (lua(), native());
    let (mut lua_us, mut native_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        native_us.push(native());
        lua_us.push(lua());
    }
    let (native, lua) = (median(native_us), median(lua_us));
    println!("spawn_monitored and receive, one after the other, CPU time each, {ROUNDS} rounds");
    println!("through the kernel  {native:>6.2} us");
    println!("from Lua            {lua:>6.2} us");
    println!("Lua's own part      {:>6.2} us", lua - native);
}
