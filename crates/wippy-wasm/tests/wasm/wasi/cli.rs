//! `wasi:cli`: arguments, environment, working directory, streams, terminals, exits.

use wippy_model::{Exit, Value};
use wippy_wasm::EnvVar;

use super::{Lab, texts};
use crate::node::{Node, TERMINAL, id, spec};

/// A variable of the node.
fn variable(name: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), id: id(&format!("test:{name}")), required: false }
}

#[tokio::test]
async fn args_are_the_program_then_the_entrys() {
    let lab = Lab::new();
    let mut spec = lab.spec("wasi-rust");
    spec.args = vec!["--input".to_owned(), "/data/a b.csv".to_owned()];
    // The arguments of the spawn are the method's own: they are not here.
    assert_eq!(lab.run_bare(spec, &["args"]).await, ["wasi-rust|--input|/data/a b.csv"]);
}

#[tokio::test]
async fn a_command_gets_the_spawns_arguments_last() {
    for guest in ["posix-c", "posix-c-component"] {
        let lab = Lab::new();
        let mut spec = lab.spec(guest);
        spec.args = vec!["env NONE".to_owned()];
        let (_, lines) = lab.command(spec, &["open 0 r /data/none", "tty"]).await;
        assert_eq!(lines, ["none", "!ENOENT", "0 0 0"], "{guest}");
    }
}

#[tokio::test]
async fn the_environment_is_the_entrys_alone() {
    let lab = Lab::new();
    let mut spec = lab.spec("wasi-rust");
    assert_eq!(lab.run_bare(spec.clone(), &["env", "cwd"]).await, ["", "!none"]);
    spec.env = vec![variable("ONE"), variable("EMPTY"), variable("TWO")];
    assert_eq!(lab.run_bare(spec, &["env"]).await, ["ONE=1|EMPTY=|TWO=a=b c"]);
    let mut spec = lab.spec("posix-c");
    spec.env = vec![variable("ONE")];
    let (_, lines) = lab.command(spec, &["env ONE", "env PATH"]).await;
    assert_eq!(lines, ["1", "none"]);
}

#[tokio::test]
async fn the_working_directory_is_told() {
    let lab = Lab::new();
    let mut spec = lab.spec("wasi-rust");
    spec.cwd = Some("/app".to_owned());
    assert_eq!(lab.run_bare(spec.clone(), &["cwd", "env"]).await, ["/app", "PWD=/app"]);
    spec.env = vec![variable("PWD")];
    assert_eq!(lab.run_bare(spec, &["cwd", "env"]).await, ["/app", "PWD=/own"]);
    // Preview1 cannot ask; the variable is what it has.
    let mut spec = lab.spec("posix-c");
    spec.cwd = Some("/app".to_owned());
    let (_, lines) = lab.command(spec, &["env PWD"]).await;
    assert_eq!(lines, ["/app"]);
}

#[tokio::test]
async fn stdin_is_empty_on_a_process_host() {
    let lab = Lab::new();
    let lines = ["stdin s", "input-ready s", "read-wait s 10", "read-wait s 10"];
    let answers = lab.script(&lines).await;
    assert_eq!(answers, ["ok", "true", "!closed", "!closed"]);
}

#[tokio::test]
async fn stdin_ends_on_a_terminal_host() {
    let lab = Lab { node: Node::with_stdin("four lines"), ..Lab::new() };
    let lines = ["stdin s", "input-block s", "read-wait s 4", "drain s", "read-wait s 4"];
    let exit = lab.exit_on(TERMINAL, lab.spec("wasi-rust"), &lines).await;
    assert_eq!(exit, Exit::Normal(texts(&["ok", "ok", "four", "6", "!closed"])));
    for guest in ["posix-c", "posix-c-component"] {
        let lab = Lab { node: Node::with_stdin("hello"), ..Lab::new() };
        let (_, lines) = lab.command(lab.spec(guest), &["stdin", "stdin"]).await;
        assert_eq!(lines, ["hello<5>", "<0>"], "{guest}");
    }
}

#[tokio::test]
async fn output_comes_in_order() {
    let lab = Lab::new();
    let lines = [
        "stdout o",
        "stderr e",
        "line o one",
        "line e two",
        "write-wait o thr",
        "line o ee",
        "flush-wait o",
        "check-write o",
    ];
    let exit = lab.exit_on(TERMINAL, lab.spec("wasi-rust"), &lines).await;
    assert!(exit.is_normal(), "{exit}");
    assert_eq!(lab.node.stdout.text(), "one\nthree\n");
    assert_eq!(lab.node.stderr.text(), "two\n");
}

#[tokio::test]
async fn memory_and_the_log_are_no_terminals() {
    let lab = Lab::new();
    assert_eq!(lab.script(&["terminals"]).await, ["false false false"]);
    let exit = lab.exit_on(TERMINAL, lab.spec("wasi-rust"), &["terminals"]).await;
    assert_eq!(exit, Exit::Normal(texts(&["false false false"])));
}

#[tokio::test]
async fn exits_are_kept() {
    let lab = Lab::new();
    let rows = [
        ("exit ok", Exit::Normal(Value::Nil)),
        ("exit err", Exit::Code(1)),
        ("exit-with-code 0", Exit::Normal(Value::Nil)),
        ("exit-with-code 7", Exit::Code(7)),
        ("exit-with-code 255", Exit::Code(255)),
    ];
    for (line, expected) in rows {
        // What comes after an exit does not run.
        let exit = lab.exit(lab.spec("wasi-rust"), &[line, "no such line"]).await;
        assert_eq!(exit, expected, "{line}");
    }
    let (exit, _) = lab.command(lab.spec("posix-c"), &["exit 42"]).await;
    assert_eq!(exit, Exit::Code(42));
    // The adapter has success and failure alone.
    let (exit, _) = lab.command(lab.spec("posix-c-component"), &["exit 42"]).await;
    assert_eq!(exit, Exit::Code(1));
}

/// The lines of a script that traps are of no use to anyone, but the trap is an exit.
#[tokio::test]
async fn a_panic_is_a_trap() {
    let lab = Lab::new();
    let exit = lab.exit(lab.spec("wasi-rust"), &["no such line"]).await;
    assert!(matches!(exit, Exit::Trap(_)), "{exit}");
    let exit = lab.node.run(spec("posix-c", None), vec![]).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Nil));
}
