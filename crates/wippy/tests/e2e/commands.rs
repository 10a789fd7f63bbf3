//! Finding what to run: names, IDs, lists, options.

use insta::assert_snapshot;

use crate::{HOSTS, command, command_with, dir, with_command};

fn project() -> wippy_testkit::Dir {
    let dir = dir();
    let quiet = command("hello-wat", "greet");
    let compute = command("compute", "compute");
    dir.entries(&format!("{HOSTS}{quiet}{compute}"));
    dir
}

#[test]
fn a_command_prints_its_result() {
    let dir = with_command("hello-wat", "greet");
    dir.wippy(["run", "hello-wat", "World"]).succeeds().prints("Hello, World!\n").quietly();
}

#[test]
fn a_list_of_commands() {
    let dir = project();
    dir.wippy(["run", "list"])
        .succeeds()
        .prints("compute    Runs compute\nhello-wat  Runs hello-wat\n");
    let json = dir.wippy(["run", "list", "--json"]).succeeds();
    let before = dir.wippy(["run", "--json", "list"]).succeeds();
    assert_eq!(json.stdout, before.stdout);
    let list: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(list[0]["name"], "compute");
    assert_eq!(list[1]["short"], "Runs hello-wat");
    assert_eq!(list[1]["entry"], "app:hello-wat");
}

#[test]
fn a_list_of_none() {
    let dir = dir();
    dir.entries(HOSTS);
    dir.wippy(["run", "list"])
        .succeeds()
        .prints("")
        .complains("this project has no commands: a process with meta.command is one\n");
    assert_snapshot!(dir.wippy(["run", "greet"]).exits(2));
}

#[test]
fn an_unknown_command() {
    let dir = project();
    assert_snapshot!("unknown_command_near", dir.wippy(["run", "hello-wut"]).exits(2));
    assert_snapshot!("unknown_command_far", dir.wippy(["run", "xyzzy"]).exits(2));
}

#[test]
fn no_project() {
    let dir = dir();
    assert_snapshot!("no_project_command", dir.wippy(["run", "greet"]).exits(2));
    assert_snapshot!("no_project_server", dir.wippy(["run"]).exits(2));
}

#[test]
fn an_entry_by_its_id() {
    let dir = project();
    dir.wippy(["run", "-x", "app:compute", "6", "7"]).succeeds().prints("42\n");
    assert_snapshot!("entry_unknown", dir.wippy(["run", "-x", "app:compote"]).exits(2));
    assert_snapshot!("entry_no_process", dir.wippy(["run", "-x", "app:processes"]).exits(2));
    assert_snapshot!("entry_no_id", dir.wippy(["run", "-x", "compute"]).exits(2));
    assert_snapshot!("entry_missing", dir.wippy(["run", "-x"]).exits(2));
}

#[test]
fn everything_after_the_name_belongs_to_the_command() {
    let dir = with_command("cli-args", "run");
    dir.wippy(["run", "cli-args", "--help", "-x", "--json", "--", "-C", "a b"])
        .succeeds()
        .prints("--help\n-x\n--json\n--\n-C\na b\n");
}

#[test]
fn run_as_if_started_elsewhere() {
    let dir = project();
    dir.write("sub/file", "");
    dir.wippy(["run", "-C", "..", "compute", "6", "7"]).below("sub").succeeds().prints("42\n");
    dir.wippy(["-C", "..", "run", "compute", "6", "7"]).below("sub").succeeds().prints("42\n");
    assert_snapshot!(dir.wippy(["-C", "nowhere", "run"]).exits(2));
}

#[test]
fn overrides() {
    let dir = with_command("cli-args", "run");
    dir.wippy(["run", "-o", "app:cli-args:wasi.args=[one, two]", "cli-args", "three"])
        .succeeds()
        .prints("one\ntwo\nthree\n");
    assert_snapshot!(
        "override_unknown_entry",
        dir.wippy(["run", "-o", "app:cli-arg:method=x", "cli-args"]).exits(2)
    );
    assert_snapshot!(
        "override_unknown_field",
        dir.wippy(["run", "-o", "app:cli-args:mehtod=x", "cli-args"]).exits(2)
    );
    assert_snapshot!(
        "override_malformed",
        dir.wippy(["run", "-o", "nonsense", "cli-args"]).exits(2)
    );
}

#[test]
fn settings_of_one_run() {
    let dir = project();
    let run = ["run", "--set", "wasm.cache=false", "compute", "6", "7"];
    dir.wippy(run).succeeds().prints("42\n");
    assert_eq!(dir.cached_files(), [""; 0]);
    dir.wippy(["run", "compute", "6", "7"]).succeeds().prints("42\n");
    assert!(!dir.cached_files().is_empty());
    dir.write("other.yaml", "version: \"1.0\"\nwasm: { cache: 7 }\n");
    assert_snapshot!(dir.wippy(["run", "--config", "other.yaml", "compute", "6", "7"]).exits(2));
}

#[test]
fn environment_and_mounts_of_an_entry() {
    let dir = dir();
    let entry = command_with(
        "cli-args",
        "run",
        "    wasi:
      env: [{ id: home, name: HOME }, { id: empty, name: EMPTY }, { id: system, name: SYSTEM }]
",
    );
    dir.entries(&format!(
        "{HOSTS}{entry}
  - {{ name: file, kind: env.storage.file, file_path: ./.env }}
  - {{ name: os, kind: env.storage.os }}
  - {{ name: home, kind: env.variable, variable: HOME_OF_GUEST, storage: file }}
  - {{ name: empty, kind: env.variable, variable: NOT_THERE, storage: file, default: '' }}
  - {{ name: system, kind: env.variable, variable: OF_THE_SYSTEM, storage: os }}
"
    ));
    dir.write(".env", "HOME_OF_GUEST=/home-of-guest\n");
    dir.wippy(["run", "cli-args", "HOME=", "EMPTY=", "SYSTEM="])
        .env("OF_THE_SYSTEM", "yes")
        .succeeds();
}

#[test]
fn options_of_files_need_a_file() {
    let dir = project();
    assert_snapshot!(dir.wippy(["run", "--method", "greet", "hello-wat"]).exits(2));
}
