//! `process`: spawning, watching, messages.

use wippy_lua::LuaSpec;
use wippy_model::{Exit, Kind, Limits, MailboxLimits, Value};

use crate::support::{Node, check, exit, failure, list, spec, text, value, virtual_time};

#[test]
fn the_pages_example() {
    let source = r#"
        local process = require("process")
        local time = require("time")
        local pid, err = process.spawn_monitored("myns:compute_worker", "myns:processes", 6, 7)
        if err then error("spawn failed: " .. tostring(err)) end
        local event = process.receive(time.seconds(10))
        if event and event.type == "EXIT" then
            local result = event.value          -- 42
            return result
        end
    "#;
    assert_eq!(value(source), Value::Int(42));
}

#[test]
fn the_pages_newer_example() {
    let source = r#"
        local pid = process.spawn_monitored("myns:compute_worker", "myns:processes", 6, 7)
        local events = process.events()
        local event = events:receive()
        if event and event.kind == process.event.EXIT then
            local result = event.result.value
            return result
        end
    "#;
    assert_eq!(value(source), Value::Int(42));
}

#[test]
fn an_exit_event_in_full() {
    let source = r#"
        local pid = process.spawn_monitored("myns:failing", "processes")
        local e = process.receive()
        assert(e.from == pid and e.value == nil and e.result.value == nil)
        assert(e.error == e.result.error and math.type(e.at) == "integer")
        return { e.type, e.kind, e.error:kind(), e.error:message(), e.error:retryable(), e.error:details().code }
    "#;
    let expected = list([
        text("EXIT"),
        text("pid.exit"),
        text("NotFound"),
        text("no such thing"),
        Value::Bool(false),
        Value::Int(7),
    ]);
    assert_eq!(value(source), expected);
}

#[test]
fn calls_that_fail_return_nil_and_an_error() {
    for (call, kind, part) in [
        ("process.spawn('myns:none', 'myns:processes')", "NotFound", "myns:none"),
        ("process.spawn('none', 'processes')", "NotFound", "myns:none"),
        ("process.spawn('compute_worker', 'myns:nohost')", "NotFound", "myns:nohost"),
        ("process.spawn()", "Invalid", "argument 1: expected the ID of an entry, got no value"),
        ("process.spawn('a b', 'c')", "Invalid", "namespace:name"),
        (
            "process.spawn('compute_worker', 'processes', {a={1,print}})",
            "Invalid",
            "argument 1.a[2]: a function",
        ),
        ("process.spawn_monitored('sleeper', 'processes', 'x')", "Invalid", "milliseconds"),
        ("process.send('{test@myns:processes|1.ffff}', 'topic')", "NotFound", "no such process"),
        ("process.send(process.pid(), 1)", "Invalid", "a topic, got number"),
        ("process.terminate('{test@myns:processes|1.ffff}')", "NotFound", "no such process"),
        ("process.exec('failing', 'processes')", "NotFound", "no such thing"),
        ("process.cancel(process.pid(), {})", "Invalid", "argument 2: expected a duration"),
    ] {
        let source = format!(
            "local v, err = {call} assert(v == nil) return {{ err:kind(), tostring(err) }}"
        );
        let Value::List(found) = value(&source) else { panic!() };
        assert_eq!(found[0].as_str(), Some(kind), "{call}: {found:?}");
        assert!(found[1].as_str().unwrap().contains(part), "{call}: {found:?}");
    }
}

#[test]
fn receive() {
    check(&[
        ("return process.receive(0)", Value::Nil),
        ("return process.receive('2h')", Value::Nil),
        (
            "process.send(process.pid(), 'a', 1, 'x') local m = process.receive()
             return { m.type, m.topic, m.payload, m.payloads, m.from == process.pid() }",
            list([
                text("MESSAGE"),
                text("a"),
                Value::Int(1),
                list([Value::Int(1), text("x")]),
                Value::Bool(true),
            ]),
        ),
        (
            // In order of arrival, events and messages alike.
            "local me = process.pid()
             process.send(me, 'first') process.cancel(me, 'why', '1h') process.send(me, 'last')
             local a, b, c = process.receive(), process.receive(), process.receive()
             return { a.topic, b.type, b.kind, b.reason, c.topic }",
            list([text("first"), text("CANCEL"), text("pid.cancel"), text("why"), text("last")]),
        ),
        (
            // What was opened comes there and no longer here.
            "local me = process.pid()
             local inbox = process.inbox()
             process.send(me, 'a', 1) process.cancel(me, '1h')
             local e = process.receive(0)
             local m = inbox:receive()
             return { e.type, m:topic(), m:payload(), m:from() == me, process.receive(0) == nil,
                      process.inbox() == inbox }",
            list([
                text("CANCEL"),
                text("a"),
                Value::Int(1),
                Value::Bool(true),
                Value::Bool(true),
                Value::Bool(true),
            ]),
        ),
        (
            "local me, t = process.pid(), process.listen('news')
             local whole = process.listen('other', { message = true })
             process.send(me, 'news', 1) process.send(me, 'x', 2) process.send(me, 'other', 3)
             process.send(me, 'news', 4)
             local got = { process.receive().payload, (t:receive()), whole:receive():payload(), (t:receive()) }
             process.unlisten(t) process.send(me, 'news', 5)
             got[5] = process.receive().payload
             return got",
            list([2, 1, 3, 4, 5].map(Value::Int)),
        ),
        (
            // What is taken for a topic does not overtake an event.
            "local me, b = process.pid(), process.listen('b')
             process.cancel(me, '1h') process.send(me, 'c', 1) process.send(me, 'b', 2)
             process.send(me, 'd', 3)
             local got = { (b:receive()), process.receive().type, process.receive().payload }
             process.send(me, 'b', 4)
             got[4], got[5] = process.receive().payload, (b:receive())
             return got",
            list([
                Value::Int(2),
                text("CANCEL"),
                Value::Int(1),
                Value::Int(3),
                Value::Int(4),
            ]),
        ),
        (
            // What nobody has read of a topic comes with the others, and its channel is closed.
            "local me, t = process.pid(), process.listen('news')
             process.send(me, 'news', 1) process.send(me, 'x', 2) process.receive()
             local waits
             coroutine.spawn(function() local a = t:receive() waits = { t:receive() } end)
             require('time').sleep(1)
             process.send(me, 'news', 3) process.send(me, 'news', 4) process.receive(0)
             local closed, twice = process.unlisten(t), process.unlisten(t)
             process.send(me, 'news', 5)
             local again = process.listen('news')
             local got = { closed, twice, (again:receive()), process.unlisten(t) }
             require('time').sleep(1)
             local v, ok = t:receive()
             got[5], got[6] = ok, waits[1]
             got[7], got[8] = process.unlisten('news'), process.unlisten('news')
             return got",
            list([
                true.into(),
                false.into(),
                Value::Int(3),
                false.into(),
                false.into(),
                Value::Null,
                true.into(),
                false.into(),
            ]),
        ),
        (
            "process.events() local ok, err = pcall(process.receive, 0) return { ok, err }",
            list([Value::Bool(true)]),
        ),
    ]);
    let error = failure("process.events() process.inbox() process.receive()");
    assert!(error.message().contains("would wait for ever"), "{error}");
}

#[test]
fn waits_for_others() {
    check(&[
        ("return process.exec('compute_worker', 'processes', 3, 4)", Value::Int(12)),
        ("return process.exec('sleeper', 'processes', 5000)", text("slept")),
        (
            "local pid = process.spawn('sleeper', 'processes', 3600000)
             assert(process.monitor(pid)) assert(process.terminate(pid))
             local e = process.receive()
             return { e.from == pid, e.error:kind() }",
            list([Value::Bool(true), text("Canceled")]),
        ),
        (
            "local pid = process.spawn_monitored('sleeper', 'processes', 1000)
             process.unmonitor(pid)
             return process.receive('1m')",
            Value::Nil,
        ),
        (
            "local pid = process.spawn_monitored('sleeper', 'processes', 60000)
             process.cancel(pid, '2s')
             local e = process.receive('3s')
             return e.error:kind()",
            text("Canceled"),
        ),
        ("return process.id()", text("myns:script")),
        (
            "return process.pid():match('^{test@myns:processes|1%.')",
            text("{test@myns:processes|1."),
        ),
    ]);
}

#[test]
fn lua_processes_talk() {
    let exit = virtual_time(|| async {
        let node = Node::new();
        node.script(
            "myns:echo",
            "while true do
                local m = process.receive()
                if m.type == 'CANCEL' then return 'obeyed' end
                process.send(m.from, 'echo', m.payload)
             end",
        );
        node.run(
            "local pid = assert(process.spawn_monitored('echo', 'processes'))
             local got = {}
             for n = 1, 3 do
                process.send(pid, 'say', { n = n, big = payload.uint('18446744073709551615') })
                got[n] = process.receive().payload
             end
             process.cancel(pid)
             local e = process.receive()
             return { got[3].n, tostring(got[3].big), e.value }",
            vec![],
        )
        .await
    });
    let expected = list([Value::Int(3), text("18446744073709551615"), text("obeyed")]);
    assert_eq!(exit, Exit::Normal(expected));
}

#[test]
fn a_unit_that_loads_late() {
    // Loading goes to a blocking thread, so the spawn is not done at its first poll.
    let exit = virtual_time(|| async {
        let node = Node::new();
        node.script("myns:late", "return ...");
        node.run(
            "local co = coroutine.wrap(function()
                local ok, pid = pcall(process.spawn_monitored, 'late', 'processes', 'x')
                return pid
             end)
             local pid = co()
             return process.receive().value",
            vec![],
        )
        .await
    });
    assert_eq!(exit, Exit::Normal(text("x")));
}

#[test]
fn a_full_mailbox_is_heard_of() {
    let source = "local me = process.pid() local n = 0
        while true do
            local ok, err = process.send(me, 'x')
            if not ok then return { n, err:kind(), err:retryable() } end
            n = n + 1
        end";
    assert_eq!(value(source), list([Value::Int(1024), text("Unavailable"), Value::Bool(true)]));
}

#[test]
fn topics_that_nobody_reads_fill_up() {
    // What is set aside for a topic is bounded as the mailbox is.
    let source = "local me = process.pid() process.listen('x')
        local n = 0
        for i = 1, 5000 do
            if process.send(me, 'x', i) then n = n + 1 end
            process.receive(0)
        end
        return n";
    assert_eq!(value(source), Value::Int(2048));
}

#[test]
fn what_is_set_aside_is_bounded_in_bytes() {
    let mailbox = MailboxLimits { bytes: 1 << 20, ..MailboxLimits::default() };
    let limits = Limits { mailbox, ..Limits::default() };
    let source = "local me, body = process.pid(), ('x'):rep(100000) process.listen('x')
        local n = 0
        for i = 1, 100 do
            if process.send(me, 'x', body) then n = n + 1 end
            process.receive(0)
        end
        return n";
    let spec = LuaSpec { limits, ..spec("myns:script", source) };
    let exit = virtual_time(|| async { Node::new().run_spec(spec, vec![]).await });
    // Ten in the mailbox, and eleven beside it.
    assert_eq!(exit, Exit::Normal(Value::Int(21)));
    let error = failure("error(select(2, process.listen(('x'):rep(1025))))");
    assert!(error.message().contains("at most 1024 bytes"), "{error}");
}

#[test]
fn a_cancel_is_heard_when_nothing_else_has_room() {
    let full = "local me = process.pid() process.listen('x')
        for i = 1, 5000 do process.send(me, 'x', i) process.receive(0) end";
    check(&[(
        &*format!("{full} process.cancel(me, 'why', '1h') return process.receive(0).reason"),
        text("why"),
    )]);
    // Also by whoever waits for it already.
    let exit = virtual_time(|| async {
        let node = Node::new();
        node.script("myns:cancels", "require('time').sleep('1s') process.cancel(..., 'why', '1h')");
        let wait = "process.spawn('cancels', 'processes', me)
            local event = process.receive('1m') return event and event.reason";
        node.run(&format!("{full} {wait}"), vec![]).await
    });
    assert_eq!(exit, Exit::Normal(text("why")));
}

#[test]
fn the_arguments_of_a_call_share_one_budget() {
    for call in [
        "process.send(process.pid(), 'x', big, big, big)",
        "process.spawn('compute_worker', 'processes', big, big, big)",
        "process.exec('compute_worker', 'processes', big, big, big)",
    ] {
        let source = format!(
            "local big = ('x'):rep(6 << 20) local _, err = {call} return {{ err:kind(), err:message() }}"
        );
        let Value::List(found) = value(&source) else { panic!() };
        assert_eq!(found[0].as_str(), Some("ResourceExhausted"), "{call}: {found:?}");
        assert!(found[1].as_str().unwrap().contains("3: the value is larger"), "{call}: {found:?}");
    }
}

#[test]
fn the_module_is_made_on_demand() {
    check(&[
        (
            "local p = require('process')
             return { p == process, p.nonsense == nil, p[1] == nil, p.send == p.send,
                      p.registry == process.registry, p.event == p.event, getmetatable(p) }",
            list([true, true, true, true, true, true, false].map(Value::Bool)),
        ),
        (
            // What a script puts there stays.
            "process.mine = 1 process.send = 2 return { process.mine, process.send }",
            list([1, 2].map(Value::Int)),
        ),
        ("process.receive = nil return type(process.receive)", text("function")),
    ]);
    let error = failure("local function f() process.receive('x') end f()");
    let stack = error.stack().unwrap().to_string();
    assert!(stack.contains("in function 'process.receive'"), "{stack}");
}

#[test]
fn kinds_are_kept() {
    let Exit::Failed(error) = exit("local _, e = process.exec('failing', 'processes') error(e)")
    else {
        panic!()
    };
    assert_eq!((error.kind(), error.retryable()), (Kind::NotFound, Some(false)));
}
