//! Scripts that try to hurt the host. Each must end, and end as it should.

use wippy_lua::LuaSpec;
use wippy_model::{Exit, Kind, Limit, Limits, Value};

use crate::support::{Node, check, exit, failure, list, spec, text, virtual_time};

fn with_memory(memory_bytes: u64, source: &str) -> Exit {
    let limits = Limits { memory_bytes, ..Limits::default() };
    let spec = LuaSpec { limits, ..spec("myns:script", source) };
    virtual_time(|| async { Node::new().run_spec(spec, vec![]).await })
}

#[test]
fn memory_runs_out() {
    for source in [
        "local t = {} for i = 1, math.huge do t[i] = { i } end",
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(20 << 20)",
        "while true do pcall(string.rep, 'x', 1 << 30) end",
        "pcall(string.rep, 'x', 20 << 20) return 1",
        "local t = {} while true do pcall(function() for i = 1, math.huge do t[#t + 1] = { i } end end) end",
        "local t = {} pcall(function() for i = 1, math.huge do t[i] = { i } end end) t = nil while true do end",
        "coroutine.wrap(function() local t = {} for i = 1, math.huge do t[i] = {} end end)()",
        "while true do coroutine.resume(coroutine.create(function() local t = {} for i = 1, math.huge do t[i] = {} end end)) end",
        "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
        "while true do coroutine.spawn(function() channel.new():receive() end) end",
        "local t = {} xpcall(function() for i = 1, math.huge do t[i] = {} end end, function() while true do t[#t + 1] = {} end end)",
        "local x <close> = setmetatable({}, { __close = function() while true do end end }) local t = {} for i = 1, math.huge do t[i] = {} end",
        "table.concat(setmetatable({}, { __index = function() return ('x'):rep(100) end }), '', 1, 500000)",
        "xpcall(function() pcall(string.rep, 'x', 20 << 20) while true do local t = {} end end, function() while true do end end)",
        // The host allocates for it, and it allocates nothing itself.
        "local e, t = errors.new(('x'):rep(60000)), table.pack(table.unpack({}, 1, 200)) for i = 1, 200 do t[i] = tostring(e) end return 1",
        "local c = channel.new(math.maxinteger) while true do c:send({}) end",
        "print(('x'):rep(6 << 20), ('x'):rep(6 << 20))",
        // Texts and patterns that grow.
        "local s = 'x' while true do s = s:gsub('x', 'xx') end",
        "local s = ('x'):rep(1000) while true do s = s:gsub('x', function() return s end) end",
        "return (('x'):rep(100000):gsub('', ('y'):rep(1000)))",
        "while true do pcall(string.gsub, ('x'):rep(1000), '.', ('%0'):rep(100000)) end",
        "local p = 'a' while true do pcall(string.find, p, '^' .. p .. '[' .. p .. ']') p = p .. p end",
        "return (('x'):rep(4 << 20)):match('((((((.*))))))')",
        "return (('x'):rep(5 << 20) .. 'y'):upper():rep(3)",
        "local t = {} for i = 1, 5000 do t[i] = ('x'):rep(2000) end return table.concat(t, ',')",
        // Next to the limit, whatever is made is garbage at once.
        "local t = {} repeat t[#t + 1] = ('x'):rep(1000) .. #t if collectgarbage('count') > 8000 then collectgarbage() end until collectgarbage('count') > 8000 while true do local s = ('y'):rep(60000) end",
    ] {
        let exit = with_memory(8 << 20, source);
        let Exit::Limit(Limit::Memory, error) = &exit else { panic!("{source}: {exit:?}") };
        assert_eq!(error.kind(), Kind::ResourceExhausted);
        assert_eq!(
            error.message(),
            "myns:script needs more than 8388608 bytes of memory (limits.memory_bytes)"
        );
    }
    // Garbage is no use of memory.
    let source = "for i = 1, 300000 do local t = { i, tostring(i) } end return 1";
    assert_eq!(with_memory(1 << 20, source), Exit::Normal(Value::Int(1)));
}

#[test]
fn too_little_memory_to_begin() {
    let exit = with_memory(1000, "local t = {} return #t");
    assert!(matches!(exit, Exit::Limit(Limit::Memory, _)), "{exit:?}");
}

#[test]
fn recursion() {
    for (source, part) in [
        ("local function f() return 1 + f() end f()", "stack overflow"),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
            "stack overflow",
        ),
        ("local function f() return coroutine.wrap(f)() end f()", "C stack overflow"),
        ("local function f() pcall(f) end f() error('deep')", "deep"),
        ("local function f() return ('x'):gsub('x', f) end f()", "C stack overflow"),
        ("local function f() return select(2, pcall(f)) end error(f(), 0)", "overflow"),
        (
            "local t = {} for i = 1, 300 do t = setmetatable({}, { __index = t }) end return t.x.y",
            "attempt to index a nil value",
        ),
        (
            "local t = {} setmetatable(t, { __index = t }) return t.x",
            "'__index' chain too long; possible loop",
        ),
        ("load(('('):rep(100000))() ", "attempt to call a nil value"),
        ("('x'):rep(1 << 62)", "resulting string too large"),
        ("table.unpack({}, 1, 1e7)", "too many results to unpack"),
        ("table.unpack({}, 1, 40001)", "too many results to unpack"),
        ("table.unpack({}, math.mininteger, math.maxinteger)", "too many results to unpack"),
        ("return #{ table.unpack({}, 1, 40000) } == 0 and error('none')", "none"),
        ("string.byte(('x'):rep(50000), 1, -1)", "string slice too long"),
        ("utf8.codepoint(('x'):rep(50000), 1, -1)", "string slice too long"),
        ("local function f(...) f(1, ...) end f()", "stack overflow"),
        ("local function f(n) return n == 0 and 0 or 1 + f(n - 1) end error(f(15000), 0)", "15000"),
        (
            "local function f(n) return 1 + f(n + 1) end error('caught: ' .. select(2, pcall(f, 1)), 0)",
            "caught: script.lua:1: stack overflow",
        ),
        (
            "local function f(n) return 1 + f(n + 1) end error(select(2, xpcall(f, function(e) return 'handled: ' .. e end, 1)), 0)",
            "handled: script.lua:1: stack overflow",
        ),
        (
            "local function f(n) return 1 + f(n + 1) end error(select(2, xpcall(f, function(e) error('again: ' .. e, 0) end, 1)), 0)",
            "again: script.lua:1: stack overflow",
        ),
        (
            "local function f(n) return 1 + f(n + 1) end\nerror('caught: ' .. select(2, coroutine.resume(coroutine.create(f), 1)), 0)",
            "caught: script.lua:1: stack overflow",
        ),
        (
            "local function f(n) return 1 + f(n + 1) end error('caught: ' .. select(2, pcall(coroutine.wrap(f), 1)), 0)",
            "caught: script.lua:1: stack overflow",
        ),
        (
            "local function f(n) return 1 + f(n + 1) end local c = coroutine.create(f) coroutine.resume(c, 1) error(select(2, coroutine.close(c)), 0)",
            "stack overflow",
        ),
        (
            "local function f(a, b) return 1 + f(a, b) end error('caught: ' .. select(2, pcall(table.sort, { 3, 2, 1 }, f)), 0)",
            "caught: script.lua:1: stack overflow",
        ),
        // It is over with the call that was protected.
        (
            "local function f(n) return 1 + f(n + 1) end for _ = 1, 20 do pcall(f, 1) end error((select(2, pcall(error, 'fine', 0))), 0)",
            "fine",
        ),
        // Each link of such a chain moves the arguments.
        ("local t = setmetatable({}, {}) getmetatable(t).__call = t t()", "chain of `__call`"),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__call = t t(table.unpack({}, 1, 39000))",
            "chain of `__call`",
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__call = t error('caught: ' .. select(2, pcall(t)), 0)",
            "caught: script.lua:1: stack overflow",
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__call = t error((select(2, pcall(t))), 0)",
            "stack overflow",
        ),
    ] {
        let error = failure(source);
        assert!(error.message().contains(part), "{source}: {error}");
    }
}

#[test]
fn endless_loops_in_c() {
    for source in [
        "table.move({}, 1, math.maxinteger - 1, 2)",
        "table.move({}, math.mininteger, -1, 1)",
        "table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index = function() return '' end }))",
        "table.concat(setmetatable({}, { __index = function() return '' end }), '', 1, math.maxinteger)",
        "table.concat({}, '', math.mininteger, math.maxinteger)",
    ] {
        let error = failure(source);
        assert!(error.message().contains("more elements"), "{source}: {error}");
    }
    for source in [
        "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)",
        "local n = 0 table.insert(setmetatable({}, { __len = function() n = n + 1 return n == 1 and 0 or 1 << 60 end }), 1, 1)",
        "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)",
    ] {
        let error = failure(source);
        assert!(error.message().contains("it has a __len"), "{source}: {error}");
    }
    check(&[
        (
            "return table.concat(setmetatable({}, { __len = function() return 2 end, __index = function() return 'x' end }))",
            text("xx"),
        ),
        (
            "return table.concat({ 1, 2, 3 }, ' ', 2) .. table.concat({ 4, 5 }, ',', 1, 1)",
            text("2 34"),
        ),
        ("return (pcall(table.concat))", false.into()),
        ("return ('') :rep(1 << 62)", text("")),
        ("return ('x'):rep(3, ',')", text("x,x,x")),
        (
            "local t = { 3, 1, 2 } table.sort(t) table.insert(t, 4) table.insert(t, 1, 0) table.remove(t) return table.concat(table.move(t, 1, 4, 2), ' ')",
            text("0 0 1 2 3"),
        ),
        ("return (pcall(table.insert, nil, 1))", false.into()),
        ("return (pcall(string.rep, {}, 1))", false.into()),
    ]);
}

#[test]
fn errors_in_errors() {
    check(&[
        (
            "local _, e = xpcall(error, function() error('again') end) return type(e)",
            text("string"),
        ),
        (
            "local _, e = pcall(tostring, setmetatable({}, { __tostring = function() error('no', 0) end })) return e",
            text("no"),
        ),
        (
            "local _, e = pcall(tostring, setmetatable({}, { __name = 5, __tostring = 5 })) return e",
            text("attempt to call a number value"),
        ),
        (
            "local _, e = pcall(function() local x <close> = setmetatable({}, { __close = function(_, e) error('close: ' .. e, 0) end }) error('body', 0) end) return e",
            text("close: body"),
        ),
        (
            "local e = setmetatable({}, { __eq = error, __lt = error, __concat = error }) local _, x = pcall(error, e) return rawequal(x, e)",
            true.into(),
        ),
        (
            "collectgarbage() setmetatable({}, { __gc = function() error('gc') end }) collectgarbage() return 1",
            Value::Int(1),
        ),
        ("setmetatable({}, { __gc = function() while true do end end }) return 1", Value::Int(1)),
        (
            "local t = setmetatable({}, { __mode = 'k' }) for i = 1, 1000 do t[{}] = i end collectgarbage() return next(t) == nil",
            true.into(),
        ),
    ]);
    for source in [
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "error(setmetatable({}, { __index = function() error('x') end, __metatable = false }))",
        "local x <close> = setmetatable({}, { __close = function() error('late') end })",
        "xpcall(error, function() end) error({ message = setmetatable({}, { __tostring = error }) })",
        "error(coroutine.create(print))",
    ] {
        assert!(matches!(exit(source), Exit::Failed(_)), "{source}");
    }
}

#[test]
fn the_runtimes_own_tables() {
    // What a script can reach of the runtime, it can break for itself alone.
    for source in [
        "_G.process = nil _G.type = nil setmetatable = nil return channel.new(1):send(1)",
        "for k in pairs(_G) do _G[k] = nil end",
        "setmetatable(_G, { __index = error, __newindex = error }) return 1",
        "string.format = nil return (('x'):rep(2))",
        "getmetatable('').__index = nil return 1",
        "local t = require('time').timer(1) t[1] = process.events() t:stop() t:reset(1) t[1] = 5 t:stop() t:reset(1) return t:channel()",
        "pcall(rawset, channel.new(), 'receivers', {}) return 1",
        "local e = errors.new('x') for k in pairs(e) do e[k] = {} end error(e)",
        "local e = errors.new('x') e[4] = print e[1] = nil error(e)",
        "error(setmetatable({}, { __name = ('x'):rep(1000) }))",
    ] {
        let exit = exit(source);
        assert!(matches!(exit, Exit::Normal(_) | Exit::Failed(_)), "{source}: {exit:?}");
    }
    // A channel's state is out of reach: the code that works on it is not preempted.
    let error = failure(
        "local ch = channel.new()
         ch.receivers = setmetatable({}, { __index = { first = 1, last = 1, gone = 0, [1] = { sel = { done = true } } }, __newindex = {} })
         ch:send(1)",
    );
    assert!(error.message().contains("attempt to index a channel value"), "{error}");
    check(&[
        ("return getmetatable(channel.new())", false.into()),
        (
            // Opened late, it uses nothing that the script has put in place of Lua's own.
            "local function hog() local t = {} for i = 1, math.huge do t[i] = { i } end end
             setmetatable, getmetatable, type, rawget = hog, hog, hog, hog
             local c = _G['chan' .. 'nel'].new(1) c:send(1) return (c:receive())",
            Value::Int(1),
        ),
        (
            "local seen = 0
             local cases = setmetatable({}, { __len = function() seen = 1 return 1 << 60 end, __index = function() seen = 1 end })
             cases[1] = setmetatable({}, { __index = function() seen = 1 end })
             local ok = pcall(channel.select, cases) return { ok, seen }",
            list([false.into(), Value::Int(0)]),
        ),
        ("return getmetatable(errors.new('x'))", text("error")),
        ("return getmetatable(payload.null)", false.into()),
        ("return getmetatable(payload.uint(-1))", false.into()),
        ("return getmetatable(require('time').seconds(1))", false.into()),
    ]);
}

#[test]
fn values_that_take_long_to_read() {
    for (empty, count) in [
        ("for i = 1, 1048576 do empty[i] = i end for i = 1, 1048576 do empty[i] = nil end", 500),
        (
            "for i = 1, 300000 do empty['k' .. i] = i end for k in pairs(empty) do empty[k] = nil end",
            500,
        ),
        ("for i = 1, 100 do empty[i] = i end for i = 1, 100 do empty[i] = nil end", 200_000),
    ] {
        let source = format!(
            "local empty, list = {{}}, {{}} {empty}
            for i = 1, {count} do list[i] = empty end
            local _, err = process.send(process.pid(), 'x', list)
            return {{ err:kind(), err:message() }}"
        );
        let Exit::Normal(Value::List(found)) = exit(&source) else { panic!() };
        assert_eq!(found.first(), Some(&text("Invalid")));
        let message = found.get(1).and_then(Value::as_str).unwrap_or_default();
        assert!(
            message.starts_with("payload 1[") && message.contains("room for far more"),
            "{message}"
        );
    }
    // One that was large once is welcome, and so is as much as a message may have.
    check(&[
        (
            "local t = {} for i = 1, 1048576 do t[i] = i end for i = 2, 1048576 do t[i] = nil end
             assert(process.send(process.pid(), 'x', t)) return #process.receive().payload",
            Value::Int(1),
        ),
        (
            "local t = {} for i = 1, 40000 do t[i] = { x = i, { i } } end
             assert(process.send(process.pid(), 'x', t)) return #process.receive().payload",
            Value::Int(40000),
        ),
    ]);
}

#[test]
fn tracebacks_search_no_table_of_the_script() {
    let source = "local function inner() return errors.call_stack() end
        _G.planted = inner
        return (inner())";
    let Exit::Normal(Value::String(stack)) = exit(source) else { panic!() };
    assert!(!stack.contains("planted"), "{stack}");
    // But Lua's own keep their names.
    let stack = failure("pcall(error) string.rep()").stack().unwrap().to_string();
    assert!(stack.contains("[C]: in function 'string.rep'"), "{stack}");
}

#[test]
fn long_texts() {
    check(&[
        ("return tostring(tonumber(('1'):rep(65537)))", text("nil")),
        ("return tostring(tonumber(('1'):rep(65537), 10))", text("nil")),
        ("return tonumber(('0'):rep(60000) .. '17') + tonumber('z', 36)", Value::Int(52)),
        ("return (pcall(tonumber))", false.into()),
        // The text of an error is cut.
        ("return #errors.new(('x'):rep(1000000)):message()", Value::Int(65539)),
        ("return #tostring(errors.wrap(('x'):rep(1000000), 'while'))", Value::Int(65539)),
        ("return (pcall(function() return errors.new('x') .. ('y'):rep(65537) end))", false.into()),
        ("return #(errors.new('x') .. ('y'):rep(65536))", Value::Int(65537)),
        (
            "local _, e = require('time').parse(('x'):rep(1000000)) return #e:message() < 200",
            true.into(),
        ),
    ]);
    let error = failure("error(('x'):rep(1000000), 0)");
    assert_eq!(error.message().len(), 65539);
    for source in [
        "error(select(2, pcall(require, ('x'):rep(1000000))))",
        "local _, e = process.send(process.pid(), ('x'):rep(1000000), 1) error(e)",
        "local _, e = process.spawn(('x'):rep(1000000), 'processes') error(e)",
    ] {
        let error = failure(source);
        assert!(error.message().len() < 300, "{source}: {}", error.message().len());
    }
}
