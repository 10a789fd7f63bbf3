//! Decisions, as tables of policies and questions.

use wippy_model::{ContextBody, Principal};

use super::*;

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

fn policy(name: &str, effect: Effect, actions: &[&str], resources: &[&str]) -> Policy {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    Policy::new(id(name), effect, &texts(actions), &texts(resources))
}

fn actor() -> Actor {
    let team = Value::map([("name", Value::from("core")), ("size", Value::Int(4))]);
    let roles = Value::List(vec![Value::from("reader"), Value::from("writer")]);
    Actor::new(
        "user:ann",
        Value::map([
            ("role", Value::from("admin")),
            ("team", team),
            ("roles", roles),
            ("level", Value::Int(7)),
            ("owns", Value::from("app:data")),
            ("hosts", Value::from("app:*")),
            ("gone", Value::Null),
        ]),
    )
}

fn context(actor: Option<Actor>, scope: Option<&[&str]>) -> Context {
    let scope = scope.map(|ids| Scope::new(ids.iter().map(|text| id(text))));
    Context::new(ContextBody { principal: Principal { actor, scope }, ..ContextBody::default() })
}

fn text(policies: &Policies, context: &Context, action: &str, resource: &str) -> String {
    match policies.allow(context, action, resource) {
        Ok(()) => "allowed".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::PermissionDenied);
            error.message().to_owned()
        }
    }
}

#[test]
fn without_actor_or_scope_the_mode_decides() {
    let open = Policies::new(false, [policy("app:none", Effect::Deny, &["*"], &["*"])]);
    let strict = Policies::new(true, [policy("app:all", Effect::Allow, &["*"], &["*"])]);
    for context in [
        Context::default(),
        context(None, None),
        context(Some(actor()), None),
        context(None, Some(&["app:none"])),
    ] {
        assert_eq!(text(&open, &context, "fs.get", "app:data"), "allowed");
    }
    for context in [Context::default(), context(None, Some(&["app:all"]))] {
        let text = text(&strict, &context, "fs.get", "app:data");
        let expected = "fs.get on app:data is denied: security.strict_mode is on and nobody acts";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("`meta.command.security`"), "{text}");
    }
    assert_eq!(
        text(&strict, &context(Some(actor()), None), "fs.get", "app:data"),
        "fs.get on app:data is denied to actor user:ann: security.strict_mode is on and the actor \
         has no scope; give it policies or groups beside the actor"
    );
    let whole = context(Some(actor()), Some(&["app:all"]));
    assert_eq!(text(&strict, &whole, "fs.get", "app:data"), "allowed");
}

#[test]
fn an_empty_scope_allows_nothing() {
    for strict in [false, true] {
        let policies = Policies::new(strict, []);
        assert_eq!(
            text(&policies, &context(Some(actor()), Some(&[])), "fs.get", "app:data"),
            "fs.get on app:data is denied to actor user:ann: its scope is empty; give it a policy \
             that allows this"
        );
    }
}

#[test]
fn a_deny_wins_in_any_order() {
    let policies = Policies::new(
        false,
        [
            policy("app:spawn", Effect::Allow, &["process.*"], &["app:*"]),
            policy("app:read", Effect::Allow, &["fs.get", "env.get"], &["*"]),
            policy("app:no_secrets", Effect::Deny, &["*"], &["app:secret*"]),
        ],
    );
    let scope = |ids: &[&str]| context(Some(actor()), Some(ids));
    let both = scope(&["app:spawn", "app:read"]);
    let first = scope(&["app:no_secrets", "app:spawn", "app:read"]);
    let last = scope(&["app:spawn", "app:read", "app:no_secrets"]);
    for (context, action, resource, expected) in [
        (&both, "process.spawn", "app:worker", true),
        (&both, "process.spawn", "other:worker", false),
        (&both, "funcs.call", "app:worker", false),
        (&both, "fs.get", "other:data", true),
        (&both, "fs.get", "app:secrets", true),
        (&first, "fs.get", "app:data", true),
        (&first, "fs.get", "app:secrets", false),
        (&last, "fs.get", "app:secrets", false),
        (&last, "fs.get", "app:data", true),
    ] {
        let allowed = policies.allow(context, action, resource).is_ok();
        assert_eq!(allowed, expected, "{action} {resource} {:?}", context.scope());
    }
    assert_eq!(
        text(&policies, &last, "fs.get", "app:secrets"),
        "fs.get on app:secrets is denied to actor user:ann: the policy app:no_secrets denies it, \
         which wins over every other; narrow that policy, or take it out of the scope"
    );
    assert_eq!(
        text(&policies, &both, "funcs.call", "app:f"),
        "funcs.call on app:f is denied to actor user:ann: no policy of its scope allows it \
         (app:spawn, app:read); add action and resource to one of them, or a policy that allows \
         them to the scope"
    );
    assert_eq!(
        text(&policies, &scope(&["app:read"]), "funcs.call", "app:f"),
        "funcs.call on app:f is denied to actor user:ann: app:read, the one policy of its scope, \
         does not allow it; add action and resource to that policy, or a policy that allows them \
         to the scope"
    );
}

#[test]
fn a_denial_says_for_programs_what_it_is() {
    let policies = Policies::new(false, [policy("app:no", Effect::Deny, &["*"], &["*"])]);
    let error = policies
        .allow(&context(Some(actor()), Some(&["app:no"])), "fs.get", "app:data")
        .unwrap_err();
    let expected = [
        ("action", "fs.get"),
        ("resource", "app:data"),
        ("actor", "user:ann"),
        ("policy", "app:no"),
    ];
    let expected = Value::map(expected.map(|(name, text)| (name, Value::from(text))));
    assert_eq!(*error.details(), expected);
}

#[test]
fn a_scope_with_a_policy_that_is_not_here_decides_nothing() {
    let policies = Policies::new(false, [policy("app:all", Effect::Allow, &["*"], &["*"])]);
    let context = context(Some(actor()), Some(&["app:all", "app:elsewhere"]));
    assert_eq!(
        text(&policies, &context, "fs.get", "app:data"),
        "fs.get on app:data is denied to actor user:ann: its scope names the policy \
         app:elsewhere, which this node does not have"
    );
}

#[test]
fn conditions() {
    use Operator::*;
    let list = |items: &[Value]| Value::List(items.to_vec());
    let text = |text: &str| Value::from(text);
    for (field, operator, value, expected) in [
        ("actor.id", Eq, text("user:ann"), true),
        ("actor.id", Eq, text("user:bob"), false),
        ("actor.id", Ne, text("user:bob"), true),
        ("action", Eq, text("fs.get"), true),
        ("resource", Matches, text("app:*"), true),
        ("resource", NotMatches, text("app:*"), false),
        ("resource", Matches, Value::Int(1), false),
        ("resource", NotMatches, Value::Int(1), true),
        ("resource", Contains, text("dat"), true),
        ("resource", Lt, text("app:e"), true),
        ("resource", Gte, text("app:e"), false),
        ("actor.meta.role", In, list(&[text("admin"), text("owner")]), true),
        ("actor.meta.role", In, list(&[]), false),
        ("actor.meta.role", In, text("admin"), false),
        ("actor.meta.role", NotIn, list(&[text("guest")]), true),
        ("actor.meta.team.name", Eq, text("core"), true),
        ("actor.meta.team.size", Gt, Value::Int(3), true),
        ("actor.meta.team.size", Gt, Value::Float(4.0), false),
        ("actor.meta.team.size", Lte, Value::Float(4.0), true),
        ("actor.meta.team.size", Eq, Value::Float(4.0), true),
        ("actor.meta.team.size", Eq, text("4"), false),
        ("actor.meta.team.size", Lt, text("5"), false),
        ("actor.meta.team.size", Lt, Value::UInt(u64::MAX), true),
        ("actor.meta.team.size", In, list(&[Value::Float(4.0)]), true),
        (
            "actor.meta.team",
            Eq,
            Value::map([("size", Value::Float(4.0)), ("name", text("core"))]),
            true,
        ),
        ("actor.meta.roles", Contains, text("writer"), true),
        ("actor.meta.roles", Contains, text("owner"), false),
        ("actor.meta.roles", NotContains, text("owner"), true),
        ("actor.meta.roles", Eq, list(&[text("reader"), text("writer")]), true),
        ("actor.meta.roles", Eq, list(&[text("reader")]), false),
        ("actor.meta.role", Exists, Value::Nil, true),
        ("actor.meta.gone", Exists, Value::Nil, false),
        ("actor.meta.gone", NotExists, Value::Nil, true),
        ("actor.meta.role.deeper", NotExists, Value::Nil, true),
        ("actor.meta.nothing", Eq, Value::Nil, false),
        ("actor.meta.nothing", Ne, text("x"), true),
        ("actor.meta.nothing", Lt, Value::Int(1), false),
        ("actor.meta.nothing", Gte, Value::Int(1), false),
        ("actor.meta.nothing", In, list(&[Value::Null]), false),
        ("actor.meta.nothing", Matches, text("*"), false),
        ("meta.kind", Eq, text("public"), true),
    ] {
        let condition = Condition::new(Field::parse(field).unwrap(), operator, value.clone());
        let policy = policy("app:p", Effect::Allow, &["*"], &["*"]).when(condition);
        assert_eq!(policy.looks_at_meta(), field.starts_with("meta."));
        let mut policies = Policies::new(false, [policy]);
        policies.describe(&id("app:data"), Value::map([("kind", text("public"))]));
        let context = context(Some(actor()), Some(&["app:p"]));
        let allowed = policies.allow(&context, "fs.get", "app:data").is_ok();
        assert_eq!(allowed, expected, "{field} {operator:?} {value:?}");
    }
}

#[test]
fn fields_compared_with_fields() {
    use Operator::*;
    for (field, operator, other, expected) in [
        ("resource", Eq, "actor.meta.owns", true),
        ("resource", Ne, "actor.meta.owns", false),
        ("resource", Matches, "actor.meta.hosts", true),
        ("actor.meta.role", In, "actor.meta.roles", false),
        ("actor.meta.team.size", Lt, "actor.meta.level", true),
        ("actor.meta.nothing", Eq, "actor.meta.nothing_either", false),
    ] {
        let fields = [field, other].map(|text| Field::parse(text).unwrap());
        let [field_, other_] = fields;
        let policy = policy("app:p", Effect::Allow, &["*"], &["*"])
            .when(Condition::between(field_, operator, other_));
        let policies = Policies::new(false, [policy]);
        let context = context(Some(actor()), Some(&["app:p"]));
        let allowed = policies.allow(&context, "fs.get", "app:data").is_ok();
        assert_eq!(allowed, expected, "{field} {operator:?} {other}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let is = |field: &str, value: &str| {
        Condition::new(Field::parse(field).unwrap(), Operator::Eq, Value::from(value))
    };
    for (role, name, expected) in
        [("admin", "core", true), ("admin", "web", false), ("guest", "core", false)]
    {
        let policy = policy("app:p", Effect::Allow, &["*"], &["*"])
            .when(is("actor.meta.role", role))
            .when(is("actor.meta.team.name", name));
        let policies = Policies::new(false, [policy]);
        let context = context(Some(actor()), Some(&["app:p"]));
        assert_eq!(policies.allow(&context, "a", "b").is_ok(), expected, "{role} {name}");
    }
}

#[test]
fn what_whoever_asks_says_of_the_resource_comes_first() {
    let condition =
        Condition::new(Field::parse("meta.owner").unwrap(), Operator::Eq, Value::from("ann"));
    let mut policies =
        Policies::new(false, [policy("app:p", Effect::Allow, &["*"], &["*"]).when(condition)]);
    policies.describe(&id("app:data"), Value::map([("owner", Value::from("bob"))]));
    let context = context(Some(actor()), Some(&["app:p"]));
    let ann = Value::map([("owner", Value::from("ann"))]);
    assert!(policies.allow(&context, "a", "app:data").is_err());
    assert!(policies.allow_with(&context, "a", "app:data", &ann).is_ok());
    assert!(policies.allow_with(&context, "a", "order 7", &ann).is_ok());
    assert!(policies.allow(&context, "a", "order 7").is_err());
}

#[test]
fn groups_become_policies() {
    let grouped = |name: &str, groups: &[&str]| {
        policy(name, Effect::Allow, &["*"], &["*"]).in_groups(groups.iter().map(|text| id(text)))
    };
    let policies = Policies::new(
        false,
        [
            grouped("app:a", &["app:admins"]),
            grouped("app:b", &["app:admins", "app:users"]),
            grouped("app:c", &[]),
        ],
    );
    let scope = |ids: &[&str], groups: &[&str]| {
        let all = |texts: &[&str]| texts.iter().map(|text| id(text)).collect::<Vec<_>>();
        policies.scope(&all(ids), &all(groups)).map(|scope| scope.policies().to_vec())
    };
    assert_eq!(scope(&[], &["app:admins"]).unwrap(), [id("app:a"), id("app:b")]);
    let all = scope(&["app:c", "app:b"], &["app:users", "app:admins"]).unwrap();
    assert_eq!(all, [id("app:c"), id("app:b"), id("app:a")]);
    assert_eq!(scope(&[], &[]).unwrap(), []);
    for (ids, groups, expected) in [
        (&["app:x"][..], &[][..], "there is no policy app:x: declare a security.policy"),
        (&[], &["app:x"], "there is no group app:x: name it in `groups`"),
    ] {
        let error = scope(ids, groups).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.message().starts_with(expected), "{error}");
    }
}

#[test]
fn fields_that_nothing_has() {
    for text in ["", "actor", "actor.name", "actor.meta", "actor.meta.", "meta", "meta..a", "x"] {
        assert_eq!(Field::parse(text), None, "{text}");
    }
}
