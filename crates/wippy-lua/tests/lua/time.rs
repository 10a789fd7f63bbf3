//! `time`, on the virtual clock.

use wippy_model::Value;

use crate::support::{check, failure, list, text};

#[test]
fn durations() {
    check(&[
        (
            "local t = require('time') return { tostring(t.seconds(90)), tostring(t.milliseconds(1.5)), tostring(t.hours(2) + t.minutes(1)) }",
            list([text("1m30s"), text("1.5ms"), text("2h1m0s")]),
        ),
        (
            "local t = require('time') return { t.seconds(2):milliseconds(), t.minutes(3):seconds(), t.seconds(1):nanoseconds() }",
            list([Value::Int(2000), Value::Float(180.0), Value::Int(1_000_000_000)]),
        ),
        (
            "local t = require('time') return { t.seconds(1) < t.minutes(1), t.seconds(60) == t.minutes(1), t.seconds(1) <= '1s', t.SECOND < t.seconds(2) }",
            list([true.into(), true.into(), true.into(), true.into()]),
        ),
        (
            "local t = require('time') return { tostring(t.seconds(1) * 3), tostring(3 * t.seconds(1)), tostring(t.seconds(3) / 2), t.minutes(1) / t.seconds(1), tostring(-t.seconds(1)), tostring(t.seconds(3) - '1s') }",
            list([
                text("3s"),
                text("3s"),
                text("1.5s"),
                Value::Float(60.0),
                text("-1s"),
                text("2s"),
            ]),
        ),
        ("local t = require('time') return tostring(t.parse_duration('1h30m'))", text("1h30m0s")),
        (
            "local t = require('time') local v, e = t.parse_duration('soon') return { v == nil, e:kind() }",
            list([true.into(), text("Invalid")]),
        ),
        (
            "local t = require('time') return { t.SECOND, t.MILLISECOND, t.HOUR }",
            list([Value::Int(1_000_000_000), Value::Int(1_000_000), Value::Int(3_600_000_000_000)]),
        ),
        ("return (pcall(function() return require('time').seconds(1) + {} end))", false.into()),
    ]);
    let error = failure("require('time').sleep('soon')");
    assert_eq!(
        error.message(),
        "script.lua:1: expected a duration (nanoseconds, a text such as \"1m30s\", or \
         time.seconds(n)), got the text \"soon\""
    );
}

#[test]
fn waiting() {
    check(&[
        ("local t = require('time') t.sleep(0) t.sleep(-5) t.sleep('10h') t.sleep(t.hours(1)) t.sleep(5) t.sleep(1.5) return 1", Value::Int(1)),
        (
            "local t = require('time') local log = {}
             for _, n in ipairs{ 30, 10, 20 } do coroutine.spawn(function() t.sleep(n * t.SECOND) log[#log + 1] = n end) end
             t.sleep('1m') return log",
            list([10, 20, 30].map(Value::Int)),
        ),
        ("local t = require('time') local v, ok = t.after('1s'):receive() return { math.type(v), ok }", list([text("integer"), true.into()])),
        (
            "local t = require('time') local timer = t.timer('1h')
             coroutine.spawn(function() t.sleep('1s') timer:reset('1s') end)
             coroutine.spawn(function() t.sleep('10m') error('too late') end)
             timer:channel():receive() return timer:stop()",
            false.into(),
        ),
        ("local t = require('time') local timer = t.timer('1h') return { timer:stop(), timer:stop() }", list([true.into(), false.into()])),
        (
            "local t = require('time') local ticker, n = t.ticker('1s'), 0
             local done = t.after('5500ms')
             while true do
                local r = channel.select{ done:case_receive(), ticker:channel():case_receive() }
                if r.channel == done then break end
                n = n + 1
             end
             ticker:stop() return n",
            Value::Int(5),
        ),
        (
            // Ticks that nobody reads do not pile up, and the rhythm stays.
            "local t = require('time') local clock = 0
             coroutine.spawn(function()
                local fine = t.ticker('10ms'):channel()
                while fine:receive() do clock = clock + 1 end
             end)
             local ticker, log = t.ticker('1s'), {}
             local function tick()
                ticker:channel():receive()
                log[#log + 1] = (clock + 1) // 10
             end
             tick() t.sleep('4500ms') tick() tick() tick()
             return log",
            list([10, 55, 60, 70].map(Value::Int)),
        ),
        (
            // Stopped while somebody waits, and set going again.
            "local t = require('time') local ticker, n = t.ticker('1s'), 0
             coroutine.spawn(function() while true do ticker:channel():receive() n = n + 1 end end)
             t.sleep('2500ms')
             local armed, twice = ticker:stop(), ticker:stop()
             t.sleep('10s')
             local stopped = n
             ticker:reset('100ms')
             t.sleep('350ms')
             return { armed, twice, stopped, n }",
            list([true.into(), false.into(), Value::Int(2), Value::Int(5)]),
        ),
        (
            // A timer that has gone off can be set again.
            "local t = require('time') local timer, alarm = t.timer('1s'), t.after('2900ms')
             timer:channel():receive() timer:reset('2s')
             local first = channel.select { timer:channel():case_receive(), alarm:case_receive() }
             timer:response():receive()
             return { first.channel == alarm, timer:stop() }",
            list([true.into(), false.into()]),
        ),
        (
            // The first of several to be due, however they were asked for.
            "local t = require('time') local late, soon = t.after('2s'), t.timer('1s')
             local inbox, events = process.inbox(), process.events()
             local r = channel.select { inbox:case_receive(), late:case_receive(), events:case_receive(),
                soon:channel():case_receive() }
             return { r.channel == soon:channel(), r.ok, math.type(r.value) }",
            list([true.into(), true.into(), text("integer")]),
        ),
        ("return (pcall(require('time').ticker, 0))", false.into()),
        ("local t = require('time') coroutine.spawn(function() t.sleep(math.maxinteger) end) return (t.after(1):receive()) ~= nil", true.into()),
    ]);
}

#[test]
fn dates() {
    check(&[
        (
            "local t = require('time') return tostring(t.date(2024, 2, 29, 12, 30, 15))",
            text("2024-02-29T12:30:15Z"),
        ),
        (
            "local t = require('time') local d = t.date(2024, 2, 29) return { d:year(), d:month(), d:day(), d:weekday(), d:yearday(), d:unix() }",
            list([2024, 2, 29, 4, 60, 1_709_164_800].map(Value::Int)),
        ),
        (
            "local t = require('time') return tostring(t.date(2024, 1, 31) + t.hours(24))",
            text("2024-02-01T00:00:00Z"),
        ),
        (
            "local t = require('time') return tostring(t.date(2024, 1, 2) - t.date(2024, 1, 1))",
            text("24h0m0s"),
        ),
        (
            "local t = require('time') return t.parse('2024-03-01T10:00:00+02:00'):format(t.DATE_TIME)",
            text("2024-03-01 08:00:00"),
        ),
        (
            "local t = require('time') return t.parse(t.DATE, '2024-03-01'):format('Mon 2 Jan 2006')",
            text("Fri 1 Mar 2024"),
        ),
        ("local t = require('time') return (t.parse('yesterday'))", Value::Nil),
        (
            "local t = require('time') local n = t.now() return n:unix() == t.unix() or n:unix() + 1 == t.unix()",
            true.into(),
        ),
        ("local t = require('time') return t.now() < t.now() + '1s'", true.into()),
        ("return (pcall(require('time').date, 'x'))", false.into()),
        (
            "local n = require('time').now() return (pcall(n.format, n, ('2006'):rep(300)))",
            false.into(),
        ),
        ("return (require('time').parse('2024-01-01T00:00:00+2562048:00'))", Value::Nil),
        ("return (pcall(require('time').date, 2024, math.maxinteger))", false.into()),
    ]);
}
