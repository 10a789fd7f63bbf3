//! What is refused before anything runs, and what is shared.

use std::sync::Arc;

use wippy_model::{Exit, Kind, Value};
use wippy_wasm::BinarySource;

use crate::node::{Node, spec};

#[tokio::test]
async fn a_wrong_hash_is_refused_naming_both() {
    let node = Node::new();
    let mut wrong = spec("compute", None);
    wrong.hash = Some(format!("sha256:{}", "0".repeat(64)));
    let error = node.run(wrong, vec![]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let message = error.message();
    assert!(
        message.starts_with("test:compute: the hash of /compute.wasm does not match: "),
        "{message}"
    );
    assert!(message.contains(&"0".repeat(64)), "{message}");
    assert!(message.ends_with("`wippy hash --write` fills it in"), "{message}");
}

#[tokio::test]
async fn what_is_no_webassembly_is_refused() {
    let node = Node::new();
    let real = std::fs::read(crate::node::guests().join("hello-rust.wasm")).unwrap();
    let rows: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("random", (0..=255).collect()),
        ("truncated", real[..real.len() / 2].to_vec()),
        ("head", real[..8].to_vec()),
        ("flipped", {
            let mut bytes = real.clone();
            bytes[5000] ^= 0xff;
            bytes
        }),
    ];
    for (name, bytes) in rows {
        let mut spec = spec(name, None);
        spec.source = BinarySource::Bytes { name: format!("{name}.wasm"), bytes: bytes.into() };
        let error = node.run(spec, vec![]).await.unwrap_err();
        let message = error.message();
        assert!(message.starts_with(&format!("test:{name}: {name}.wasm ")), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_lists_what_is() {
    let node = Node::new();
    let error = node.run(spec("compute", Some("nothing")), vec![]).await.unwrap_err();
    assert_eq!(
        error.message(),
        "test:compute: /compute.wasm exports no \"nothing\"; it exports: \
         compute: func(a: s32, b: s32) -> s32"
    );
    let error = node.run(spec("compute-core", Some("nothing")), vec![]).await.unwrap_err();
    assert_eq!(
        error.message(),
        "test:compute-core: /compute-core.wasm exports no \"nothing\"; it exports: compute"
    );
}

#[tokio::test]
async fn wrong_arguments_fail_the_spawn() {
    let node = Node::new();
    let error = node.run(spec("compute", None), vec![Value::Int(6)]).await.unwrap_err();
    assert!(error.message().contains("compute: func(a: s32, b: s32) -> s32"), "{error}");
    let args = vec![Value::Int(6), Value::from("x")];
    let error = node.run(spec("compute", None), args).await.unwrap_err();
    assert_eq!(error.message(), "test:compute: argument 2 \"b\": expected s32, got string \"x\"");
}

#[tokio::test]
async fn wit_that_is_wrong_is_refused() {
    let node = Node::new();
    let rows = [
        ("greet-core", "greet: fun(", "cannot be made a component"),
        ("greet-core", "other: func();", "cannot be made a component"),
        ("compute", "compute: func();", "is a component and says its own types"),
    ];
    for (guest, wit, expected) in rows {
        let mut spec = spec(guest, None);
        spec.wit = Some(wit.to_owned());
        let error = node.run(spec, vec![]).await.unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(error.kind(), Kind::Invalid);
    }
}

#[tokio::test]
async fn a_core_method_of_more_than_numbers_asks_for_wit() {
    let node = Node::new();
    let exit = node.run(spec("greet-core", Some("greet")), vec![Value::from("x")]).await;
    let error = exit.unwrap_err();
    assert!(error.message().contains("greet: func(p1: "), "{error}");
}

#[tokio::test]
async fn many_spawns_at_once_share_one_load() {
    let node = Arc::new(Node::new());
    node.add(spec("hello-rust", None));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let node = node.clone();
        tasks.push(tokio::spawn(async move {
            let args = vec![Value::from("World")];
            let (_, watch) = node.spawn(crate::node::PROCESSES, "hello-rust", args).await.unwrap();
            watch.await
        }));
    }
    for task in tasks {
        assert_eq!(*task.await.unwrap(), Exit::Normal(Value::from("Hello, World!")));
    }
}
