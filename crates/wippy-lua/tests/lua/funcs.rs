//! `funcs` and `ctx`: calls of functions, and Lua functions themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wippy_kernel::{Authorizer, SpawnRequest};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{
    Actor, Context, ContextBody, Error, Exit, Kind, Limit, Limits, Principal, Result, Value,
};

use crate::support::{Native, Node, id, list, spec, text, virtual_time};

/// Functions that tests call: Lua but for the last three.
const FUNCTIONS: [(&str, &str); 17] = [
    ("myns:echo", "return ..."),
    ("myns:double", "local n = ... return n * 2"),
    ("myns:nothing", ""),
    ("myns:slow", "require('time').sleep('1s') return ..."),
    ("myns:text_error", "return nil, 'a text'"),
    ("myns:kind_error", "return nil, errors.new(errors.NOT_FOUND, 'none', { id = 7 })"),
    ("myns:table_error", "return nil, { kind = 'Conflict', message = 'twice', retryable = true }"),
    ("myns:odd_error", "return nil, true"),
    ("myns:both", "return 1, 'ignored'"),
    ("myns:raise", "local function deep() error(errors.new('Conflict', 'raised')) end deep()"),
    (
        "myns:nest",
        "local n = ... local v, err = require('funcs').call('nest', n + 1)
        if err then return { n, err:kind() } end return v",
    ),
    (
        "myns:twice",
        "local v, err = require('funcs').call('double', ...)
        if err then return nil, err end return require('funcs').call('double', v)",
    ),
    ("myns:context", "local ctx = require('ctx') return ctx.all()"),
    ("myns:names", "return { process.id(), process.pid() }"),
    ("myns:tell", "local to = ... require('time').sleep('1s') process.send(to, 'told')"),
    (
        "myns:coroutine_error",
        "coroutine.spawn(function() error('beside') end)
        require('time').sleep('1s')",
    ),
    ("myns:function_result", "return function() end"),
];

fn with_modules(spec: LuaSpec) -> LuaSpec {
    LuaSpec { modules: ["funcs", "ctx", "security"].map(String::from).to_vec(), ..spec }
}

fn node() -> Node {
    let node = Node::new();
    for (name, source) in FUNCTIONS {
        node.add_function(name, LuaUnit::load(with_modules(spec(name, source))).unwrap());
    }
    node.add_function(
        "myns:native_ok",
        Arc::new(Native::new(|args| Exit::Normal(Value::map([("ok", Value::List(args))])))),
    );
    node.add_function(
        "myns:native_trap",
        Arc::new(Native::new(|_| Exit::Trap(Error::internal("trapped: unreachable")))),
    );
    node
}

const HEAD: &str = "local funcs, time = require('funcs'), require('time') ";

async fn run_on(node: &Node, source: &str) -> Exit {
    let source = format!("{HEAD}{source}");
    node.run_spec(with_modules(spec("myns:script", &source)), vec![]).await
}

fn exit(source: &str) -> Exit {
    virtual_time(|| async { run_on(&node(), source).await })
}

fn value(source: &str) -> Value {
    match exit(source) {
        Exit::Normal(value) => value,
        other => panic!("{other:?}: {source}"),
    }
}

/// Runs a script, and says how long it took on the virtual clock.
fn timed(source: &str) -> (Value, Duration) {
    virtual_time(|| async {
        let start = Instant::now();
        match run_on(&node(), source).await {
            Exit::Normal(value) => (value, start.elapsed()),
            other => panic!("{other:?}: {source}"),
        }
    })
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[test]
fn values_come_back() {
    let rows = [
        ("return funcs.call('myns:double', 21)", Value::Int(42)),
        ("return funcs.call('double', 21)", Value::Int(42)),
        ("return select('#', funcs.call('double', 1))", Value::Int(1)),
        ("return funcs.call('nothing')", Value::Nil),
        ("return select('#', funcs.call('nothing'))", Value::Int(1)),
        (
            "return funcs.call('echo', { a = { 1, 'x', true } }).a",
            list([Value::Int(1), text("x"), Value::Bool(true)]),
        ),
        ("return funcs.call('twice', 3)", Value::Int(12)),
        ("return funcs.call('both')", Value::Int(1)),
        ("return funcs.call('native_ok', 1, 'a').ok", list([Value::Int(1), text("a")])),
        (
            "return pcall(funcs.call, 'double', 4) and select(2, pcall(funcs.call, 'double', 4))",
            Value::Int(8),
        ),
        ("return coroutine.wrap(function() return funcs.call('slow', 5) end)()", Value::Int(5)),
        (
            "return setmetatable({}, { __index = function(_, n) return funcs.call('slow', n) end })[6]",
            Value::Int(6),
        ),
        (
            "local names = funcs.call('names') return names[1] == 'myns:names' and names[2] == process.pid()",
            Value::Bool(true),
        ),
    ];
    for (source, expected) in rows {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn errors_come_back() {
    let rows = [
        ("funcs.call('text_error')", "Internal", "a text"),
        ("funcs.call('kind_error')", "NotFound", "none"),
        ("funcs.call('table_error')", "Conflict", "twice"),
        (
            "funcs.call('odd_error')",
            "Internal",
            "myns:odd_error returned a boolean as its error; return a text, a table or an error \
             of errors.new",
        ),
        ("funcs.call('raise')", "Conflict", "raised"),
        (
            "funcs.call('twice', {})",
            "Internal",
            "script.lua:1: attempt to perform arithmetic on a table value (local 'n')",
        ),
        ("funcs.call('coroutine_error')", "Internal", "script.lua:1: beside"),
        (
            "funcs.call('function_result')",
            "Invalid",
            "myns:function_result: the result: a function is no value that can be passed on",
        ),
        ("funcs.call('native_trap')", "Internal", "trapped: unreachable"),
        (
            "funcs.call('echo', 1, { a = { print } })",
            "Invalid",
            "argument 2.a[1]: a function is no value that can be passed on",
        ),
        ("funcs.call()", "Invalid", "expected the ID of a function, got no value"),
        ("funcs.call({})", "Invalid", "expected the ID of a function, got table"),
        ("funcs.new():call()", "Invalid", "expected the ID of a function, got no value"),
        ("funcs.async(7)", "Invalid", "expected the ID of a function, got number"),
    ];
    for (source, kind, message) in rows {
        let source = format!(
            "local v, err = {source} assert(v == nil) return {{ err:kind(), err:message() }}"
        );
        assert_eq!(value(&source), list([text(kind), text(message)]), "{source}");
    }
    let source = "local _, err = funcs.call('none')
        return { err:kind(), (err:message():gsub('function entries.*', '')) }";
    let expected = [text("NotFound"), text("there is no function entry myns:none; ")];
    assert_eq!(value(source), list(expected));
    let source = "local _, err = funcs.call('kind_error')
        return { err:details().id, err:retryable() }";
    assert_eq!(value(source), list([Value::Int(7)]));
    let source = "local _, err = funcs.call('raise')
        return err:stack():find(\"in local 'deep'\", 1, true) ~= nil";
    assert_eq!(value(source), Value::Bool(true));
}

/// A process that returns `nil, err` has a value, which is nil.
#[test]
fn two_results_mean_an_error_in_functions_alone() {
    assert_eq!(exit("return nil, 'no error'"), Exit::Normal(Value::Nil));
}

#[test]
fn a_call_suspends_one_thread_alone() {
    let source = "local ticks = 0
        coroutine.spawn(function() while true do time.sleep('100ms') ticks = ticks + 1 end end)
        funcs.call('slow')
        return ticks >= 9";
    assert_eq!(value(source), Value::Bool(true));
    // A comparison of a sort may wait as well.
    let source = "return pcall(table.sort, { 2, 1 }, function(a, b) return funcs.call('slow') end)";
    assert_eq!(value(source), Value::Bool(true));
}

#[test]
fn calls_overlap() {
    let source = "local futures = {}
        for n = 1, 20 do futures[n] = funcs.async('slow', n) end
        local sum = 0
        for n = 1, 20 do sum = sum + futures[n]:channel():receive() end
        return sum";
    let (sum, time) = timed(source);
    assert_eq!((sum, seconds(time)), (Value::Int(210), 1.0));
    let source = "local done = channel.new(3)
        for n = 1, 3 do coroutine.spawn(function() done:send(funcs.call('slow', n)) end) end
        return done:receive() + done:receive() + done:receive()";
    let (sum, time) = timed(source);
    assert_eq!((sum, seconds(time)), (Value::Int(6), 1.0));
}

#[test]
fn futures() {
    let rows = [
        // Before and after.
        "local f = funcs.async('slow', 5)
         assert(not f:is_complete() and not f:is_canceled())
         local v, err = f:result() assert(v == nil and err == nil and f:error() == nil)
         time.sleep('2s')
         assert(f:is_complete() and f:result() == 5 and f:error() == nil and f:result() == 5)",
        // The channel gives it once; the result stays.
        "local f = funcs.async('slow', 5)
         local ch = f:response()
         assert(ch == f:channel())
         local v, ok = ch:receive() assert(v == 5 and ok == true)
         v, ok = ch:receive() assert(v == nil and ok == false)
         assert(f:is_complete() and f:result() == 5)",
        // A channel that is asked for late.
        "local f = funcs.async('slow', 5) time.sleep('2s')
         local v, ok = f:channel():receive() assert(v == 5 and ok)
         v, ok = f:channel():receive() assert(v == nil and ok == false)",
        // Nil is a value.
        "local v, ok = funcs.async('nothing'):channel():receive() assert(v == nil and ok == true)",
        // A failure closes it.
        "local f = funcs.async('kind_error')
         local v, ok = f:channel():receive() assert(v == nil and ok == false)
         assert(f:error():kind() == 'NotFound' and f:is_complete() and not f:is_canceled())
         local v, err = f:result() assert(v == nil and err == f:error())",
        // Cancelled.
        "local f = funcs.async('slow')
         local ch = f:channel()
         assert(f:cancel() == true and f:cancel() == false)
         assert(f:is_complete() and f:is_canceled() and f:error():kind() == errors.CANCELED)
         assert(tostring(f:error()) == 'the call of myns:slow was cancelled')
         local v, ok = ch:receive() assert(v == nil and ok == false)",
        // Cancelled under a reader.
        "local f = funcs.async('slow')
         coroutine.spawn(function() time.sleep('10ms') f:cancel() end)
         local v, ok = f:channel():receive() assert(v == nil and ok == false)",
        // Too late.
        "local f = funcs.async('nothing') f:channel():receive()
         assert(f:cancel() == false and not f:is_canceled())",
        // Several readers: one gets it.
        "local f, got = funcs.async('slow', 5), channel.new(3)
         for _ = 1, 3 do coroutine.spawn(function() got:send({ f:channel():receive() }) end) end
         local values, closed = 0, 0
         for _ = 1, 3 do local r = got:receive() if r[2] then values = values + 1 else closed = closed + 1 end end
         assert(values == 1 and closed == 2)",
        // The runtime feeds it.
        "local f = funcs.async('slow')
         assert(not pcall(function() f:channel():send(1) end))
         f:channel():close() time.sleep('2s') assert(f:is_complete())",
        // Held by nobody: the channel gets it all the same.
        "local ch = funcs.async('slow', 5):channel()
         collectgarbage() collectgarbage()
         assert(ch:receive() == 5)",
        "assert(tostring(funcs.async('slow')) == 'future(myns:slow)')",
        "for _, name in ipairs { 'channel', 'response', 'result', 'error', 'cancel', 'is_complete', 'is_canceled' } do
           local ok, err = pcall(funcs.async('slow')[name], {})
           assert(not ok and err:kind() == 'Invalid' and tostring(err):find('call it on a future, as f:' .. name, 1, true))
         end",
        // Busy waiting sees the end.
        "local f = funcs.async('nothing') while not f:is_complete() do end",
    ];
    for source in rows {
        assert_eq!(exit(source), Exit::Normal(Value::Nil), "{source}");
    }
}

#[test]
fn selections() {
    let source = "local f = funcs.async('slow', 5)
        local one = channel.select { f:channel():case_receive(), time.after('100ms'):case_receive() }
        local two = channel.select { f:channel():case_receive(), time.after('10s'):case_receive() }
        return { one.channel == f:channel(), two.channel == f:channel(), two.value, two.ok }";
    let (found, time) = timed(source);
    let expected = [Value::Bool(false), Value::Bool(true), Value::Int(5), Value::Bool(true)];
    assert_eq!((found, seconds(time)), (list(expected), 1.0));
    let source = "local cases, sum = {}, 0
        for n = 1, 10 do cases[n] = funcs.async('slow', n):channel():case_receive() end
        for _ = 1, 10 do
            local r = channel.select(cases)
            sum = sum + r.value
            for n, case in ipairs(cases) do if case.channel == r.channel then table.remove(cases, n) break end end
        end
        return sum";
    assert_eq!(value(source), Value::Int(55));
}

/// The process's own limits, and the kernel's.
#[test]
fn so_many_and_so_deep() {
    let source = "local futures = {}
        for n = 1, 64 do futures[n] = assert(funcs.async('slow', n)) end
        local f, err = funcs.async('slow')
        assert(f == nil and err:kind() == errors.UNAVAILABLE and err:retryable())
        assert(select(2, funcs.call('slow')):kind() == errors.UNAVAILABLE)
        futures[1]:cancel()
        time.sleep('1ms')
        return funcs.call('double', 1)";
    assert_eq!(value(source), Value::Int(2));
    let source = "return funcs.call('nest', 1)";
    assert_eq!(value(source), list([Value::Int(16), text("ResourceExhausted")]));
}

#[test]
fn calls_end_with_whoever_made_them() {
    // Terminated in the middle of a call, or ended with one under way: nothing is told.
    for body in [
        "funcs.call('tell', ...)",
        "funcs.async('tell', ...) funcs.call('slow')",
        "funcs.async('tell', ...) time.sleep('100ms')",
        "funcs.async('ends_early', ...) time.sleep('10s')",
        "local f = funcs.async('tell', ...) time.sleep('100ms') f:cancel() time.sleep('10s')",
    ] {
        let found = virtual_time(|| async {
            let node = node();
            let early = "require('funcs').async('tell', ...) require('time').sleep('100ms')";
            let early = LuaUnit::load(with_modules(spec("myns:ends_early", early))).unwrap();
            node.add_function("myns:ends_early", early);
            let caller = with_modules(spec("myns:caller", &format!("{HEAD}{body}")));
            node.add("myns:caller", LuaUnit::load(caller).unwrap());
            let source = "local pid = process.spawn_monitored('caller', 'processes', process.pid())
                time.sleep('500ms')
                process.terminate(pid)
                local first, second = process.receive('100s'), process.receive('100s')
                return { first.type, second == nil }";
            run_on(&node, source).await
        });
        let expected = list([text("EXIT"), Value::Bool(true)]);
        assert_eq!(found, Exit::Normal(expected), "{body}");
    }
    // A future that nobody holds goes on.
    let source = "funcs.async('tell', process.pid()) collectgarbage() collectgarbage()
        return process.receive('10s').topic";
    assert_eq!(value(source), text("told"));
}

#[test]
fn a_function_has_no_mailbox() {
    for (name, args) in [
        ("receive", "'1s'"),
        ("inbox", ""),
        ("events", ""),
        ("listen", "'topic'"),
        ("unlisten", "'topic'"),
        ("monitor", "process.pid()"),
        ("unmonitor", "process.pid()"),
        ("link", "process.pid()"),
        ("unlink", "process.pid()"),
        ("call", "process.pid(), 'topic'"),
        ("set_options", "{}"),
        ("registry.register", "'name'"),
        ("registry.unregister", "'name'"),
        ("spawn_monitored", "'sleeper', 'processes', 1"),
        ("spawn_linked", "'sleeper', 'processes', 1"),
        ("spawn_linked_monitored", "'sleeper', 'processes', 1"),
    ] {
        let (kind, message) = virtual_time(|| async {
            let node = node();
            let source = format!("return process.{name}({args})");
            let unit = LuaUnit::load(spec("myns:mailbox", &source)).unwrap();
            node.add_function("myns:mailbox", unit);
            let found = run_on(&node, "return select(2, funcs.call('mailbox'))").await;
            let Exit::Normal(Value::Map(error)) = found else { panic!("{found:?}") };
            (error["kind"].clone(), error["message"].clone())
        });
        assert_eq!(kind, text("Invalid"));
        let message = message.as_str().unwrap();
        let expected = format!("script.lua:1: process.{name}: a function has no mailbox, and ");
        assert!(message.starts_with(&expected), "{message}");
    }
    let found = virtual_time(|| async {
        let node = node();
        let source = "local to = ...
            local pid = assert(process.spawn('sleeper', 'processes', 5))
            assert(process.send(to, 'topic', 'sent'))
            local registry = process.registry
            assert(registry.register('named', pid) and registry.lookup('named') == pid)
            assert(process.terminate('named'))
            local _, err = process.upgrade()
            assert(err:kind() == 'Invalid', err:kind())
            assert(tostring(err):find('upgrade: a function has no mailbox', 1, true), tostring(err))
            return { process.exec('compute_worker', 'processes', 6, 7), (process.exec('sleeper', 'processes', 50)) }";
        let unit = LuaUnit::load(spec("myns:spawns", source)).unwrap();
        node.add_function("myns:spawns", unit);
        run_on(
            &node,
            "local found = funcs.call('spawns', process.pid())
             return { found[1], found[2], process.receive('1s').payload }",
        )
        .await
    });
    assert_eq!(found, Exit::Normal(list([Value::Int(42), text("slept"), text("sent")])));
}

#[test]
fn contexts() {
    let rows = [
        ("return funcs.call('context')", Value::map::<String>([])),
        (
            "return funcs.new():with_context({ a = 1 }):call('context')",
            Value::map([("a", Value::Int(1))]),
        ),
        (
            "return funcs.new():with_context({ a = 1, b = 2 }):with_context({ b = 3 }):async('context'):channel():receive()",
            Value::map([("a", Value::Int(1)), ("b", Value::Int(3))]),
        ),
        // Each is new, and what was given is copied.
        (
            "local t = { a = { 1 } }
             local one = funcs.new():with_context(t)
             local two = one:with_context({ b = 2 })
             t.a[1], t.c = 9, 9
             return { one:call('context').b or 'none', two:call('context').a[1], two:call('context').c or 'none' }",
            list([text("none"), Value::Int(1), text("none")]),
        ),
        ("return require('ctx').all()", Value::map::<String>([])),
        (
            "local v, err = require('ctx').get('a')
             return { v == nil, err:kind(), err:message() }",
            list([Value::Bool(true), text("NotFound"), text("the context has no value \"a\"")]),
        ),
    ];
    for (source, expected) in rows {
        let found = value(source);
        let same = match (&found, &expected) {
            // The order of a table is open.
            (Value::Map(found), Value::Map(expected)) => found == expected,
            _ => found == expected,
        };
        assert!(same, "{source}: {found:?}");
    }
    for (source, message) in [
        (
            "funcs.new():with_context({ 1, 2 })",
            "with_context: expected a table with names, got a list",
        ),
        (
            "funcs.new():with_context({ a = print })",
            "with_context.a: a function is no value that can be passed on",
        ),
        (
            "funcs.new():with_options({ tries = 3 })",
            "with_options: there is no option \"tries\"; options: timeout",
        ),
        ("funcs.new():with_options({ timeout = 0 })", "with_options: timeout must be above zero"),
        (
            "funcs.new():with_options({ timeout = 'soon' })",
            "with_options: timeout: expected a duration",
        ),
        ("funcs.new():with_options()", "with_options takes a table, not a nil"),
        (
            "funcs.new().call('double', 1)",
            "call it on an executor, as funcs.new():call(function, ...)",
        ),
        (
            "funcs.new().with_context({})",
            "call it on an executor, as funcs.new():with_context(...), not on a table",
        ),
        ("require('ctx').get()", "ctx.get takes the name of a value of the context"),
    ] {
        let source = format!(
            "local ok, err = pcall(function() return {source} end)
            return {{ ok, err:kind(), tostring(err) }}"
        );
        let Value::List(found) = value(&source) else { panic!() };
        assert_eq!(found[..2], [Value::Bool(false), text("Invalid")], "{source}");
        assert!(found[2].as_str().unwrap().contains(message), "{source}: {:?}", found[2]);
    }
}

/// From whoever spawned, through a call, to what a function calls and spawns.
#[test]
fn contexts_are_inherited() {
    let found = virtual_time(|| async {
        let node = node();
        let inner = LuaUnit::load(with_modules(spec(
            "myns:inner",
            "return { require('funcs').call('context'), process.exec('reader', 'processes') }",
        )))
        .unwrap();
        node.add_function("myns:inner", inner);
        let reader = "return require('ctx').get('tenant') .. require('ctx').get('request')";
        let reader = LuaUnit::load(with_modules(spec("myns:reader", reader))).unwrap();
        node.add("myns:reader", reader);
        let source = "local funcs = require('funcs')
            local found = funcs.new():with_context({ request = 'r1' }):call('inner')
            return { found[1].tenant, found[1].request, found[2], require('ctx').get('tenant'), require('ctx').all().request == nil }";
        let unit = LuaUnit::load(with_modules(spec("myns:script", source))).unwrap();
        node.add("myns:script", unit);
        let mut request = SpawnRequest::new(id("myns:script"), id("myns:processes"), vec![]);
        request.context = Context::new(ContextBody {
            values: [("tenant".to_owned(), text("t1"))].into_iter().collect(),
            ..ContextBody::default()
        });
        let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
        Exit::clone(&*watch.await)
    });
    let expected = [text("t1"), text("r1"), text("t1r1"), text("t1"), Value::Bool(true)];
    assert_eq!(found, Exit::Normal(list(expected)));
}

/// Refuses whatever an actor is not asked for.
struct OnlyRoot;

impl Authorizer for OnlyRoot {
    fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
        let root = context.actor().is_some_and(|actor| &*actor.id == "root");
        if root || !action.starts_with("security.") {
            return Ok(());
        }
        Err(Error::new(Kind::PermissionDenied, format!("{action} on {resource}")))
    }
}

#[test]
fn other_actors_and_scopes() {
    let rows = [
        (
            "funcs.new():with_actor(security.new_actor('guest', { age = 7 })):call('who')",
            list([text("guest"), Value::Int(7), Value::Bool(false)]),
        ),
        (
            "funcs.new():with_scope(security.new_scope()):with_context({ a = 1 }):call('who')",
            list([text("root"), Value::Bool(false), Value::Bool(true)]),
        ),
        (
            "funcs.new():with_actor(security.new_actor('guest')):call('becomes_root')",
            list([text("PermissionDenied"), text("security.actor.set on root")]),
        ),
    ];
    for (call, expected) in rows {
        let found = virtual_time(|| async {
            let node = Node::with_authorizer(Some(Box::new(OnlyRoot)));
            for (name, source) in [
                (
                    "myns:who",
                    "local security = require('security')
                     return { security.actor():id(), (security.actor():meta() or {}).age or false,
                         security.scope() ~= nil }",
                ),
                (
                    "myns:becomes_root",
                    "local funcs, security = require('funcs'), require('security')
                     local executor = funcs.new():with_actor(security.new_actor('root'))
                     local v, err = executor:call('who')
                     return { err:kind(), err:message() }",
                ),
            ] {
                let unit = LuaUnit::load(with_modules(spec(name, source))).unwrap();
                node.add_function(name, unit);
            }
            let source = format!("{HEAD} local security = require('security') return {call}");
            let unit = LuaUnit::load(with_modules(spec("myns:script", &source))).unwrap();
            node.add("myns:script", unit);
            let mut request = SpawnRequest::new(id("myns:script"), id("myns:processes"), vec![]);
            let actor = Some(Actor::new("root", Value::Nil));
            request.context = Context::new(ContextBody {
                principal: Principal { actor, scope: None },
                ..ContextBody::default()
            });
            let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
            Exit::clone(&*watch.await)
        });
        assert_eq!(found, Exit::Normal(expected), "{call}");
    }
    for source in ["with_actor('root')", "with_actor()", "with_scope({})"] {
        let source = format!(
            "local ok, err = pcall(function() return funcs.new():{source} end)
             return {{ ok, err:kind() }}"
        );
        assert_eq!(value(&source), list([Value::Bool(false), text("Invalid")]), "{source}");
    }
}

#[test]
fn timeouts() {
    let source = "local v, err = funcs.new():with_options({ timeout = '200ms' }):call('slow')
        return { err:kind(), err:message() }";
    let (found, time) = timed(source);
    let expected = [text("Timeout"), text("myns:slow did not end by the deadline of its caller")];
    assert_eq!((found, seconds(time)), (list(expected), 0.2));
    // It holds for what the function calls, and a longer one does not prolong it.
    let source = "local e = funcs.new():with_options({ timeout = time.milliseconds(200) })
        local f = e:with_options({ timeout = '100s' }):async('slow')
        local g = e:async('call_slow')
        local v, ok = g:channel():receive()
        return { ok, g:error():kind(), f:is_complete() }";
    let found = virtual_time(|| async {
        let node = node();
        let source_of =
            "local v, err = require('funcs').new():with_options({ timeout = '50s' }):call('slow')
            if err then return nil, err end return v";
        let unit = LuaUnit::load(with_modules(spec("myns:call_slow", source_of))).unwrap();
        node.add_function("myns:call_slow", unit);
        run_on(&node, source).await
    });
    let expected = list([Value::Bool(false), text("Timeout"), Value::Bool(false)]);
    assert_eq!(found, Exit::Normal(expected));
}

/// A function's own limits are errors of the call; a result is its caller's memory.
#[test]
fn limits() {
    let found = virtual_time(|| async {
        let node = node();
        let add = |name: &str, source: &str, limits: Limits| {
            let unit = LuaUnit::load(LuaSpec { limits, ..spec(name, source) }).unwrap();
            node.add_function(name, unit);
        };
        let small = Limits { memory_bytes: 1 << 20, ..Limits::default() };
        add("myns:hungry", "local t = {} while true do t[#t + 1] = {} end", small);
        let brief = Limits { execution_max: Some(Duration::from_millis(50)), ..Limits::default() };
        add("myns:brief", "require('time').sleep('10s')", brief);
        run_on(
            &node,
            "local _, memory = funcs.call('hungry')
             local _, limit = funcs.call('brief')
             return { memory:kind(), memory:message(), limit:kind(), limit:message() }",
        )
        .await
    });
    let expected = [
        "ResourceExhausted",
        "myns:hungry needs more than 1048576 bytes of memory (limits.memory_bytes)",
        "Timeout",
        "myns:brief did not end within 50 ms (limits.max_execution_ms)",
    ];
    assert_eq!(found, Exit::Normal(list(expected.map(text))));
    // Held by futures, read by nobody.
    let found = virtual_time(|| async {
        let node = node();
        let large = LuaUnit::load(spec("myns:large", "return ('x'):rep(1000000)")).unwrap();
        node.add_function("myns:large", large);
        let source = format!(
            "{HEAD} local held = {{}}
             for n = 1, 20 do held[n] = funcs.async('large') time.sleep('1ms') end
             time.sleep('1s') return #held"
        );
        let limits = Limits { memory_bytes: 4 << 20, ..Limits::default() };
        let spec = with_modules(LuaSpec { limits, ..spec("myns:script", &source) });
        node.run_spec(spec, vec![]).await
    });
    assert!(matches!(found, Exit::Limit(Limit::Memory, _)), "{found:?}");
}

#[test]
fn funcs_and_ctx_must_be_listed() {
    for name in ["funcs", "ctx"] {
        let source = format!("require('{name}')");
        let found = virtual_time(|| async { Node::new().run(&source, vec![]).await });
        let Exit::Failed(error) = found else { panic!() };
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.message(),
            format!(
                "script.lua:1: myns:script may not require \"{name}\": its entry does not list \
                 it; add `modules: [{name}]`"
            )
        );
    }
}
