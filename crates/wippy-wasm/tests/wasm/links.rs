//! Guests written in place: what links, what is counted.

use wippy_model::{Exit, Kind, Limits, Value};
use wippy_wasm::{BinarySource, WasmSpec};

use crate::node::{Node, spec};

fn guest(name: &str, text: &str) -> WasmSpec {
    let mut spec = spec(name, Some("run"));
    let bytes = wat::parse_str(text).unwrap();
    spec.source = BinarySource::Bytes { name: format!("{name}.wat"), bytes: bytes.into() };
    spec
}

#[tokio::test]
async fn an_interface_that_takes_a_resource_of_wasi_links_and_traps_when_called() {
    let node = Node::new();
    let guest = guest(
        "actor",
        r#"
        (component $C
          (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type (sub resource)))))
          (alias export $poll "pollable" (type $p))
          (import "wippy:actor/process@0.1.0" (instance $actor
            (alias outer $C $p (type $pp))
            (export "pollable" (type $q (eq $pp)))
            (export "subscribe" (func (result (own $q))))))
          (core func $subscribe (canon lower (func $actor "subscribe")))
          (core module $m
            (import "actor" "subscribe" (func $s (result i32)))
            (func (export "run") (drop (call $s))))
          (core instance $i (instantiate $m
            (with "actor" (instance (export "subscribe" (func $subscribe))))))
          (func (export "run") (canon lift (core func $i "run"))))
        "#,
    );
    let exit = node.run(guest, vec![]).await.unwrap();
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(
        error.message(),
        "test:actor called wippy:actor/process@0.1.0#subscribe, which it is not granted: add \
         imports: [wippy:actor] to the entry"
    );
}

#[tokio::test]
async fn a_growth_past_the_memorys_own_maximum_is_not_counted() {
    let node = Node::new();
    let mut guest = guest(
        "grow",
        "(module (memory 1 2) (func (export \"run\") (result i32) (local i32)
           (loop $again
             (drop (memory.grow (i32.const 1000)))
             (br_if $again (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
               (i32.const 1000))))
           (memory.grow (i32.const 1))))",
    );
    guest.limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(node.run(guest, vec![]).await.unwrap(), Exit::Normal(Value::Int(1)));
}

#[tokio::test]
async fn a_refused_growth_that_the_guest_survives_blames_nobody() {
    let node = Node::new();
    let text = |then: &str| {
        format!(
            "(module (memory 1) (func (export \"run\") (result i32)
               (drop (memory.grow (i32.const 1000))) {then}))"
        )
    };
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let mut divides = guest("divides", &text("(i32.div_u (i32.const 1) (i32.const 0))"));
    divides.limits = limits.clone();
    let exit = node.run(divides, vec![]).await.unwrap();
    assert!(matches!(exit, Exit::Trap(_)), "{exit:?}");
    let mut returns = guest("returns", &text("(i32.const 7)"));
    returns.limits = limits;
    assert_eq!(node.run(returns, vec![]).await.unwrap(), Exit::Normal(Value::Int(7)));
}

#[tokio::test]
async fn what_is_larger_than_a_place_of_the_pool_runs_all_the_same() {
    let node = Node::new();
    let guest = guest(
        "tables",
        "(module (table 60000 funcref) (memory 1)
           (func (export \"run\") (result i32) (table.size 0)))",
    );
    assert_eq!(node.run(guest, vec![]).await.unwrap(), Exit::Normal(Value::Int(60_000)));
}

#[tokio::test]
async fn what_cannot_be_linked_is_refused_at_load() {
    let node = Node::new();
    let guest =
        guest("imports", "(module (import \"env\" \"memory\" (memory 1)) (func (export \"run\")))");
    let error = node.run(guest, vec![]).await.unwrap_err();
    let start = "test:imports: imports.wat cannot be linked: ";
    assert!(error.message().starts_with(start), "{error}");
}
