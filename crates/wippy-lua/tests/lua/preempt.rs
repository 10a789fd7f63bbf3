//! Busy scripts give way and can be ended; on real time and workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use wippy_kernel::{HostSpec, Kernel, KernelOptions, Scheduler, SpawnRequest};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Exit, Limit, Limits, Pid, Value};

use crate::support::{exit, id, spec, value};

/// Ways to be busy that Lua can suspend.
const BUSY: [&str; 28] = [
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
    "for _ in function() return 1 end do end",
    "local function f() return f() end f()",
    // Searching: `endless` is a text and a pattern that take years.
    "local s, p = endless() s:find(p)",
    "local s, p = endless() s:match('(' .. p .. ')')",
    "local s, p = endless() for x in s:gmatch(p) do end",
    "local s, p = endless() s:gsub(p, '%0')",
    "while true do pcall(string.find, endless()) end",
    "coroutine.wrap(function() pcall(coroutine.wrap(string.find), endless()) end)()",
    "local s, p = endless() local t = setmetatable({}, { __index = function() return s:find(p) end }) return t.x",
    "('x'):gsub('x', function() while true do end end)",
    "('x'):gsub('x', function() string.find(endless()) end)",
    "('x'):gsub('x', setmetatable({}, { __index = function() while true do end end }))",
    "local s = ('a'):rep(100000) while true do s:find(s .. 'b', 1, true) end",
    "local s = ('a'):rep(4000000) local n = s:sub(1, 2000000) .. 'b' while true do s:find(n, 1, true) end",
    "while true do (('b'):rep(16384)):find('[^' .. ('a'):rep(60000) .. ']*c') end",
    "local p = '' for _ = 1, 12 do p = p .. '[^' .. ('a'):rep(5000) .. ']-' end ('b'):rep(1000):find(p .. 'c')",
    "local a = ('a'):rep(2000000) local s = a .. 'b' .. a .. 'x' .. a .. 'x' s:find('^(a*)b.-%1c')",
    "while true do ('a'):rep(4000):gsub('(b-)a', ('%1'):rep(100000)) end",
    "while true do ('a'):rep(40):gsub('()a', ('%1'):rep(100000)) end",
    // Sorting.
    "table.sort({ 3, 2, 1 }, function(a, b) while true do end end)",
    "local m = { __lt = function() while true do end end } table.sort { setmetatable({}, m), setmetatable({}, m) }",
    "local t = {} while true do for i = 1, 100000 do t[i] = i * 7919 % 100003 end table.sort(t) end",
    // Long work of the libraries.
    "local t = {} for i = 1, 50000 do t[i] = 'x' end while true do table.insert(t, 1, 'y') table.remove(t, 1) table.move(t, 1, #t, 2) table.concat(t) end",
    "local t = {} for i = 1, 50000 do t[i] = {} end while true do collectgarbage() end",
];

/// Ways to be busy where Lua cannot suspend.
const HELD: [&str; 9] = [
    "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
    "tostring(setmetatable({}, { __tostring = function() string.find(endless()) end }))",
    "tostring(setmetatable({}, { __tostring = function() while true do ('a'):rep(4000):gsub('(b-)a', ('%1'):rep(100000)) end end }))",
    "tostring(setmetatable({}, { __tostring = function() table.sort({ 3, 2, 1 }, function() while true do end end) end }))",
    "xpcall(table.sort, function() while true do end end, { 3, 2, 1 }, function() while true do end end)",
    "xpcall(error, function() pcall(error) while true do end end)",
    "while true do xpcall(error, function() string.find(endless()) end) end",
    "while true do load(function() string.find(endless()) end) end",
    "local c = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() string.find(endless()) end }) coroutine.yield() end)
     coroutine.resume(c) coroutine.close(c)",
];

const ENDLESS: &str =
    "local function endless() return ('a'):rep(30), ('a*'):rep(30) .. 'b' end process.pid(); ";

fn busy(source: &str) -> LuaSpec {
    spec("myns:busy", &format!("{ENDLESS}{source}"))
}

struct Workers {
    kernel: Kernel,
    runtime: Runtime,
}

fn workers(workers: usize) -> Workers {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let kernel = Kernel::new(KernelOptions::default());
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Own { workers },
        ..HostSpec::new(id("myns:processes"))
    });
    Workers { kernel, runtime }
}

impl Workers {
    fn add(&self, name: &str, spec: LuaSpec) {
        let unit = LuaUnit::load(spec).unwrap();
        self.kernel.add_unit(id(name), Box::new(move || Ok(unit.clone())));
    }

    fn spawn(&self, name: &str) -> (Pid, wippy_kernel::ExitWatch) {
        let request = SpawnRequest::new(id(name), id("myns:processes"), vec![]);
        self.runtime.block_on(self.kernel.spawn_watched(request)).unwrap()
    }

    fn exit(&self, watch: wippy_kernel::ExitWatch) -> Exit {
        let exit = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), watch).await });
        Arc::unwrap_or_clone(exit.expect("it did not end"))
    }
}

#[test]
fn busy_scripts_let_others_run() {
    // Two of them, on one worker, and a third is done.
    for source in BUSY {
        let workers = workers(1);
        workers.add("myns:busy", busy(source));
        workers.add("myns:quick", spec("myns:quick", "require('time').sleep('3ms') return 1"));
        let _one = workers.spawn("myns:busy");
        let _two = workers.spawn("myns:busy");
        let (_, quick) = workers.spawn("myns:quick");
        assert_eq!(workers.exit(quick), Exit::Normal(Value::Int(1)), "{source}");
        workers.runtime.block_on(workers.kernel.kill());
    }
}

#[test]
fn busy_scripts_are_terminated() {
    for source in BUSY.into_iter().chain(HELD) {
        let workers = workers(1);
        workers.add("myns:busy", busy(source));
        let (pid, watch) = workers.spawn("myns:busy");
        let steps = || workers.kernel.processes().iter().map(|process| process.steps).min();
        while steps() == Some(0) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        workers.kernel.terminate(&pid).unwrap();
        assert_eq!(workers.exit(watch), Exit::Terminated, "{source}");
        // Milliseconds on an idle machine.
        assert!(begun.elapsed() < Duration::from_secs(1), "{source}: {:?}", begun.elapsed());
    }
}

#[test]
fn busy_scripts_meet_their_time_limit() {
    let workers = workers(1);
    let limits = Limits { execution_max: Some(Duration::from_millis(50)), ..Limits::default() };
    for source in BUSY.into_iter().chain(HELD) {
        workers.add("myns:busy", LuaSpec { limits: limits.clone(), ..busy(source) });
        let (_, watch) = workers.spawn("myns:busy");
        let exit = workers.exit(watch);
        assert!(matches!(exit, Exit::Limit(Limit::Execution, _)), "{source}: {exit:?}");
    }
}

#[test]
fn a_busy_thread_does_not_starve_those_that_wait() {
    let workers = workers(1);
    let busy = "coroutine.spawn(function() while true do end end)";
    for waits in [
        "require('time').sleep('10ms') return 1",
        "process.receive('10ms') return 1",
        "require('time').after('10ms'):receive() return 1",
        "coroutine.spawn(function() require('time').sleep('5ms') process.send(process.pid(), 'x', 1) end) return process.receive().payload",
        "return process.exec('quick', 'processes')",
        "process.spawn_monitored('quick', 'processes') return process.events():receive().value",
    ] {
        workers.add("myns:quick", spec("myns:quick", "require('time').sleep('3ms') return 1"));
        workers.add("myns:waits", spec("myns:waits", &format!("{busy} {waits}")));
        let (_, watch) = workers.spawn("myns:waits");
        assert_eq!(workers.exit(watch), Exit::Normal(Value::Int(1)), "{waits}");
    }
}

#[test]
fn slices_change_nothing() {
    // Long enough for many slices, with everything on the stack that could be lost.
    let source = r"
        local function work(n)
            local keep, sum = {}, 0
            for i = 1, n do
                keep[i % 50] = { i, tostring(i), { i } }
                local a, b, c = i, 'x' .. i, function() return i end
                sum = sum + c() + #b - #b + (keep[i % 50][1] - a)
                if i % 1000 == 0 then collectgarbage('step') end
            end
            return sum
        end
        local meta = setmetatable({}, { __add = function(_, n) return work(n) end })
        local results = {}
        for _ = 1, 3 do
            coroutine.spawn(function()
                local result = coroutine.wrap(function() return (select(2, pcall(function() return meta + 60000 end))) end)()
                results[#results + 1] = result
            end)
        end
        while #results < 3 do require('time').sleep('1ms') end
        assert(results[1] == results[2] and results[2] == results[3])
        return results[1]";
    assert_eq!(value(source), Value::Int(60000 * 60001 / 2));
}

#[test]
fn channels_are_whole_between_slices() {
    let source = "local req, rep = channel.new(), channel.new()
        coroutine.spawn(function() while true do rep:send(req:receive() + 1) end end)
        local n = 0 for _ = 1, 100000 do req:send(n) n = rep:receive() end return n";
    assert_eq!(value(source), Value::Int(100_000));
}

#[test]
fn no_script_passes_for_the_runtime() {
    let Exit::Failed(error) = exit("load('while true do end', '=channel')()") else { panic!() };
    assert!(error.message().contains("is taken"), "{error}");
}

/// A function runs on its caller's task, and is no less busy for that.
#[test]
fn busy_functions_give_way_and_end() {
    let limits = || Limits { execution_max: Some(Duration::from_millis(50)), ..Limits::default() };
    let call =
        "local v, err = require('funcs').call('busy') return err:kind() .. ': ' .. err:message()";
    let caller =
        |limits| LuaSpec { limits, modules: vec!["funcs".into()], ..spec("myns:caller", call) };
    // Some are enough: what is new here is who is ended, and not by what.
    let some = BUSY.into_iter().step_by(4).map(|busy| (busy, true));
    for (source, gives_way) in some.chain(HELD.into_iter().step_by(5).map(|busy| (busy, false))) {
        let workers = workers(1);
        let function = |limits| {
            let unit = LuaUnit::load(LuaSpec { limits, ..busy(source) }).unwrap();
            workers.kernel.add_function(id("myns:busy"), Box::new(move || Ok(unit.clone())));
        };
        // Its own limit, which its caller hears of.
        function(limits());
        workers.add("myns:caller", caller(Limits::default()));
        let (_, watch) = workers.spawn("myns:caller");
        let text = "Timeout: myns:busy did not end within 50 ms (limits.max_execution_ms)";
        assert_eq!(workers.exit(watch), Exit::Normal(Value::from(text)), "{source}");
        // Its caller's.
        function(Limits::default());
        workers.add("myns:caller", caller(limits()));
        let (_, watch) = workers.spawn("myns:caller");
        let exit = workers.exit(watch);
        let Exit::Limit(Limit::Execution, error) = &exit else { panic!("{source}: {exit:?}") };
        assert!(error.message().starts_with("myns:caller did not end within 50 ms"), "{error}");
        // Terminated and cancelled; where Lua can suspend it, others run meanwhile.
        workers.add("myns:caller", caller(Limits::default()));
        workers.add("myns:quick", spec("myns:quick", "require('time').sleep('3ms') return 1"));
        for terminate in [true, false] {
            let (pid, watch) = workers.spawn("myns:caller");
            if gives_way {
                let (_, quick) = workers.spawn("myns:quick");
                assert_eq!(workers.exit(quick), Exit::Normal(Value::Int(1)), "{source}");
            }
            if terminate {
                workers.kernel.terminate(&pid).unwrap();
                assert_eq!(workers.exit(watch), Exit::Terminated, "{source}");
            } else {
                workers.kernel.cancel(&pid, None, Some(Duration::from_millis(20)), None).unwrap();
                assert_eq!(workers.exit(watch), Exit::Canceled(None), "{source}");
            }
        }
    }
}

/// Nothing that a script does puts off the deadline of a cancel.
#[test]
fn busy_scripts_are_cancelled() {
    for source in BUSY.into_iter().chain(HELD) {
        let workers = workers(1);
        workers.add("myns:busy", busy(source));
        let (pid, watch) = workers.spawn("myns:busy");
        workers.kernel.cancel(&pid, None, Some(Duration::from_millis(20)), None).unwrap();
        assert_eq!(workers.exit(watch), Exit::Canceled(None), "{source}");
    }
}

/// Several that are busy at once, and a caller that is busy too, all advance.
#[test]
fn busy_calls_share_the_slice() {
    let workers = workers(1);
    let sum = "local sum = 0 for n = 1, 3000000 do sum = sum + n % 7 end return sum";
    let unit = LuaUnit::load(spec("myns:sum", sum)).unwrap();
    workers.kernel.add_function(id("myns:sum"), Box::new(move || Ok(unit.clone())));
    let source = "local funcs, futures = require('funcs'), {}
        for n = 1, 4 do futures[n] = funcs.async('sum') end
        local turns = 0
        for n = 1, 4 do while not futures[n]:is_complete() do turns = turns + 1 end end
        return turns > 0 and futures[1]:result() == futures[4]:result()";
    let modules = vec!["funcs".into()];
    workers.add("myns:caller", LuaSpec { modules, ..spec("myns:caller", source) });
    let (_, watch) = workers.spawn("myns:caller");
    assert_eq!(workers.exit(watch), Exit::Normal(Value::Bool(true)));
}
