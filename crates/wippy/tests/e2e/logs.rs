//! What of the log is shown, and how. It never goes to stdout.

use wippy_testkit::{Signal, guests};

use crate::{HOSTS, LUA_MAIN, command, dir, with_command};

/// A Lua command that runs a guest on a process host, where its stderr goes to the log.
fn with_noise() -> wippy_testkit::Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "return { main = function()
            local process = require('process')
            assert(process.spawn_monitored('app:cli-args', 'app:processes', 'stderr', 'noise'))
            process.receive()
            return 'done'
        end }
",
    );
    dir.entries(&format!("{HOSTS}{}{LUA_MAIN}", command("cli-args", "run")));
    dir
}

#[test]
fn a_command_shows_warnings_alone() {
    let dir = with_noise();
    let outcome = dir.wippy(["run", "main"]).succeeds().prints("done\n").mentions("noise");
    assert!(outcome.stderr.contains("WARN") && !outcome.stderr.contains("INFO"), "{outcome}");
    dir.wippy(["run", "-s", "main"]).succeeds().prints("done\n").quietly();
    dir.wippy(["run", "--set", "logger.level=error", "main"]).succeeds().quietly();
}

#[test]
fn a_terminal_host_hides_the_log() {
    let dir = with_noise();
    let hidden = ["run", "-o", "app:terminal:hide_logs=true", "main"];
    dir.wippy(hidden).succeeds().prints("done\n").quietly();
    let asked = ["run", "-v", "-o", "app:terminal:hide_logs=true", "main"];
    dir.wippy(asked).succeeds().prints("done\n").mentions("noise");
}

#[test]
fn the_log_for_programs() {
    let dir = with_noise();
    let outcome = dir.wippy(["run", "--set", "logger.format=json", "main"]).succeeds();
    let line: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(
        (&line["level"], &line["fields"]["entry"]),
        (&"WARN".into(), &"app:cli-args".into())
    );
}

#[test]
fn the_log_for_people() {
    let outcome = with_noise().wippy(["run", "-c", "main"]).succeeds().mentions("noise");
    assert!(outcome.stderr.contains("\x1b["), "{outcome}");
}

#[test]
fn the_runtime_shows_what_happens() {
    let dir = with_command("hello-wat", "greet");
    let running = dir.wippy(["run"]).start();
    running.stderr_has("running");
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert!(outcome.stderr.contains("INFO"), "{outcome}");
    let running = dir.wippy(["run", "--set", "logger.level=warn"]).start();
    running.until("it loaded", || !dir.cached_files().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(100));
    running.signal(Signal::INT);
    running.wait().quietly();
}

/// A guest gets an error code, which says nothing of grants; the log says it, once.
#[test]
fn a_missing_grant_is_named() {
    let dir = dir();
    let path = guests::path("http-worker");
    let run = ["run", "--method", "run", "--env", "API_URL=http://127.0.0.1:1/"];
    let args = run.into_iter().chain([path.to_str().unwrap()]);
    let denied = dir.wippy(args).exits(1);
    let why = "a request is denied: add imports: [wasi:http] to the entry";
    assert_eq!(denied.stderr.matches(why).count(), 1, "{denied}");
}
