//! Loading entries, finding the method, `require`, results.

use wippy_kernel::Unit;
use wippy_lua::{LuaImport, LuaSpec, LuaUnit};
use wippy_model::{Exit, Kind, Value};

use crate::support::{Node, check, id, import, list, spec, stack, text, virtual_time};

fn with_method(source: &str, method: &str) -> LuaSpec {
    LuaSpec { method: Some(method.into()), ..spec("myns:script", source) }
}

fn run(spec: LuaSpec) -> Exit {
    virtual_time(|| async { Node::new().run_spec(spec, vec![Value::Int(6), Value::Int(7)]).await })
}

#[test]
fn the_method_is_found() {
    for source in [
        "local function main(a, b) return a * b end return { main = main }",
        "return function(a, b) return a * b end",
        "function main(a, b) return a * b end",
        "function main(a, b) return a * b end return {}",
        "#!/usr/bin/env lua\nfunction main(a, b) return a * b end",
    ] {
        assert_eq!(run(with_method(source, "main")), Exit::Normal(Value::Int(42)), "{source}");
    }
    let body = run(with_method("local a, b = ... return a * b", ""));
    assert_eq!(body, Exit::Normal(Value::Int(42)));
}

#[test]
fn a_missing_method_is_named() {
    for (source, part) in [
        (
            "return { run = print, x = 1, mian = print }",
            "returns a table whose functions are: mian, run, and there is no global function of that \
             name; did you mean `mian`?",
        ),
        ("return { run = print }", "; end the source with `return { main = main }`, or correct"),
        ("return {}", "returns a table without functions"),
        ("return { main = 1 }", "returns a table whose `main` is a number"),
        ("", "returns nothing"),
        ("return 1", "returns a number"),
    ] {
        let Exit::Config(error) = run(with_method(source, "main")) else { panic!() };
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.stack().is_none(), "{source}");
        let message = error.message();
        assert!(message.starts_with("myns:script has no method `main`"), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_syntax_error_names_entry_file_and_line() {
    let error = LuaUnit::load(spec("myns:script", "local x = 1\nlocal = 2")).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.message(),
        "myns:script does not compile: script.lua:2: <name> expected near '='"
    );
    let broken = LuaSpec { imports: vec![import("lib", "x x")], ..spec("myns:script", "") };
    let error = LuaUnit::load(broken).unwrap_err();
    assert_eq!(error.message(), "myns:lib does not compile: lib.lua:1: syntax error near 'x'");
    assert_eq!(*error.details(), Value::map([("entry", text("myns:lib"))]));
    let deep = "(".repeat(100_000);
    assert!(LuaUnit::load(spec("myns:script", &format!("return {deep}"))).is_err());
    assert!(LuaUnit::load(spec("myns:script", "\u{1b}Lua")).is_err());
}

#[test]
fn require() {
    let lib = "local time = require('time') time.sleep(5) return { double = function(n) return n * 2 end }";
    let spec = LuaSpec {
        modules: vec!["json".into()],
        imports: vec![
            import("lib", lib),
            import("silent", "x = 1"),
            import("loop", "require('loop')"),
        ],
        ..spec(
            "myns:script",
            "local lib = require('lib')
             assert(require('lib') == lib and require('process') == process)
             assert(require('silent') == true and x == 1)
             assert(require('string') == string and require('math') == math)
             local _, circle = pcall(require, 'loop')
             return { lib.double(4), (require('json').encode({1, {a=2}})), tostring(circle) }",
        )
    };
    let expected = list([
        Value::Int(8),
        text("[1,{\"a\":2}]"),
        text("loop.lua:1: the library \"loop\" requires itself, or failed when it ran"),
    ]);
    assert_eq!(run(spec), Exit::Normal(expected));
}

/// Each may require what its own entry lists, in whatever order they do it.
#[test]
fn a_library_requires_what_it_lists() {
    let lists =
        |import: LuaImport, module: &str| LuaImport { modules: vec![module.into()], ..import };
    let spec = LuaSpec {
        modules: vec!["ctx".into()],
        imports: vec![
            lists(
                import(
                    "coder",
                    "#!lua
                     made = 'a global of all'
                     local json = require('json')
                     return {
                         args = select('#', ...),
                         encode = json.encode,
                         later = function() return require('json') end,
                         ctx = function() return require('ctx') end,
                         inner = function() return require('reader') end,
                     }",
                ),
                "json",
            ),
            lists(import("reader", "return require('funcs')"), "funcs"),
        ],
        ..spec(
            "myns:script",
            "local coder = require('coder')
             require('ctx')
             local _, by_library = pcall(coder.ctx)
             local _, by_entry = pcall(require, 'json')
             assert(coder.later() == coder.later() and coder.inner() == require('reader'))
             return {
                 made, coder.args, (coder.encode({1})), tostring(by_library), tostring(by_entry)
             }",
        )
    };
    let expected = list([
        text("a global of all"),
        Value::Int(0),
        text("[1]"),
        text(
            "coder.lua:8: myns:coder may not require \"ctx\": its entry does not list it; add \
             `modules: [json, ctx]`",
        ),
        text(
            "myns:script may not require \"json\": its entry does not list it; add `modules: \
             [ctx, json]`",
        ),
    ]);
    assert_eq!(run(spec), Exit::Normal(expected));
}

#[test]
fn require_refuses() {
    let Exit::Failed(error) = run(spec("myns:script", "\nrequire('json')")) else { panic!() };
    assert_eq!(
        error.message(),
        "script.lua:2: myns:script may not require \"json\": its entry does not list it; add \
         `modules: [json]`"
    );
    let Exit::Failed(error) = run(spec("myns:script", "require('sockets')")) else { panic!() };
    assert_eq!(
        error.message(),
        "script.lua:1: myns:script: there is no module \"sockets\" and no import of that name; \
         known: channel, coroutine, ctx, errors, funcs, io, json, math, os, payload, process, \
         security, string, system, table, time, utf8"
    );
}

#[test]
fn results() {
    check(&[
        ("", Value::Nil),
        ("return nil", Value::Nil),
        ("return 1, 2", Value::Int(1)),
        ("return false", Value::Bool(false)),
        ("return {}", Value::map::<&str>([])),
    ]);
    let Exit::Failed(error) = run(spec("myns:script", "return { a = { print } }")) else {
        panic!()
    };
    assert_eq!(
        error.message(),
        "myns:script: the result.a[1]: a function is no value that can be passed on"
    );
}

#[test]
fn the_unit() {
    let unit = LuaUnit::load(spec("myns:script", "")).unwrap();
    assert_eq!(unit.id(), &id("myns:script"));
    assert!(unit.hears_events());
    assert_eq!(unit.parse_args(&["6".into()]).unwrap(), [text("6")]);
    assert_eq!(unit.render(&Value::Nil), None);
    assert_eq!(unit.render(&text("x")), Some("x".to_owned()));
}

#[test]
fn a_failure_has_its_stack() {
    let source = "local function inner()\n error('no')\nend\nlocal function main()\n inner()\nend\nreturn main";
    let exit = run(with_method(source, "main"));
    let Exit::Failed(error) = &exit else { panic!("{exit:?}") };
    assert_eq!((error.kind(), error.message()), (Kind::Internal, "script.lua:2: no"));
    let stack = stack(&exit);
    assert!(stack.contains("script.lua:2: in upvalue 'inner'"), "{stack}");
    assert!(stack.contains("script.lua:5: in function <script.lua:4>"), "{stack}");
}

#[test]
fn json_of_a_text_that_is_too_large() {
    let spec = LuaSpec {
        modules: vec!["json".into()],
        ..spec(
            "myns:script",
            "local json, half = require('json'), (' '):rep(8 << 20)
             local _, err = json.decode(half .. half .. '1')
             return { (json.decode(half .. '1')), err:kind() }",
        )
    };
    assert_eq!(run(spec), Exit::Normal(list([Value::Int(1), text("ResourceExhausted")])));
}
