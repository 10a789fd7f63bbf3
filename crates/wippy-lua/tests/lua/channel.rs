//! `channel`: values between the threads of one process.

use wippy_model::{Kind, Value};

use crate::support::{check, failure, list, text, value};

#[test]
fn values_pass() {
    check(&[
        (
            "local c = channel.new() local log = {}
             coroutine.spawn(function() for i = 1, 3 do c:send(i) end c:close() end)
             while true do local v, ok = c:receive() if not ok then break end log[#log + 1] = v end
             return log",
            list([1, 2, 3].map(Value::Int)),
        ),
        (
            "local c = channel.new(2) c:send('a') c:send(nil) c:close()
             local a, oka = c:receive() local b, okb = c:receive() local d, okd = c:receive()
             return { a, oka, b == nil, okb, d == nil, okd }",
            list([text("a"), true.into(), true.into(), true.into(), true.into(), false.into()]),
        ),
        (
            // First in, first out, through buffer and waiting senders.
            "local c = channel.new(2) local log = {}
             for i = 1, 6 do coroutine.spawn(function() c:send(i) end) end
             require('time').sleep(1)
             for i = 1, 6 do log[i] = c:receive() end return log",
            list([1, 2, 3, 4, 5, 6].map(Value::Int)),
        ),
        ("return tostring(channel.new(3))", text("channel(0/3)")),
        (
            // Across a user's coroutines.
            "local c = channel.new()
             coroutine.spawn(function() coroutine.wrap(function() c:send(7) end)() end)
             return coroutine.wrap(function() return (c:receive()) end)()",
            Value::Int(7),
        ),
        (
            "local req, rep = channel.new(), channel.new()
             coroutine.spawn(function() while true do rep:send(req:receive() + 1) end end)
             local n = 0 for _ = 1, 10000 do req:send(n) n = rep:receive() end return n",
            Value::Int(10000),
        ),
    ]);
}

#[test]
fn closing() {
    check(&[
        (
            "local c = channel.new() local got
             coroutine.spawn(function() got = { c:receive() } end)
             require('time').sleep(1) c:close() require('time').sleep(1)
             return got[1] == nil and got[2] == false",
            true.into(),
        ),
        (
            "local c, err = channel.new()
             coroutine.spawn(function() local _, e = pcall(c.send, c, 1) err = e end)
             require('time').sleep(1) c:close() require('time').sleep(1) return tostring(err)",
            text("script.lua:2: send on a closed channel"),
        ),
        (
            "local c = channel.new() c:close() local _, e = pcall(c.close, c) return e:kind()",
            text("Invalid"),
        ),
    ]);
    check(&[
        (
            // In a selection: what is left comes first, and a send fails wherever it stands.
            "local c = channel.new(2) c:send('a') c:close()
             local one = channel.select { c:case_receive() }
             local two = channel.select { c:case_receive(), default = true }
             local ok, e = pcall(channel.select, { c:case_send(1), default = true })
             return { one.value, one.ok, two.value == nil, two.ok, two.default == nil, ok, e:message() }",
            list([
                text("a"),
                true.into(),
                true.into(),
                false.into(),
                true.into(),
                false.into(),
                text("script.lua:4: send on a closed channel"),
            ]),
        ),
        (
            // Closed while selections wait.
            "local c, log = channel.new(), {}
             coroutine.spawn(function() log[1] = channel.select { c:case_receive() }.ok end)
             coroutine.spawn(function()
                local other = channel.new()
                log[2] = channel.select { other:case_receive(), c:case_receive() }.channel == c
             end)
             require('time').sleep(1) c:close() require('time').sleep(1)
             return log",
            list([false.into(), true.into()]),
        ),
        (
            "local c, err = channel.new()
             coroutine.spawn(function() err = select(2, pcall(channel.select, { c:case_send(1) })) end)
             require('time').sleep(1) c:close() require('time').sleep(1)
             return { err:kind(), err:message() }",
            list([text("Invalid"), text("script.lua:2: send on a closed channel")]),
        ),
        (
            // A selection does not serve itself.
            "local c = channel.new()
             local r
             coroutine.spawn(function() r = channel.select { c:case_send(1), c:case_receive() } end)
             require('time').sleep(1)
             local before = r
             local got = c:receive()
             require('time').sleep(1)
             return { before == nil, got, r.channel == c, r.value == nil, r.ok }",
            list([true.into(), Value::Int(1), true.into(), true.into(), true.into()]),
        ),
        (
            // One value goes to one of those who wait.
            "local c, n = channel.new(), 0
             for _ = 1, 5 do
                coroutine.spawn(function()
                    local r = channel.select { c:case_receive(), require('time').after('1s'):case_receive() }
                    if r.channel == c then n = n + 1 end
                end)
             end
             require('time').sleep(1) c:send(1) c:send(2) require('time').sleep('2s') return n",
            Value::Int(2),
        ),
    ]);
    let error = failure("local c = channel.new(1)\nc:close()\nc:send(1)");
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Invalid, "script.lua:3: send on a closed channel")
    );
}

#[test]
fn select() {
    check(&[
        (
            "local a, b = channel.new(1), channel.new(1) b:send('x')
             local r = channel.select{ a:case_receive(), b:case_receive() }
             return { r.channel == b, r.value, r.ok }",
            list([true.into(), text("x"), true.into()]),
        ),
        (
            "local r = channel.select{ channel.new():case_receive(), default = true }
             return { r.default, r.ok, r.channel == nil }",
            list([true.into(), false.into(), true.into()]),
        ),
        (
            "local a = channel.new()
             local r = channel.select{ a:case_receive(), require('time').after('5s'):case_receive() }
             return r.channel ~= a and math.type(r.value)",
            text("integer"),
        ),
        (
            "local a, b = channel.new(), channel.new()
             coroutine.spawn(function() require('time').sleep(5) a:send(1) end)
             local r = channel.select{ a:case_receive(), b:case_send(2) }
             return { r.channel == a, r.value }",
            list([true.into(), Value::Int(1)]),
        ),
        (
            // Two selections meet.
            "local c, got = channel.new()
             coroutine.spawn(function() channel.select{ c:case_send('v') } end)
             local r = channel.select{ c:case_receive() } return r.value",
            text("v"),
        ),
        (
            "local c = channel.new()
             coroutine.spawn(function() local r = channel.select{ c:case_receive() } c:close() end)
             require('time').sleep(1)
             local r = channel.select{ c:case_send(1) } return r.channel == c",
            true.into(),
        ),
        (
            "local c = channel.new() c:close()
             local r = channel.select{ c:case_receive() } return { r.ok, r.value == nil }",
            list([false.into(), true.into()]),
        ),
        (
            // Mail and clocks are cases like others, and one does not starve another.
            "local me = process.pid()
             local inbox, busy = process.inbox(), channel.new(1000)
             for i = 1, 1000 do busy:send(i) end
             process.send(me, 'a', 'mail')
             for i = 1, 64 do
                local r = channel.select{ busy:case_receive(), inbox:case_receive() }
                if r.channel == inbox then return r.value:payload() end
             end",
            text("mail"),
        ),
        (
            "local events, inbox = process.events(), process.inbox()
             local pid = process.spawn_monitored('sleeper', 'processes', 1000)
             local r = channel.select{ inbox:case_receive(), events:case_receive(), require('time').after('2s'):case_receive() }
             return { r.channel == events, r.value.value }",
            list([true.into(), text("slept")]),
        ),
        (
            // Nor where the script selects in a rhythm of its own.
            "local a, b, x = channel.new(100), channel.new(100), channel.new(100)
             for i = 1, 100 do a:send(1) b:send(1) x:send(1) end
             local from_a = 0
             for i = 1, 100 do
                if channel.select{ a:case_receive(), b:case_receive() }.channel == a then from_a = from_a + 1 end
                channel.select{ x:case_receive() }
             end
             return from_a > 25 and from_a < 75",
            true.into(),
        ),
        (
            // Losing cases leave nothing behind.
            "local quiet, time = channel.new(), require('time')
             for i = 1, 2000 do channel.select{ quiet:case_receive(), time.after(1):case_receive() } end
             collectgarbage() local before = collectgarbage('count')
             for i = 1, 2000 do channel.select{ quiet:case_receive(), time.after(1):case_receive() } end
             collectgarbage() return collectgarbage('count') - before < 20",
            true.into(),
        ),
        (
            "local c = channel.new()
             local _, e = pcall(channel.select, { c }) return tostring(e):match('case 1 is none')",
            text("case 1 is none"),
        ),
    ]);
}

#[test]
fn misuse() {
    for (source, part) in [
        ("channel.new(-1)", "number of values"),
        ("channel.new('x')", "number of values"),
        ("channel.new().receive(1)", "as ch:receive()"),
        ("channel.select(1)", "table of cases"),
        (
            "local c, t = channel.new():case_receive(), {} for i = 1, 1001 do t[i] = c end channel.select(t)",
            "at most 1000 cases",
        ),
        ("process.events():send(1)", "the runtime feeds it"),
    ] {
        let error = failure(source);
        assert!(error.message().contains(part), "{source}: {error}");
        assert!(error.message().starts_with("script.lua:1: "), "{source}: {error}");
    }
}

#[test]
fn a_deadlock_is_an_error() {
    let error = failure("local c = channel.new()\nc:receive()");
    assert_eq!(
        error.message(),
        "myns:script: deadlock: the main function waits on a channel that nobody can feed any more"
    );
    assert!(error.stack().unwrap().to_string().contains("script.lua:2"));
    let error =
        failure("local c = channel.new() coroutine.spawn(function() c:receive() end) c:receive()");
    assert!(error.message().contains("each of 2 threads"), "{error}");
    // The stack is the main function's, whoever ran last.
    for others in ["c:receive()", "require('time').sleep(1)", ""] {
        let source = format!(
            "local c = channel.new()\nlocal function other()\n{others}\nend\n\
             coroutine.spawn(other)\nc:receive()"
        );
        let error = failure(&source);
        let stack = error.stack().unwrap().to_string();
        assert!(stack.contains("script.lua:6"), "{others}: {stack}");
    }
    let error = failure("channel.select{}");
    assert!(error.message().contains("deadlock"), "{error}");
    let error = failure("local t = require('time').timer(1) t:stop() t:channel():receive()");
    assert!(error.message().contains("deadlock"), "{error}");
    // Waiting for others is none.
    let source = "process.send(process.pid(), 'x') process.inbox():receive() return 1";
    assert_eq!(value(source), Value::Int(1));
}
