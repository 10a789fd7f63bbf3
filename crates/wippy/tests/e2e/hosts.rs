//! Hosts that a command needs, and which one it runs on.

use insta::assert_snapshot;

use crate::{HOSTS, LUA_MAIN, command, dir};

const BIN: &str = "  - { name: bin, kind: fs.directory, directory: ./wasm }\n";
const TERMINAL: &str = "  - { name: terminal, kind: terminal.host }\n";
const PROCESSES: &str = "  - { name: processes, kind: process.host }\n";
const SECOND: &str = "  - { name: second, kind: terminal.host }\n";

fn run_with(entries: &str) -> wippy_testkit::Outcome {
    let dir = dir();
    dir.entries(&format!("{entries}{BIN}{}", command("hello-wat", "greet")));
    dir.wippy(["run", "hello-wat", "World"]).outcome()
}

#[test]
fn missing_hosts_show_the_lines_to_add() {
    assert_snapshot!("hosts_none", run_with(""));
    assert_snapshot!("hosts_no_terminal", run_with(PROCESSES));
    assert_snapshot!("hosts_no_process", run_with(TERMINAL));
}

/// The lines of the help, added as they are, make the command run.
#[test]
fn the_lines_to_add_are_right() {
    let complaint = run_with("").stderr;
    let help = complaint.split_once("under").map_or(complaint.as_str(), |(_, help)| help);
    let indent = help.lines().find(|line| line.contains("- name:")).unwrap();
    let indent = indent.len() - indent.trim_start().len();
    let lines: String = help
        .lines()
        .filter(|line| line.contains("name: ") || line.contains("kind: "))
        .map(|line| format!("  {}\n", &line[indent..]))
        .collect();
    assert_eq!(run_with(&lines).status, Some(0), "{lines}");
}

#[test]
fn of_several_terminal_hosts_one_is_named() {
    let dir = dir();
    dir.entries(&format!("{HOSTS}{SECOND}{}", command("hello-wat", "greet")));
    assert_snapshot!("hosts_several", dir.wippy(["run", "hello-wat", "World"]).exits(2));
    dir.wippy(["run", "--host", "app:second", "hello-wat", "World"])
        .succeeds()
        .prints("Hello, World!\n");
    assert_snapshot!(
        "hosts_unknown",
        dir.wippy(["run", "--host", "app:processes", "hello-wat", "World"]).exits(2)
    );
    assert_snapshot!("hosts_no_id", dir.wippy(["run", "--host", "second", "hello-wat"]).exits(2));
}

#[test]
fn lua_needs_no_process_host() {
    let dir = dir();
    dir.write("src/main.lua", "return { main = function() return 'fine' end }\n");
    dir.entries(&format!("{TERMINAL}{LUA_MAIN}"));
    dir.wippy(["run", "main"]).succeeds().prints("fine\n");
}
