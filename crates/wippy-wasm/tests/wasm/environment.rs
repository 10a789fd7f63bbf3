//! The environment of guests: what a spawn sees.

use std::collections::HashMap;
use std::sync::Arc;

use wippy_host::{Storage, Variable, Variables};
use wippy_model::{Exit, Kind, Value};
use wippy_wasm::{EnvVar, WasmSpec};

use crate::node::{Node, TERMINAL, id, spec};

/// The variable `test:name`, in memory and without a value.
fn variables() -> Arc<Variables> {
    let mut variables = Variables::default();
    variables.add_storage(id("test:memory"), Storage::Memory(HashMap::new()));
    let storage = id("test:memory");
    let variable = Variable { name: "N".to_owned(), storage, default: None, readonly: false };
    variables.add(id("test:name"), variable);
    Arc::new(variables)
}

fn guest(name: &str, required: bool) -> WasmSpec {
    let variable = EnvVar { name: "NAME".to_owned(), id: id("test:name"), required };
    WasmSpec { env: vec![variable], ..spec(name, Some("run")) }
}

#[tokio::test]
async fn a_spawn_sees_the_value_of_its_moment() {
    for name in ["cli-args", "cli-component"] {
        let variables = variables();
        let node = Node::with_variables(variables.clone());
        node.add(guest(name, false));
        for value in ["first", "second", ""] {
            variables.set(&id("test:name"), value).unwrap();
            let (_, watch) = node.spawn(TERMINAL, name, Vec::new()).await.unwrap();
            assert_eq!(*watch.await, Exit::Normal(Value::Nil));
        }
        let printed = node.stdout.text();
        assert_eq!(printed, "NAME=first\nNAME=second\nNAME=\n", "{name}");
    }
}

#[tokio::test]
async fn a_missing_value_fails_the_spawn_where_it_is_required() {
    let variables = variables();
    let node = Node::with_variables(variables.clone());
    node.add(guest("cli-args", true));
    let error = node.spawn(TERMINAL, "cli-args", Vec::new()).await.unwrap_err();
    let expected = "test:cli-args: the required variable NAME (test:name) has no value: set it, or \
                    give its env.variable a default";
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, expected));
    assert_eq!(node.kernel.process_count(), 0);
    variables.set(&id("test:name"), "now").unwrap();
    let (_, watch) = node.spawn(TERMINAL, "cli-args", Vec::new()).await.unwrap();
    assert_eq!(*watch.await, Exit::Normal(Value::Nil));
    assert_eq!(node.stdout.text(), "NAME=now\n");
}
