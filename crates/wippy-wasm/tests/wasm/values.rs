//! Values through a real guest: each function of `guests/echo-types` gives back what it got.

#![allow(clippy::unwrap_used, clippy::panic)]

use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Engine, Store};
use wippy_model::Value;
use wippy_wasm::value::{Method, Returned, Signature, wave};

struct Guest {
    engine: Engine,
    component: Component,
}

impl Guest {
    fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/built/echo-types.wasm");
        let engine = Engine::default();
        let component = Component::from_file(&engine, path).unwrap();
        Self { engine, component }
    }

    fn instantiate(&self) -> (Store<()>, Instance) {
        let mut store = Store::new(&self.engine, ());
        let mut linker = Linker::new(&self.engine);
        linker.define_unknown_imports_as_traps(&self.component).unwrap();
        let instance = linker.instantiate(&mut store, &self.component).unwrap();
        (store, instance)
    }

    /// Calls a function of the root, in an instance of its own.
    async fn call(&self, name: &str, args: Vec<Value>) -> (Method, Returned) {
        let (mut store, instance) = self.instantiate();
        let func = instance.get_func(&mut store, name).unwrap();
        let method = Method::new(Signature::new(name, &func.ty(&store)).unwrap());
        let prepared = method.prepare(args).unwrap_or_else(|error| panic!("{name}: {error}"));
        let returned = method.call(&mut store, &func, prepared).await.unwrap();
        (method, returned)
    }
}

fn json(text: &str) -> Value {
    Value::parse_json(text).unwrap()
}

fn item(note: Value) -> Value {
    Value::map([
        ("name", Value::from("größe")),
        ("tag-count", Value::Int(3)),
        ("note", note),
        ("position", json(r#"{"x": -1, "y": 2147483647}"#)),
    ])
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let guest = Guest::load();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (function, values) in [
        ("echo-bool", vec![json("true"), json("false")]),
        ("echo-u8", vec![json("0"), json("255")]),
        ("echo-u16", vec![json("65535")]),
        ("echo-u32", vec![json("4294967295")]),
        ("echo-u64", vec![json("18446744073709551615"), json("9007199254740993")]),
        ("echo-s8", vec![json("-128"), json("127")]),
        ("echo-s16", vec![json("-32768")]),
        ("echo-s32", vec![json("-2147483648")]),
        ("echo-s64", vec![json("-9223372036854775808"), json("9223372036854775807")]),
        ("echo-f32", vec![Value::Float(0.5), Value::Float(f64::INFINITY)]),
        ("echo-f64", vec![Value::Float(0.1), Value::Float(f64::MIN)]),
        ("echo-char", vec![json(r#""ä""#), json(r#""😀""#), json(r#""\u0000""#)]),
        ("echo-string", vec![json(r#""""#), json(r#""a\u0000ä😀""#)]),
        ("echo-bytes", vec![Value::Bytes(vec![]), Value::Bytes(bytes)]),
        ("echo-strings", vec![json("[]"), json(r#"["", "ä", "b"]"#)]),
        ("echo-numbers", vec![json("[]"), json("[1, 4294967295]")]),
        ("echo-record", vec![item(Value::Nil), item(Value::from(""))]),
        ("echo-records", vec![json("[]"), Value::List(vec![item(Value::from("n")); 3])]),
        ("echo-tuple", vec![json(r#"[1, "two", true]"#)]),
        (
            "echo-variant",
            vec![
                json(r#""nothing""#),
                Value::map([("circle", Value::Float(1.5))]),
                json(r#"{"polygon": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}"#),
                Value::map([("labelled-shape", item(Value::Nil))]),
            ],
        ),
        ("echo-enum", vec![json(r#""red""#), json(r#""dark-blue""#)]),
        ("echo-flags", vec![json("{}"), json(r#"{"read": true, "run-as-root": true}"#)]),
        ("echo-option", vec![Value::Nil, json(r#""""#), json(r#""some""#)]),
        ("echo-nested-option", vec![Value::Nil, Value::Null, json("7")]),
        ("echo-result", vec![json(r#"{"ok": 1}"#), json(r#"{"err": "no"}"#)]),
        ("echo-result-err", vec![json(r#"{"ok": true}"#), json(r#"{"err": "no"}"#)]),
        ("echo-result-ok", vec![json(r#"{"ok": 1}"#), json(r#"{"err": true}"#)]),
        ("echo-result-empty", vec![json(r#"{"ok": true}"#), json(r#"{"err": true}"#)]),
    ] {
        for value in values {
            let (method, returned) = guest.call(function, vec![value.clone()]).await;
            assert_eq!(returned.clone().into_data(), value, "{function}");
            let ty = method.signature().result.as_ref().unwrap();
            let text = wave::print(&value, Some(ty));
            assert_eq!(wave::parse(&text, ty).unwrap(), value, "{function}: {text}");
        }
    }
}

#[tokio::test]
async fn other_forms_come_out_in_the_one_form() {
    let guest = Guest::load();
    for (function, given, back) in [
        ("echo-u8", Value::Float(7.0), json("7")),
        ("echo-f64", json("7"), Value::Float(7.0)),
        ("echo-bytes", json(r#""text""#), Value::Bytes(b"text".to_vec())),
        ("echo-bytes", json("[1, 2]"), Value::Bytes(vec![1, 2])),
        ("echo-strings", json("{}"), json("[]")),
        ("echo-enum", json("2"), json(r#""dark-blue""#)),
        ("echo-flags", json(r#"["write", "read"]"#), json(r#"{"read": true, "write": true}"#)),
        ("echo-variant", json(r#"{"nothing": true}"#), json(r#""nothing""#)),
        ("echo-option", Value::Null, Value::Nil),
        (
            "echo-record",
            json(r#"{"tag_count": 3, "position": {"y": 2, "x": 1}, "name": "n"}"#),
            Value::map([
                ("name", Value::from("n")),
                ("tag-count", Value::Int(3)),
                ("note", Value::Nil),
                ("position", json(r#"{"x": 1, "y": 2}"#)),
            ]),
        ),
    ] {
        let (_, returned) = guest.call(function, vec![given]).await;
        assert_eq!(returned.into_data(), back, "{function}");
    }
}

#[tokio::test]
async fn results_and_no_result() {
    let guest = Guest::load();
    let (method, returned) = guest.call("fail", vec![Value::from("no")]).await;
    assert!(method.is_typed());
    assert_eq!(returned.clone().into_data(), json(r#"{"err": "no"}"#));
    assert_eq!(returned.into_exit(method.signature()), Err(Value::from("no")));
    let (method, returned) = guest.call("ok", vec![Value::from("yes")]).await;
    assert_eq!(returned.into_exit(method.signature()), Ok(Value::from("yes")));
    let (_, returned) = guest.call("none", vec![]).await;
    assert_eq!(returned, Returned::Value(Value::Nil));
}

#[tokio::test]
async fn what_has_no_value_is_refused_before_the_call() {
    let (mut store, instance) = Guest::load().instantiate();
    let resources = instance.get_export_index(&mut store, None, "wippy:test/resources").unwrap();
    let total = instance.get_export_index(&mut store, Some(&resources), "total").unwrap();
    let func = instance.get_func(&mut store, total).unwrap();
    let signature = Signature::new("total", &func.ty(&store)).unwrap();
    assert_eq!(
        signature.check_supported().unwrap_err().message(),
        "a call from outside cannot pass own<resource>; the signature is \
         total: func(counters: list<own<resource>>) -> u32"
    );
}
