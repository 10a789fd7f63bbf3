//! Arguments, results and exit statuses.

use insta::assert_snapshot;

use crate::{HOSTS, command, command_with, dir, with_command, with_lua};

#[test]
fn arguments_of_all_types() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}",
        command("args-many", "point"),
        command("echo-types", "echo-bool")
    ));
    let types = dir.wippy(["inspect", "wasm/echo-types.wasm"]).succeeds();
    assert!(types.stdout.contains("echo-"), "{types}");
    for (method, arg, printed) in [
        ("echo-bool", "true", "true"),
        ("echo-u8", "255", "255"),
        ("echo-s8", "-128", "-128"),
        ("echo-u64", "18446744073709551615", "18446744073709551615"),
        ("echo-s64", "-9223372036854775808", "-9223372036854775808"),
        ("echo-f64", "1.5", "1.5"),
        ("echo-char", "'ä'", "'ä'"),
        ("echo-string", "a \"b\" [c]", "a \"b\" [c]"),
    ] {
        let set = format!("app:echo-types:method={method}");
        dir.wippy(["run", "-o", &set, "echo-types", arg])
            .succeeds()
            .prints(&format!("{printed}\n"));
    }
}

#[test]
fn a_wrong_count_shows_the_signature() {
    let dir = with_command("compute", "compute");
    assert_snapshot!("count_few", dir.wippy(["run", "compute", "6"]).exits(2));
    assert_snapshot!("count_many", dir.wippy(["run", "compute", "6", "7", "8"]).exits(2));
    assert_snapshot!("count_none", dir.wippy(["run", "compute"]).exits(2));
}

#[test]
fn a_wrong_type_shows_the_signature() {
    let dir = with_command("compute", "compute");
    assert_snapshot!("type_text", dir.wippy(["run", "compute", "6", "seven"]).exits(2));
    assert_snapshot!("type_range", dir.wippy(["run", "compute", "6", "4294967296"]).exits(2));
}

#[test]
fn results_as_json() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}",
        command("hello-wat", "greet"),
        command("compute", "compute")
    ));
    dir.wippy(["run", "--json", "compute", "6", "7"]).succeeds().prints("42\n");
    dir.wippy(["run", "--json", "hello-wat", "\"W\""]).succeeds().prints("\"Hello, \\\"W\\\"!\"\n");
}

#[test]
fn the_code_of_a_program_is_kept() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}{}",
        command("cli-args", "run"),
        command("cli-component", "run"),
        command("exit-code", "run")
    ));
    dir.wippy(["run", "cli-args", "exit", "42"]).exits(42).quietly();
    dir.wippy(["run", "cli-args", "exit", "0"]).succeeds().quietly();
    // WASI 0.2 knows success and failure alone.
    dir.wippy(["run", "cli-component", "exit", "42"]).exits(1).quietly();
}

#[test]
fn streams_of_a_program() {
    let dir = with_command("cli-args", "run");
    dir.wippy(["run", "cli-args", "stdin"]).stdin("from here").succeeds().prints("from here");
    dir.wippy(["run", "cli-args", "stderr", "words"]).succeeds().prints("").complains("words\n");
}

#[test]
fn a_trap_shows_where() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}{}",
        command("trap", "run"),
        command("trap-rust", "run"),
        command("trap-start", "run")
    ));
    assert_snapshot!("trap", dir.wippy(["run", "trap"]).exits(1));
    let rust = dir.wippy(["run", "trap-rust"]).exits(1);
    assert!(rust.stderr.contains("trap-rust/src/lib.rs:"), "{rust}");
    assert_snapshot!("trap_start", dir.wippy(["run", "trap-start"]).exits(1));
}

#[test]
fn an_error_result_is_a_failure() {
    let dir = with_command("echo-types", "fail");
    assert_snapshot!(dir.wippy(["run", "echo-types", "boom"]).exits(1));
}

#[test]
fn limits_end_a_program() {
    let dir = dir();
    dir.entries(&format!(
        "{HOSTS}{}{}{}",
        command_with("loop", "run", "    limits: { max_execution_ms: 50 }\n"),
        command_with("memory-bomb", "run", "    limits: { memory_bytes: 1MiB }\n"),
        command("recurse", "run")
    ));
    assert_snapshot!("limit_execution", dir.wippy(["run", "loop"]).exits(1));
    let bomb = dir.wippy(["run", "memory-bomb"]).exits(1);
    assert!(bomb.stderr.starts_with("error: app:memory-bomb: out of memory"), "{bomb}");
    let recursion = dir.wippy(["run", "recurse"]).exits(1);
    assert!(recursion.stderr.contains("call stack is exhausted"), "{recursion}");
}

#[test]
fn what_a_lua_process_returns() {
    for (body, status, printed) in [
        ("return 'text'", 0, "text\n"),
        ("return 7", 7, ""),
        ("return 0", 0, ""),
        ("return false", 1, ""),
        ("return true", 0, ""),
        ("return", 0, ""),
        ("print('a', 1) return 3", 3, "a\t1\n"),
        ("return 1000", 1, ""),
    ] {
        with_lua(body).wippy(["run", "main"]).exits(status).prints(printed).quietly();
    }
}

#[test]
fn arguments_of_a_lua_process_are_text() {
    let dir = with_lua("local a, b = ... return a .. '|' .. b");
    dir.wippy(["run", "main", "--help", "6"]).succeeds().prints("--help|6\n");
}

#[test]
fn an_error_of_a_lua_process() {
    assert_snapshot!(with_lua("error('boom')").wippy(["run", "main"]).exits(1));
}

/// `wippy run list | head -0`: a reader that is gone is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let dir = with_command("hello-wat", "greet");
    let wippy = env!("CARGO_BIN_EXE_wippy");
    for words in [&["run", "hello-wat", "World"][..], &["run", "list"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(wippy)
            .args(words)
            .current_dir(dir.path())
            .env("WIPPY_CACHE_DIR", dir.cache())
            .stdout(writer)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{words:?}");
    }
}
