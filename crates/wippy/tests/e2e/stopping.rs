//! Signals: once in good order, twice at once.

use std::time::Duration;

use wippy_testkit::Signal;

use crate::{HOSTS, LUA_MAIN, command, dir, with_command, with_lua};

/// Waits until a guest computes: more CPU time than a start takes.
fn busy(running: &wippy_testkit::Running) {
    running.until("it is busy", || running.cpu_time() > Duration::from_millis(300));
}

#[test]
fn ctrl_c_ends_a_busy_command() {
    let dir = with_command("loop", "run");
    let running = dir.wippy(["run", "loop"]).start();
    busy(&running);
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(130), ""), "{outcome}");
}

#[test]
fn sigterm_ends_a_command() {
    let dir = with_command("loop", "run");
    let running = dir.wippy(["run", "loop"]).start();
    busy(&running);
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(143), "{outcome}");
}

#[test]
fn a_start_function_that_loops_is_ended() {
    let dir = dir();
    let limited = command("loop-start", "run") + "    limits: { max_execution_ms: 50 }\n";
    dir.entries(&format!("{HOSTS}{limited}"));
    let outcome = dir.wippy(["run", "loop-start"]).exits(1);
    assert!(outcome.stderr.contains("did not end within 50 ms"), "{outcome}");
    let endless = ["run", "-o", "app:loop-start:limits={}", "loop-start"];
    let running = dir.wippy(endless).start();
    busy(&running);
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(130), "{outcome}");
}

#[test]
fn ctrl_c_ends_a_sleeping_command() {
    let dir = dir();
    dir.guest("sleep", "sleep.wasm");
    let words = ["run", "--method", "sleep-ms", "-v", "sleep.wasm", "600000"];
    let running = dir.wippy(words).start();
    running.until("it compiled", || dir.cached_files().len() >= 2);
    std::thread::sleep(Duration::from_millis(50));
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(130), "{outcome}");
}

/// A module that is large enough to compile for seconds.
fn with_large_module() -> wippy_testkit::Dir {
    use std::fmt::Write;
    let dir = dir();
    let mut text = String::from("(module");
    for function in 0..20_000 {
        write!(text, "(func (export \"f{function}\") (param i64) (result i64) local.get 0")
            .unwrap();
        for step in 0..60 {
            write!(text, " i64.const {} i64.mul local.get 0 i64.xor", function * 7 + step).unwrap();
        }
        text.push(')');
    }
    text.push(')');
    dir.write("large.wasm", wat::parse_str(&text).unwrap());
    dir
}

const RUN_LARGE: [&str; 5] = ["run", "--method", "f1", "large.wasm", "1"];

#[test]
fn ctrl_c_in_the_middle_of_a_compile() {
    let dir = with_large_module();
    let running = dir.wippy(RUN_LARGE).start();
    busy(&running);
    let asked = std::time::Instant::now();
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(130), ""), "{outcome}");
    assert!(asked.elapsed() < Duration::from_secs(5), "at once: {:?}", asked.elapsed());
    assert_eq!(dir.cached_files(), [""; 0]);
    assert_eq!(dir.files(), ["large.wasm"]);
}

/// What a command leaves behind ends with it.
#[test]
fn a_command_does_not_wait_for_what_it_spawned() {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "return { main = function()
            assert(process.spawn('app:loop', 'app:processes'))
            return 'done'
        end }
",
    );
    dir.entries(&format!("{HOSTS}{}{LUA_MAIN}", command("loop", "run")));
    let outcome = dir.wippy(["run", "main"]).succeeds().prints("done\n").quietly();
    assert!(outcome.took < Duration::from_secs(8), "{outcome}");
}

#[test]
fn a_lua_command_hears_of_ctrl_c() {
    let dir = with_lua(
        "print('ready')
        local event = process.events():receive()
        print(event.kind == process.event.CANCEL)
        return 5",
    );
    let running = dir.wippy(["run", "main"]).start();
    running.stdout_has("ready");
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(5), "ready\ntrue\n"), "{outcome}");
}

/// It obeyed, and says no status of its own: the signal has ended it.
#[test]
fn a_lua_command_that_obeys_ends_with_the_status_of_the_signal() {
    let dir = with_lua(
        "print('ready')
        process.events():receive()
        return 'tidied up'",
    );
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = dir.wippy(["run", "main"]).start();
        running.stdout_has("ready");
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!(outcome.status, Some(status), "{outcome}");
        assert_eq!(outcome.stdout, "ready\ntidied up\n", "{outcome}");
        assert_eq!(outcome.stderr, "stopping, for up to 10s; once more ends it at once\n");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let dir = with_lua(
        "print('ready')
        process.events():receive()
        print('heard')
        while true do end",
    );
    let running = dir.wippy(["run", "main"]).start();
    running.stdout_has("ready");
    running.signal(Signal::INT).stdout_has("heard");
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(130), "{outcome}");
    assert!(outcome.took < Duration::from_secs(8), "{outcome}");
}

#[test]
fn the_runtime_stops_in_good_order() {
    let dir = with_command("hello-wat", "greet");
    for signal in [Signal::INT, Signal::TERM] {
        let running = dir.wippy(["run"]).start();
        running.stderr_has("running");
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
        assert!(outcome.stderr.contains("stopped"), "{outcome}");
    }
}

#[test]
fn what_does_not_start_is_named() {
    let dir = dir();
    let store = "  - { name: notes, kind: store.memory, lifecycle: { auto_start: true } }\n";
    dir.entries(&format!("{HOSTS}{store}"));
    dir.write("wasm/.keep", "");
    let running = dir.wippy(["run"]).start();
    running.stderr_has("running");
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.stderr.matches("app:notes (store.memory)").count(), 1, "{outcome}");
}

#[test]
fn a_project_that_does_not_load_does_not_start() {
    let dir = with_command("hello-wat", "great");
    dir.wippy(["run"]).exits(2).mentions("exports no \"great\"");
}
