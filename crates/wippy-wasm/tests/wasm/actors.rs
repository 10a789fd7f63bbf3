//! `wippy:actor` and `wippy:process`: what guests in C, in Rust and on the concurrent engine
//! get, and what becomes of bad input. How processes behave is tested in `wippy-testkit`.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wippy_kernel::{HostSpec, Scheduler};
use wippy_model::{Context, Exit, Kind, Limits, Message, Pid, Value};
use wippy_wasm::{BinarySource, Grants, WasmSpec};

use crate::node::{Node, PROCESSES, id, spec};

/// An entry `test:NAME` on a guest, with all of its grants.
pub(crate) fn actor(name: &str, guest: &str, method: &str) -> WasmSpec {
    let mut spec = spec(guest, Some(method));
    spec.id = id(&format!("test:{name}"));
    spec.grants =
        Grants { actor: true, process: true, funcs: true, sockets: true, ..Grants::default() };
    spec
}

fn texts<const N: usize>(args: [&str; N]) -> Vec<Value> {
    args.map(Value::from).to_vec()
}

pub(crate) fn send(node: &Node, to: &Pid, topic: &str, payloads: Vec<Value>) {
    let message =
        Message { from: None, topic: topic.into(), payloads, context: Context::default() };
    node.kernel.send(to, message).unwrap();
}

fn value(exit: &Exit) -> &str {
    match exit {
        Exit::Normal(Value::String(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_send_that_is_wrong_says_what_is() {
    let node = Node::new();
    let nested = "[".repeat(200);
    let many = format!("[{}0]", "0,".repeat(100_000));
    let rows: [(&str, &str, &[u8], &str); 8] = [
        ("nobody", "text", b"x", "cannot send to nobody: no process is registered as \"nobody\""),
        (
            "{x",
            "text",
            b"x",
            "cannot send to {x: \"{x\" is no PID: a PID looks like {node@namespace:host|1a2b.3}",
        ),
        (
            "nobody",
            "xml",
            b"x",
            "payload 1: there is no format \"xml\": formats are \"bytes\", \"text\" and \"json\"",
        ),
        (
            "nobody",
            "",
            b"",
            "payload 1: there is no format \"\": formats are \"bytes\", \"text\" and \"json\"",
        ),
        (
            "nobody",
            "text",
            b"a\xff",
            "payload 1: a text must be UTF-8, and byte 1 is not: send it as \"bytes\"",
        ),
        (
            "nobody",
            "json",
            b"[1,",
            "payload 1: this is no JSON: EOF while parsing a value at line 1 column 3",
        ),
        (
            "nobody",
            "json",
            nested.as_bytes(),
            "payload 1: this is no JSON: recursion limit exceeded at line 1 column 128",
        ),
        (
            "nobody",
            "json",
            many.as_bytes(),
            "payload 1: the values take more than limits.host_buffer_bytes allows",
        ),
    ];
    for (target, format, data, expected) in rows {
        let mut guest = actor("sends", "actor-c", "send");
        guest.limits = Limits { host_buffer_bytes: 1 << 20, ..Limits::default() };
        let mut args = texts([target, "topic", format]);
        args.push(Value::Bytes(data.to_vec()));
        assert_eq!(value(&node.run(guest, args).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn without_their_grants_both_interfaces_trap() {
    let rows = [
        ("actor-c", "whoami", "wippy:actor/process@0.1.0#self", "wippy:actor"),
        ("actor-c", "echo", "wippy:actor/process@0.1.0#receive", "wippy:actor"),
        ("actor-c", "echo-polled", "wippy:actor/process@0.1.0#subscribe", "wippy:actor"),
        ("actor-async", "echo", "wippy:actor/process@0.1.0#receive", "wippy:actor"),
        (
            "actor-behaviours",
            "sleeps",
            "wippy:process/processes@0.1.0#receive-event",
            "wippy:process",
        ),
        (
            "actor-behaviours",
            "link-trapped",
            "wippy:process/processes@0.1.0#set-options",
            "wippy:process",
        ),
        ("actor-behaviours", "exec-value", "wippy:process/processes@0.1.0#exec", "wippy:process"),
    ];
    let node = Node::new();
    for (guest, method, import, grant) in rows {
        let mut spec = spec(guest, Some(method));
        // One grant is not the other.
        spec.grants.process = grant == "wippy:actor";
        spec.grants.actor = grant == "wippy:process";
        let Exit::Trap(error) = node.run(spec, vec![]).await.unwrap() else { panic!("no trap") };
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert_eq!(
            error.message(),
            format!(
                "test:{guest} called {import}, which it is not granted: add imports: [{grant}] \
                 to the entry"
            )
        );
    }
}

#[tokio::test]
async fn guests_of_either_engine_and_language_answer_each_other() {
    let node = Node::new();
    node.add(actor("c", "actor-c", "echo"));
    node.add(actor("polled", "actor-c", "echo-polled"));
    node.add(actor("async", "actor-async", "echo"));
    node.add(actor("rust", "actor-behaviours", "echo"));
    for entry in ["test:c", "polled", "async", "rust"] {
        let asks = actor("asks", "actor-async", "asks");
        let exit = node.run(asks, texts([entry, "a question"])).await.unwrap();
        assert_eq!(value(&exit), "a question ended", "{entry}");
    }
}

#[tokio::test]
async fn each_value_has_its_format() {
    let node = Node::new();
    node.add(actor("echo", "actor-behaviours", "echo"));
    let rows = [
        (Value::from("ä"), "ä"),
        (Value::Bytes(b"bytes".to_vec()), "bytes"),
        (Value::Nil, "null"),
        (Value::Int(-1), "-1"),
        (Value::from(u64::MAX), "18446744073709551615"),
        (Value::Float(f64::NAN), "null"),
        (Value::List(vec![Value::Bytes(vec![0, 255]), Value::Null]), "[[0,255],null]"),
        (Value::map([("b", Value::from("x")), ("a", Value::Bool(true))]), r#"{"b":"x","a":true}"#),
    ];
    for (sent, expected) in rows {
        let (pid, watch) = node.spawn(PROCESSES, "echo", vec![]).await.unwrap();
        send(&node, &pid, "stop", vec![sent]);
        assert_eq!(value(&*watch.await), expected);
    }
}

#[tokio::test]
async fn deep_values_and_large_ones_do_no_harm() {
    let deep = (0..126).fold(Value::Int(1), |value, _| Value::List(vec![value]));
    let node = Node::density();
    let mut guest = actor("echo", "actor-behaviours", "echo");
    guest.limits = Limits { host_buffer_bytes: 1 << 20, ..Limits::default() };
    node.add(guest);
    let (pid, watch) = node.spawn(PROCESSES, "echo", vec![]).await.unwrap();
    send(&node, &pid, "stop", vec![deep]);
    assert_eq!(value(&*watch.await), format!("{}1{}", "[".repeat(126), "]".repeat(126)));
    // Bytes in a list take up to four characters each.
    let (pid, watch) = node.spawn(PROCESSES, "echo", vec![]).await.unwrap();
    send(&node, &pid, "x", vec![Value::List(vec![Value::Bytes(vec![255; 1 << 20])])]);
    let error = watch.await.error().unwrap();
    let expected = "payload 1 (limits.host_buffer_bytes): the value takes more than 1048576 bytes \
                    as JSON";
    assert!(error.message().contains(expected), "{error}");
}

#[tokio::test]
async fn a_function_has_no_mailbox() {
    let node = Node::new();
    node.add_function("tries", actor("tries", "actor-c", "try-both"));
    let mut caller = spec("call-rust", Some("call"));
    caller.grants.funcs = true;
    let exit = node.run(caller, texts(["test:tries", "x"])).await.unwrap();
    let error = |what: &str| {
        format!(
            "{what}: a function has no mailbox, and test:tries is called as one; messages and \
             events go to the process that calls it"
        )
    };
    assert_eq!(value(&exit), format!("{}\n{}", error("try-receive"), error("receive")));
}

#[tokio::test]
async fn the_concurrent_engine_waits_executes_and_upgrades() {
    let node = Node::new();
    node.add(actor("value", "actor-behaviours", "value"));
    node.add(actor("fails", "actor-behaviours", "fails"));
    let run = |method: &str, args| node.run(actor("guest", "actor-async", method), args);
    assert_eq!(value(&run("executes", texts(["value", "v"])).await.unwrap()), "v");
    assert_eq!(value(&run("becomes", texts(["value", "new"])).await.unwrap()), "new");
    let waits = run("waits", vec![Value::Int(5_000_000)]).await.unwrap();
    assert_eq!(value(&waits), "it came");
    let Exit::Failed(error) = run("becomes", texts(["fails", "broken"])).await.unwrap() else {
        panic!("no failure")
    };
    assert!(error.message().contains("test:fails failed: broken"), "{error}");
}

#[tokio::test]
async fn an_upgrade_needs_no_second_place_on_its_host() {
    for profile in [HostSpec::new, HostSpec::density] {
        let node = Node::with_host(|host| {
            *host = profile(host.id.clone());
            host.processes_max = 1;
            host.scheduler = Scheduler::Own { workers: 1 };
        });
        node.add(actor("value", "actor-behaviours", "value"));
        for _ in 0..50 {
            let guest = actor("guest", "actor-async", "becomes");
            let exit = node.run(guest, texts(["value", "new"])).await.unwrap();
            assert_eq!(value(&exit), "new");
        }
    }
}

#[tokio::test]
async fn without_a_host_that_of_the_entry_counts_and_then_its_own() {
    let node = Node::new();
    node.kernel.add_host(HostSpec::new(id("test:second")));
    node.add(actor("sleeps", "actor-behaviours", "sleeps"));
    let spawns = actor("spawns", "actor-behaviours", "call-timeout");
    let hosts = || node.kernel.processes().into_iter().map(|process| process.pid.host().clone());
    assert_eq!(value(&node.run(spawns.clone(), vec![]).await.unwrap()), "done");
    assert_eq!(hosts().collect::<Vec<_>>(), [id(PROCESSES)]);
    node.kernel.set_default_host(id("test:sleeps"), id("test:second"));
    assert_eq!(value(&node.run(spawns, vec![]).await.unwrap()), "done");
    assert_eq!(hosts().filter(|host| *host == id("test:second")).count(), 1);
}

#[tokio::test]
async fn what_fails_in_an_upgrade_is_the_exit() {
    let node = Node::new();
    node.add(actor("trap", "trap", "run"));
    node.add(spec("compute", Some("compute")));
    let becomes = |entry| node.run(actor("guest", "actor-async", "becomes"), texts([entry, "x"]));
    // The trap takes no argument.
    let exit = becomes("trap").await.unwrap();
    let Exit::Config(error) = &exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "cannot upgrade test:trap: test:trap: run takes no arguments, got 1; the signature is \
         run: func()"
    );
    let exit = becomes("compute").await.unwrap();
    assert!(matches!(&exit, Exit::Config(_)), "{exit:?}");
    let mut binary = actor("broken", "actor-behaviours", "value");
    binary.hash = Some(format!("sha256:{}", "0".repeat(64)));
    node.add(binary);
    let exit = becomes("broken").await.unwrap();
    assert!(matches!(&exit, Exit::Config(_)), "{exit:?}");
    node.add(actor("again", "call-rust", "trap"));
    let exit = becomes("again").await.unwrap();
    let Exit::Trap(error) = &exit else { panic!("{exit:?}") };
    assert!(error.message().starts_with("test:again trapped: "), "{error}");
}

#[tokio::test]
async fn whoever_is_terminated_while_it_waits_leaves_nothing_behind() {
    let node = Node::new();
    node.add(actor("sleeps", "actor-behaviours", "sleeps"));
    node.add(actor("named", "actor-behaviours", "named"));
    let rows = [
        ("receive", "actor-behaviours", "echo", vec![]),
        ("event", "actor-behaviours", "sleeps", vec![]),
        ("exec", "actor-behaviours", "executes", texts(["named", "executed"])),
        ("exec-async", "actor-async", "executes", texts(["named", "executed"])),
        ("call", "actor-behaviours", "call-timeout", vec![]),
        ("poll", "actor-poll", "block", vec![]),
        ("waits", "actor-async", "waits", vec![Value::Int(i64::MAX)]),
    ];
    for (name, guest, method, args) in rows {
        node.add(actor(name, guest, method));
        for wait_us in [0, 100, 1_000, 20_000] {
            let (pid, watch) = node.spawn(PROCESSES, name, args.clone()).await.unwrap();
            sleep(Duration::from_micros(wait_us)).await;
            // It may have ended by itself.
            let _ = node.kernel.terminate(&pid);
            watch.await;
        }
        for process in node.kernel.processes() {
            // What it started and does not execute goes on.
            if process.entry == id("test:sleeps") {
                node.kernel.terminate(&process.pid).unwrap();
            }
        }
        let gone = async {
            while node.kernel.process_count() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(5), gone).await.unwrap_or_else(|_| panic!("{name}"));
        assert!(node.kernel.lookup("executed").is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_core_module_with_wit_may_import_them() {
    let node = Node::new();
    let text = r#"(module
        (import "wippy:actor/process@0.1.0" "self" (func $self (param i32)))
        (import "wippy:process/processes@0.1.0" "lookup"
          (func $lookup (param i32 i32 i32)))
        (memory (export "memory") 1)
        (global $free (mut i32) (i32.const 1024))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (global.get $free)
          (global.set $free (i32.add (global.get $free) (local.get 3))))
        (func (export "run") (result i32) (call $self (i32.const 16)) (i32.const 16)))"#;
    let mut guest = actor("core", "core", "run");
    let bytes = wat::parse_str(text).unwrap();
    guest.source = BinarySource::Bytes { name: "core.wat".to_owned(), bytes: bytes.into() };
    guest.wit = Some(
        "import wippy:actor/process@0.1.0; import wippy:process/processes@0.1.0; \
         run: func() -> string;"
            .to_owned(),
    );
    let exit = node.run(guest, vec![]).await.unwrap();
    assert!(Pid::parse(value(&exit)).is_ok(), "{exit:?}");
}
