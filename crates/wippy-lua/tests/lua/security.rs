//! `security`, `ctx` and `process.with_context`, on a kernel with policies.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wippy_host::policy::{Condition, Effect, Field, Operator, Policies, Policy};
use wippy_kernel::{Prepare, Process, ProcessContext, SpawnRequest, Unit};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{
    Actor, Context, ContextBody, Exit, Limits, Principal, Result, Scope, TraceId, Value,
};

use crate::support::{Node, id, list, spec, text, virtual_time};

fn policy(name: &str, effect: Effect, actions: &[&str], resources: &[&str]) -> Policy {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    Policy::new(id(name), effect, &texts(actions), &texts(resources))
}

/// `myns:all` allows everything, `myns:read` only `fs.get` on the actor's own data,
/// `myns:work` spawning and setting actors of users and the scope `myns:read`.
fn policies() -> Policies {
    let owns = Condition::between(
        Field::parse("resource").unwrap(),
        Operator::Eq,
        Field::parse("actor.meta.data").unwrap(),
    );
    let public =
        Condition::new(Field::parse("meta.public").unwrap(), Operator::Eq, Value::Bool(true));
    let group = |policy: Policy| policy.in_groups([id("myns:workers")]);
    let allow = |name, actions: &[&str], resources: &[&str]| {
        policy(name, Effect::Allow, actions, resources)
    };
    Policies::new(
        false,
        [
            allow("myns:all", &["*"], &["*"]),
            allow("myns:read", &["fs.get"], &["*"]).when(owns),
            allow("myns:public", &["view"], &["*"]).when(public),
            group(allow("myns:work", &["process.spawn", "process.host"], &["*"])),
            group(allow("myns:users", &["security.actor.set"], &["user:*"])),
            group(allow("myns:reads", &["security.scope.set"], &["myns:read"])),
            policy("myns:no_secrets", Effect::Deny, &["*"], &["secret"]),
        ],
    )
}

fn body(policies: &[&str]) -> ContextBody {
    let actor = Actor::new("user:ann", Value::map([("data", text("myns:files"))]));
    let scope = Scope::new(policies.iter().map(|name| id(name)));
    ContextBody {
        principal: Principal { actor: Some(actor), scope: Some(scope) },
        ..ContextBody::default()
    }
}

/// Says what context it was spawned with.
struct Mirror(Limits);

impl Unit for Mirror {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Reflect))
    }
}

struct Reflect;

impl Process for Reflect {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move { Exit::Normal(text(&format!("{:?}", context.context()))) })
    }
}

fn listed(name: &str, source: &str) -> LuaSpec {
    LuaSpec { modules: vec!["security".to_owned(), "ctx".to_owned()], ..spec(name, source) }
}

/// Runs a script in a context.
fn run(context: ContextBody, source: &str) -> Exit {
    virtual_time(|| async {
        let node = Node::with_authorizer(Some(Box::new(policies())));
        node.add("myns:mirror", Arc::new(Mirror(Limits::default())));
        node.add(
            "myns:child",
            LuaUnit::load(listed(
                "myns:child",
                "local security, ctx = require('security'), require('ctx')
                 local a, s = security.actor(), security.scope()
                 return { a and a:id() or '-', a and a:meta().data or '-',
                          s and s:policies() or '-', ctx.all() }",
            ))
            .unwrap(),
        );
        node.add(
            "myns:again",
            LuaUnit::load(listed(
                "myns:again",
                "local security = require('security')
                 return { security.can('view', 'secret'), security.can('view', 'other') }",
            ))
            .unwrap(),
        );
        node.add("myns:script", LuaUnit::load(listed("myns:script", source)).unwrap());
        let mut request = SpawnRequest::new(id("myns:script"), id("myns:processes"), vec![]);
        request.context = Context::new(context);
        let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
        Exit::clone(&*watch.await)
    })
}

#[track_caller]
fn value(context: ContextBody, source: &str) -> Value {
    let source = format!("local security, ctx = require('security'), require('ctx')\n{source}");
    match run(context, &source) {
        Exit::Normal(value) => value,
        other => panic!("{source}\n{other:?}"),
    }
}

#[test]
fn nobody_acts() {
    let nobody = ContextBody::default();
    let source = "return { security.actor() == nil, security.scope() == nil,
        security.can('fs.get', 'anything'), ctx.get('x') == nil, next(ctx.all()) == nil }";
    assert_eq!(value(nobody, source), list([true; 5].map(Value::Bool)));
}

#[test]
fn modules_must_be_listed() {
    let source = spec("myns:script", "require('security')");
    let exit = virtual_time(|| async { Node::new().run_spec(source, vec![]).await });
    let error = exit.error().unwrap();
    let expected = "myns:script may not require \"security\": its entry does not list it; add \
                    `modules: [security]`";
    assert!(error.message().contains(expected), "{error}");
}

#[test]
fn who_acts_and_what_is_allowed() {
    let source = "local a, s = security.actor(), security.scope()
        local meta = a:meta()
        meta.data = 'other'
        return { a:id(), a:meta().data, s:policies(),
            security.can('fs.get', 'myns:files'), security.can('fs.get', 'myns:other'),
            security.can('view', 'order 7'), security.can('view', 'order 7', { public = true }),
            security.can('view', 'order 7', { public = false }) }";
    let expected = list([
        text("user:ann"),
        text("myns:files"),
        list([text("myns:read"), text("myns:public"), text("myns:work")]),
        Value::Bool(true),
        Value::Bool(false),
        Value::Bool(false),
        Value::Bool(true),
        Value::Bool(false),
    ]);
    // `myns:work` allows the script's own spawn.
    assert_eq!(value(body(&["myns:read", "myns:public", "myns:work"]), source), expected);
}

#[test]
fn scopes_are_made_of_policies() {
    let source =
        "local s = security.new_scope({ 'read', security.policy('myns:all'), 'myns:read' })
        local group = security.named_scope('workers')
        local missing, err = security.policy('nothing')
        local _, err2 = security.named_scope('myns:nothing')
        local _, err3 = security.new_scope({ 'nothing' })
        return { s:policies(), s:contains('all'), s:contains('work'),
            s:without('all'):policies(), s:with('work'):with('read'):policies(),
            group:policies(), #security.new_scope():policies(),
            security.policy('all'):id(), tostring(missing), err:kind(), tostring(err),
            tostring(err2), tostring(err3) }";
    let texts = |items: &[&str]| list(items.iter().map(|item| text(item)));
    let expected = list([
        texts(&["myns:read", "myns:all"]),
        Value::Bool(true),
        Value::Bool(false),
        texts(&["myns:read"]),
        texts(&["myns:read", "myns:all", "myns:work"]),
        texts(&["myns:work", "myns:users", "myns:reads"]),
        Value::Int(0),
        text("myns:all"),
        text("nil"),
        text("NotFound"),
        text(
            "there is no policy myns:nothing: declare a security.policy of that ID, or correct it",
        ),
        text(
            "there is no group myns:nothing: name it in `groups` of a security.policy, or correct \
             it",
        ),
        text(
            "there is no policy myns:nothing: declare a security.policy of that ID, or correct it",
        ),
    ]);
    assert_eq!(value(ContextBody::default(), source), expected);
}

/// Actor, scope, values, trace and deadline reach a child, through every way of spawning.
#[test]
fn a_child_inherits_everything() {
    let context = ContextBody {
        values: [("request".to_owned(), Value::Int(7))].into_iter().collect(),
        trace: Some(TraceId(42)),
        deadline: Some(SystemTime::now() + Duration::from_secs(3600)),
        ..body(&["myns:all"])
    };
    let source = "
        local function monitored()
            assert(process.spawn_monitored('mirror', 'processes'))
            return process.receive().value
        end
        return { process.exec('mirror', 'processes'), monitored(),
            process.with_context():exec('mirror', 'processes') }";
    let own = text(&format!("{:?}", Context::new(context.clone())));
    assert_eq!(value(context, source), list([own.clone(), own.clone(), own]));
}

#[test]
fn a_builder_changes_what_is_inherited() {
    let context = ContextBody {
        values: [("a".to_owned(), Value::Int(1)), ("b".to_owned(), Value::Int(1))]
            .into_iter()
            .collect(),
        ..body(&["myns:all"])
    };
    let source = "
        local plain = process.with_context({ b = 2 })
        local more = plain:with_context({ c = { 3 } })
        local bob = more:with_actor(security.new_actor('user:bob', { data = 'd' }))
        local scoped = bob:with_scope(security.new_scope({ 'read' }))
        assert(plain:spawn_monitored('child', 'processes'))
        return { process.receive().value, more:exec('child', 'processes'),
            bob:exec('child', 'processes'), scoped:exec('child', 'processes') }";
    let values = |pairs: &[(&str, Value)]| Value::map(pairs.iter().cloned());
    let c = list([Value::Int(3)]);
    let (one, two) = (Value::Int(1), Value::Int(2));
    let (all, ann) = (list([text("myns:all")]), text("user:ann"));
    let most = values(&[("a", one.clone()), ("b", two.clone()), ("c", c)]);
    let files = text("myns:files");
    let Value::List(children) = value(context, source) else { panic!() };
    let [plain, more, bob, scoped] = &children[..] else { panic!("{children:?}") };
    let few = values(&[("a", one), ("b", two)]);
    assert_eq!(*plain, list([ann.clone(), files.clone(), all.clone(), few]));
    assert_eq!(*more, list([ann, files, all.clone(), most.clone()]));
    assert_eq!(*bob, list([text("user:bob"), text("d"), all, most.clone()]));
    // It is this process that spawns: what the child may do does not matter for that.
    let read = list([text("myns:read")]);
    assert_eq!(*scoped, list([text("user:bob"), text("d"), read, most]));
}

#[test]
fn another_actor_or_scope_needs_permission() {
    let workers = ["myns:work", "myns:users", "myns:reads", "myns:read"];
    let source = "
        local function try(builder)
            local value, err = builder:exec('child', 'processes')
            return err and tostring(err) or (value[1] .. ' ' .. #value[3])
        end
        local b = process.with_context()
        return { try(b:with_actor(security.new_actor('user:bob'))),
            try(b:with_actor(security.new_actor('root'))),
            try(b:with_scope(security.new_scope({ 'read' }))),
            try(b:with_scope(security.new_scope({ 'read', 'all' }))),
            try(b:with_scope(security.new_scope())) }";
    let Value::List(tried) = value(body(&workers), source) else { panic!() };
    let tried: Vec<&str> = tried.iter().map(|text| text.as_str().unwrap()).collect();
    let [bob, root, narrow, wide, none] = tried[..] else { panic!("{tried:?}") };
    assert_eq!([bob, narrow, none], ["user:bob 4", "user:ann 1", "user:ann 0"]);
    let denied = "security.actor.set on root is denied to actor user:ann: no policy of its scope";
    assert!(root.starts_with(denied), "{root}");
    let denied = "security.scope.set on myns:all is denied to actor user:ann: no policy of its";
    assert!(wide.starts_with(denied), "{wide}");
}

/// With permission for everything else, and whatever scope it makes.
#[test]
fn nobody_sheds_a_policy_that_denies() {
    let source = "
        local own = security.scope()
        local b = process.with_context()
        local function scope_of(scope) return b:with_scope(scope):exec('child', 'processes')[3] end
        local deeper = b:with_scope(own:without('no_secrets')):exec('again', 'processes')
        return { scope_of(own:without('no_secrets')), scope_of(security.new_scope({ 'read' })),
            scope_of(security.new_scope()), scope_of(own), deeper,
            security.can('view', 'secret'), security.can('view', 'other') }";
    let texts = |items: &[&str]| list(items.iter().map(|item| text(item)));
    let expected = list([
        texts(&["myns:all", "myns:no_secrets"]),
        texts(&["myns:read", "myns:no_secrets"]),
        texts(&["myns:no_secrets"]),
        texts(&["myns:all", "myns:no_secrets"]),
        list([Value::Bool(false), Value::Bool(true)]),
        Value::Bool(false),
        Value::Bool(true),
    ]);
    assert_eq!(value(body(&["myns:all", "myns:no_secrets"]), source), expected);
}

#[test]
fn acting_on_processes_needs_permission() {
    let source = "
        local pid = assert(process.spawn('sleeper', 'processes', 1))
        local texts, registry = {}, process.registry
        local function note(v, err)
            assert(v == nil and err:kind() == 'PermissionDenied', tostring(err))
            texts[#texts + 1] = err:message():match('^(.- is denied to actor user:ann):')
        end
        for _, name in ipairs({ 'terminate', 'cancel', 'monitor', 'link' }) do
            note(process[name](pid))
        end
        note(process.send(pid, 'topic'))
        note(process.call(pid, 'topic'))
        note(registry.register('name'))
        note(registry.register('name', pid))
        note(registry.lookup('name'))
        note(registry.unregister('name'))
        note(process.with_name('name'):spawn('sleeper', 'processes', 1))
        note(process.upgrade())
        note(process.upgrade('sleeper', 1))
        return texts";
    let denied = |what: &str| text(&format!("process.{what} is denied to actor user:ann"));
    let acts = ["terminate", "cancel", "monitor", "link", "send", "send"]
        .map(|action| denied(&format!("{action} on myns:processes")));
    let names = ["register", "register", "lookup", "unregister", "register"]
        .map(|action| denied(&format!("registry.{action} on name")));
    let upgrades = ["upgrade on myns:script", "upgrade on myns:sleeper"].map(denied);
    let all = acts.into_iter().chain(names).chain(upgrades);
    assert_eq!(value(body(&["myns:work"]), source), list(all));
}

#[test]
fn what_is_refused() {
    for (source, expected) in [
        ("security.new_actor()", "security.new_actor takes an ID"),
        ("security.new_actor(' ')", "security.new_actor takes an ID"),
        ("security.new_actor('a', { 1, 2 })", "meta: expected a table with names, got a list"),
        ("security.new_actor('a', { f = print })", "meta.f: a function is no value"),
        ("security.new_actor('a', { x = ('x'):rep(70000) })", "an actor's ID and meta have"),
        ("security.new_scope('read')", "expected a list of policies, got string"),
        ("security.new_scope({ 1 })", "policy 1: expected a policy or its ID, got number"),
        ("security.new_scope(table.pack(('x'):rep(1001, ','):byte(1, -1)))", "at most 1000"),
        ("security.can('fs.get')", "security.can takes an action and a resource"),
        ("security.actor.id({})", "attempt to index a function value"),
        ("security.new_actor('a').id({})", "call it as actor:id()"),
        ("process.with_context(1)", "values: expected a table with names, got a integer"),
        ("process.with_context():with_actor('root')", "expected an actor of security.actor"),
        ("process.with_context():with_scope({})", "expected a scope of security.scope"),
        ("process.with_context().spawn('child', 'processes')", "with a colon"),
        ("ctx.get()", "ctx.get takes the name of a value"),
    ] {
        let all = format!("local security, ctx = require('security'), require('ctx')\n{source}");
        let exit = run(ContextBody::default(), &all);
        let error = exit.error().unwrap_or_else(|| panic!("{source}: {exit:?}"));
        assert!(error.message().contains(expected), "{source}: {error}");
    }
    let source = "local big = process.with_context({ x = ('x'):rep(70000) })
        local _, err = big:spawn('child', 'processes')
        return { err:kind(), tostring(err):match('^the values of a context have') }";
    let expected = list([text("ResourceExhausted"), text("the values of a context have")]);
    assert_eq!(value(ContextBody::default(), source), expected);
}
