//! `env.*` entries: where values come from, and what a missing one does.

use insta::assert_snapshot;
use wippy_testkit::Dir;

use crate::{HOSTS, LUA_MAIN, command_with, dir};

/// The guest prints `NAME=value` where it has that variable. Storages are entries before it.
fn project(storages: &str, variable: &str, required: bool) -> Dir {
    let dir = dir();
    let env = format!("    wasi: {{ env: [{{ id: name, name: NAME, required: {required} }}] }}\n");
    dir.entries(&format!(
        "{HOSTS}{storages}
  - {{ name: name, kind: env.variable, {variable} }}
{}",
        command_with("cli-args", "run", &env)
    ));
    dir
}

const MEMORY: &str = "
  - { name: memory, kind: env.storage.memory, values: { SET: text, EMPTY: '', NUMBER: 0x10 } }
  - { name: second, kind: env.storage.memory, values: { SET: second, SECOND: second } }
  - { name: os, kind: env.storage.os, prefix: WIPPY_TEST_ }
  - { name: file, kind: env.storage.file, file_path: config/.env }
  - { name: router, kind: env.storage.router, storages: [memory, second, file, os] }
";

#[test]
fn values_and_defaults() {
    for (variable, expected) in [
        ("variable: SET, storage: memory", Some("text")),
        ("variable: NUMBER, storage: memory", Some("0x10")),
        ("variable: EMPTY, storage: memory, default: d", Some("")),
        ("variable: MISSING, storage: memory, default: d", Some("d")),
        ("variable: MISSING, storage: memory, default: ''", Some("")),
        ("variable: MISSING, storage: memory", None),
        ("variable: SET, storage: router", Some("text")),
        ("variable: SECOND, storage: router", Some("second")),
        ("variable: FILE, storage: router", Some("a b")),
        ("variable: WIPPY_TEST_OS, storage: router", Some("from os")),
        ("variable: WIPPY_TEST_OS, storage: os", Some("from os")),
        ("variable: PATH, storage: os, default: hidden", Some("hidden")),
        ("variable: FILE, storage: file", Some("a b")),
    ] {
        let dir = project(MEMORY, variable, false);
        dir.write("config/.env", "# of the file\nexport FILE=\"a b\"\nSECOND=file\n");
        let run = dir.wippy(["run", "cli-args"]).env("WIPPY_TEST_OS", "from os");
        let expected = expected.map_or_else(String::new, |value| format!("NAME={value}\n"));
        let outcome = run.outcome();
        assert_eq!(outcome.stdout, expected, "{variable}: {outcome}");
    }
}

/// It is the spawn that fails: the project loads, and other commands run.
#[test]
fn a_required_variable_without_a_value_fails_the_spawn() {
    let dir = project(MEMORY, "variable: WIPPY_TEST_NONE, storage: os", true);
    dir.write("config/.env", "");
    dir.write(
        "src/main.lua",
        "local process = require('process')
        return { main = function()
            local _, err = process.spawn('app:cli-args', 'app:processes')
            return err:kind() .. ': ' .. tostring(err)
        end }\n",
    );
    let index = dir.read("src/_index.yaml");
    dir.write("src/_index.yaml", format!("{index}{LUA_MAIN}"));
    assert_snapshot!("required_run", dir.wippy(["run", "cli-args"]).exits(2));
    assert_snapshot!("required_spawn", dir.wippy(["run", "main"]).succeeds());
    assert_snapshot!("required_check", dir.wippy(["check"]).succeeds());
    let run = dir.wippy(["run", "cli-args"]).env("WIPPY_TEST_NONE", "");
    run.succeeds().prints("NAME=\n");
}

#[test]
fn files_that_cannot_be_read() {
    let file = "  - { name: file, kind: env.storage.file, file_path: .env }\n";
    let dir = project(file, "variable: A, storage: file, default: d", false);
    assert_snapshot!("file_missing_run", dir.wippy(["run", "cli-args"]).exits(2));
    assert_snapshot!("file_missing_check", dir.wippy(["check"]).exits(2));
    dir.write(".env", "A=1\n\nB = 'open\n");
    assert_snapshot!("file_malformed_run", dir.wippy(["run", "cli-args"]).exits(2));
    assert_snapshot!("file_malformed_check", dir.wippy(["check"]).exits(2));
    dir.write(".env", b"A=\xff\n");
    dir.wippy(["run", "cli-args"]).exits(2).mentions(".env:1: this is no UTF-8");
    dir.write(".env", "A=1\n");
    dir.wippy(["run", "cli-args"]).succeeds().prints("NAME=1\n");
}

/// The lines that `docs/security.md` shows.
#[test]
fn the_page_on_files() {
    let page = wippy_testkit::guests::workspace().join("docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for (name, value) in [
        ("NAME", "value"),
        ("QUOTED", "two words\nand a line break, \"quotes\", \\ and $"),
        ("LITERAL", "taken as it is: \\n \"x\" # no comment"),
        ("EMPTY", ""),
    ] {
        let file = "  - { name: file, kind: env.storage.file, file_path: .env }\n";
        let dir = project(file, &format!("variable: {name}, storage: file"), true);
        dir.write(".env", lines);
        dir.wippy(["run", "cli-args"]).succeeds().prints(&format!("NAME={value}\n"));
    }
}

/// A command does not fail for a file that it never uses.
#[test]
fn a_file_is_read_when_it_is_needed() {
    let dir = dir();
    dir.write("src/main.lua", "return { main = function() return 'ran' end }\n");
    dir.entries(&format!(
        "{HOSTS}{LUA_MAIN}  - {{ name: file, kind: env.storage.file, file_path: .env }}\n"
    ));
    dir.wippy(["run", "main"]).succeeds().prints("ran\n").quietly();
}

#[test]
fn a_file_is_made_where_the_entry_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let file = "  - { name: file, kind: env.storage.file, path: etc/.env, auto_create: true }\n";
    let dir = project(file, "variable: A, storage: file, default: d", true);
    dir.wippy(["run", "cli-args"]).succeeds().prints("NAME=d\n").quietly();
    let mode = |name: &str| dir.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("etc"), mode("etc/.env")), (0o700, 0o600));
}
