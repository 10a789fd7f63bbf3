//! Projects that are wrong, and `wippy check`.

use insta::assert_snapshot;

use crate::{HOSTS, command, dir, with_command, with_lua};

fn checked(index: &str) -> wippy_testkit::Outcome {
    let dir = dir();
    dir.write("src/_index.yaml", index);
    dir.wippy(["check"]).outcome()
}

#[test]
fn a_sound_project() {
    let dir = with_command("hello-wat", "greet");
    dir.wippy(["check"]).succeeds().prints("checked: 4 entries, 1 of them programs\n").quietly();
}

#[test]
fn a_yaml_error() {
    assert_snapshot!(checked("version: \"1.0\"\nnamespace: app\nentries:\n  - name: [a\n"));
}

#[test]
fn several_errors_at_once() {
    assert_snapshot!(checked(
        "version: \"1.0\"
namespace: app
entries:
  - name: a
    kind: process.wasn
  - name: b
    kind: process.host
    host: { wokers: 2 }
  - name: c
    kind: process.wasm
    fs: nowhere
    path: /c.wasm
    hash: sha256:...
"
    ));
}

#[test]
fn a_duplicate_id() {
    assert_snapshot!(checked(
        "version: \"1.0\"
namespace: app
entries:
  - { name: processes, kind: process.host }
  - { name: terminal, kind: terminal.host }
  - { name: processes, kind: process.host }
"
    ));
}

#[test]
fn a_cycle() {
    assert_snapshot!(checked(
        "version: \"1.0\"
namespace: app
entries:
  - { name: a, kind: env.storage.router, storages: [b] }
  - { name: b, kind: env.storage.router, storages: [a] }
"
    ));
}

#[test]
fn check_finds_everything_that_does_not_load() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}
  - {{ name: gone, kind: fs.directory, directory: ./gone }}
",
        command("hello-wat", "great"),
        command("compute", "multiply")
    ));
    assert_snapshot!(dir.wippy(["check"]).exits(2));
}

#[test]
fn check_compiles_lua() {
    assert_snapshot!(with_lua("local x = = 1").wippy(["check"]).exits(2));
}

#[test]
fn a_cache_that_cannot_be_written() {
    let dir = with_command("hello-wat", "greet");
    dir.write("a-file", "");
    for folder in [dir.join("a-file"), "/proc/nowhere".into()] {
        let run = dir.wippy(["run", "hello-wat", "World"]).env("WIPPY_CACHE_DIR", folder);
        let outcome = run.succeeds().prints("Hello, World!\n").mentions("WARN");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    }
    let run =
        dir.wippy(["run", "-s", "hello-wat", "World"]).env("WIPPY_CACHE_DIR", dir.join("a-file"));
    run.succeeds().prints("Hello, World!\n").quietly();
}

#[test]
fn the_second_start_compiles_nothing() {
    let dir = with_command("hello-rust", "greet");
    dir.wippy(["run", "hello-rust", "World"]).succeeds().prints("Hello, World!\n");
    let cached = dir.cached_files();
    assert!(!cached.is_empty());
    let modified =
        |name: &String| std::fs::metadata(dir.cache().join(name)).unwrap().modified().unwrap();
    let times: Vec<_> = cached.iter().map(modified).collect();
    dir.wippy(["run", "hello-rust", "World"]).succeeds().prints("Hello, World!\n");
    assert_eq!(dir.cached_files(), cached);
    assert_eq!(cached.iter().map(modified).collect::<Vec<_>>(), times);
}

#[test]
fn entries_without_a_namespace_are_no_project_and_say_so() {
    let dir = dir();
    dir.write("src/_index.yaml", "namspace: app\nentries:\n  - { name: a, kind: process.host }\n");
    for command in [&["check"][..], &["run"], &["run", "list"], &["run", "greet"]] {
        dir.wippy(command)
            .exits(2)
            .mentions("src/_index.yaml: it has entries but no `namespace`: skipped")
            .mentions("there is no project in this folder: it has no entries");
    }
}

#[test]
fn check_compiles_every_lua_file() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}  - {{ name: process, kind: process.lua, source: file://process.lua, method: main, imports: {{ used: app:used }} }}
  - {{ name: function, kind: function.lua, source: file://function.lua, method: main, imports: {{ used: app:used }} }}
  - {{ name: sound, kind: function.lua, source: file://sound.lua, method: main, imports: {{ used: app:used }} }}
  - {{ name: used, kind: library.lua, source: file://used.lua }}
  - {{ name: unused, kind: library.lua, source: file://unused.lua }}
  - name: inline
    kind: library.lua
    source: |
      local n: number = 1
      local x: {{ a: string b: string }} = 2
"
    ));
    dir.write("src/process.lua", "local n: number = 1\nlocal n: = 2");
    dir.write("src/function.lua", "type User = { name: string @len(1) }");
    dir.write("src/sound.lua", "type User = { name: string } return { main = User }");
    dir.write("src/used.lua", "\nreturn = 1");
    dir.write("src/unused.lua", "return x as {");
    dir.write("wasm/.keep", "");
    assert_snapshot!(dir.wippy(["check"]).exits(2));
}

#[test]
fn a_project_in_the_dialect() {
    let dir = with_lua(
        "type Order = { id: integer @min(1), items: {string}, note?: string }
         local order: Order = { id = 7, items = { 'pear' } }
         local ok, err = Order:is(order)
         if not ok then error(err) end
         local _, wrong = Order:is({ id = 0, items = {} })
         print(ok.id as number, wrong)",
    );
    dir.write("wasm/.keep", "");
    dir.wippy(["check"]).succeeds().quietly();
    let run = dir.wippy(["run", "main"]);
    run.succeeds().prints("7\tid: expected a number of at least 1, got number 0\n");
}
