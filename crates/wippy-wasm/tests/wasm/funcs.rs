//! `wippy:runtime/funcs`: guests in Rust and C call functions of the node.

use std::time::Duration;

use wippy_kernel::DEPTH_MAX;
use wippy_model::{Exit, Kind, Limits, Value};
use wippy_wasm::Grants;

use crate::node::{Node, spec};

const CALLERS: [&str; 2] = ["call-rust", "call-c"];

fn granted(guest: &str, method: &str) -> wippy_wasm::WasmSpec {
    let mut spec = spec(guest, Some(method));
    spec.grants = Grants { funcs: true, ..Grants::default() };
    spec
}

/// A node with functions: `test:echo`, `test:trap`, `test:nest` (calls itself through the
/// guest), `test:numbers`, `test:bytes` and `test:slow`.
fn node() -> Node {
    let node = Node::new();
    node.add_function("echo", granted("call-rust", "echo"));
    node.add_function("trap", granted("call-rust", "trap"));
    node.add_function("nest", granted("call-rust", "call"));
    node.add_function("numbers", spec("compute", Some("compute")));
    node.add_function("again", granted("call-rust", "again"));
    node.add_function("bytes", granted("call-rust", "call-bytes"));
    let mut slow = granted("call-rust", "spin");
    slow.limits = Limits { execution_max: Some(Duration::from_millis(30)), ..Limits::default() };
    node.add_function("slow", slow);
    node
}

fn call(target: &str, input: &str) -> Vec<Value> {
    vec![Value::from(target), Value::from(input)]
}

#[tokio::test]
async fn a_text_goes_there_and_back() {
    for guest in CALLERS {
        let exit = node().run(granted(guest, "call"), call("test:echo", "a text")).await.unwrap();
        assert_eq!(exit, Exit::Normal(Value::from("Rust got a text")), "{guest}");
        // A name without a namespace is one of the guest's own.
        let exit = node().run(granted(guest, "call"), call("echo", "")).await.unwrap();
        assert_eq!(exit, Exit::Normal(Value::from("Rust got ")), "{guest}");
    }
}

#[tokio::test]
async fn bytes_go_there_and_anything_comes_back_as_json() {
    for guest in CALLERS {
        let node = node();
        let args = vec![Value::from("test:echo"), Value::Bytes(b"bytes".to_vec())];
        let exit = node.run(granted(guest, "call-bytes"), args).await.unwrap();
        assert_eq!(exit, Exit::Normal(Value::Bytes(b"Rust got bytes".to_vec())), "{guest}");
        // A function's result is data.
        let exit = node.run(granted(guest, "call"), call("test:nest", "x")).await.unwrap();
        let error = exit.error().unwrap();
        assert!(error.message().contains("test:nest: call takes 2 arguments, got 1"), "{error}");
        let exit = node.run(granted(guest, "call"), call("test:again", "test:echo")).await.unwrap();
        let json = r#"{"ok":"Rust got test:echo"}"#;
        assert_eq!(exit, Exit::Normal(Value::from(json)), "{guest}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_the_err_of_the_result() {
    let rows = [
        ("test:none", "there is no function entry test:none; function entries: test:again, "),
        ("not an id", "\"test:not an id\" is no entry ID: write it as namespace:name"),
        ("test:trap", "test:trap trapped: "),
        ("test:numbers", "test:numbers: compute takes 2 arguments, got 1"),
        ("test:slow", "test:slow did not end within 30 ms (limits.max_execution_ms)"),
    ];
    for guest in CALLERS {
        let node = node();
        for (target, expected) in rows {
            let exit = node.run(granted(guest, "call"), call(target, "x")).await.unwrap();
            let Exit::Failed(error) = &exit else { panic!("{guest} {target}: {exit}") };
            assert!(error.message().contains(expected), "{guest} {target}: {error}");
        }
    }
}

#[tokio::test]
async fn one_function_after_another() {
    let targets = Value::List(vec![Value::from("echo"), Value::from("echo")]);
    let args = vec![targets, Value::from("x")];
    let exit = node().run(granted("call-rust", "chain"), args).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::from("Rust got Rust got x")));
}

#[tokio::test]
async fn without_the_grant_it_traps_and_names_the_line() {
    for guest in CALLERS {
        let exit = node().run(spec(guest, Some("call")), call("test:echo", "x")).await.unwrap();
        let Exit::Trap(error) = &exit else { panic!("{exit}") };
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert_eq!(
            error.message(),
            format!(
                "test:{guest} called wippy:runtime/funcs@0.1.0#call-string, which it is not \
                 granted: add imports: [funcs] to the entry"
            )
        );
    }
}

#[tokio::test]
async fn guests_that_call_guests_are_ended_at_a_depth() {
    let node = Node::new();
    node.add_function("again", granted("call-rust", "again"));
    let exit = node.run(granted("call-rust", "call"), call("test:again", "test:again")).await;
    let Exit::Normal(Value::String(text)) = exit.unwrap() else { panic!("no text") };
    let expected = format!("functions call each other {DEPTH_MAX} deep already");
    assert!(text.contains(&expected), "{text}");
    // The error went through every function as data.
    assert_eq!(text.matches("ok").count() + 1, DEPTH_MAX as usize, "{text}");
}

#[tokio::test]
async fn a_busy_function_gives_way_and_ends_with_its_caller() {
    let node = Node::new();
    node.add_function("busy", granted("call-rust", "spin"));
    node.add(granted("call-rust", "call"));
    let (pid, watch) =
        node.spawn(crate::node::PROCESSES, "call-rust", call("test:busy", "x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    // One worker, and it is free for others.
    let exit = node.run(spec("compute", Some("compute")), vec![6.into(), 7.into()]).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(42)));
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}
