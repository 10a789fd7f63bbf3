//! The globals: what is there, what is not, and `print`.

use wippy_model::Value;

use crate::support::{check, failure, list, text, value};

#[test]
fn what_is_not_there() {
    for name in [
        "dofile",
        "loadfile",
        "warn",
        "debug",
        "package",
        "string.dump",
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
        "rawget(_G, 'nothing')",
    ] {
        assert_eq!(value(&format!("return {name} == nil")), Value::Bool(true), "{name}");
    }
}

#[test]
fn what_is_there() {
    for name in [
        "string.format",
        "table.concat",
        "math.floor",
        "utf8.char",
        "os.time",
        "os.clock",
        "os.date",
        "coroutine.wrap",
        "select",
        "pcall",
        "xpcall",
        "process.send",
        "channel.new",
        "errors.new",
        "rawlen",
        "next",
        "_G['cor' .. 'outine'].yield",
        "_G['ma' .. 'th'].pi",
    ] {
        assert_eq!(value(&format!("return {name} ~= nil")), Value::Bool(true), "{name}");
    }
}

#[test]
fn load_takes_text_alone() {
    check(&[
        ("return load('return 1 + 1')()", Value::Int(2)),
        ("return load('return x', 'n', 'bt', { x = 5 })()", Value::Int(5)),
        (
            "local p = {'return ', '7'} local i = 0 return load(function() i = i + 1 return p[i] end)()",
            Value::Int(7),
        ),
        ("return (load('x x'))", Value::Nil),
        (
            "local _, e = load('\\27Lua', 'x', 'b') return e",
            text("attempt to load a binary chunk (mode is 't')"),
        ),
    ]);
}

#[test]
fn metatables() {
    check(&[
        ("return setmetatable({}, { __index = { x = 1 } }).x", Value::Int(1)),
        (
            "local mt = { __gc = print } setmetatable({}, mt) return mt.__gc == print",
            Value::Bool(true),
        ),
        (
            "return (pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {}))",
            Value::Bool(false),
        ),
        ("return (pcall(setmetatable, 1, {}))", Value::Bool(false)),
        ("return (pcall(setmetatable, {}, 1))", Value::Bool(false)),
        ("return getmetatable(setmetatable({}, nil)) == nil", Value::Bool(true)),
        (
            "local ran = false
             do local x = setmetatable({}, { __gc = function() ran = true end }) end
             collectgarbage() collectgarbage() return ran",
            Value::Bool(false),
        ),
    ]);
}

#[test]
fn garbage() {
    check(&[
        ("return collectgarbage('count') > 1", Value::Bool(true)),
        ("return collectgarbage()", Value::Int(0)),
        ("collectgarbage('stop') return collectgarbage('isrunning')", Value::Bool(true)),
    ]);
    assert!(failure("collectgarbage('x')").message().contains("unknown option"));
}

#[test]
fn print_takes_anything() {
    check(&[
        ("print() print(1, nil, 'x', true, {}, print) return 1", Value::Int(1)),
        (
            "print(setmetatable({}, { __tostring = function() return 'x' end })) return 1",
            Value::Int(1),
        ),
        (
            "return { pcall(print, setmetatable({}, { __tostring = function() error('bad', 0) end })) }",
            list([Value::Bool(false), text("bad")]),
        ),
        (
            "return (pcall(print, setmetatable({}, { __tostring = function() return {} end })))",
            Value::Bool(false),
        ),
        ("print(('x'):rep(100000)) print(table.unpack({}, 1, 200)) return 1", Value::Int(1)),
    ]);
}
