//! Binaries that are not what their entries say: each is refused before anything runs.

use insta::assert_snapshot;
use wippy_testkit::guests;

use crate::{HOSTS, LUA_MAIN, command, dir, with_command};

/// A project whose one binary holds these bytes, correctly pinned.
fn with_bytes(bytes: &[u8]) -> wippy_testkit::Dir {
    let dir = dir();
    let entry = command("broken", "run").replace("{hash:broken}", &guests::hash_of(bytes));
    dir.write("wasm/broken.wasm", bytes).entries(&format!("{HOSTS}{entry}"));
    dir
}

#[test]
fn a_wrong_hash() {
    let dir = with_command("hello-wat", "greet");
    dir.guest("compute", "wasm/hello-wat.wasm");
    assert_snapshot!("hash_run", dir.wippy(["run", "hello-wat", "World"]).exits(2));
    assert_snapshot!("hash_check", dir.wippy(["check"]).exits(2));
    assert_eq!(dir.cached_files(), [""; 0], "nothing was compiled");
}

#[test]
fn a_missing_hash_is_filled_in() {
    let dir = with_command("hello-wat", "greet");
    let index = dir.read("src/_index.yaml");
    let hash = guests::hash("hello-wat");
    let edited = index.replace(&hash, "sha256:...   # the binary's");
    dir.write("src/_index.yaml", &edited);
    assert_snapshot!("hash_placeholder", dir.wippy(["run", "hello-wat", "World"]).exits(2));
    dir.wippy(["hash"]).exits(1).prints(&format!("{hash}  app:hello-wat  not filled in\n"));
    let other = edited.replace("sha256:...", &guests::hash("compute"));
    dir.write("src/_index.yaml", &other);
    dir.wippy(["hash"])
        .exits(1)
        .prints(&format!("{hash}  app:hello-wat  does not match the entry\n"));
    dir.write("src/_index.yaml", &edited);
    assert_eq!(dir.read("src/_index.yaml"), edited);
    dir.wippy(["hash", "--write"]).succeeds().prints(&format!("{hash}  app:hello-wat  written\n"));
    assert_eq!(dir.read("src/_index.yaml"), edited.replace("sha256:...", &hash));
    dir.wippy(["hash"]).succeeds().prints(&format!("{hash}  app:hello-wat\n"));
    dir.wippy(["run", "hello-wat", "World"]).succeeds().prints("Hello, World!\n");
    assert_eq!(dir.files(), ["src/_index.yaml", "wasm/hello-wat.wasm"]);
}

#[test]
fn a_truncated_binary() {
    let bytes = guests::bytes("hello-rust");
    assert_snapshot!(
        "truncated",
        with_bytes(&bytes[..bytes.len() / 2]).wippy(["run", "broken"]).exits(2)
    );
    assert_snapshot!("empty", with_bytes(b"").wippy(["run", "broken"]).exits(2));
}

#[test]
fn random_bytes() {
    let bytes: Vec<u8> =
        (0_u32..4096).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_snapshot!("random", with_bytes(&bytes).wippy(["run", "broken"]).exits(2));
    assert_snapshot!("text", with_bytes(b"#!/bin/sh\necho no\n").wippy(["run", "broken"]).exits(2));
}

#[test]
fn a_method_that_is_not_there() {
    let dir = with_command("compute", "multiply");
    assert_snapshot!("method_run", dir.wippy(["run", "compute", "6", "7"]).exits(2));
    assert_snapshot!("method_check", dir.wippy(["check"]).exits(2));
}

/// Sparse, so that the disk holds nothing of it.
#[test]
fn a_binary_of_100_megabytes() {
    let dir = with_bytes(b"");
    let file = std::fs::File::create(dir.join("wasm/broken.wasm")).unwrap();
    file.set_len(100 << 20).unwrap();
    assert_snapshot!(dir.wippy(["run", "broken"]).exits(2));
    // Past the limit it is read, and is no WebAssembly.
    let more = ["run", "--set", "wasm.binary_bytes_max=100MiB", "broken"];
    dir.wippy(more).exits(2).mentions("does not match");
}

#[test]
fn a_missing_binary() {
    let dir = with_command("hello-wat", "greet");
    std::fs::remove_file(dir.join("wasm/hello-wat.wasm")).unwrap();
    assert_snapshot!(dir.wippy(["run", "hello-wat", "World"]).exits(2));
}

#[test]
fn a_symlink_out_of_its_directory() {
    let dir = with_command("hello-wat", "greet");
    std::fs::rename(dir.join("wasm/hello-wat.wasm"), dir.join("outside.wasm")).unwrap();
    std::os::unix::fs::symlink("../outside.wasm", dir.join("wasm/hello-wat.wasm")).unwrap();
    assert_snapshot!(dir.wippy(["run", "hello-wat", "World"]).exits(2));
}

#[test]
fn a_missing_directory() {
    let dir = with_command("hello-wat", "greet");
    std::fs::remove_dir_all(dir.join("wasm")).unwrap();
    assert_snapshot!("directory_run", dir.wippy(["run", "hello-wat", "World"]).exits(2));
    assert_snapshot!("directory_check", dir.wippy(["check"]).exits(2));
    dir.wippy(["run", "list"]).succeeds().prints("hello-wat  Runs hello-wat\n");
}

#[test]
fn a_wit_that_is_wrong() {
    let dir = dir();
    let entry = |wit: &str| command("greet-core", "greet") + &format!("    wit: '{wit}'\n");
    dir.entries(&format!("{HOSTS}{}", entry("greet: func(name: string) -> string;")));
    dir.wippy(["run", "greet-core", "World"]).succeeds().prints("Hello, World!\n");
    dir.entries(&format!("{HOSTS}{}", entry("greet: func(name: strin) -> string;")));
    let wrong = dir.wippy(["run", "greet-core", "World"]).exits(2);
    assert!(wrong.stderr.contains("app:greet-core"), "{wrong}");
    dir.entries(&format!("{HOSTS}{}", entry("greet: func(name: u32) -> string;")));
    let wrong = dir.wippy(["run", "greet-core", "1"]).exits(2);
    assert!(wrong.stderr.contains("app:greet-core"), "{wrong}");
}

#[test]
fn an_import_that_nobody_has() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}",
        command("ungranted", "quiet"),
        command("hello-wat", "greet")
    ));
    dir.wippy(["run", "ungranted"]).succeeds().quietly();
    let loud = dir.wippy(["run", "-o", "app:ungranted:method=loud", "ungranted"]).exits(1);
    assert!(loud.stderr.starts_with("error: "), "{loud}");
    assert_snapshot!(dir.wippy(["check"]).succeeds());
}

#[test]
fn wasi_0_3() {
    let dir = dir();
    dir.guest("async-command", "x.wasm").guest("async-functions", "f.wasm");
    dir.write("data/file", "content\n");
    let run = ["run", "--env", "NAME=Ada", "x.wasm", "--one", "two"];
    dir.wippy(run).succeeds().prints("--one\ntwo\nNAME=Ada\n").quietly();
    dir.wippy(["run", "x.wasm", "stdin"]).stdin("piped\n").succeeds().prints("piped\n");
    dir.wippy(["run", "x.wasm", "exit", "42"]).exits(42).prints("leaving\n");
    let failed = dir.wippy(["run", "x.wasm", "fail"]).exits(1);
    assert!(failed.stderr.starts_with("as asked\n"), "{failed}");
    let read = ["run", "--mount", "data::/data:ro", "x.wasm", "read", "file"];
    dir.wippy(read).succeeds().prints("content\n");

    let add = ["run", "--method", "sleep-then-add", "f.wasm", "6", "7", "5"];
    dir.wippy(add).succeeds().prints("13\n").quietly();
    let sleep = ["run", "--method", "sleep-for-ever", "--limit", "execution=50ms", "f.wasm"];
    dir.wippy(sleep).exits(1).mentions("did not end within 50 ms");
    assert_snapshot!("wasi_0_3_inspect", dir.wippy(["inspect", "f.wasm"]).succeeds());
    assert_snapshot!("wasi_0_3_imports", dir.wippy(["inspect", "x.wasm"]).succeeds());
}

#[test]
fn wasi_0_3_in_a_project() {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "return { main = function()
            local process = require('process')
            assert(process.spawn_monitored('app:async-command', 'app:processes', 'stderr', 'noise'))
            process.receive()
            return 'done'
        end }
",
    );
    dir.entries(&format!("{HOSTS}{}{LUA_MAIN}", command("async-command", "run")));
    // Rust's standard library imports what the program does not use.
    dir.wippy(["check"])
        .succeeds()
        .mentions("notice: entry app:async-command: the binary imports wasi:http/client@0.3.0");
    dir.wippy(["run", "async-command", "a"]).succeeds().prints("a\n").quietly();
    // On a process host the log has what it writes.
    let logged = dir.wippy(["run", "main"]).succeeds().prints("done\n").mentions("noise");
    assert!(logged.stderr.contains("app:async-command"), "{logged}");
    dir.entries(&format!("{HOSTS}{}", command("async-functions", "collect")));
    assert_snapshot!("wasi_0_3_stream", dir.wippy(["check"]).exits(2));
}
