//! Coroutines, and waiting inside them.

use wippy_model::Value;

use crate::support::{check, failure, list, text, value};

#[test]
fn as_ever() {
    check(&[
        (
            "local co = coroutine.create(function(a, b)
                local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d, e
             end)
             return { coroutine.resume(co, 1, 2), select(2, coroutine.resume(co, 10)),
                      table.pack(coroutine.resume(co, nil, 'x')).n, coroutine.status(co),
                      select(2, coroutine.resume(co)) }",
            list([
                Value::Bool(true), Value::Int(20), Value::Int(3), text("dead"),
                text("cannot resume dead coroutine"),
            ]),
        ),
        (
            "local co = coroutine.create(function(...) local p = table.pack(coroutine.yield(nil, nil)) return p.n end)
             local a = table.pack(coroutine.resume(co))
             local b = table.pack(coroutine.resume(co, nil, nil, nil))
             return { a.n, b[2] }",
            list([Value::Int(3), Value::Int(3)]),
        ),
        (
            "local co = coroutine.create(function() error({ code = 1 }) end)
             local ok, e = coroutine.resume(co) return { ok, e.code, coroutine.status(co) }",
            list([Value::Bool(false), Value::Int(1), text("dead")]),
        ),
        ("return (select(2, pcall(coroutine.resume, 1)))", text("bad argument #1 to 'coroutine.resume' (coroutine expected)")),
        (
            "local co co = coroutine.create(function() return coroutine.resume(co) end)
             return { select(2, coroutine.resume(co)), select(3, coroutine.resume(coroutine.create(function()
                local inner = coroutine.running() return coroutine.resume(inner) end))) }",
            list([Value::Bool(false), text("cannot resume non-suspended coroutine")]),
        ),
        (
            "local main, is_main = coroutine.running()
             local inner = coroutine.wrap(function() local _, m = coroutine.running() return m, coroutine.isyieldable() end)
             local m, y = inner()
             return { is_main, coroutine.isyieldable(), m, y, coroutine.status(main) }",
            list([Value::Bool(true), Value::Bool(false), Value::Bool(false), Value::Bool(true), text("running")]),
        ),
        (
            "local closed = false
             local co = coroutine.create(function()
                local x <close> = setmetatable({}, { __close = function() closed = true end }) coroutine.yield()
             end)
             coroutine.resume(co) return { coroutine.close(co), closed, coroutine.status(co) }",
            list([Value::Bool(true), Value::Bool(true), text("dead")]),
        ),
        (
            "local co = coroutine.create(function()
                local x <close> = setmetatable({}, { __close = function() error('late', 0) end }) coroutine.yield()
             end)
             coroutine.resume(co) return { coroutine.close(co) }",
            list([Value::Bool(false), text("late")]),
        ),
        ("return (pcall(coroutine.close, coroutine.running()))", Value::Bool(false)),
        ("local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
          local sum = 0 for i in gen do sum = sum + i end return sum", Value::Int(6)),
    ]);
    assert!(failure("coroutine.yield()").message().contains("outside a coroutine"));
}

const PRELUDE: &str = "local time = require('time')
    local function nap(v) time.sleep('1s') return v end\n";

#[test]
fn waiting_works_everywhere() {
    for (source, expected) in [
        ("return nap(1)", Value::Int(1)),
        ("return select(2, pcall(nap, 1))", Value::Int(1)),
        ("return select(2, xpcall(nap, print, 1))", Value::Int(1)),
        ("local _, e = xpcall(function() nap() error('x', 0) end, function(e) return e .. '!' end) return e", text("x!")),
        ("local t = setmetatable({}, { __index = function(_, k) return nap(k) end }) return t.key", text("key")),
        ("local t = setmetatable({}, { __add = function(a, b) return nap(b) end }) return t + 5", Value::Int(5)),
        ("local t = setmetatable({}, { __eq = function() return nap(true) end }) return t == setmetatable({}, getmetatable(t))", Value::Bool(true)),
        ("local t = setmetatable({}, { __concat = function(a, b) return nap('c') end }) return t .. 'x'", text("c")),
        ("local t = setmetatable({}, { __call = function(_, a) return nap(a) end }) return t(3)", Value::Int(3)),
        ("local s = 0 for i in function(_, i) i = (i or 0) + 1 if i < 4 then return nap(i) end end do s = s + i end return s", Value::Int(6)),
        ("local x <close> = setmetatable({}, { __close = function() nap() end }) return 1", Value::Int(1)),
        ("return coroutine.wrap(function() return nap(1) end)()", Value::Int(1)),
        ("return select(2, coroutine.resume(coroutine.create(function() return nap(1) end)))", Value::Int(1)),
        (
            // Both kinds of yield through two levels.
            "local outer = coroutine.wrap(function()
                local inner = coroutine.wrap(function(a)
                    local b = coroutine.yield(nap(a) + 1) nap() return nap(b) * 2
                end)
                local x = inner(1) nap() local y = coroutine.yield(x) nap() return inner(y)
             end)
             local x = outer() nap() return { x, outer(10) }",
            list([Value::Int(2), Value::Int(20)]),
        ),
        (
            "local co = coroutine.wrap(function() local ok, e = pcall(function() nap() error('in', 0) end) nap() return e end)
             return co()",
            text("in"),
        ),
        (
            "local ok, e = pcall(coroutine.wrap(function() nap() error({ 7 }) end)) return e[1]",
            Value::Int(7),
        ),
        (
            // A coroutine that waits is not the script's to resume or close.
            "local co = coroutine.create(function() nap() return 1 end)
             local seen = {}
             coroutine.spawn(function()
                seen[1] = coroutine.status(co) seen[2] = select(2, coroutine.resume(co))
                seen[3] = pcall(coroutine.close, co)
             end)
             local ok, v = coroutine.resume(co)
             return { ok, v, seen }",
            list([
                Value::Bool(true),
                Value::Int(1),
                list([text("normal"), text("cannot resume non-suspended coroutine"), Value::Bool(false)]),
            ]),
        ),
        (
            "local deep = nap
             for _ = 1, 100 do local f = deep deep = function(v) return coroutine.wrap(f)(v) end end
             return deep(9)",
            Value::Int(9),
        ),
    ] {
        let source = format!("{PRELUDE}{source}");
        assert_eq!(value(&source), expected, "{source}");
    }
}

#[test]
fn waiting_where_lua_cannot_yield() {
    for source in [
        "tostring(setmetatable({}, { __tostring = nap }))",
        "table.concat(setmetatable({}, { __index = nap }), '', 1, 1)",
        "table.unpack(setmetatable({}, { __index = nap }), 1, 1)",
        "tostring(setmetatable({}, { __tostring = function() coroutine.wrap(nap)() end }))",
        "tostring(setmetatable({}, { __tostring = function() channel.new():receive() end }))",
        "tostring(setmetatable({}, { __tostring = function() process.receive() end }))",
        "error((select(2, load(nap))), 0)",
    ] {
        let error = failure(&format!("{PRELUDE}{source}"));
        assert!(error.message().contains("cannot wait here"), "{source}: {error}");
    }
    // And it is none the worse for it.
    let source = format!(
        "{PRELUDE}
        local c = channel.new()
        pcall(tostring, setmetatable({{}}, {{ __tostring = function() c:receive() end }}))
        coroutine.spawn(function() c:send(1) end)
        nap() return (c:receive())"
    );
    assert_eq!(value(&source), Value::Int(1));
}

#[test]
fn threads() {
    check(&[
        (
            "local log = {}
             for i = 1, 3 do coroutine.spawn(function(n) log[#log + 1] = n require('time').sleep(i) log[#log + 1] = n end, i * 10) end
             require('time').sleep(10) return log",
            list([10, 20, 30, 10, 20, 30].map(Value::Int)),
        ),
        // The end of the main function is the end of the process.
        ("coroutine.spawn(function() while true do require('time').sleep('1h') end end) return 1", Value::Int(1)),
        ("return (pcall(coroutine.spawn, 1))", Value::Bool(false)),
        (
            // One that has ended is dead, whoever kept it.
            "local co coroutine.spawn(function() co = coroutine.running() return print, 1 end)
             require('time').sleep(1)
             local ok, message = coroutine.resume(co)
             return { coroutine.status(co), ok, message }",
            list([text("dead"), false.into(), text("cannot resume dead coroutine")]),
        ),
        (
            "local n, done = 0, channel.new()
             for i = 1, 10000 do coroutine.spawn(function() n = n + 1 if n == 10000 then done:send(n) end end) end
             return (done:receive())",
            Value::Int(10000),
        ),
    ]);
}
