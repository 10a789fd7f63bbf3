//! `system`: figures of processes, hosts and the node.

use wippy_host::policy::{Effect, Policies, Policy};
use wippy_kernel::SpawnRequest;
use wippy_lua::LuaSpec;
use wippy_model::{Actor, Context, ContextBody, Exit, Principal, Scope, Value};

use crate::support::{Node, id, list, spec, stack, text, virtual_time};

fn system(source: &str) -> LuaSpec {
    LuaSpec { modules: vec!["system".to_owned()], ..spec("myns:script", source) }
}

fn exit(source: &str) -> Exit {
    virtual_time(|| async { Node::new().run_spec(system(source), vec![]).await })
}

fn value(source: &str) -> Value {
    match exit(&format!("local system = require('system')\n{source}")) {
        Exit::Normal(value) => value,
        other => panic!("{other:?}\n{}", stack(&other)),
    }
}

#[test]
fn processes_have_figures() {
    let found = value(
        "local first = process.spawn('myns:sleeper', 'myns:processes', 600000)
        process.send(first, 'topic', 'text')
        -- The end of a step says what the heap has: one passes here.
        require('time').sleep('1ms')
        local all = assert(system.processes())
        local own, other = all[1], all[2]
        assert(#all == 2 and own.pid == process.pid() and other.pid == first)
        assert(own.memory_bytes > 0 and own.cpu_us >= 0 and own.age_ms >= 0)
        assert(own.state == 'running' or own.state == 'waiting', own.state)
        assert(other.mailbox_bytes > 0 and other.received == 1)
        local same = assert(system.process(first))
        return { own.entry, own.host, other.entry, other.mailbox_len, same.pid == first,
            system.process(process.pid()).sent }",
    );
    let expected = [
        text("myns:script"),
        text("myns:processes"),
        text("myns:sleeper"),
        Value::Int(1),
        Value::Bool(true),
        Value::Int(1),
    ];
    assert_eq!(found, list(expected));
}

#[test]
fn lists_are_sorted_filtered_and_paged() {
    let found = value(
        "local pids = { process.pid() }
        for i = 2, 250 do pids[i] = process.spawn('myns:sleeper', 'myns:processes', 600000) end
        process.send(pids[7], 'topic', 1)
        local result = { #system.processes(), #system.processes { limit = 1000 } }
        result[3] = system.processes({ sort = 'mailbox', limit = 1 })[1].pid == pids[7]
        result[4] = system.processes({ filter = 'SCRIPT' })[1].pid == pids[1]
        result[5] = #system.processes { filter = 'nobody' }
        local seen, after = 0, nil
        while true do
            local page = system.processes { limit = 60, after = after }
            if #page == 0 then break end
            for _, process in ipairs(page) do
                seen = seen + 1
                assert(process.pid == pids[seen])
            end
            after = page[#page].pid
        end
        result[6] = seen
        return result",
    );
    let expected = [
        Value::Int(100),
        Value::Int(250),
        Value::Bool(true),
        Value::Bool(true),
        Value::Int(0),
        Value::Int(250),
    ];
    assert_eq!(found, list(expected));
}

#[test]
fn the_node_its_hosts_and_its_memory() {
    let found = value(
        "process.exec('myns:compute_worker', 'myns:processes', 6, 7)
        process.spawn('myns:sleeper', 'myns:processes', 600000)
        local node, memory = system.node(), system.memory()
        local host = system.hosts()[1]
        assert(memory.resident_bytes > memory.processes_bytes and memory.processes_bytes > 0)
        assert(memory.mailboxes_bytes == 0 and node.cores >= 1 and node.steps > 0)
        return { node.name, node.processes, node.spawned, node.exits.normal,
            host.id, host.kind, host.profile, host.processes, host.processes_max }",
    );
    let expected = [
        text("test"),
        Value::Int(2),
        Value::Int(3),
        Value::Int(1),
        text("myns:processes"),
        text("process.host"),
        text("spawn"),
        Value::Int(2),
        Value::Int(10_000),
    ];
    assert_eq!(found, list(expected));
}

#[test]
fn mistakes_are_named() {
    let source = |call: &str| {
        format!(
            "local system = require('system')
            local ok, result, err = pcall(function() return {call} end)
            return ok and tostring(err) or tostring(result)"
        )
    };
    for (call, expected) in [
        ("system.processes { order = 'cpu' }", "there is no option \"order\"; options: filter,"),
        ("system.processes { sort = 'name' }", "there is no order \"name\"; orders: cpu, memory,"),
        ("system.processes { limit = 0 }", "limit: a whole number from 1 to 1000"),
        ("system.processes { limit = 1001 }", "limit: a whole number from 1 to 1000"),
        ("system.processes { limit = 1.5 }", "limit: a whole number from 1 to 1000"),
        ("system.processes { filter = 7 }", "filter: expected a text, got a"),
        ("system.processes { after = 'x' }", "\"x\" is no PID: a PID looks like"),
        ("system.processes(7)", "options: expected a table with names, got a"),
        ("system.process()", "system.process takes a PID or a name"),
        ("system.process('nobody')", "there is no process nobody (any more)"),
        ("system.process('{test@myns:processes|1.77}')", "there is no process {test@myns:proc"),
    ] {
        match exit(&source(call)) {
            Exit::Normal(Value::String(error)) => {
                assert!(error.contains(expected), "{call}: {error}");
            }
            other => panic!("{call}: {other:?}"),
        }
    }
    let exit = virtual_time(|| async {
        Node::new().run_spec(spec("myns:script", "require('system')"), vec![]).await
    });
    let error = exit.error().unwrap().to_string();
    assert!(error.contains("add `modules: [system]`"), "{error}");
}

#[test]
fn reading_is_permitted_one_by_one() {
    let allow = Policy::new(
        id("myns:read"),
        Effect::Allow,
        &["system.read".to_owned()],
        &["node".to_owned()],
    );
    let exit = virtual_time(|| async {
        let node = Node::with_authorizer(Some(Box::new(Policies::new(false, [allow]))));
        let source = "local system = require('system')
            assert(system.node().processes == 1)
            local said = {}
            for _, call in ipairs { 'processes', 'memory', 'hosts' } do
                local value, err = system[call]()
                said[#said + 1] = tostring(value) .. ' ' .. err:kind() .. ' ' .. err:message()
            end
            local value, err = system.process(process.pid())
            said[#said + 1] = tostring(value) .. ' ' .. err:message()
            return said";
        node.add("myns:script", wippy_lua::LuaUnit::load(system(source)).unwrap());
        let mut request = SpawnRequest::new(id("myns:script"), id("myns:processes"), vec![]);
        request.by = Some(Context::default());
        request.context = Context::new(ContextBody {
            principal: Principal {
                actor: Some(Actor::new("user:ann", Value::Nil)),
                scope: Some(Scope::new([id("myns:read")])),
            },
            ..ContextBody::default()
        });
        let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
        let exit = watch.await;
        Exit::clone(&exit)
    });
    let Exit::Normal(Value::List(said)) = &exit else { panic!("{exit:?}\n{}", stack(&exit)) };
    for (said, what) in said.iter().zip(["processes", "memory", "hosts", "processes"]) {
        let Value::String(said) = said else { panic!("{said:?}") };
        let expected = format!("system.read on {what} is denied to actor user:ann");
        assert!(said.starts_with("nil ") && said.contains(&expected), "{said}");
    }
}
