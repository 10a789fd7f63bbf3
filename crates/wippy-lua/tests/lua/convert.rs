//! Values from Lua, to Lua and back.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use wippy_lua::LuaSpec;
use wippy_model::{Exit, Handle, Kind, Limits, Map, Pid, Value};

use crate::support::{Node, check, failure, list, spec, text, virtual_time};

#[test]
fn from_lua() {
    check(&[
        ("return math.mininteger", Value::Int(i64::MIN)),
        ("return 2.0", Value::Float(2.0)),
        ("return 'ä'", text("ä")),
        ("return '\\255'", Value::Bytes(vec![255])),
        ("return payload.null", Value::Null),
        ("return { 1, nil, 3 }", list([Value::Int(1), Value::Null, Value::Int(3)])),
        ("return { payload.null }", list([Value::Null])),
        ("return { [1] = 'a', [2] = 'b' }", list([text("a"), text("b")])),
        ("return { 1, x = 2 }", Value::map([("1", Value::Int(1)), ("x", Value::Int(2))])),
        ("return { [1000000] = 1 }", Value::map([("1000000", Value::Int(1))])),
        ("return { [-1] = 1 }", Value::map([("-1", Value::Int(1))])),
        ("return {}", Value::Map(Map::new())),
        (
            "return errors.new('Timeout', 'm')",
            Value::map([("kind", text("Timeout")), ("message", text("m"))]),
        ),
        ("return payload.uint('18446744073709551615')", Value::UInt(u64::MAX)),
        ("return payload.uint(-1)", Value::UInt(u64::MAX)),
        ("return payload.uint('7')", Value::Int(7)),
        (
            "return setmetatable({ 1 }, { __index = error, __len = error, __pairs = error })",
            list([Value::Int(1)]),
        ),
        ("local t = { 1 } return { t, t }", list([list([Value::Int(1)]), list([Value::Int(1)])])),
    ]);
}

#[test]
fn what_is_no_value() {
    for (source, message) in [
        ("return print", "the result: a function is no value that can be passed on"),
        (
            "return { a = { [3] = coroutine.create(print) } }",
            "the result.a[3]: a thread is no value that can be passed on",
        ),
        (
            "return { ['a b'] = print }",
            "the result[\"a b\"]: a function is no value that can be passed on",
        ),
        (
            "return { [1.5] = 1 }",
            "the result: a number cannot be the key of a map; use texts or whole numbers",
        ),
        (
            "return { [true] = 1 }",
            "the result: a boolean cannot be the key of a map; use texts or whole numbers",
        ),
        (
            "return { ['1'] = 1, [1] = 2 }",
            "the result[\"1\"]: it is there as a text and as a number",
        ),
        ("return { ['\\255'] = 1 }", "the result: a key of a map must be UTF-8"),
        ("local t = {} t.a = { t } return t", "the result.a[1]: the table contains itself"),
        (
            "return require('time').seconds(1)",
            "the result: a userdata is no value that can be passed on",
        ),
    ] {
        let error = failure(source);
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Invalid, format!("myns:script: {message}").as_str())
        );
    }
    let error = failure("local t = {} for _ = 1, 200 do t = { t } end return t");
    assert!(error.message().contains("tables nest deeper than 128"), "{error}");
    // 2^60 leaves, of a few tables.
    let error = failure("local t = {} for _ = 1, 60 do t = { t, t } end return t");
    assert_eq!(error.kind(), Kind::ResourceExhausted);
}

#[test]
fn uint64() {
    let big = "local u = payload.uint('18446744073709551615') ";
    for (source, expected) in [
        ("tostring(u)", text("18446744073709551615")),
        ("u .. '!' .. u", text("18446744073709551615!18446744073709551615")),
        ("u - 1", Value::UInt(u64::MAX - 1)),
        ("u - u", Value::Int(0)),
        ("u + 1", Value::Int(0)),
        ("u // 2", Value::Int(i64::MAX)),
        ("u % 10", Value::Int(5)),
        ("u / 1", Value::Float(18_446_744_073_709_551_615.0)),
        ("u * 1.0", Value::Float(18_446_744_073_709_551_615.0)),
        ("u & 255", Value::Int(255)),
        ("u >> 60", Value::Int(15)),
        ("u << 64", Value::Int(0)),
        ("~u", Value::Int(0)),
        ("u == payload.uint('18446744073709551615')", true.into()),
        ("u > math.maxinteger and u > 1.5 and -1 < u and u <= u", true.into()),
        ("(pcall(function() return u + {} end))", false.into()),
        ("(pcall(function() return u // 0 end))", false.into()),
        ("(pcall(function() return u .. {} end))", false.into()),
    ] {
        let exit = virtual_time(|| async {
            Node::new().run(&format!("{big} return {source}"), vec![]).await
        });
        let Exit::Normal(found) = exit else { panic!("{source}: {exit:?}") };
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn a_handle_comes_back() {
    let owner = Pid::parse("{n@a:b|1.2}").unwrap();
    let handle = Value::Handle(Handle { owner, index: 1, name: "counter".into() });
    let exit = virtual_time(|| async {
        let source = "local h = ... collectgarbage() return { h, tostring(h) }";
        Node::new().run(source, vec![handle.clone()]).await
    });
    assert_eq!(exit, Exit::Normal(list([handle, text("<counter of {n@a:b|1.2}>")])));
}

#[test]
fn a_large_value_counts_against_the_limit_of_buffers() {
    let limits = Limits { host_buffer_bytes: 1000, ..Limits::default() };
    let spec = LuaSpec { limits, ..spec("myns:script", "return { ('x'):rep(2000) }") };
    let exit = virtual_time(|| async { Node::new().run_spec(spec, vec![]).await });
    let Exit::Failed(error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "myns:script: the result[1]: the value is larger than 1000 bytes (limits.host_buffer_bytes)"
    );
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("NaN is no equal", |n| !n.is_nan()).prop_map(Value::Float),
        ".{0,12}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::vec((".{0,6}", inner), 0..6).prop_map(Value::map),
        ]
    })
}

/// What `convert.rs` says changes.
fn normal(value: Value, inside: bool) -> Value {
    match value {
        Value::Nil if inside => Value::Null,
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::String(text),
            Err(error) => Value::Bytes(error.into_bytes()),
        },
        Value::List(items) if items.is_empty() => Value::Map(Map::new()),
        Value::List(items) => list(items.into_iter().map(|item| normal(item, true))),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(k, v)| (k, normal(v, true))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::map(pairs)
        }
        other => other,
    }
}

#[test]
fn values_come_back() {
    // One runtime for all cases; each case is a process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let node = runtime.block_on(async { Node::new() });
    let mut runner =
        TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&values(), |value| {
        let exit = runtime.block_on(node.run("return ...", vec![value.clone()]));
        let Exit::Normal(back) = exit else { panic!("{exit:?}") };
        assert_eq!(normal(back, false), normal(value, false));
        Ok(())
    });
    outcome.unwrap();
}
