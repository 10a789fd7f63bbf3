//! Types in scripts, and types as values.

use std::time::Duration;

use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Exit, Kind, Limits, Value};

use crate::support::{Node, check, failure, import, spec, text, value, virtual_time};

#[test]
fn types_are_erased() {
    check(&[
        (
            "local function add<T>(a: number, b?: number, ...: any): (number, string?)
                 return a + (b or 1), nil
             end
             local n: number, m: {string} = add(1, 2)!, {}
             return n as integer",
            Value::Int(3),
        ),
        ("local f = load('local x: number = ... return x :: any') return f(7)", Value::Int(7)),
        (
            "local p = { 'local x: num', 'ber = 8 return x' } local i = 0
          return load(function() i = i + 1 return p[i] end)()",
            Value::Int(8),
        ),
        (
            "local _, e = load('\\nlocal x: = 1') return e",
            text("[string \"...\"]:2:10: expected a type, found `=`"),
        ),
        (
            "local _, e = load('local x: = 1', '@a.lua') return e",
            text("a.lua:1:10: expected a type, found `=`"),
        ),
        (
            "local _, e = load('local x: = 1', '=b') return e",
            text("b:1:10: expected a type, found `=`"),
        ),
        (
            "local _, e = load('local x: = 1') return e",
            text("[string \"local x: = 1\"]:1:10: expected a type, found `=`"),
        ),
        (
            "local f = load('type A = number return A:is(...)', 'n', 't', {}) return (f(3))",
            Value::Int(3),
        ),
        ("return load('type A = { x } return A, x', 'n', 't', { x = 5 })() ~= nil", true.into()),
        (
            "local _, x = load('type A = any return A, x', 'n', 't', { x = 5 })() return x",
            Value::Int(5),
        ),
        ("return pcall(load('type A = any return A, x', 'n', 't', nil))", false.into()),
        ("y = 6 local _, x = load('type A = any return A, y')() return x", Value::Int(6)),
    ]);
}

#[test]
fn a_mistake_names_entry_file_line_and_column() {
    let error =
        LuaUnit::load(spec("myns:script", "local a: number = 1\nlocal x: = 2")).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.message(),
        "myns:script does not compile: script.lua:2:10: expected a type, found `=`"
    );
    let error = LuaUnit::load(spec("myns:script", "#!lua\nlocal x: = 2")).unwrap_err();
    assert!(error.message().contains("script.lua:2:10:"), "{error}");
    let broken =
        LuaSpec { imports: vec![import("lib", "local x: = 2")], ..spec("myns:script", "") };
    let error = LuaUnit::load(broken).unwrap_err();
    assert!(error.message().contains("lib.lua:1:10: expected a type"), "{error}");
    let large = " ".repeat((16 << 20) + 1);
    let error = LuaUnit::load(spec("myns:script", &large)).unwrap_err();
    assert!(error.message().contains("larger than 16777216 bytes"), "{error}");
}

/// What makes types for a text takes room among the variables of its top level.
#[test]
fn types_as_values_take_two_local_variables() {
    let with_locals = |count: usize| {
        let locals: String = (0..count).map(|n| format!("local v{n} = {n}\n")).collect();
        format!("{locals} type A = number return A:is(1)")
    };
    let script = |count| LuaUnit::load(spec("myns:script", &with_locals(count)));
    let library = |count| {
        let imports = vec![import("lib", &with_locals(count))];
        LuaUnit::load(LuaSpec { imports, ..spec("myns:script", "") })
    };
    assert!(script(198).is_ok() && library(197).is_ok());
    for error in [script(199).unwrap_err(), library(198).unwrap_err()] {
        assert!(error.message().contains("too many local variables"), "{error}");
    }
}

#[test]
fn a_text_that_costs_too_much_is_refused_by_load() {
    check(&[
        (
            "local _, e = load('type A = {' .. ('a: b, '):rep(100000) .. '}', '=t') return e",
            text("t:1:196623: the types of this text have more than 65536 parts"),
        ),
        (
            "local all = {} for i = 1, 12000 do all[i] = 'v' .. i .. ': l' .. i .. '.T' end
             local begins = {} for i = 1, 12000 do begins[i] = 'local l' .. i end
             local source = table.concat(begins, ' ') .. ' type A = {' .. table.concat(all, ', ')
                 .. '} return A'
             local f, e = load(source, '=t')
             return f == nil and (e:find('too many local variables', 1, true) or e:find('takes too long', 1, true)) ~= nil",
            true.into(),
        ),
    ]);
}

#[test]
fn lines_stay() {
    let error =
        failure("local x: {\n a: string,\n} = {}\ntype A = { a: string }\nA:is(1)\nerror('here')");
    assert_eq!(error.message(), "script.lua:6: here");
    let error = failure("type A = { a: string }\nnope()");
    assert!(
        error.message().starts_with("script.lua:2: attempt to call a nil value (global 'nope')"),
        "{error}"
    );
}

/// Runs `T:is(value)` and gives "fits", or the message.
fn is(types: &str, value_of: &str) -> String {
    let source = format!(
        "{types} local ok, err = T:is({value_of})
         assert((ok ~= nil) == (err == nil))
         if ok then return 'fits' end
         assert(err:kind() == errors.INVALID)
         return tostring(err)"
    );
    match value(&source) {
        Value::String(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_checked() {
    for (types, value, expected) in [
        ("type T = number", "1.5", "fits"),
        ("type T = number", "'1'", "expected number, got string \"1\""),
        ("type T = integer", "3.0", "fits"),
        ("type T = integer", "3.5", "expected integer, got number 3.5"),
        ("type T = string?", "nil", "fits"),
        ("type T = string?", "1", "expected string?, got number 1"),
        ("type T = boolean", "false", "fits"),
        ("type T = any", "nil", "fits"),
        ("type T = never", "nil", "expected never, got nil"),
        ("type T = nil", "nil", "fits"),
        ("type T = 'a' | \"b\" | 3 | true", "'b'", "fits"),
        ("type T = 'a' | \"b\" | 3 | true", "3.0", "fits"),
        (
            "type T = 'a' | \"b\" | 3 | true",
            "false",
            "expected \"a\" | \"b\" | 3 | true, got boolean false",
        ),
        ("type T = -1", "-1", "fits"),
        ("type T = { x: number, y?: number }", "{ x = 1 }", "fits"),
        (
            "type T = { x: number, y?: number }",
            "{ x = 1, y = 'a' }",
            "y: expected number, got string \"a\"",
        ),
        ("type T = { x: number }", "{}", "x: expected number, got nil"),
        ("type T = { x: number }", "5", "expected T, got number 5"),
        (
            "type T = { ['a b']: { [1]: number } }",
            "{ ['a b'] = { 'x' } }",
            "[\"a b\"][1]: expected number, got string \"x\"",
        ),
        (
            "type T = { users: {User} } type User = { age: number }",
            "{ users = { { age = 1 }, { age = 'x' } } }",
            "users[2].age: expected number, got string \"x\"",
        ),
        ("type T = number[]", "{ 1, 2 }", "fits"),
        ("type T = {number}", "{ 1, 2, nil, 4 }", ""),
        ("type T = {number}", "{ a = 1 }", "expected {number}, got a table with the key \"a\""),
        (
            "type T = {number}",
            "{ 1, [1.5] = 1 }",
            "expected {number}, got a table with the key 1.5",
        ),
        ("type T = { [string]: number }", "{ a = 1, b = 2 }", "fits"),
        ("type T = { [string]: number }", "{ 1 }", "expected keys of type string, got the key 1"),
        ("type T = { [string]: number }", "{ a = 'x' }", "a: expected number, got string \"x\""),
        ("type T = { n: string, [string]: number }", "{ n = 'x', a = 1 }", "fits"),
        ("type T = { a: number } & { b: string }", "{ a = 1, b = 'x' }", "fits"),
        ("type T = { a: number } & { b: string }", "{ a = 1 }", "b: expected string, got nil"),
        (
            "type T = Circle | Square type Circle = { kind: 'circle', r: number } type Square = { kind: 'square', a: number }",
            "{ kind = 'square', a = 1 }",
            "fits",
        ),
        (
            "type T = Circle | Square type Circle = { r: number, kind: 'circle' } type Square = { a: number, kind: 'square' }",
            "{ kind = 'square', a = 'x' }",
            "a: expected number, got string \"x\"",
        ),
        (
            "type T = Circle | Square type Circle = { kind: 'circle' } type Square = { kind: 'square' }",
            "{ kind = 'x' }",
            "expected Circle | Square, got table",
        ),
        (
            "type T = User | string type User = { n: number }",
            "5",
            "expected User | string, got number 5",
        ),
        ("type T = (string) -> number", "print", "fits"),
        ("type T = (string) -> number", "{}", "expected function, got table"),
        ("type T = error", "errors.new('x')", "fits"),
        ("type T = error", "{}", "expected error, got table"),
        ("type T = thread | userdata | table", "coroutine.create(print)", "fits"),
        ("type T = Unknown", "5", "fits"),
        ("type T = { f: lib.X }", "{ f = 5 }", "fits"),
    ] {
        let found = is(types, value);
        if expected.is_empty() {
            assert!(found == "fits" || found.contains("expected"), "{found}");
        } else {
            assert_eq!(found, expected, "{types}: {value}");
        }
    }
}

#[test]
fn annotations_are_checked() {
    for (types, value, expected) in [
        ("type T = number @min(1) @max(10)", "10", "fits"),
        ("type T = number @min(1) @max(10)", "0", "expected a number of at least 1, got number 0"),
        (
            "type T = number @min(1) @max(10)",
            "10.5",
            "expected a number of at most 10, got number 10.5",
        ),
        ("type T = number @min(-1.5)", "0/0", "expected a number of at least -1.5, got number NaN"),
        (
            "type T = { @min(18) age: number }",
            "{ age = 3 }",
            "age: expected a number of at least 18, got number 3",
        ),
        (
            "type T = string @min_len(2) @max_len(3)",
            "'a'",
            "expected a length of at least 2, got string \"a\"",
        ),
        (
            "type T = string @min_len(2) @max_len(3)",
            "'abcd'",
            "expected a length of at most 3, got string \"abcd\"",
        ),
        ("type T = {number} @min_len(1)", "{}", "expected a length of at least 1, got table"),
        ("type T = string @pattern('^%a+$')", "'abc'", "fits"),
        (
            "type T = string @pattern('^%a+$')",
            "'a1'",
            "expected a text that matches \"^%a+$\", got string \"a1\"",
        ),
        ("type T = string? @min_len(2)", "nil", "fits"),
        ("type T = (number | string) @min(3)", "'x'", "fits"),
    ] {
        assert_eq!(is(types, value), expected, "{types}: {value}");
    }
}

#[test]
fn types_are_generic_and_recursive() {
    for (types, value, expected) in [
        (
            "type T = Box<number> type Box<V> = { value: V }",
            "{ value = 'x' }",
            "value: expected number, got string \"x\"",
        ),
        (
            "type T = Pair<string> type Pair<A, B = number> = { a: A, b: B }",
            "{ a = 'x', b = 'y' }",
            "b: expected number, got string \"y\"",
        ),
        ("type T<V> = { value: V }", "{ value = 'x' }", "fits"),
        (
            "type T = { v: number, next: T? }",
            "{ v = 1, next = { v = 2, next = { v = 'x' } } }",
            "next.next.v: expected number, got string \"x\"",
        ),
        (
            "type T = Tree<string> type Tree<V> = { v: V, kids: {Tree<V>} }",
            "{ v = 'a', kids = { { v = 1, kids = {} } } }",
            "kids[1].v: expected string, got number 1",
        ),
        (
            "type T = A type A = B | number type B = { a: A }",
            "{ a = { a = { a = 'x' } } }",
            "a.a.a: expected B | number, got string \"x\"",
        ),
        ("type T = T?", "5", "the value nests too deeply"),
        ("type T = F<T> type F<V> = V", "5", "the value nests too deeply"),
    ] {
        assert_eq!(is(types, value), expected, "{types}: {value}");
    }
    check(&[
        // Cyclic values.
        ("type T = { n: number, up: T? } local t = { n = 1 } t.up = t return T:is(t) == t", true.into()),
        ("type T = { n: number, up: T? } local t, u = { n = 1 }, { n = 'x' } t.up, u.up = u, t
          return tostring(select(2, T:is(t)))", text("up.n: expected number, got string \"x\"")),
        // Deep ones.
        ("type T = { next: T? } local t = {} for _ = 1, 150 do t = { next = t } end return T:is(t) == t", true.into()),
        ("type T = { next: T? } local t = {} for _ = 1, 100000 do t = { next = t } end
          return (tostring(select(2, T:is(t))):match('the value nests too deeply$'))", text("the value nests too deeply")),
        // Shared ones: each table is looked at once.
        ("type T = { a: T?, b: T? } local t = {} for _ = 1, 100 do t = { a = t, b = t } end return T:is(t) == t", true.into()),
        ("type T = { a: T } | { a: T, b: 'x' } | { e: number } local t = { e = 'no' } for _ = 1, 60 do t = { a = t } end
          return T:is(t) == nil", true.into()),
        // Generics that name each other lead to a table in exponentially many ways.
        ("type A<T> = { a: B<T>?, b: B<T>?, v: T? } type B<T> = { a: A<T>?, b: A<{T}>?, c: A<T>? }
          type C = A<number>
          local t = {} for _ = 1, 60 do t = { a = t, b = t, c = t } end return C:is(t) == t", true.into()),
        ("type A<T> = { a: B<T>?, b: B<T>?, v: T? } type B<T> = { a: A<T>?, b: A<T>?, v: T? }
          type C = A<number> local t = { v = 1 } t.a, t.b = t, t return C:is(t) == t", true.into()),
        ("type A<T> = { a: B<T>?, b: B<T>?, v: T? } type B<T> = { a: A<T>?, b: A<T>?, v: T? }
          type C = A<number> local t = { v = 'x' } t.a, t.b = t, t return C:is(t) == nil", true.into()),
        // Arguments that grow for ever are refused, and soon.
        ("type A<T> = { a: A<{T}>?, b: A<T | nil>? } type C = A<number>
          local t = {} t.a, t.b = t, t
          return (tostring(select(2, C:is(t))):match('the value nests too deeply$'))", text("the value nests too deeply")),
    ]);
}

#[test]
fn what_a_check_gives() {
    check(&[
        ("type T = number? local ok, err = T:is(nil) return ok == true and err == nil", true.into()),
        ("type T = boolean local ok, err = T:is(false) return ok == true and err == nil", true.into()),
        ("type T = { x: number } local t = { x = 1 } return T:is(t) == t and T(t) == t", true.into()),
        ("type T = boolean? return T(false) == false and T(nil) == nil", true.into()),
        ("type T = { x: number } local ok, err = pcall(T, { x = 'a' })
          return tostring(err)", text("x: expected number, got string \"a\"")),
        ("type T = number return tostring(T) .. type(T)", text("Tuserdata")),
        ("type T = number return T == T", true.into()),
        ("type T = number return getmetatable(T)", false.into()),
        ("type T = number return (pcall(T.is, 5, 5))", false.into()),
        // A method stands in the table behind the object.
        ("type T = { name: string, greet: (T) -> string } local C = {} C.__index = C function C.greet() end
          return T:is(setmetatable({ name = 'x' }, C)) ~= nil", true.into()),
        // No code of the script runs.
        ("type T = { name: string } return T:is(setmetatable({}, { __index = function() error('no') end })) == nil", true.into()),
        ("type T = {number} return T:is(setmetatable({ 1 }, { __len = error, __pairs = error })) ~= nil", true.into()),
        // Locals hide types; types hide globals.
        ("type T = number local function f() return T:is(1) end local T = 5 return f() + T", Value::Int(6)),
        ("local function f() return U:is(2) end type U = number return f()", Value::Int(2)),
        ("string = nil type T = string return T:is('x')", text("x")),
    ]);
    // Many types in one file.
    let many: String = (0..500).map(|n| format!("type T{n} = {n}\n")).collect();
    let uses: String =
        (0..500).map(|n| format!("assert(T{n}:is({n}) and not T{n}:is(-1))\n")).collect();
    assert_eq!(value(&format!("{many}{uses}return true")), Value::Bool(true));
}

#[test]
fn types_of_libraries() {
    let run = |spec: LuaSpec| virtual_time(|| async { Node::new().run_spec(spec, vec![]).await });
    let lib = "export type User = { name: string, friends: {User}? }
               type Hidden = number
               return { User = User, json = require('process') }";
    let spec = LuaSpec {
        imports: vec![import("lib", lib)],
        ..spec(
            "myns:script",
            "local lib = require('lib')
             type Team = { lead: lib.User, n: lib.Hidden }
             assert(lib.User:is({ name = 'x' }))
             assert(Team:is({ lead = { name = 'x' }, n = 'anything' }))
             local ok, err = Team:is({ lead = { name = 'x', friends = { { name = 1 } } } })
             return tostring(err)",
        )
    };
    assert_eq!(
        run(spec),
        Exit::Normal(text("lead.friends[1].name: expected string, got number 1"))
    );
}

/// Checking a large value gives way, and ends with its process.
#[test]
fn a_long_check_gives_way() {
    let source = "type T = { { n: number, s: string? } }
         local t = {} for i = 1, 200000 do t[i] = { n = i } end
         local beside = 0
         coroutine.spawn(function() while true do beside = beside + 1 require('time').sleep('1ms') end end)
         assert(T:is(t))
         return #t";
    assert_eq!(value(source), Value::Int(200_000));
    let limits = Limits { execution_max: Some(Duration::from_millis(200)), ..Limits::default() };
    let source = "type T = {any} local t = table.create(100000, 1) while true do T:is(t) end";
    let spec = LuaSpec { limits, ..spec("myns:script", source) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let exit = runtime.block_on(async { Node::new().run_spec(spec, vec![]).await });
    assert!(!matches!(exit, Exit::Normal(_)), "{exit:?}");
}
