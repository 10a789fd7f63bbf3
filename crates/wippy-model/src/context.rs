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

/// On whose behalf code runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// The actor's ID, such as `service:worker`.
    pub actor: Box<str>,
    /// What policies may look at.
    pub meta: Value,
    /// The policies that decide for it.
    pub scope: Vec<EntryId>,
}

/// The content of a [`Context`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextBody {
    /// On whose behalf; none means the runtime itself.
    pub principal: Option<Principal>,
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

    /// On whose behalf; none means the runtime itself.
    pub fn principal(&self) -> Option<&Principal> {
        self.body()?.principal.as_ref()
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
