//! `process.with_context` and its kin.

use wippy_model::{Exit, Value};

use crate::support::{Node, failure, list, spec, text, virtual_time};

/// Runs a script beside a few others.
fn run(source: &str) -> Exit {
    virtual_time(|| async {
        let node = Node::new();
        node.script(
            "myns:opens",
            "local got = { ... }
             while true do
                local m = process.receive(0)
                if not m then return got end
                got[#got + 1] = { m.topic, m.payloads }
             end",
        );
        node.script("myns:waits", "return (process.receive().payload)");
        let mut child =
            spec("myns:ctx", "local c = require('ctx').all() return { c.a or '-', c.b or '-' }");
        child.modules = vec!["ctx".to_owned()];
        node.add("myns:ctx", wippy_lua::LuaUnit::load(child).unwrap());
        node.run(source, vec![]).await
    })
}

#[track_caller]
fn good(source: &str) -> Value {
    match run(source) {
        Exit::Normal(value) => value,
        other => panic!("{source}\n{other}"),
    }
}

#[test]
fn a_builder_is_not_changed() {
    let pair = |a: &str, b: &str| list([text(a), text(b)]);
    for (source, expected) in [
        (
            "local one = process.with_context({ a = 'x' })
             local two = one:with_context({ b = 'y' })
             local three = two:with_context({ a = 'z' })
             return { one:exec('ctx'), two:exec('ctx'), three:exec('ctx'), one:exec('ctx') }",
            list([pair("x", "-"), pair("x", "y"), pair("z", "y"), pair("x", "-")]),
        ),
        (
            "local values = { a = 'x' }
             local b = process.with_context(values) values.a = 'changed'
             return b:exec('ctx')",
            pair("x", "-"),
        ),
        (
            "local one = process.with_message('a', 1)
             local two, three = one:with_message('b', 2), one:with_message('c', 3)
             return { two:exec('opens'), three:exec('opens'), one:exec('opens', nil, 'arg') }",
            list([
                list([message("a", 1), message("b", 2)]),
                list([message("a", 1), message("c", 3)]),
                list([text("arg"), message("a", 1)]),
            ]),
        ),
        (
            "local topic, body = 't', { 1 }
             local b = process.with_message(topic, body, nil, 'last') body[1] = 'changed'
             return b:exec('opens')[1][2]",
            list([list([Value::Int(1)]), Value::Null, text("last")]),
        ),
        (
            // All of it at once, from any beginning.
            "local b = process.with_options { host = 'myns:processes', timeout = '10s' }
                :with_name('n'):with_context { a = 'x' }:with_message('t', 'payload')
             local pid = b:spawn_linked_monitored('waits')
             local e = process.receive()
             return { e.from == pid, e.value }",
            list([true.into(), text("payload")]),
        ),
        (
            "local pid = process.with_name('first'):with_name('n'):spawn('waits')
             return { process.registry.lookup('n') == pid, process.registry.lookup('first') == nil }",
            list([true.into(), true.into()]),
        ),
        (
            "local pid = process.with_options { name = 'n' }:with_options { timeout = '1s' }:spawn_monitored('waits')
             local known = process.registry.lookup('n') == pid
             local e = process.receive()
             return { known, e.error:kind(), e.error:message() }",
            list([
                true.into(),
                text("Timeout"),
                text("myns:waits did not end by the deadline of its caller"),
            ]),
        ),
        (
            // The deadline of a child is not put off by its child.
            "local _, e = process.with_options { timeout = '1s' }:exec('waits')
             return e:kind()",
            text("Timeout"),
        ),
        (
            // A host that is an argument goes first; without any it is the own one.
            "local b = process.with_options { host = 'nohost' }
             return { b:exec('opens', 'processes', 1)[1], process.exec('opens', nil, 2)[1],
                      select(2, b:exec('opens')):kind() }",
            list([Value::Int(1), Value::Int(2), text("NotFound")]),
        ),
        (
            // A spawn that fails leaves nothing behind.
            "local b = process.with_name('n')
             assert(b:spawn('waits'))
             local _, e = b:spawn_linked_monitored('waits')
             return { e:kind(), process.receive('1s') == nil }",
            list([text("AlreadyExists"), true.into()]),
        ),
        (
            // Messages of the spawn meet the limits of a mailbox.
            "local b = process.with_message('t')
             for n = 2, 1024 do b = b:with_message('t', n) end
             local full = #b:exec('opens')
             local ok, e = pcall(b.with_message, b, 't')
             return { full, ok, e:message():match('a builder holds .*') }",
            list([Value::Int(1024), false.into(), text("a builder holds at most 1024 messages")]),
        ),
        (
            "local b = process.with_message('t', ('x'):rep(9 << 20)):with_message('t', ('x'):rep(9 << 20))
             local _, e = b:spawn('opens') return e:kind()",
            text("ResourceExhausted"),
        ),
    ] {
        assert_eq!(good(source), expected, "{source}");
    }
}

fn message(topic: &str, payload: i64) -> Value {
    list([text(topic), list([Value::Int(payload)])])
}

#[test]
fn misuse() {
    for (source, message) in [
        ("process.with_context(1)", "values: expected a table with names, got a integer"),
        ("process.with_context({ 1 })", "values: expected a table with names, got a list"),
        ("process.with_context({ a = print })", "values.a: a function is no value"),
        ("process.with_name()", "argument 1: expected a name, got nil"),
        ("process.with_name({})", "argument 1: expected a name, got table"),
        ("process.with_message()", "argument 1: expected a topic, got nil"),
        ("process.with_message('t', print)", "payload 1: a function is no value"),
        ("process.with_options()", "with_options takes a table, not nil"),
        ("process.with_options('host')", "with_options takes a table, not string"),
        (
            "process.with_options { hosts = 'x' }",
            "with_options: there is no option \"hosts\"; options: host, name, timeout",
        ),
        (
            "process.with_options { 1 }",
            "with_options: there is no option of the name of a number; options: host, name, timeout",
        ),
        (
            "process.with_options { host = 1 }",
            "with_options: host: expected the ID of a process host, got number",
        ),
        ("process.with_options { host = 'a b' }", "with_options: host: "),
        ("process.with_options { name = {} }", "with_options: name: expected a text, got table"),
        ("process.with_options { timeout = 'x' }", "with_options: timeout: expected a duration"),
        ("process.with_options { timeout = 0 }", "with_options: timeout: it must be above zero"),
        ("process.with_name('n'):with_actor()", "expected an actor of security.actor"),
        ("process.with_name('n'):with_scope(1)", "expected a scope of security.scope"),
        ("process.with_name('n').spawn('returns')", "call it on a builder, with a colon: "),
        ("process.with_name('n').with_name('m')", "call it on a builder, with a colon: "),
        ("process.with_name('n').exec()", "call it on a builder, with a colon: "),
    ] {
        let error = failure(source);
        let expected = format!("script.lua:1: {message}");
        assert!(error.message().starts_with(&expected), "{source}: {error}");
    }
}
