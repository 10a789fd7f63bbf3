//! Lua entries: imports, places of mistakes, calls into WebAssembly.

use insta::assert_snapshot;

use crate::{HOSTS, LUA_MAIN, command, dir, with_lua};

#[test]
fn libraries_and_their_libraries() {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "local a = require('a')\nreturn { main = function() return a.f() end }\n",
    );
    dir.write(
        "src/a.lua",
        "local b = require('b')\nreturn { f = function() return b.g() .. '!' end }\n",
    );
    dir.write("src/b.lua", "return { g = function() return 'deep' end }\n");
    dir.write("wasm/.keep", "");
    dir.entries(&format!(
        "{HOSTS}{LUA_MAIN}    imports: {{ a: liba }}
  - {{ name: liba, kind: library.lua, source: file://a.lua, imports: {{ b: libb }} }}
  - {{ name: libb, kind: library.lua, source: file://b.lua }}
"
    ));
    dir.wippy(["run", "main"]).succeeds().prints("deep!\n");
    dir.wippy(["check"]).succeeds().quietly();
}

/// Code inside a project file is at the lines of that file.
#[test]
fn lines_of_code_in_a_project_file() {
    let dir = dir();
    dir.write(
        "src/_index.yaml",
        "version: \"1.0\"
namespace: app
entries:
  - { name: terminal, kind: terminal.host }
  - name: main
    kind: process.lua
    meta: { command: { name: main } }
    method: main
    source: |
      local function main()
        error('line 11')
      end
      return { main = main }
",
    );
    dir.wippy(["run", "main"]).exits(1).mentions("error: src/_index.yaml:11: line 11\n");
}

#[test]
fn a_guest_from_lua() {
    let dir = with_lua("");
    let body = "local process = require('process')
        local pid, err = process.spawn_monitored('app:echo-types', 'app:processes', ...)
        if err then return tostring(err) end
        local event = process.receive()
        return tostring(event.error or event.value)";
    dir.write("src/main.lua", format!("return {{ main = function(...)\n{body}\nend }}\n"));
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{}", command("echo-types", "echo-string")));
    dir.wippy(["run", "main", "text"]).succeeds().prints("text\n");
    assert_snapshot!(dir.wippy(["run", "main"]).succeeds());
}

#[test]
fn a_process_that_fails_while_nobody_watches_leaves_a_warning() {
    let dir = with_lua("");
    let body = "local process = require('process')
        local time = require('time')
        assert(process.spawn('app:trap', 'app:processes'))
        time.sleep('300ms')";
    dir.write("src/main.lua", format!("return {{ main = function(...)\n{body}\nend }}\n"));
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{}", command("trap", "run")));
    dir.wippy(["run", "main"])
        .succeeds()
        .mentions("ended badly, and nobody monitors it: app:trap trapped: wasm `unreachable`");
}

/// Whoever traps links hears of the end, which needs no warning; whoever does not ends with it.
#[test]
fn a_process_that_fails_while_a_link_hears_of_it_leaves_none() {
    let dir = with_lua("");
    let body = "local process = require('process')
        process.set_options({ trap_links = ... == 'trap' })
        assert(process.spawn_linked('app:trap', 'app:processes'))
        print(process.receive('10s').type)";
    dir.write("src/main.lua", format!("return {{ main = function(...)\n{body}\nend }}\n"));
    dir.entries(&format!("{HOSTS}{LUA_MAIN}{}", command("trap", "run")));
    dir.wippy(["run", "main", "trap"]).succeeds().prints("LINK_DOWN\n").quietly();
    dir.wippy(["run", "main", "none"]).exits(1).mentions("ended badly, and nobody monitors it");
}
