//! `json.decode` beside the runtime's own reading of JSON.

use proptest::prelude::*;
use wippy_lua::LuaSpec;
use wippy_model::{Exit, Limit, Limits, Value};

use crate::support::{Node, spec, virtual_time};

fn run(limits: Limits, source: &str, args: Vec<Value>) -> Exit {
    let spec = LuaSpec { modules: vec!["json".into()], limits, ..spec("myns:script", source) };
    virtual_time(|| async { Node::new().run_spec(spec, args).await })
}

fn decode(text: &str) -> Result<Value, String> {
    let source = "local v, e = require('json').decode((...)) if e then error(e) end return v";
    match run(Limits::default(), source, vec![Value::from(text)]) {
        Exit::Normal(value) => Ok(value),
        Exit::Failed(error) => Err(error.message().to_owned()),
        exit => panic!("{text}: {exit:?}"),
    }
}

/// What a value becomes on its way through Lua.
fn through_lua(value: Value) -> Value {
    match run(Limits::default(), "return (...)", vec![value]) {
        Exit::Normal(value) => value,
        exit => panic!("{exit:?}"),
    }
}

fn same(text: &str) {
    match Value::parse_json(text) {
        Ok(value) => assert_eq!(decode(text), Ok(through_lua(value)), "{text}"),
        Err(error) => {
            let ours = decode(text).expect_err(text);
            assert!(ours.starts_with("this is no JSON: "), "{text}: {ours}, {error}");
        }
    }
}

#[test]
fn decodes_what_the_runtime_does() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep_map = "{\"a\":".repeat(128) + "1" + &"}".repeat(128);
    for text in [
        "1",
        " -5 ",
        "0",
        "-0",
        "1.5e3",
        "1e999",
        "01",
        "1.",
        "+1",
        "123456789012345678",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "true",
        "false",
        "null",
        "nul",
        "truex",
        "",
        " ",
        "[]",
        "{}",
        "[1,2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "]",
        "}",
        "[",
        "{",
        "{\"a\"",
        "{\"a\":",
        "[1]]",
        "1 2",
        "\"x\"",
        "\"\\u00e4\\n\\\"\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"a\nb\"",
        "\"abc",
        "\"\\",
        "\"\\x\"",
        "[\"a\",{\"b\":[null,true,{\"c\":[]}]},-1.0]",
        "{\"a\":1,\"a\":2}",
        "[[],[[]],{\"x\":{}}]",
        "\u{e4}",
        "\"\u{20ac}\"",
        "[1.0, 2.50, -3E-2]",
        "{\"\":0}",
        "nan",
        "'x'",
        &deep(100),
        &deep(127),
        &deep(128),
        &deep(200),
        &deep_map,
    ] {
        same(text);
    }
    assert_eq!(
        decode("[1,\n x]").unwrap_err(),
        "this is no JSON: expected value at line 2 column 2"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decodes_anything_the_runtime_does(pieces in prop::collection::vec(prop::sample::select(vec![
        "[", "]", "{", "}", ",", ":", "\"a\"", "\"\\n\"", "1", "-2.5", "true", "null", " ", "\"b\":", "[1]", "{\"c\":2}",
    ]), 0..9)) {
        same(&pieces.concat());
    }
}

#[test]
fn what_it_makes_counts_as_memory() {
    let limits = Limits { memory_bytes: 32 << 20, ..Limits::default() };
    let source = "local json = require('json')
        local text = '[' .. ('[],'):rep(4 << 20) .. '1]'
        local v, e = json.decode(text) return { v == nil, e and e:kind() }";
    let exit = run(limits.clone(), source, vec![]);
    assert!(
        matches!(&exit, Exit::Limit(Limit::Memory, _))
            || exit.value().is_some_and(|value| format!("{value:?}").contains("ResourceExhausted")),
        "{exit:?}"
    );
    let source = "local json = require('json')
        local text, sum = '[' .. ('[1],'):rep(100000) .. '[2]]', 0
        for _ = 1, 5 do local list = json.decode(text) sum = sum + #list + list[100001][1] end return sum";
    assert_eq!(run(limits, source, vec![]), Exit::Normal(Value::Int(500_015)));
}
