//! What a spawn and a message carry beside their content.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{EntryId, Value};

/// Names one chain of work across processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// Whoever acts: a user, a service, a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// Its ID, such as `service:worker`.
    pub id: Box<str>,
    /// What policies may look at.
    pub meta: Value,
}

impl Actor {
    /// An actor; `meta` is what policies may look at.
    pub fn new(id: impl Into<Box<str>>, meta: Value) -> Self {
        Self { id: id.into(), meta }
    }
}

/// The policies that decide for an actor. An empty scope allows nothing, while no scope at
/// all leaves the decision to the node's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope(Vec<EntryId>);

impl Scope {
    /// A scope of these policies, each once.
    pub fn new(policies: impl IntoIterator<Item = EntryId>) -> Self {
        let mut scope = Self::default();
        for policy in policies {
            if !scope.contains(&policy) {
                scope.0.push(policy);
            }
        }
        scope
    }

    /// The policies, in the order in which they were given.
    pub fn policies(&self) -> &[EntryId] {
        &self.0
    }

    /// Whether a policy is part of it.
    pub fn contains(&self, policy: &EntryId) -> bool {
        self.0.contains(policy)
    }
}

/// On whose behalf code runs. Both parts may be absent, each for itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// Whoever acts; none means the runtime itself.
    pub actor: Option<Actor>,
    /// What decides for the actor; none is not the same as an empty one.
    pub scope: Option<Scope>,
}

/// The content of a [`Context`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextBody {
    /// On whose behalf.
    pub principal: Principal,
    /// Values that travel with the work.
    pub values: IndexMap<String, Value>,
    /// The chain of work it belongs to.
    pub trace: Option<TraceId>,
    /// When the work is of no use any more.
    pub deadline: Option<SystemTime>,
}

/// Principal, values, trace and deadline: what spawned processes, called functions and
/// messages inherit. Cheap to clone, and free where nothing was set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context(Option<Arc<ContextBody>>);

impl Context {
    /// A context with this content.
    pub fn new(body: ContextBody) -> Self {
        Self(Some(Arc::new(body)))
    }

    /// The content, if anything was set.
    pub fn body(&self) -> Option<&ContextBody> {
        self.0.as_deref()
    }

    /// Whoever acts; none means the runtime itself.
    pub fn actor(&self) -> Option<&Actor> {
        self.body()?.principal.actor.as_ref()
    }

    /// The policies that decide for the actor.
    pub fn scope(&self) -> Option<&Scope> {
        self.body()?.principal.scope.as_ref()
    }

    /// One of the values that travel with the work.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.body()?.values.get(name)
    }

    /// A context like this one with a changed content; this one stays as it is.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut ContextBody)) -> Self {
        let mut body = self.body().cloned().unwrap_or_default();
        change(&mut body);
        Self::new(body)
    }

    /// The chain of work it belongs to.
    pub fn trace(&self) -> Option<TraceId> {
        self.body()?.trace
    }

    /// When the work is of no use any more.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.body()?.deadline
    }
}
