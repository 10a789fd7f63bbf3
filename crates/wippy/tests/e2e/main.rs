//! End to end: the real `wippy` on real projects, its output pinned.
//!
//! One binary, so that it is linked once; each test has a folder and a compile cache of its
//! own, so that all run at one time. Long texts are golden files in `snapshots/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod binaries;
mod commands;
mod environment;
mod examples;
mod files;
mod functions;
mod help;
mod hosts;
mod http_worker;
mod logs;
mod lua;
mod mistakes;
mod output;
mod projects;
mod ps;
mod results;
mod scaffold;
mod sdk;
mod security;
mod services;
mod stopping;
mod top;
mod watch;

use wippy_testkit::Dir;

/// An empty project folder.
fn dir() -> Dir {
    Dir::new(env!("CARGO_BIN_EXE_wippy"))
}

/// Hosts and binaries, as most projects have them.
const HOSTS: &str = "
  - { name: terminal, kind: terminal.host }
  - { name: processes, kind: process.host }
  - { name: bin, kind: fs.directory, directory: ./wasm }
";

/// The entry of a guest as a command of the same name.
fn command(guest: &str, method: &str) -> String {
    command_with(guest, method, "")
}

/// The entry of a guest as a command, with further lines.
fn command_with(guest: &str, method: &str, more: &str) -> String {
    format!(
        "
  - name: {guest}
    kind: process.wasm
    meta: {{ command: {{ name: {guest}, short: Runs {guest} }} }}
    fs: bin
    path: /{guest}.wasm
    hash: {{hash:{guest}}}
    method: {method}
{more}"
    )
}

/// A project with one guest as a command.
fn with_command(guest: &str, method: &str) -> Dir {
    let dir = dir();
    dir.entries(&format!("{HOSTS}{}", command(guest, method)));
    dir
}

/// A project with one Lua command `main`, whose source is the body of its function.
fn with_lua(body: &str) -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        format!("local function main(...)\n{body}\nend\nreturn {{ main = main }}\n"),
    );
    dir.entries(&format!("{HOSTS}{LUA_MAIN}"));
    dir
}

/// The entry of `src/main.lua` as the command `main`.
const LUA_MAIN: &str = "
  - name: main
    kind: process.lua
    meta: { command: { name: main } }
    source: file://main.lua
    method: main
";
