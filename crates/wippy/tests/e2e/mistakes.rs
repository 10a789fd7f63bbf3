//! Mistakes that are easily made, and where the runtime points.

use insta::assert_snapshot;
use wippy_testkit::Dir;

use crate::{HOSTS, LUA_MAIN, command, command_with, dir, with_command, with_lua};

/// A project with the command `main` and the library `coder`, which lists these modules.
fn with_library(modules: &str) -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "return { main = function() return require('coder').encode({ 1, 2 }) end }\n",
    );
    dir.write("wasm/.keep", "");
    dir.write("src/coder.lua", "local json = require('json')\nreturn json\n");
    dir.entries(&format!(
        "{HOSTS}{LUA_MAIN}    imports: {{ coder: coder }}
  - {{ name: coder, kind: library.lua, source: file://coder.lua, modules: {modules} }}
"
    ));
    dir
}

#[test]
fn a_library_has_modules_of_its_own() {
    let dir = with_library("[json]");
    dir.wippy(["check"]).succeeds();
    dir.wippy(["run", "main"]).succeeds().prints("[1,2]\n").quietly();
    assert_snapshot!("library_lists_nothing", with_library("[]").wippy(["run", "main"]).exits(1));
}

#[test]
fn a_module_that_is_none() {
    let dir = with_library("[jsn]");
    assert_snapshot!("no_module_check", dir.wippy(["check"]).exits(2));
    dir.wippy(["run", "main"]).exits(2).mentions("there is no module \"jsn\"");
    let dir = with_lua("return 1");
    let set = ["run", "-o", "app:main:modules=[sockets]", "main"];
    assert_snapshot!("no_module_run", dir.wippy(set).exits(2));
}

#[test]
fn check_warns_of_what_will_be_denied() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}
  - name: ops
    kind: security.policy
    policy: {{ actions: [process.spwan, process.spawn, report.read], effect: allow }}
",
        command("http-worker", "run")
    ));
    let strict = ["check", "--set", "security.strict_mode=true"];
    assert_snapshot!("denied_check", dir.wippy(strict).succeeds());
    let granted = ["check", "-o", "app:http-worker:imports=[wasi:http]"];
    let outcome = dir.wippy(granted).succeeds();
    assert!(!outcome.stderr.contains("grant"), "{outcome}");
    assert!(!outcome.stderr.contains("strict mode"), "{outcome}");
}

#[test]
fn a_lua_method_that_is_none() {
    let dir = with_lua("return 1");
    assert_snapshot!(dir.wippy(["run", "-o", "app:main:method=mian", "main"]).exits(2));
}

#[test]
fn a_folder_to_mount_that_is_missing() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}
  - {{ name: data, kind: fs.directory, directory: ./data }}
{}",
        command_with("hello-wat", "greet", "    wasi: { mounts: [{ fs: data, guest: /data }] }\n")
    ));
    assert_snapshot!(dir.wippy(["run", "hello-wat", "World"]).exits(2));
}

#[test]
fn a_binary_of_another_name() {
    let dir = with_command("hello-wat", "greet");
    let run = |path: &str| {
        let path = format!("app:hello-wat:path={path}");
        dir.wippy(["run", "-o", &path, "hello-wat", "World"]).exits(2)
    };
    run("/helo-wat.wasm").mentions("did you mean `/hello-wat.wasm`?");
    run("/x.wasm").mentions("binaries there are: /hello-wat.wasm");
    dir.wippy(["hash", "-o", "app:hello-wat:path=/x.wasm"])
        .exits(2)
        .mentions("binaries there are: /hello-wat.wasm");
    std::fs::remove_file(dir.join("wasm/hello-wat.wasm")).unwrap();
    run("/x.wasm").mentions("there is no .wasm file yet");
}

#[test]
fn text_that_is_no_webassembly() {
    let dir = dir();
    dir.write("wasm/.keep", "");
    let entry = |source: &str| {
        dir.entries(&format!(
            "{HOSTS}  - {{ name: add, kind: function.wat, method: add, source: '{source}' }}\n"
        ));
        dir.wippy(["check"]).exits(2)
    };
    assert_snapshot!("wat_syntax", entry("(module (fun))"));
    assert_snapshot!(
        "wat_types",
        entry("(module (func (export \"add\") (result i32) i64.const 1))")
    );
    assert_snapshot!(
        "wat_method",
        entry("(module (func (export \"ad\") (result i32) i32.const 1))")
    );
}

#[test]
fn a_file_of_text_runs() {
    let dir = dir();
    dir.write(
        "add.wat",
        "(module (func (export \"add\") (param i32 i32) (result i32)\n  \
         local.get 0 local.get 1 i32.add))\n",
    );
    dir.wippy(["run", "add.wat", "2", "3"]).succeeds().prints("5\n").quietly();
    assert_snapshot!("wat_file_entry", dir.wippy(["run", "--entry", "add.wat"]).exits(2));
    dir.write("add.wat", "(module\n  (fun))\n");
    assert_snapshot!("wat_file_syntax", dir.wippy(["run", "add.wat", "2", "3"]).exits(2));
}

#[test]
fn a_spawn_without_a_host_takes_the_default_one() {
    let dir = with_lua(
        "local process = require('process')
        local value, err = process.exec('other')
        local _, refused = process.exec('main')
        return { value = value, refused = tostring(refused), err = err }",
    );
    let index = dir.read("src/_index.yaml");
    let other = "  - name: other
    kind: process.lua
    meta: { default_host: processes }
    source: return function(...) return 'ran with ' .. select('#', ...) end
    method: main
";
    dir.write("src/_index.yaml", index + other);
    assert_snapshot!(dir.wippy(["run", "main"]).succeeds());
}

#[test]
fn a_table_is_printed_in_the_order_of_its_keys() {
    let dir = with_lua("return { b = { y = 1, x = 2 }, a = 'text', c = 1.5, d = { 1, 2 } }");
    for words in [&["run", "main"][..], &["run", "--json", "main"]].repeat(2) {
        dir.wippy(words)
            .succeeds()
            .prints("{\"a\":\"text\",\"b\":{\"x\":2,\"y\":1},\"c\":1.5,\"d\":[1,2]}\n");
    }
}
