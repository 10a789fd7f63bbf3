//! Every typed path does what the dynamic path does.

use std::fmt::Write as _;

use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Engine, Store};

use super::*;
use crate::value::roundtrip::{component, ready};

/// How many core values a type is passed as.
fn flat(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::U64 | Type::S64 => vec!["i64"],
        Type::F64 => vec!["f64"],
        Type::String | Type::Bytes => vec!["i32", "i32"],
        Type::Option(inner) => [vec!["i32"], flat(inner)].concat(),
        Type::Result(ok, err) => {
            let arms = [ok, err].map(|arm| arm.as_ref().map_or(vec![], |ty| flat(ty)));
            let longest = arms.into_iter().max_by_key(Vec::len).unwrap_or_default();
            [vec!["i32"], longest].concat()
        }
        _ => vec!["i32"],
    }
}

/// A component with a function for each pair, which returns zeros: 0, "", none, ok("").
fn all_pairs() -> (Store<()>, Instance) {
    let (mut wit, mut wat) = (String::new(), String::new());
    for (index, (params, results)) in PAIRS.iter().enumerate() {
        let result = results.ty();
        let arrow = result.as_ref().map_or(String::new(), |ty| format!(" -> {ty}"));
        let (mut names, mut core) = (String::new(), String::new());
        for (index, ty) in params.types().iter().enumerate() {
            write!(names, "p{index}: {ty}, ").unwrap();
            write!(core, " {}", flat(ty).join(" ")).unwrap();
        }
        let back = match result.as_ref().map(flat).as_deref() {
            None => String::new(),
            Some([one]) => format!("(result {one}) ({one}.const 0)"),
            Some(_) => "(result i32) (i32.const 1024)".to_owned(),
        };
        writeln!(wit, "export call{index}: func({names}){arrow};").unwrap();
        writeln!(wat, "(func (export \"call{index}\") (param{core}) {back})").unwrap();
    }
    let engine = Engine::default();
    let component = Component::new(&engine, component(&wit, &wat)).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    (store, instance)
}

fn sample(ty: &Type) -> Value {
    match ty {
        Type::String | Type::Bytes => Value::from("text"),
        _ => Value::Int(7),
    }
}

#[test]
fn every_typed_path_agrees_with_the_dynamic_one() {
    let (mut store, instance) = all_pairs();
    for (index, (params, results)) in PAIRS.iter().enumerate() {
        let name = format!("call{index}");
        let func = instance.get_func(&mut store, &name).unwrap();
        let method = Method::new(Signature::new(name, &func.ty(&store)).unwrap());
        assert_eq!(method.typed, Some((*params, *results)));
        let args: Vec<_> = params.types().iter().map(sample).collect();
        let prepared = method.prepare(args.clone()).unwrap();
        let typed = ready(method.call(&mut store, &func, prepared)).unwrap();
        let untyped = method.clone().untyped();
        let prepared = untyped.prepare(args).unwrap();
        let dynamic = ready(untyped.call(&mut store, &func, prepared)).unwrap();
        assert_eq!(typed, dynamic, "{}", method.signature());
    }
}

#[test]
fn wrong_arguments_read_the_same_on_both_paths() {
    let method = Method::new(Signature {
        name: "write".into(),
        is_async: false,
        params: vec![("name".into(), Type::String), ("data".into(), Type::Bytes)],
        result: Some(Type::Bytes),
    });
    assert!(method.is_typed());
    let message = |method: &Method, args: &[Value]| {
        method.prepare(args.to_vec()).unwrap_err().message().to_owned()
    };
    for args in [
        vec![],
        vec![Value::from("a"), Value::Bool(true)],
        vec![Value::Int(1), Value::from("b")],
        vec![Value::from("a"), Value::List(vec![Value::Int(-1)])],
    ] {
        assert_eq!(message(&method, &args), message(&method.clone().untyped(), &args));
    }
    assert_eq!(
        message(&method, &[Value::from("a"), Value::Bool(true)]),
        "argument 2 \"data\": expected list<u8>, got bool true"
    );
}

#[test]
fn results_as_data_and_as_exit() {
    let option = || Some(Box::new(Type::Option(Box::new(Type::U32))));
    let signature = Signature {
        name: "f".into(),
        is_async: false,
        params: vec![],
        result: Some(Type::Result(option(), option())),
    };
    let plain = Signature { result: Some(Type::Result(None, None)), ..signature.clone() };
    for (returned, signature, data, exit) in [
        (
            Returned::Ok(Some(Value::Null)),
            &signature,
            Value::map([("ok", Value::Null)]),
            Ok(Value::Nil),
        ),
        (
            Returned::Err(Some(Value::Int(1))),
            &signature,
            Value::map([("err", Value::Int(1))]),
            Err(Value::Int(1)),
        ),
        (Returned::Ok(None), &plain, Value::map([("ok", Value::Bool(true))]), Ok(Value::Nil)),
        (Returned::Err(None), &plain, Value::map([("err", Value::Bool(true))]), Err(Value::Nil)),
        (Returned::Value(Value::Int(1)), &plain, Value::Int(1), Ok(Value::Int(1))),
    ] {
        assert_eq!(returned.clone().into_data(), data);
        assert_eq!(returned.into_exit(signature), exit);
    }
}
