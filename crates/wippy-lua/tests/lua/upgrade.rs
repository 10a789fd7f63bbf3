//! `process.upgrade` and OUTDATED.

use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::{ExitWatch, SpawnRequest};
use wippy_lua::LuaUnit;
use wippy_model::{Exit, Kind, Pid, Value};

use crate::support::{Node, exit, failure, id, list, spec, text, value, virtual_time};

/// A node with a script, and with entries that it may become.
fn node(source: &str) -> Node {
    let node = Node::new();
    node.script("myns:next", "return { process.id(), process.pid(), ... }");
    node.script(
        "myns:topics",
        "local topics = { ... }
         while true do
            local m = process.receive('1s')
            if not m then return table.concat(topics, ',') end
            topics[#topics + 1] = m.topic or m.type
         end",
    );
    node.kernel.add_unit(
        id("myns:broken"),
        Box::new(|| Ok(LuaUnit::load(spec("myns:broken", "return broken("))?)),
    );
    node.script("myns:script", source);
    node
}

async fn start(node: &Node) -> (Pid, ExitWatch) {
    let request = SpawnRequest::new(id("myns:script"), id("myns:processes"), vec![]);
    node.kernel.spawn_watched(request).await.unwrap()
}

/// Runs a script to the end of what it becomes.
fn becomes(source: &str) -> Exit {
    virtual_time(|| async {
        let node = node(source);
        let (_, watch) = start(&node).await;
        Exit::clone(&*watch.await)
    })
}

#[test]
fn another_entry() {
    virtual_time(|| async {
        let node = node("process.upgrade('next', 'x', { 1 })");
        let (pid, watch) = start(&node).await;
        let me = text(&pid.to_string());
        let expected = list([text("myns:next"), me, text("x"), list([Value::Int(1)])]);
        assert_eq!(*watch.await, Exit::Normal(expected));
        assert_eq!(node.kernel.process_count(), 0);
    });
}

#[test]
fn nothing_of_the_old_one_runs() {
    let source = "local me = process.pid()
        local later <close> = setmetatable({}, { __close = function() process.send(me, 'closed') end })
        coroutine.spawn(function()
            process.send(me, 'before')
            pcall(coroutine.wrap(function() process.upgrade('topics') end))
            process.send(me, 'caught')
        end)
        coroutine.spawn(function() process.send(me, 'beside') end)
        coroutine.spawn(function() require('time').sleep('10ms') process.send(me, 'late') end)
        require('time').sleep('1h')";
    assert_eq!(becomes(source), Exit::Normal(text("before")));
    // Nor what it waits for.
    let source = "local me = process.pid()
        process.spawn('topics', nil, 'other')
        coroutine.spawn(function() process.exec('sleeper', nil, 3600000) end)
        coroutine.spawn(function() process.call(process.spawn('sleeper', nil, 10), 't') end)
        require('time').sleep('1ms')
        process.upgrade('topics', 'args')";
    assert_eq!(becomes(source), Exit::Normal(text("args")));
}

#[test]
fn what_waits_is_kept_in_order() {
    let source = "local me = process.pid()
        local x = process.listen('x')
        process.send(me, 'a') process.send(me, 'b') process.cancel(me, '1h')
        process.send(me, 'x') process.send(me, 'c') process.send(me, 'x')
        x:receive()
        process.send(me, 'd')
        process.upgrade('topics', 'args')";
    assert_eq!(becomes(source), Exit::Normal(text("args,a,b,CANCEL,c,x,d")));
    // An event that waits is older than some of what was taken.
    let source = "local me = process.pid()
        local b = process.listen('b')
        process.send(me, 'a') process.cancel(me, '1h')
        process.send(me, 'c') process.send(me, 'b') process.send(me, 'd')
        b:receive()
        process.upgrade('topics', 'args')";
    assert_eq!(becomes(source), Exit::Normal(text("args,a,CANCEL,c,d")));
    // What the old one opened is closed again.
    let source = "local me = process.pid()
        local inbox = process.inbox()
        process.events() process.listen('x')
        process.send(me, 'a') process.send(me, 'x') process.send(me, 'b')
        inbox:receive()
        process.spawn_monitored('compute_worker', nil, 1, 2)
        require('time').sleep('1ms')
        process.upgrade('topics')";
    assert_eq!(becomes(source), Exit::Normal(text("x,b,EXIT")));
}

#[test]
fn bonds_names_and_options_are_kept() {
    virtual_time(|| async {
        let node = node(
            "process.set_options { trap_links = true, upgradable = true }
             process.registry.register('kept')
             process.monitor(process.spawn_linked('sleeper', nil, 1000))
             process.upgrade('after', process.pid())",
        );
        node.script(
            "myns:after",
            "local e, o = process.receive('10s'), process.get_options()
             return { e.type, o.trap_links, o.upgradable, process.registry.lookup('kept') == ... }",
        );
        node.script(
            "myns:parent",
            "local pid = process.with_context({}):spawn_linked_monitored('script')
             local e = process.receive()
             return { e.from == pid, e.type, e.value, process.registry.lookup('kept') == nil }",
        );
        let request = SpawnRequest::new(id("myns:parent"), id("myns:processes"), vec![]);
        let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
        let inner = list([text("EXIT"), true.into(), true.into(), true.into()]);
        let expected = list([true.into(), text("EXIT"), inner, true.into()]);
        assert_eq!(*watch.await, Exit::Normal(expected));
    });
}

#[test]
fn one_that_fails_is_the_exit() {
    let Exit::Config(error) = becomes("process.upgrade('none')") else { panic!() };
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().starts_with("cannot upgrade myns:none: there is no process entry"));
    let Exit::Config(error) = becomes("pcall(process.upgrade, 'broken')") else { panic!() };
    assert_eq!(error.kind(), Kind::Invalid);
    let expected = "cannot upgrade myns:broken: myns:broken does not compile: script.lua:1: ";
    assert!(error.message().starts_with(expected), "{error}");
}

#[test]
fn one_that_is_refused_changes_nothing() {
    // Where nothing can wait.
    let source = "local t = setmetatable({}, { __tostring = function() process.upgrade() end })
        process.send(process.pid(), 'a')
        local ok, err = pcall(tostring, t)
        return { ok, err:kind(), process.receive().topic }";
    assert_eq!(value(source), list([false.into(), text("Invalid"), text("a")]));
    let error = failure("error(select(2, process.upgrade(nil, { function() end })))");
    assert_eq!(error.message(), "argument 1[1]: a function is no value that can be passed on");
    // An error that is not looked at hurts nobody.
    assert_eq!(exit("process.upgrade('a b') return 1"), Exit::Normal(Value::Int(1)));
}

#[test]
fn newer_versions_are_heard_of() {
    let newest = |source: &'static str| {
        Box::new(move || Ok(LuaUnit::load(spec("myns:script", source))? as _))
    };
    virtual_time(|| async {
        let node = node(
            "process.set_options { upgradable = true }
             require('time').sleep('1s')
             local e = process.receive()
             assert(e.type == 'OUTDATED' and e.kind == process.event.OUTDATED and e.from == process.pid())
             assert(math.type(e.at) == 'integer' and e.error == nil and e.result == nil)
             -- Two of them are one event.
             assert(process.receive('1s') == nil)
             return process.upgrade(nil, 'new')",
        );
        let (_, watch) = start(&node).await;
        sleep(Duration::from_millis(1)).await;
        for source in ["return 'second'", "return { ..., process.receive('1s') == nil }"] {
            node.kernel.replace_unit(id("myns:script"), newest(source)).await.unwrap();
        }
        assert_eq!(*watch.await, Exit::Normal(list([text("new"), true.into()])));
    });
    // Who does not want to know does not hear; who asks late hears at once.
    virtual_time(|| async {
        let node = node(
            "require('time').sleep('1s')
             local before = process.receive(0)
             process.set_options { upgradable = true }
             return { before == nil, process.events():receive().type }",
        );
        let (_, watch) = start(&node).await;
        sleep(Duration::from_millis(1)).await;
        node.kernel.replace_unit(id("myns:script"), newest("return 1")).await.unwrap();
        assert_eq!(*watch.await, Exit::Normal(list([true.into(), text("OUTDATED")])));
    });
}
