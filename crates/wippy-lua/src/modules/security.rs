//! `security`: on whose behalf this process runs, and what that one may do.
//!
//! ```text
//! security.actor()                          -- an actor, or nil
//! security.scope()                          -- a scope, or nil
//! security.can(action, resource [, meta])   -- a boolean
//! security.new_actor(id [, meta])
//! security.new_scope([{ policy, ... }])     -- IDs or policies; nil, err
//! security.policy(id)                       -- nil, err
//! security.named_scope(group)               -- nil, err
//! ```
//!
//! An actor has `:id() :meta()`, a policy `:id()`, a scope `:policies() :contains(policy)
//! :with(policy) :without(policy)`. They are worth nothing by themselves: running something
//! on another one's behalf asks for `security.actor.set` on the actor's ID, and in another
//! scope for `security.scope.set` on each of its policies, to which those of the process's own
//! scope that deny are added ([`Change::context`]).
//!
//! An actor's `meta` has at most 64 KiB, as all values of a context together; a list of
//! policies at most 1,000.

use std::ffi::c_int;
use std::time::{Duration, SystemTime};

use wippy_kernel::Kernel;
use wippy_model::{Actor, Context, EntryId, Error, Kind, Map, Result, Scope, Value};

use crate::convert;
use crate::host_fn::{Answer, Outcome, failed, host_fn, misuse};
use crate::state::{Key, State, Type};

static ACTOR: Key = Key::new();
static POLICY: Key = Key::new();
static SCOPE: Key = Key::new();

/// What an actor's `meta`, or the values of a context, may hold.
const BYTES_MAX: usize = 64 << 10;
/// How many policies a list may name.
const POLICIES_MAX: usize = 1_000;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 7);
    state.set_functions(&[
        ("actor", host_fn(|s, _| actor(s))),
        ("scope", host_fn(|s, _| scope(s))),
        ("can", host_fn(|s, _| can(s))),
        ("new_actor", host_fn(|s, _| new_actor(s))),
        ("new_scope", host_fn(|s, _| new_scope(s))),
        ("policy", host_fn(|s, _| policy(s))),
        ("named_scope", host_fn(|s, _| named_scope(s))),
    ]);
}

/// What a builder changes of the context that its process hands on.
#[derive(Default)]
pub(crate) struct Change {
    /// Values, over those that are inherited.
    pub(crate) values: Map,
    /// Another actor.
    pub(crate) actor: Option<Actor>,
    /// Another scope.
    pub(crate) scope: Option<Scope>,
    /// How long the work is of use, where that is less than what is left anyway.
    pub(crate) timeout: Option<Duration>,
}

impl Change {
    /// The changed context, where this process may hand it on.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where it may not, `ResourceExhausted` where the values are too
    /// large, `Invalid` where one cannot leave this process.
    pub(crate) fn context(self, state: State<'_>) -> Result<Context> {
        let Self { values, actor, scope, timeout } = self;
        // A span beyond any clock is none.
        let deadline = timeout.and_then(|timeout| SystemTime::now().checked_add(timeout));
        let process = &state.core().context;
        if let Some(actor) = &actor {
            process.authorize("security.actor.set", &actor.id)?;
        }
        for policy in scope.iter().flat_map(Scope::policies) {
            process.authorize("security.scope.set", policy.as_str())?;
        }
        if values.is_empty() && actor.is_none() && scope.is_none() && deadline.is_none() {
            return Ok(process.context().clone());
        }
        // No process sheds what is denied to it, whatever else it may do.
        let scope = match (scope, process.context().scope()) {
            (Some(new), Some(own)) => {
                let denials = kernel(state)?.denials(own);
                Some(Scope::new([new.policies(), denials.policies()].concat()))
            }
            (new, _) => new,
        };
        let context = process.context().changed(|body| {
            body.values.extend(values);
            let principal = &mut body.principal;
            principal.actor = actor.or_else(|| principal.actor.take());
            principal.scope = scope.or_else(|| principal.scope.take());
            // The caller's own is not put off.
            body.deadline = [deadline, body.deadline].into_iter().flatten().min();
        });
        if let Some(body) = context.body() {
            let sizes = body.values.iter().map(|(name, value)| name.len() + value.size_bytes());
            check_size("the values of a context have", sizes.sum())?;
        }
        Ok(context)
    }
}

fn check_size(what: &str, bytes: usize) -> Result<()> {
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    let message = format!("{what} {bytes} bytes; they may have {BYTES_MAX}");
    Err(Error::new(Kind::ResourceExhausted, message))
}

/// The map at `index`, which may be absent. `what` names it in errors.
pub(crate) fn map_from(state: State<'_>, index: c_int, what: &str) -> Result<Map> {
    if state.is_absent(index) {
        return Ok(Map::new());
    }
    let value = convert::to_value(state, index, what)?;
    if let Some(handle) = value.holds_handle() {
        let message = format!("{what}: a handle of {} cannot leave its process", handle.name);
        return Err(Error::invalid(message));
    }
    match value {
        Value::Map(map) => Ok(map),
        other => Err(Error::invalid(format!(
            "{what}: expected a table with names, got a {}",
            other.type_name()
        ))),
    }
}

/// The actor at `index`.
pub(crate) fn actor_from(state: State<'_>, index: c_int) -> Result<Actor> {
    let top = state.top();
    let actor = if state.get_wrapped(index, &ACTOR) {
        let table = state.top();
        state.get_field(table, "id");
        let id = crate::failure::text(state, -1);
        state.get_field(table, "meta");
        convert::to_value(state, -1, "meta").map(|meta| Actor::new(id, meta))
    } else {
        Err(expected(state, index, "an actor of security.actor or security.new_actor"))
    };
    state.set_top(top);
    actor
}

/// The scope at `index`.
pub(crate) fn scope_from(state: State<'_>, index: c_int) -> Result<Scope> {
    let top = state.top();
    let scope = if state.get_wrapped(index, &SCOPE) {
        ids(state, state.top()).map(Scope::new)
    } else {
        let what = "a scope of security.scope, security.new_scope or security.named_scope";
        Err(expected(state, index, what))
    };
    state.set_top(top);
    scope
}

/// Pushes an actor.
pub(crate) fn push_actor(state: State<'_>, actor: &Actor) {
    state.push_table(0, 2);
    state.push_str(&actor.id);
    state.set_field(-2, "id");
    convert::push(state, &actor.meta);
    state.set_field(-2, "meta");
    wrap(state, &ACTOR, |state| {
        state.push_table(0, 2);
        state.set_functions(&[
            ("id", host_fn(|s, _| id_of(s, &ACTOR, "actor"))),
            ("meta", host_fn(|s, _| meta_of(s))),
        ]);
        set_names(state, "actor");
    });
}

/// Pushes a scope: a list of IDs behind methods.
pub(crate) fn push_scope(state: State<'_>, scope: &Scope) {
    push_ids(state, scope.policies());
    wrap(state, &SCOPE, |state| {
        state.push_table(0, 4);
        state.set_functions(&[
            (
                "policies",
                host_fn(|s, _| {
                    let scope = self_scope(s, "policies")?;
                    push_ids(s, scope.policies());
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "contains",
                host_fn(|s, _| {
                    let scope = self_scope(s, "contains")?;
                    let policy = policy_id(s, 2).map_err(|error| misuse(s, error))?;
                    s.push_bool(scope.contains(&policy));
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "with",
                host_fn(|s, _| {
                    let scope = self_scope(s, "with")?;
                    let policy = policy_id(s, 2).map_err(|error| misuse(s, error))?;
                    let more = kernel(s).and_then(|kernel| kernel.scope(&[policy], &[]));
                    let both =
                        |more: Scope| Scope::new([scope.policies(), more.policies()].concat());
                    give_scope(s, more.map(both))
                }),
            ),
            (
                "without",
                host_fn(|s, _| {
                    let scope = self_scope(s, "without")?;
                    let policy = policy_id(s, 2).map_err(|error| misuse(s, error))?;
                    let rest = scope.policies().iter().filter(|id| **id != policy).cloned();
                    give_scope(s, Ok(Scope::new(rest)))
                }),
            ),
        ]);
        set_names(state, "scope");
    });
}

fn push_ids(state: State<'_>, ids: &[EntryId]) {
    state.push_table(ids.len(), 0);
    for (id, position) in ids.iter().zip(1..) {
        state.push_str(id.as_str());
        state.set_position(-2, position);
    }
}

/// Wraps the table on top.
fn wrap(state: State<'_>, key: &'static Key, make: fn(State<'_>)) {
    state.get_or_make(key, make);
    state.pop(1);
    state.wrap_table(key);
}

/// Pops a table of methods and pushes the metatable with them.
fn set_names(state: State<'_>, name: &str) {
    state.push_table(0, 3);
    state.insert(-2);
    state.set_field(-2, "__index");
    state.push_str(name);
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

fn kernel(state: State<'_>) -> Result<Kernel> {
    state.core().context.kernel().ok_or_else(|| Error::unavailable("the node is stopping"))
}

fn expected(state: State<'_>, index: c_int, what: &str) -> Error {
    Error::invalid(format!("expected {what}, got {}", state.type_name(index)))
}

fn actor(state: State<'_>) -> Outcome {
    match state.core().context.context().actor() {
        Some(actor) => push_actor(state, actor),
        None => state.push_nil(),
    }
    Ok(Answer::Values(1))
}

fn scope(state: State<'_>) -> Outcome {
    match state.core().context.context().scope() {
        Some(scope) => push_scope(state, scope),
        None => state.push_nil(),
    }
    Ok(Answer::Values(1))
}

fn can(state: State<'_>) -> Outcome {
    let (Some(action), Some(resource)) = (state.to_str(1), state.to_str(2)) else {
        return Err(misuse(state, "security.can takes an action and a resource, both texts"));
    };
    let context = &state.core().context;
    let allowed = if state.is_absent(3) {
        context.authorize(action, resource).is_ok()
    } else {
        let meta = map_from(state, 3, "meta").map_err(|error| misuse(state, error))?;
        let kernel = kernel(state).map_err(|error| misuse(state, error))?;
        kernel.authorize_with(context.context(), action, resource, &Value::Map(meta)).is_ok()
    };
    state.push_bool(allowed);
    Ok(Answer::Values(1))
}

fn new_actor(state: State<'_>) -> Outcome {
    let id = match state.to_str(1) {
        Some(id) if !id.trim().is_empty() => id,
        _ => return Err(misuse(state, "security.new_actor takes an ID, and a table of its meta")),
    };
    let meta = map_from(state, 2, "meta").map(Value::Map);
    let meta = meta.and_then(|meta| {
        check_size("an actor's ID and meta have", id.len() + meta.size_bytes()).map(|()| meta)
    });
    match meta {
        Ok(meta) => push_actor(state, &Actor::new(id, meta)),
        Err(error) => return Err(misuse(state, error)),
    }
    Ok(Answer::Values(1))
}

fn new_scope(state: State<'_>) -> Outcome {
    let listed = match state.type_of(1) {
        Type::None | Type::Nil => Ok(Vec::new()),
        Type::Table => ids(state, 1),
        _ => Err(expected(state, 1, "a list of policies")),
    };
    let listed = listed.map_err(|error| misuse(state, error))?;
    give_scope(state, kernel(state).and_then(|kernel| kernel.scope(&listed, &[])))
}

fn named_scope(state: State<'_>) -> Outcome {
    let group = entry_id(state, 1, "the ID of a group").map_err(|error| misuse(state, error))?;
    give_scope(state, kernel(state).and_then(|kernel| kernel.scope(&[], &[group])))
}

fn give_scope(state: State<'_>, scope: Result<Scope>) -> Outcome {
    match scope {
        Ok(scope) => push_scope(state, &scope),
        Err(error) => return failed(state, &error),
    }
    Ok(Answer::Values(1))
}

fn policy(state: State<'_>) -> Outcome {
    let id = entry_id(state, 1, "the ID of a policy").map_err(|error| misuse(state, error))?;
    let known = kernel(state).and_then(|kernel| kernel.scope(std::slice::from_ref(&id), &[]));
    if let Err(error) = known {
        return failed(state, &error);
    }
    state.push_table(0, 1);
    state.push_str(id.as_str());
    state.set_field(-2, "id");
    wrap(state, &POLICY, |state| {
        state.push_table(0, 1);
        state.set_functions(&[("id", host_fn(|s, _| id_of(s, &POLICY, "policy")))]);
        set_names(state, "policy");
    });
    Ok(Answer::Values(1))
}

fn entry_id(state: State<'_>, index: c_int, what: &str) -> Result<EntryId> {
    let text = state.to_str(index).ok_or_else(|| expected(state, index, what))?;
    EntryId::parse_in(state.core().context.entry().namespace(), text)
        .map_err(|error| Error::invalid(error.to_string()))
}

/// The ID of the policy at `index`: a text or a policy.
fn policy_id(state: State<'_>, index: c_int) -> Result<EntryId> {
    let top = state.top();
    let id = if state.get_wrapped(index, &POLICY) {
        state.get_field(-1, "id");
        entry_id(state, state.top(), "the ID of a policy")
    } else {
        entry_id(state, index, "a policy or its ID")
    };
    state.set_top(top);
    id
}

/// The policies of the list at `index`.
fn ids(state: State<'_>, index: c_int) -> Result<Vec<EntryId>> {
    let len = state.raw_len(index);
    if len > POLICIES_MAX {
        return Err(Error::invalid(format!("a scope takes at most {POLICIES_MAX} policies")));
    }
    let mut ids = Vec::with_capacity(len);
    for position in (1..).take(len) {
        state.get_position(index, position);
        let id = policy_id(state, state.top())
            .map_err(|error| error.context(format_args!("policy {position}")))?;
        state.pop(1);
        ids.push(id);
    }
    Ok(ids)
}

fn self_scope(state: State<'_>, method: &str) -> Result<Scope, crate::host_fn::Raised> {
    scope_from(state, 1)
        .map_err(|_| misuse(state, format_args!("call it on a scope, as scope:{method}(...)")))
}

fn id_of(state: State<'_>, key: &'static Key, what: &str) -> Outcome {
    if !state.get_wrapped(1, key) {
        return Err(misuse(state, format_args!("call it as {what}:id()")));
    }
    state.get_field(-1, "id");
    Ok(Answer::Values(1))
}

/// A copy: what somebody changes in it does not change the actor.
fn meta_of(state: State<'_>) -> Outcome {
    match actor_from(state, 1) {
        Ok(actor) => convert::push(state, &actor.meta),
        Err(_) => return Err(misuse(state, "call it on an actor, as actor:meta()")),
    }
    Ok(Answer::Values(1))
}
