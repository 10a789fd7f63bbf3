//! `wippy run --watch`: changed scripts, libraries, binaries and entries, while the real program
//! runs. Each test reads of the change in what new spawns print, or in the log.

use std::fs;
use std::time::Duration;

use wippy_testkit::{Dir, Running, Signal, guests};

use crate::{HOSTS, LUA_MAIN, dir};

/// Prints what `app:worker` gives, whenever that is new; ends when told to.
const MAIN: &str = "
local process = require('process')
local time = require('time')
return { main = function()
    local last
    print('ready')
    while not process.receive(time.milliseconds(20)) do
        local value, err = process.exec('app:worker', 'app:processes')
        local text = tostring(value or err)
        if text ~= last then print(text) end
        last = text
    end
end }
";

const WORKER: &str = "
  - { name: worker, kind: process.lua, source: file://worker.lua, method: main }
";

fn worker(version: &str) -> String {
    format!("return {{ main = function() return '{version}' end }}")
}

/// A project whose command spawns `app:worker` all the time, and further entries.
fn project(entries: &str) -> Dir {
    let dir = dir();
    dir.write("src/main.lua", MAIN);
    dir.write("src/worker.lua", worker("one"));
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{entries}"));
    dir
}

fn start(dir: &Dir) -> Running {
    let running = dir.wippy(["run", "--watch", "main"]).start();
    running.stdout_has("ready\n");
    running
}

fn stop(running: Running) -> wippy_testkit::Outcome {
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(130), "{outcome}");
    outcome
}

/// Writes a file beside and renames it, as editors do.
fn replace(dir: &Dir, name: &str, content: &str) {
    let (target, new) = (dir.join(name), dir.join(format!("{name}.tmp~")));
    fs::write(&new, content).unwrap();
    fs::rename(new, target).unwrap();
}

#[test]
fn a_changed_script_is_for_new_spawns() {
    let dir = project(WORKER);
    let running = start(&dir);
    running.stdout_has("one\n");
    dir.write("src/worker.lua", worker("two"));
    running.stdout_has("two\n").stderr_has("app:worker: new version 2 for new spawns");
    replace(&dir, "src/worker.lua", &worker("three"));
    running.stdout_has("three\n").stderr_has("app:worker: new version 3 for new spawns");
    let outcome = stop(running);
    assert_eq!(outcome.stdout, "ready\none\ntwo\nthree\n", "{outcome}");
}

#[test]
fn what_runs_keeps_its_version() {
    let dir = project(WORKER);
    let running = start(&dir);
    running.stdout_has("one\n");
    dir.write("src/main.lua", MAIN.replace("'ready'", "'never printed'"));
    running
        .stderr_has("app:main: new version 2 for new spawns; 1 running process keeps the old one");
    dir.write("src/worker.lua", worker("two"));
    running.stdout_has("two\n");
    let outcome = stop(running);
    assert_eq!(outcome.stdout, "ready\none\ntwo\n", "{outcome}");
}

#[test]
fn a_broken_script_leaves_the_old_version() {
    let dir = project(WORKER);
    let running = start(&dir);
    running.stdout_has("one\n");
    dir.write("src/worker.lua", "return { main = function( }");
    running.stderr_has("app:worker does not compile: src/worker.lua:1");
    // It goes on as it was, until it is repaired.
    std::thread::sleep(Duration::from_millis(100));
    dir.write("src/worker.lua", worker("repaired"));
    running.stdout_has("repaired\n").stderr_has("app:worker: new version 2 for new spawns");
    // What is taken back is no new version.
    dir.write("src/worker.lua", "return {");
    running.stderr_has("unexpected symbol near <eof>");
    dir.write("src/worker.lua", worker("repaired"));
    running.stderr_has("app:worker: it is again what runs");
    let outcome = stop(running);
    assert_eq!(outcome.stdout, "ready\none\nrepaired\n", "{outcome}");
    assert_eq!(outcome.stderr.matches("the old version stays").count(), 2, "{outcome}");
    assert!(!outcome.stderr.contains("version 3"), "{outcome}");
}

#[test]
fn a_changed_library_changes_who_imports_it() {
    let dir = project(
        "
  - { name: base, kind: library.lua, source: file://base.lua }
  - { name: lib, kind: library.lua, source: file://lib.lua, imports: { base: base } }
  - { name: worker, kind: process.lua, source: file://worker.lua, method: main, imports: { lib: lib } }
  - { name: other, kind: function.lua, source: file://worker.lua, method: main, imports: { lib: lib } }
",
    );
    dir.write("src/base.lua", "return { text = 'one' }");
    dir.write("src/lib.lua", "return require('base')");
    dir.write("src/worker.lua", "return { main = function() return require('lib').text end }");
    let running = start(&dir);
    running.stdout_has("one\n");
    dir.write("src/base.lua", "return { text = 'two' }");
    running.stdout_has("two\n");
    running.stderr_has("app:worker: new version 2 (of app:base) for new spawns");
    running.stderr_has("app:other: new version 2 (of app:base) for new calls");
    let outcome = stop(running);
    assert!(!outcome.stderr.contains("app:main"), "{outcome}");
}

const GUEST: &str = "
  - name: worker
    kind: process.wasm
    fs: bin
    path: /hello-wat.wasm
    hash: {hash:hello-wat}
    method: greet
";

/// Two versions of one component: the second greets otherwise. The text is as long.
fn other_greeting() -> Vec<u8> {
    let mut bytes = guests::bytes("hello-wat");
    let places: Vec<usize> =
        (0..bytes.len() - 5).filter(|at| &bytes[*at..*at + 5] == b"Hello").collect();
    assert_eq!(places.len(), 1);
    bytes[places[0]..places[0] + 5].copy_from_slice(b"Howdy");
    bytes
}

#[test]
fn a_binary_is_taken_with_its_hash() {
    let dir = project(GUEST);
    dir.write("src/main.lua", MAIN.replace("'app:processes'", "'app:processes', 'you'"));
    let running = start(&dir);
    running.stdout_has("Hello");
    let built = fs::read(dir.join("wasm/hello-wat.wasm")).unwrap();
    dir.write("wasm/hello-wat.wasm", other_greeting());
    running.stderr_has("app:worker: the binary's hash does not match");
    running.stderr_has("run `wippy hash --write` if this binary is the one you mean");
    dir.wippy(["hash", "--write"]).succeeds();
    running.stdout_has("Howdy").stderr_has("app:worker: new version 2 (sha256:");
    // Both at once are one change; whichever comes first.
    dir.write("wasm/hello-wat.wasm", built);
    dir.wippy(["hash", "--write"]).succeeds();
    running.stderr_has("app:worker: new version 3 (sha256:");
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("new version").count(), 2, "{outcome}");
}

#[test]
fn a_hash_may_come_before_its_binary() {
    let dir = project(GUEST);
    dir.write("src/main.lua", MAIN.replace("'app:processes'", "'app:processes', 'you'"));
    let running = start(&dir);
    running.stdout_has("Hello");
    let index = dir.read("src/_index.yaml");
    let hash = guests::hash_of(&other_greeting());
    let index = index.replace(&guests::hash("hello-wat"), &hash);
    dir.write("src/_index.yaml", index);
    running.stderr_has("; the old version stays");
    replace_bytes(&dir, "wasm/hello-wat.wasm", &other_greeting());
    running.stdout_has("Howdy").stderr_has("app:worker: new version 2 (sha256:");
    stop(running);
}

/// A program that did not load at the start is loaded when its binary is the one that it pins.
#[test]
fn a_binary_that_was_wrong_is_repaired() {
    let dir = project(GUEST);
    dir.write("src/main.lua", MAIN.replace("'app:processes'", "'app:processes', 'you'"));
    let built = fs::read(dir.join("wasm/hello-wat.wasm")).unwrap();
    dir.write("wasm/hello-wat.wasm", other_greeting());
    let running = start(&dir);
    running.stdout_has("does not match: the entry says");
    dir.write("wasm/hello-wat.wasm", built);
    running.stdout_has("Hello");
    stop(running);
}

fn replace_bytes(dir: &Dir, name: &str, content: &[u8]) {
    fs::write(dir.join("new"), content).unwrap();
    fs::rename(dir.join("new"), dir.join(name)).unwrap();
}

#[test]
fn entries_are_added_changed_and_removed() {
    let dir = project("");
    let running = start(&dir);
    running.stdout_has("there is no process entry app:worker");
    let entries = |entries: &str| dir.entries(&format!("{HOSTS}{LUA_MAIN}{entries}"));
    entries(WORKER);
    running.stdout_has("one\n").stderr_has("app:worker: new version 1 for new spawns");
    entries(&WORKER.replace("file://worker.lua", "file://other.lua"));
    running.stderr_has("other.lua does not exist").stderr_has("the project files do not load");
    dir.write("src/other.lua", worker("other"));
    running.stdout_has("other\n").stderr_has("the project files are in order again");
    running.stderr_has("app:worker: new version 2 for new spawns");
    entries("");
    running.stderr_has("app:worker: removed; what runs of it goes on");
    entries(WORKER);
    running.stderr_has("app:worker: new version 3 for new spawns");
    // Another file with entries, and what is no code.
    dir.write(
        "src/more/_index.yaml",
        "namespace: more\nentries:\n  - { name: host, kind: process.host }\n",
    );
    running.stderr_has("more:host (process.host) is new: that takes effect at the next start");
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("takes effect at the next start").count(), 1, "{outcome}");
}

#[test]
fn mistakes_are_told_once() {
    let dir = project(WORKER);
    let running = start(&dir);
    running.stdout_has("one\n");
    let broken = WORKER.replace("file://worker.lua", "file://other.lua");
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{broken}"));
    running.stderr_has("the project files do not load");
    // Some more looks.
    std::thread::sleep(Duration::from_millis(1500));
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("other.lua does not exist").count(), 1, "{outcome}");
    assert_eq!(outcome.stderr.matches("do not load").count(), 1, "{outcome}");
}

#[test]
fn changes_in_a_row_are_one() {
    let dir = project(WORKER);
    let running = start(&dir);
    running.stdout_has("one\n");
    for version in 0..20 {
        dir.write("src/worker.lua", format!("return {{ main = function() return {version} "));
        dir.write("src/worker.lua", worker(&format!("version {version}")));
    }
    running.stdout_has("version 19\n").stderr_has("new version 2");
    std::thread::sleep(Duration::from_millis(700));
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("new version").count(), 1, "{outcome}");
    assert!(!outcome.stderr.contains("stays"), "{outcome}");
}

#[test]
fn policies_that_look_at_meta_decide_by_that_of_the_start() {
    let entries = |meta: &str| {
        format!(
            "
  - name: worker
    kind: process.lua
    source: file://worker.lua
    method: main
    meta: {{ secret: {meta} }}
  - name: deny
    kind: security.policy
    policy:
      actions: process.spawn
      resources: '*'
      effect: deny
      conditions: [{{ field: meta.secret, operator: eq, value: true }}]
"
        )
    };
    let dir = project(&entries("false"));
    let running = start(&dir);
    running.stdout_has("one\n");
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{}", entries("true")));
    dir.write("src/worker.lua", worker("two"));
    running.stderr_has("policies of this project look at `meta`");
    stop(running);
}

#[test]
fn the_runtime_watches_too() {
    let dir = project(WORKER);
    dir.guest("hello-wat", "wasm/hello-wat.wasm");
    let running = dir.wippy(["run", "--watch"]).start();
    running.stderr_has("watching 3 files");
    dir.write("src/worker.lua", worker("two"));
    running.stderr_has("app:worker: new version 2 for new spawns");
    // It costs next to nothing while nothing changes.
    let before = running.cpu_time();
    std::thread::sleep(Duration::from_secs(2));
    let used = running.cpu_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?}");
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn a_file_without_a_project_is_not_watched() {
    let dir = dir();
    dir.guest("hello-wat", "hello.wasm");
    dir.wippy(["run", "--watch", "hello.wasm", "x"]).exits(2).mentions("--watch is an option of");
}

/// Asks `app:worker` all the time, and prints which version answers whenever that is another. Each
/// question is counted once, and the one that answers is the same process.
const ASKS: &str = "
local process = require('process')
local time = require('time')
return { main = function()
    local pid = assert(process.spawn('app:worker', 'app:processes', 0))
    local last
    print('ready')
    for asked = 1, math.huge do
        assert(process.send(pid, 'ask'))
        local item = process.receive()
        if item.type == 'CANCEL' then return end
        local version, count, own = table.unpack(item.payloads)
        if count ~= asked or own ~= pid then error('lost: ' .. asked .. ' ' .. count) end
        if version ~= last then print(version) end
        last = version
        time.sleep(time.milliseconds(1))
    end
end }
";

fn counter(version: &str) -> String {
    format!(
        "return {{ main = function(count)
    process.set_options({{ upgradable = true }})
    while true do
        local item = process.receive()
        if item.kind == process.event.OUTDATED then
            process.upgrade(nil, count)
        elseif item.kind == process.event.CANCEL then
            return count
        else
            count = count + 1
            process.send(item.from, 'answer', '{version}', count, process.pid())
        end
    end
end }}
"
    )
}

#[test]
fn a_process_upgrades_with_its_pid_its_mailbox_and_its_state() {
    let dir = project(WORKER);
    dir.write("src/main.lua", ASKS);
    dir.write("src/worker.lua", counter("one"));
    let running = start(&dir);
    running.stdout_has("one\n");
    for (number, version) in [(2, "two"), (3, "three")] {
        dir.write("src/worker.lua", counter(version));
        running.stdout_has(&format!("{version}\n"));
        running.stderr_has(&format!(
            "app:worker: new version {number} for new spawns; 1 running process told"
        ));
    }
    dir.write("src/worker.lua", counter("broken").replace("end }", "}"));
    running.stderr_has("the old version stays");
    dir.write("src/worker.lua", counter("four"));
    running.stdout_has("four\n");
    let outcome = stop(running);
    assert_eq!(outcome.stdout, "ready\none\ntwo\nthree\nfour\n", "{outcome}");
}

/// One service upgrades, the other is restarted: both run the newest version.
#[test]
fn services_come_to_the_newest_version() {
    let dir = project(
        "
  - { name: worker, kind: process.lua, source: file://worker.lua, method: main }
  - { name: fails, kind: process.lua, source: file://fails.lua, method: main }
  - { name: one, kind: process.service, process: worker, host: processes, lifecycle: { auto_start: true } }
  - name: two
    kind: process.service
    process: fails
    host: processes
    lifecycle: { auto_start: true, restart: { initial_delay: 300ms, backoff_factor: 1.0 } }
",
    );
    dir.guest("hello-wat", "wasm/hello-wat.wasm");
    let upgrades = |version: &str| {
        format!(
            "return {{ main = function(before)
    process.set_options({{ upgradable = true }})
    print('upgrades from', before, 'to', '{version}', process.pid())
    if process.receive().type == 'OUTDATED' then process.upgrade(nil, '{version}') end
end }}"
        )
    };
    let fails = |version: &str| {
        format!("return {{ main = function() print('fails in', '{version}') error('so') end }}")
    };
    dir.write("src/worker.lua", upgrades("one"));
    dir.write("src/fails.lua", fails("one"));
    let running = dir.wippy(["run", "--watch"]).start();
    running.stderr_has("watching").stderr_has("to\tone").stderr_has("fails in\tone");
    dir.write("src/worker.lua", upgrades("two"));
    dir.write("src/fails.lua", fails("two"));
    running.stderr_has("from\tone\tto\ttwo").stderr_has("fails in\ttwo");
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let pids = |text: &str| {
        let line = outcome.stderr.lines().find(|line| line.contains(text));
        line.and_then(|line| line.split('{').nth(1)).map(str::to_owned)
    };
    assert!(pids("to\tone").is_some(), "{outcome}");
    assert_eq!(pids("to\tone"), pids("to\ttwo"), "{outcome}");
}
