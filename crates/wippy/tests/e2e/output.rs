//! Where the output of guests goes: to the log line by line, or to a reader that is slow.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wippy_testkit::Dir;

use crate::{HOSTS, LUA_MAIN, command_with, dir, with_command};

/// A Lua command that runs a script of `wasi-rust` on a process host.
fn with_script(lines: &str, more: &str) -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        format!(
            "return {{ main = function()
                local process = require('process')
                local lines = {{ {lines} }}
                assert(process.spawn_monitored('app:wasi-rust', 'app:processes', lines))
                local event = process.receive()
                return event.error and tostring(event.error) or 'done'
            end }}
"
        ),
    );
    dir.entries(&format!("{HOSTS}{}{LUA_MAIN}", command_with("wasi-rust", "script", more)));
    dir
}

#[test]
fn on_a_process_host_it_goes_to_the_log_line_by_line() {
    let script = "'stdout o', 'stderr e', 'line o first', 'write-wait o half ', 'line o whole', \
                  'line e warned', 'line o', 'write-wait o unfinished'";
    let outcome = with_script(script, "").wippy(["run", "-v", "main"]).succeeds().prints("done\n");
    let logged = |level: &str, text: &str| {
        let line = outcome.stderr.lines().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("{text}: {outcome}"));
        assert!(line.contains(level) && line.contains("app:wasi-rust"), "{line}");
    };
    logged("INFO", "first");
    logged("INFO", "half whole");
    logged("WARN", "warned");
    logged("INFO", "unfinished");
}

#[test]
fn past_its_limit_it_is_dropped_and_said_once() {
    let script = "'stdout o', 'line o first', 'lines o 1000 100', 'line o last'";
    let dir = with_script(script, "    limits: { output_bytes: 1KiB }");
    let outcome = dir.wippy(["run", "-v", "main"]).succeeds().prints("done\n").mentions("first");
    let said = outcome.stderr.matches("its further output is not logged").count();
    assert_eq!((said, outcome.stderr.contains("last")), (1, false), "{outcome}");
    assert!(outcome.stderr.len() < 10_000, "{outcome}");
}

/// A command whose stdout nobody reads.
fn start(dir: &Dir, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wippy"))
        .args(args)
        .current_dir(dir.path())
        .env("WIPPY_CACHE_DIR", dir.cache())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let dir = with_command("wasi-rust", "script");
    let script = r#"["stdout o", "lines o 5000 999"]"#;
    let mut child = start(&dir, &["run", "wasi-rust", script]);
    let mut stdout = child.stdout.take().unwrap();
    let mut text = vec![0; 100_000];
    stdout.read_exact(&mut text).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    stdout.read_to_end(&mut text).unwrap();
    let written = text.iter().filter(|byte| **byte == b'x').count();
    assert_eq!((written, child.wait().unwrap().code()), (5000 * 999, Some(0)));
    assert!(text.ends_with(b"[\"ok\", \"ok\"]\n"));
}

/// A guest whose output nobody takes waits; it can be stopped, and nothing piles up.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    let dir = dir();
    let limit = "    limits: { max_execution_ms: 3000 }";
    dir.entries(&format!("{HOSTS}{}", command_with("wasi-rust", "script", limit)));
    let script = r#"["stdout o", "lines o 10000000 999"]"#;
    let mut child = start(&dir, &["run", "wasi-rust", script]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    std::thread::sleep(Duration::from_millis(200));
    let before = resident_kib();
    std::thread::sleep(Duration::from_millis(800));
    let grown_kib = resident_kib().saturating_sub(before);
    assert!(grown_kib < 4 << 10, "{grown_kib} KiB in 800 ms");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("did not end within 3000 ms"), "{stderr}");
}
