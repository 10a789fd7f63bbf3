//! `process`: links, names, options and calls, their errors and those of others.

use wippy_model::{Exit, Kind, Value};

use crate::support::{Node, check, list, stack, text, value, virtual_time};

/// What scripts here start.
const PEERS: [(&str, &str); 4] = [
    (
        "myns:echo",
        "while true do
            local m = process.receive()
            if m.topic == 'stop' then return m.payload end
            if m.topic == 'fail' then error(m.payload, 0) end
            if m.type == 'MESSAGE' then
                process.send(m.from, m.topic, table.unpack(m.payloads))
            end
        end",
    ),
    ("myns:returns", "return ..."),
    (
        "myns:deep",
        "local function inner()
            error(errors.new {
                kind = errors.CONFLICT, message = 'deep', retryable = true, details = { n = 7 },
            })
        end
        local function outer() inner() end
        if ... then require('time').sleep(...) end
        outer()",
    ),
    ("myns:silent", "process.listen('nothing'):receive()"),
];

/// Runs a script among its peers.
fn run(source: &str) -> Exit {
    virtual_time(|| async {
        let node = Node::new();
        for (name, source) in PEERS {
            node.script(name, source);
        }
        node.run(source, vec![]).await
    })
}

/// Runs a script whose end must be a good one.
#[track_caller]
fn good(source: &str) -> Value {
    match run(source) {
        Exit::Normal(value) => value,
        other => panic!("{source}\n{other}\n{}", stack(&other)),
    }
}

#[test]
fn what_is_wrong_with_a_call() {
    let dead = "'{test@myns:processes|1.ffff}'";
    for (call, kind, message) in [
        ("send()", "Invalid", "argument 1: expected a PID or a name, got no value"),
        ("send({}, 't')", "Invalid", "argument 1: expected a PID or a name, got table"),
        ("send(me)", "Invalid", "argument 2: expected a topic, got no value"),
        ("send('', 't')", "NotFound", "no process is registered as \"\""),
        ("send('nobody', 't')", "NotFound", "no process is registered as \"nobody\""),
        ("send('{x', 't')", "Invalid", "\"{x\" is no PID: a PID looks like"),
        ("send('{' .. ('x'):rep(5000), 't')", "Invalid", "…\" is no PID"),
        ("registry.lookup('{x')", "Invalid", "\"{x\" is no PID"),
        ("send(me, 't', print)", "Invalid", "payload 1: a function is no value"),
        ("call()", "Invalid", "argument 1: expected a PID or a name, got no value"),
        ("call(me)", "Invalid", "argument 2: expected a topic, got no value"),
        ("call(me, 't', 'soon')", "Invalid", "argument 3: expected a duration"),
        ("call(me, 't', nil, 1, print)", "Invalid", "payload 2: a function is no value"),
        ("call('nobody', 't')", "NotFound", "no process is registered as \"nobody\""),
        (
            "call(me, 'add', 1)",
            "Invalid",
            "timeout: 1 is a nanosecond; give a duration such as \"5s\" or nil",
        ),
        ("call(me, 'add', 999999)", "Invalid", "timeout: 999999 is in nanoseconds; give a"),
        ("call(me, 'add', 0.5)", "Invalid", "timeout: 0.5 is in nanoseconds; give a"),
        ("call(me, 'add', 0)", "Timeout", ""),
        ("call(me, 'add', 1000000)", "Timeout", ""),
        ("call(me, 'add', '1ns')", "Timeout", ""),
        ("call(DEAD, 't')", "NotFound", "there is no such process (any more)"),
        ("monitor()", "Invalid", "argument 1: expected a PID or a name, got no value"),
        ("monitor('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("monitor('{x')", "Invalid", "\"{x\" is no PID: a PID looks like"),
        ("unmonitor('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("link(1)", "Invalid", "argument 1: expected a PID or a name, got number"),
        ("link('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("link('{x')", "Invalid", "\"{x\" is no PID"),
        ("unlink(nil)", "Invalid", "argument 1: expected a PID or a name, got nil"),
        ("unlink('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("terminate('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("terminate(DEAD)", "NotFound", "there is no such process (any more)"),
        ("cancel(DEAD, '1s')", "NotFound", "there is no such process (any more)"),
        ("cancel(me, print)", "Invalid", "argument 2: expected a duration"),
        ("registry.register()", "Invalid", "argument 1: expected a name, got no value"),
        (
            "registry.register('n', {})",
            "Invalid",
            "argument 2: expected a PID or a name, got table",
        ),
        ("registry.register('n', DEAD)", "NotFound", "there is no such process (any more)"),
        ("registry.register('{n')", "Invalid", "begins with \"{\", as a PID does"),
        ("registry.register('')", "Invalid", "\"\" is no name for a process: it is empty"),
        ("registry.register(('n'):rep(256))", "Invalid", "has 256 bytes; at most 255 are allowed"),
        ("registry.register('a\\tb')", "Invalid", "has control characters"),
        ("registry.register('n\\xff')", "Invalid", "argument 1: expected a name, got string"),
        ("registry.lookup()", "Invalid", "argument 1: expected a name, got no value"),
        ("registry.lookup('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("registry.unregister('nobody')", "NotFound", "no process is registered as \"nobody\""),
        ("registry.unregister()", "Invalid", "argument 1: expected a name, got no value"),
        ("set_options()", "Invalid", "argument 1: expected a table, got no value"),
        (
            "set_options { trap_link = true }",
            "Invalid",
            "there is no option \"trap_link\"; options: trap_links, upgradable",
        ),
        ("set_options { true }", "Invalid", "there is no option of the name of a number"),
        ("set_options { upgradable = 1 }", "Invalid", "upgradable is true or false, not a number"),
        ("upgrade({})", "Invalid", "argument 1: expected the ID of an entry, got table"),
        ("upgrade('a b')", "Invalid", "argument 1: "),
        ("upgrade(nil, print)", "Invalid", "argument 1: a function is no value"),
        ("spawn_linked()", "Invalid", "argument 1: expected the ID of an entry, got no value"),
        ("spawn_linked('none')", "NotFound", "myns:none"),
        ("spawn_linked_monitored('returns', 'nohost')", "NotFound", "no process host myns:nohost"),
        ("with_name('{n'):spawn('returns')", "Invalid", "begins with \"{\", as a PID does"),
        ("with_options { host = 'nohost' }:exec('returns')", "NotFound", "myns:nohost"),
    ] {
        let source = format!(
            "local me = process.pid() local v, err = process.{} assert(v == nil)
             return {{ err:kind(), tostring(err) }}",
            call.replace("DEAD", dead)
        );
        let Value::List(found) = good(&source) else { panic!() };
        assert_eq!(found[0].as_str(), Some(kind), "{call}: {found:?}");
        assert!(found[1].as_str().unwrap().contains(message), "{call}: {found:?}");
    }
}

#[test]
fn links() {
    check(&[(
        "local o = process.get_options() return { o.trap_links, o.upgradable }",
        list([false.into(), false.into()]),
    )]);
    let trap = "assert(process.set_options { trap_links = true })";
    for (source, expected) in [
        (
            // What is not named stays.
            "process.set_options { upgradable = true } process.set_options {}
             local o = process.get_options() return { o.trap_links, o.upgradable }",
            list([true.into(), true.into()]),
        ),
        (
            "local pid = process.spawn_linked('echo') process.send(pid, 'fail', 'why')
             local e = process.receive()
             return { e.type, e.kind, e.from == pid, e.error:message(), e.result.error == e.error,
                      math.type(e.at), e.value == nil, process.receive('1s') == nil }",
            list([
                text("LINK_DOWN"),
                text("pid.link.down"),
                true.into(),
                text("why"),
                true.into(),
                text("integer"),
                true.into(),
                true.into(),
            ]),
        ),
        (
            // By a name, and by a channel.
            "local pid = process.with_name('e'):spawn('echo')
             assert(process.link('e') and process.link(pid) and process.monitor('e'))
             local events = process.events()
             process.send('e', 'fail', 'why')
             local one, other = events:receive().type, events:receive().type
             if one > other then one, other = other, one end
             return { one, other, process.inbox() ~= nil }",
            list([text("EXIT"), text("LINK_DOWN"), true.into()]),
        ),
        (
            // A good end is none.
            "local pid = process.spawn_linked_monitored('echo') process.send(pid, 'stop', 1)
             return { process.receive().type, process.receive('1s') == nil }",
            list([text("EXIT"), true.into()]),
        ),
        (
            "local pid = process.spawn_linked('echo') process.unlink(pid)
             process.send(pid, 'fail', 'why') return process.receive('1s')",
            Value::Nil,
        ),
        (
            // Trapping no more counts from then on.
            "local pid = process.spawn_linked('echo') process.set_options { trap_links = false }
             process.send(pid, 'stop') return process.receive('1s')",
            Value::Nil,
        ),
    ] {
        assert_eq!(good(&format!("{trap} {source}")), expected, "{source}");
    }
}

#[test]
fn a_link_ends_the_other_one() {
    let source = "local pid = process.spawn_linked('deep', nil, '1s') process.receive()";
    let Exit::Linked(from, error) = run(source) else { panic!() };
    assert_eq!((error.kind(), error.message()), (Kind::Conflict, "deep"));
    // Whoever monitors hears where it began, with the frames of that one.
    let source = "local pid = process.spawn_monitored('middle')
        local e = process.receive().error
        return { e:kind(), e:message(), e:details().from, e:stack() }";
    let found = virtual_time(|| async {
        let node = Node::new();
        for (name, source) in PEERS {
            node.script(name, source);
        }
        node.script("myns:middle", "process.spawn_linked('deep', nil, '1s') process.receive()");
        node.run(source, vec![]).await
    });
    let Exit::Normal(Value::List(found)) = found else { panic!("{found}") };
    let ended = found[2].as_str().unwrap();
    assert!(ended.starts_with("{test@myns:processes|1."), "{ended}");
    assert_ne!(ended, from.to_string());
    assert_eq!(found[0], text("Internal"));
    assert_eq!(found[1], text(&format!("the linked process {ended} ended: deep")));
    assert!(found[3].as_str().unwrap().contains("in upvalue 'inner'"), "{found:?}");
}

#[test]
fn errors_keep_what_they_are() {
    let look = "return { e:kind(), e:message(), e:retryable(), e:details().n,
        e:stack():find('script.lua:2: in upvalue', 1, true) ~= nil
            and e:stack():find('script.lua:6: in local', 1, true) ~= nil or e:stack() }";
    let expected = list([text("Conflict"), text("deep"), true.into(), Value::Int(7), true.into()]);
    for head in [
        "process.spawn_monitored('deep') local e = process.receive().error",
        "process.spawn_monitored('deep') local e = process.events():receive().result.error",
        "process.set_options { trap_links = true } process.spawn_linked('deep')
         local e = process.receive().error",
        "local _, e = process.exec('deep')",
        "local _, e = process.with_context({ a = 1 }):exec('deep')",
    ] {
        assert_eq!(good(&format!("{head} {look}")), expected, "{head}");
    }
    // An error that is handed on keeps the frames of where it came from.
    let handed = run("local _, e = process.exec('deep') error(errors.wrap(e, 'executing'))");
    let error = handed.error().unwrap();
    assert_eq!((error.kind(), error.message()), (Kind::Conflict, "executing: deep"));
    assert!(stack(&handed).contains("script.lua:6"), "{}", stack(&handed));
    // As a payload it is a table.
    let source = "process.send(process.pid(), 'e', errors.new('Conflict', 'why', 7))
        local e = process.receive().payload
        return { e.kind, e.message, e.details }";
    assert_eq!(value(source), list([text("Conflict"), text("why"), Value::Int(7)]));
}

#[test]
fn calls() {
    for (source, expected) in [
        (
            "local pid = process.spawn('echo')
             return { process.call(pid, 't', nil, 1, { 2 }, 'three') }",
            list([Value::Int(1), list([Value::Int(2)]), text("three")]),
        ),
        (
            "process.with_name('server'):spawn('echo')
             return select('#', process.call('server', 't', '1s'))",
            Value::Int(0),
        ),
        (
            // Several at once, each with a reply of its own, and none in the mailbox.
            "local pid, done = process.spawn('echo'), channel.new()
             for n = 1, 50 do
                coroutine.spawn(function() done:send(process.call(pid, 't', nil, n) == n) end)
             end
             for n = 1, 50 do assert(done:receive()) end
             return process.receive('1s')",
            Value::Nil,
        ),
        (
            // The default is 5 s, and others run meanwhile.
            "local pid, ticks = process.spawn('silent'), 0
             coroutine.spawn(function()
                while true do require('time').sleep('1s') ticks = ticks + 1 end
             end)
             local _, e = process.call(pid, 't')
             return { e:kind(), e:message() == pid .. ' did not reply within 5s', ticks >= 4 }",
            list([text("Timeout"), true.into(), true.into()]),
        ),
        (
            "local pid = process.spawn('silent')
             local _, e = process.call(pid, 't', -5) return e:kind()",
            text("Timeout"),
        ),
        (
            // It does not wait for the timeout, and says why.
            "local pid = process.spawn('echo')
             local start = require('time').now()
             local _, e = process.call(pid, 'fail', '1h', 'it broke')
             return { e:kind(), e:retryable(), e:message() == pid .. ' ended before it replied: it broke',
                      require('time').now() - start < '1s' }",
            list([text("Unavailable"), true.into(), true.into(), true.into()]),
        ),
        (
            // Where `pcall` and coroutines are around it.
            "local pid = process.spawn('echo')
             return coroutine.wrap(function()
                return select(2, pcall(process.call, pid, 't', nil, 'x'))
             end)()",
            text("x"),
        ),
        (
            // A request is a message like others, which can wait; to oneself, too.
            "coroutine.spawn(function()
                local m = process.inbox():receive()
                require('time').sleep('1s')
                process.send(m:from(), 'reply', m:payload() + 1)
             end)
             return process.call(process.pid(), 't', nil, 1)",
            Value::Int(2),
        ),
        (
            // The second reply is an error of whoever sends it.
            "local inbox, errs = process.inbox(), {}
             coroutine.spawn(function()
                local m = inbox:receive()
                process.send(m:from(), 'reply', 1)
                errs[1] = select(2, process.send(m:from(), 'reply', 2))
             end)
             local got = process.call(process.pid(), 't')
             require('time').sleep('1s')
             local r = channel.select { inbox:case_receive(), default = true }
             return { got, errs[1]:kind(), r.default }",
            list([Value::Int(1), text("NotFound"), true.into()]),
        ),
        (
            // For anything but a send a reply address is the process.
            "local from
             coroutine.spawn(function()
                from = process.inbox():receive():from()
                process.monitor(from) process.send(from, 'reply', from ~= process.pid())
             end)
             return process.call(process.pid(), 't')",
            true.into(),
        ),
        (
            // More values than a call gives.
            "coroutine.spawn(function()
                local m, many = process.inbox():receive(), {}
                for n = 1, 40000 do many[n] = n end
                process.send(m:from(), 'reply', 0, table.unpack(many))
             end)
             local v, e = process.call(process.pid(), 't')
             return { e:kind(), e:message() }",
            list([
                text("ResourceExhausted"),
                text("the reply has 40001 values; a call gives at most 40000: send them as one table"),
            ]),
        ),
    ] {
        assert_eq!(good(source), expected, "{source}");
    }
}

#[test]
fn names() {
    check(&[
        (
            "local r = process.registry
             assert(r.register('me') and r.register('me') and r.register('also', process.pid()))
             assert(r.lookup('me') == process.pid() and r.lookup('also') == process.pid())
             assert(process.send('also', 't', 1) and process.receive().payload == 1)
             assert(r.unregister('me'))
             return { r.lookup('me') == nil, (select(2, r.unregister('me')):kind()) }",
            list([true.into(), text("NotFound")]),
        ),
        (
            "local pid = process.with_name('held'):spawn_monitored('sleeper', 'processes', 1000)
             local _, taken = process.registry.register('held')
             local _, other = process.registry.unregister('held')
             process.terminate('held') process.receive()
             return { taken:kind(), taken:message() == 'the name \"held\" is taken by ' .. pid,
                      other:kind(), process.registry.register('held') }",
            list([text("AlreadyExists"), true.into(), text("PermissionDenied"), true.into()]),
        ),
        (
            "local n = 0
             while true do
                local ok, err = process.registry.register('n' .. n)
                if not ok then return { n, err:kind() } end
                n = n + 1
             end",
            list([Value::Int(1024), text("ResourceExhausted")]),
        ),
    ]);
}
