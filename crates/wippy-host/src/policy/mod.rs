//! Who may do what: the policies of a project, compiled once, and the decision.
//!
//! - No actor or no scope: everything is allowed, or in strict mode nothing.
//! - Both: denied unless a policy of the scope allows it, and a policy that denies wins.
//! - A scope that names a policy which is not here decides nothing: it is denied, because
//!   the one that is missing might have denied.
//!
//! An answer of yes allocates nothing.

mod condition;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use wippy_kernel::Authorizer;
use wippy_model::{Actor, Context, EntryId, Error, Kind, Result, Scope, Value};

pub use condition::{Condition, Field, Operator};

use pattern::Pattern;

/// A `security.policy` entry.
#[derive(Debug)]
pub struct Policy {
    id: EntryId,
    groups: Vec<EntryId>,
    effect: Effect,
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<Condition>,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Yes.
    Allow,
    /// No; it wins over every yes.
    Deny,
}

/// The policies of a node.
#[derive(Debug, Default)]
pub struct Policies {
    strict: bool,
    policies: HashMap<EntryId, Policy>,
    groups: HashMap<EntryId, Vec<EntryId>>,
    /// What conditions may look at, by the ID of the entry.
    metas: HashMap<Box<str>, Value>,
}

/// One thing that somebody wants to do.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    actor: &'a Actor,
    action: &'a str,
    resource: &'a str,
    /// What is known of the resource.
    meta: &'a Value,
}

/// Why something is denied.
enum Denial<'a> {
    /// Strict mode, and nobody acts.
    NoActor,
    /// Strict mode, and nothing decides for the actor.
    NoScope(&'a Actor),
    /// The scope names a policy that is not here.
    Unknown(&'a Actor, &'a EntryId),
    /// A policy says no.
    Denied(&'a Actor, &'a EntryId),
    /// No policy says yes.
    NotAllowed(&'a Actor, &'a Scope),
}

/// How many policies of a scope a message lists.
const LISTED_MAX: usize = 8;

static ABSENT: Value = Value::Nil;

impl Policy {
    /// A policy without groups and conditions. In actions and resources `*` stands for any
    /// text.
    pub fn new(id: EntryId, effect: Effect, actions: &[String], resources: &[String]) -> Self {
        let compile = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Self {
            id,
            groups: Vec::new(),
            effect,
            actions: compile(actions),
            resources: compile(resources),
            conditions: Vec::new(),
        }
    }

    /// Puts it into groups.
    #[must_use]
    pub fn in_groups(mut self, groups: impl IntoIterator<Item = EntryId>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// Adds a condition, which must be true as well.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Whether a condition looks at what is known of the resource.
    pub fn looks_at_meta(&self) -> bool {
        self.conditions.iter().any(Condition::looks_at_meta)
    }

    fn fits(&self, question: &Question<'_>) -> bool {
        self.actions.iter().any(|pattern| pattern.fits(question.action))
            && self.resources.iter().any(|pattern| pattern.fits(question.resource))
            && self.conditions.iter().all(|condition| condition.holds(question))
    }
}

impl Policies {
    /// The policies of a node; `strict` denies what has no actor or no scope.
    pub fn new(strict: bool, policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut all = Self { strict, ..Self::default() };
        for policy in policies {
            for group in &policy.groups {
                all.groups.entry(group.clone()).or_default().push(policy.id.clone());
            }
            all.policies.insert(policy.id.clone(), policy);
        }
        all
    }

    /// Says what conditions on `meta` find for an entry.
    pub fn describe(&mut self, entry: &EntryId, meta: Value) {
        self.metas.insert(entry.as_str().into(), meta);
    }

    fn decide<'a>(
        &'a self,
        context: &'a Context,
        action: &'a str,
        resource: &'a str,
        meta: &'a Value,
    ) -> Result<(), Denial<'a>> {
        let (actor, scope) = match (context.actor(), context.scope()) {
            (Some(actor), Some(scope)) => (actor, scope),
            _ if !self.strict => return Ok(()),
            (None, _) => return Err(Denial::NoActor),
            (Some(actor), None) => return Err(Denial::NoScope(actor)),
        };
        let meta = match meta {
            Value::Nil => self.metas.get(resource).unwrap_or(&ABSENT),
            given => given,
        };
        let question = Question { actor, action, resource, meta };
        let mut allowed = false;
        for id in scope.policies() {
            let policy = self.policies.get(id).ok_or(Denial::Unknown(actor, id))?;
            if allowed && policy.effect == Effect::Allow || !policy.fits(&question) {
                continue;
            }
            match policy.effect {
                Effect::Deny => return Err(Denial::Denied(actor, &policy.id)),
                Effect::Allow => allowed = true,
            }
        }
        if allowed { Ok(()) } else { Err(Denial::NotAllowed(actor, scope)) }
    }
}

impl Authorizer for Policies {
    fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
        self.allow_with(context, action, resource, &ABSENT)
    }

    fn allow_with(
        &self,
        context: &Context,
        action: &str,
        resource: &str,
        meta: &Value,
    ) -> Result<()> {
        self.decide(context, action, resource, meta)
            .map_err(|denial| denial.error(action, resource))
    }

    fn scope(&self, policies: &[EntryId], groups: &[EntryId]) -> Result<Scope> {
        let unknown = |what: &str, id: &EntryId, next: &str| {
            Error::not_found(format!("there is no {what} {id}: {next}"))
        };
        if let Some(id) = policies.iter().find(|id| !self.policies.contains_key(*id)) {
            let next = "declare a security.policy of that ID, or correct it";
            return Err(unknown("policy", id, next));
        }
        let mut all = policies.to_vec();
        for group in groups {
            let next = "name it in `groups` of a security.policy, or correct it";
            let of = self.groups.get(group).ok_or_else(|| unknown("group", group, next))?;
            all.extend_from_slice(of);
        }
        Ok(Scope::new(all))
    }

    fn denials(&self, scope: &Scope) -> Scope {
        let denies = |id: &&EntryId| {
            self.policies.get(*id).is_some_and(|policy| policy.effect == Effect::Deny)
        };
        Scope::new(scope.policies().iter().filter(denies).cloned())
    }
}

impl Denial<'_> {
    fn error(self, action: &str, resource: &str) -> Error {
        let (actor, policy, why) = match self {
            Self::NoActor => (
                None,
                None,
                "security.strict_mode is on and nobody acts here; say on whose behalf this runs: \
                 an actor and policies in `meta.command.security` of a command, in \
                 `lifecycle.security` of a service, or process.with_context(), :with_actor() and \
                 :with_scope() in Lua"
                    .to_owned(),
            ),
            Self::NoScope(actor) => (
                Some(actor),
                None,
                "security.strict_mode is on and the actor has no scope; give it policies or \
                 groups beside the actor"
                    .to_owned(),
            ),
            Self::Unknown(actor, id) => (
                Some(actor),
                Some(id),
                format!("its scope names the policy {id}, which this node does not have"),
            ),
            Self::Denied(actor, id) => (
                Some(actor),
                Some(id),
                format!(
                    "the policy {id} denies it, which wins over every other; narrow that policy, \
                     or take it out of the scope"
                ),
            ),
            Self::NotAllowed(actor, scope) => (Some(actor), None, not_allowed(scope)),
        };
        let to = actor.map_or_else(String::new, |actor| format!(" to actor {}", actor.id));
        let message = format!("{action} on {resource} is denied{to}: {why}");
        let details = [
            ("action", Some(action)),
            ("resource", Some(resource)),
            ("actor", actor.map(|actor| &*actor.id)),
            ("policy", policy.map(EntryId::as_str)),
        ];
        let details = details.into_iter().filter_map(|(name, text)| Some((name, text?.into())));
        Error::new(Kind::PermissionDenied, message).with_details(Value::map::<&str>(details))
    }
}

fn not_allowed(scope: &Scope) -> String {
    let mut listed: Vec<&str> =
        scope.policies().iter().take(LISTED_MAX).map(EntryId::as_str).collect();
    if scope.policies().len() > LISTED_MAX {
        listed.push("…");
    }
    match listed.as_slice() {
        [] => "its scope is empty; give it a policy that allows this".to_owned(),
        [only] => format!(
            "{only}, the one policy of its scope, does not allow it; add action and resource to \
             that policy, or a policy that allows them to the scope"
        ),
        several => format!(
            "no policy of its scope allows it ({}); add action and resource to one of them, or a \
             policy that allows them to the scope",
            several.join(", ")
        ),
    }
}
