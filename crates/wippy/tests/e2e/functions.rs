//! Functions of a project, called from Lua.

use insta::assert_snapshot;
use wippy_testkit::Dir;

use crate::{HOSTS, LUA_MAIN, dir};

/// A function in Lua, functions of a guest, one in text, and the command `main`, which has
/// `call(function, ...)`: what comes back, as text.
fn with_functions(main: &str) -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        format!(
            "local funcs, json, time = require('funcs'), require('json'), require('time')
local function call(...)
    local value, err = funcs.call(...)
    if err then print(err:kind() .. ': ' .. err:message()) return end
    print(type(value) == 'table' and json.encode(value) or value)
end
local function main(...)
{main}
end
return {{ main = main }}
"
        ),
    );
    dir.write(
        "src/functions.lua",
        "local funcs = require('funcs')
local functions = {}
function functions.area(item)
    if not item.width then return nil, errors.new(errors.INVALID, 'width is missing') end
    local product, err = funcs.call('multiply', item.width, item.height)
    if err then return nil, err end
    return { product = product, tenant = require('ctx').get('tenant') }
end
function functions.raises()
    error('on purpose')
end
function functions.waits()
    process.receive()
end
return functions
",
    );
    let lua = |name: &str| {
        format!(
            "
  - name: {name}
    kind: function.lua
    source: file://functions.lua
    modules: [funcs, ctx]
    method: {name}
"
        )
    };
    let wasm = |name: &str, guest: &str, method: &str, more: &str| {
        format!(
            "
  - name: {name}
    kind: function.wasm
    fs: bin
    path: /{guest}.wasm
    hash: {{hash:{guest}}}
    method: {method}
{more}"
        )
    };
    let entries = [
        HOSTS.to_owned(),
        LUA_MAIN.to_owned(),
        "    modules: [funcs, json]\n".to_owned(),
        lua("area"),
        lua("raises"),
        lua("waits"),
        wasm("multiply", "compute", "compute", ""),
        wasm("ok", "echo-types", "ok", ""),
        wasm("fail", "echo-types", "fail", ""),
        wasm("record", "echo-types", "echo-record", ""),
        wasm("trap", "trap", "run", ""),
        wasm("loop", "loop", "run", "    limits: { max_execution_ms: 100 }\n"),
        "
  - name: add
    kind: function.wat
    method: add
    source: |
      (module
        (func (export \"add\") (param i32 i32) (result i32)
          (i32.add (local.get 0) (local.get 1))))
"
        .to_owned(),
    ];
    dir.entries(&entries.concat());
    dir
}

#[test]
fn values_and_errors() {
    let dir = with_functions(
        "call('multiply', 6, 7)
         call('app:add', 1, 2)
         call('ok', 'fine')
         call('fail', 'bad')
         call('area', { width = 6, height = 7 })
         call('area', {})
         call('area', { width = 6, height = 'x' })
         call('record', { name = 'a', ['tag-count'] = -1, position = { x = 1, y = 2 } })
         call('multiply', 6)
         call('raises')
         call('waits')
         call('loop')
         call('main')
         call('none')",
    );
    assert_snapshot!(dir.wippy(["run", "main"]).succeeds());
    dir.wippy(["check"]).succeeds().quietly();
}

#[test]
fn a_trap_is_an_error_with_a_stack() {
    let dir = with_functions(
        "local _, err = funcs.call('trap')
         print(err:kind(), (err:message():match('^[^\\n]*')))
         print(err:stack() ~= nil)",
    );
    assert_snapshot!(dir.wippy(["run", "main"]).succeeds());
}

#[test]
fn at_once_and_by_a_deadline() {
    let dir = with_functions(
        "local futures = {}
         for n = 1, 10 do futures[n] = funcs.async('multiply', n, n) end
         local sum = 0
         for n = 1, 10 do sum = sum + futures[n]:channel():receive() end
         print(sum)
         local executor = funcs.new():with_context({ tenant = 't1' }):with_options({ timeout = '50ms' })
         print(executor:call('area', { width = 1, height = 2 }).tenant)
         print(select(2, executor:call('loop')))
         local future = funcs.async('loop')
         local first = channel.select { future:channel():case_receive(), time.after('10ms'):case_receive() }
         print(first.channel == future:channel(), future:cancel(), future:error())",
    );
    dir.wippy(["run", "main"]).succeeds().prints(
        "385\nt1\napp:loop did not end by the deadline of its caller\nfalse\ttrue\tthe call of \
         app:loop was cancelled\n",
    );
}

/// Functions that do not load are mistakes of the project.
#[test]
fn functions_are_checked() {
    let dir = with_functions("");
    dir.write("src/functions.lua", "return {\n");
    let entries = dir.read("src/_index.yaml").replace("local.get 1))))", "local.got 1))))");
    dir.write("src/_index.yaml", entries);
    assert_snapshot!(dir.wippy(["check"]).exits(2));
}
