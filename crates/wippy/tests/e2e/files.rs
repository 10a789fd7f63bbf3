//! `wippy run FILE.wasm` and `wippy inspect`.

use insta::assert_snapshot;

use crate::dir;

#[test]
fn a_file_without_a_project() {
    let dir = dir();
    dir.guest("hello-wat", "hello.wasm").guest("compute", "compute.wasm");
    dir.wippy(["run", "hello.wasm", "World"]).succeeds().prints("Hello, World!\n").quietly();
    dir.wippy(["run", "./compute.wasm", "6", "7"]).succeeds().prints("42\n").quietly();
    let whole = dir.join("compute.wasm");
    let whole = whole.to_str().unwrap();
    dir.wippy(["run", "--json", whole, "6", "7"]).succeeds().prints("42\n");
    std::os::unix::fs::symlink("compute.wasm", dir.join("link.wasm")).unwrap();
    dir.wippy(["run", "link.wasm", "6", "7"]).succeeds().prints("42\n");
}

#[test]
fn commands_of_every_toolchain() {
    let dir = dir();
    for guest in ["cli-args", "cli-c", "cli-component"] {
        dir.guest(guest, "x.wasm");
        dir.wippy(["run", "x.wasm", "--one", "two"]).succeeds().prints("--one\ntwo\n").quietly();
    }
    dir.guest("reactor-p1", "x.wasm");
    dir.wippy(["run", "--method", "add", "x.wasm", "6", "7"]).succeeds().prints("13\n");
}

#[test]
fn a_method_of_several() {
    let dir = dir();
    dir.guest("args-many", "x.wasm");
    assert_snapshot!(dir.wippy(["run", "x.wasm", "1"]).exits(2));
    dir.guest("sleep", "sleep.wasm");
    dir.wippy(["run", "--method", "test-sleep#sleep-ms", "sleep.wasm", "1"]).succeeds();
}

#[test]
fn wit_of_a_core_module() {
    let dir = dir();
    dir.guest("greet-core", "greet.wasm");
    let wit = "greet: func(name: string) -> string;";
    dir.wippy(["run", "--wit", wit, "greet.wasm", "World"]).succeeds().prints("Hello, World!\n");
}

#[test]
fn environment_of_a_file() {
    let dir = dir();
    dir.guest("cli-args", "x.wasm");
    let run = ["run", "--env", "NAME=a=b c", "x.wasm", "last"];
    dir.wippy(run).succeeds().prints("last\nNAME=a=b c\n");
    assert_snapshot!("file_env", dir.wippy(["run", "--env", "NAME", "x.wasm"]).exits(2));
}

#[test]
fn mounts_of_a_file() {
    let dir = dir();
    dir.guest("cli-args", "x.wasm").write("data/file", "");
    dir.wippy(["run", "--mount", "./data::/data:ro", "x.wasm", "a"]).succeeds().prints("a\n");
    assert_snapshot!("file_mount", dir.wippy(["run", "--mount", "./data", "x.wasm"]).exits(2));
    assert_snapshot!("file_mount_guest", dir.wippy(["run", "--mount", "d::x", "x.wasm"]).exits(2));
    dir.wippy(["run", "--mount", "./data::/data:rw", "x.wasm"])
        .exits(2)
        .mentions("--mount ./data::/data:rw: after the path in the guest there may be `:ro` only");
    assert_snapshot!("file_mount_gone", dir.wippy(["run", "--mount", "no::/x", "x.wasm"]).exits(2));
}

#[test]
fn limits_of_a_file() {
    let dir = dir();
    dir.guest("loop", "loop.wasm").guest("memory-bomb", "bomb.wasm");
    let looped = dir.wippy(["run", "--limit", "execution=50ms", "loop.wasm"]).exits(1);
    assert!(looped.stderr.contains("did not end within 50 ms"), "{looped}");
    let bomb = dir.wippy(["run", "--limit", "memory=1MiB", "bomb.wasm"]).exits(1);
    assert!(bomb.stderr.contains("out of memory"), "{bomb}");
    dir.guest("posix-c", "posix.wasm").write("data/file", "");
    let files = ["run", "--mount", "data::/data", "--limit", "files=3", "posix.wasm"];
    dir.wippy(files.into_iter().chain(["open-many 10 /data/file"]))
        .succeeds()
        .prints("!EMFILE after 3\n");
    dir.wippy(["run", "--limit", "execution=5", "loop.wasm"])
        .exits(2)
        .mentions("--limit execution=5: \"5\" is no value of a limit");
    assert_snapshot!("file_limit", dir.wippy(["run", "--limit", "memroy=1", "loop.wasm"]).exits(2));
    assert_snapshot!(
        "file_limit_value",
        dir.wippy(["run", "--limit", "memory=", "loop.wasm"]).exits(2)
    );
    assert_snapshot!("file_grant", dir.wippy(["run", "--grant", "wasi:nn", "loop.wasm"]).exits(2));
}

/// What `--entry` prints is a project that does the same.
#[test]
fn the_entry_of_a_file() {
    let dir = dir();
    dir.guest("cli-args", "x.wasm").write("data/file", "");
    let options = [
        "run",
        "--entry",
        "--env",
        "NAME=true",
        "--mount",
        "data::/data:ro",
        "--grant",
        "wasi:http",
        "--limit",
        "memory=64MiB",
        "--limit",
        "execution=5s",
        "x.wasm",
    ];
    let entry = dir.wippy(options).succeeds();
    assert_snapshot!("file_entry", entry);
    dir.write("src/_index.yaml", entry.stdout);
    dir.wippy(["check"]).succeeds().quietly();
    dir.wippy(["run", "x", "a"]).succeeds().prints("a\nNAME=true\n");
    dir.guest("compute", "compute.wasm");
    let entry = dir.wippy(["run", "--entry", "compute.wasm"]).succeeds();
    assert!(entry.stdout.contains("method: compute\n"), "{entry}");
}

#[test]
fn files_that_are_not_there() {
    let dir = dir();
    assert_snapshot!("file_missing", dir.wippy(["run", "nowhere.wasm"]).exits(2));
    dir.write("folder.wasm/x", "");
    assert_snapshot!("file_folder", dir.wippy(["run", "folder.wasm"]).exits(2));
    dir.write("text.wasm", "hello");
    assert_snapshot!("file_text", dir.wippy(["run", "text.wasm"]).exits(2));
}

#[test]
fn inspecting() {
    let dir = dir();
    for guest in ["hello-wat", "compute-core", "cli-args", "ungranted", "sleep"] {
        dir.guest(guest, "x.wasm");
        assert_snapshot!(format!("inspect_{guest}"), dir.wippy(["inspect", "x.wasm"]).succeeds());
    }
    dir.guest("hello-rust", "x.wasm");
    assert_snapshot!("inspect_json", dir.wippy(["inspect", "x.wasm", "--json"]).succeeds());
    dir.write("x.wasm", "hello");
    assert_snapshot!("inspect_text", dir.wippy(["inspect", "x.wasm"]).exits(2));
    assert_snapshot!("inspect_missing", dir.wippy(["inspect", "y.wasm"]).exits(2));
}
