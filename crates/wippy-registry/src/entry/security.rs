//! Policies and tokens.

use std::time::Duration;

use wippy_model::{EntryId, Value};

use super::target::{Store, Variable};
use crate::schema::{Count, GroupId, IdOf, Name, OneOrMany, choice, record};

record! {
    /// A rule of who may do what.
    pub struct SecurityPolicy {
        /// The rule.
        policy: PolicyRules => required,
        /// The groups it belongs to.
        groups: Vec<EntryId> as Vec<GroupId> => or(Vec::new()),
    }
}

record! {
    /// What a policy allows or denies.
    pub struct PolicyRules {
        /// Actions, such as `process.spawn` or `funcs.*`.
        actions: Vec<String> as OneOrMany => required,
        /// What they are done to; `*` stands for anything.
        resources: Vec<String> as OneOrMany => or(vec!["*".to_owned()]),
        /// Whether they are allowed.
        effect: Effect => required,
        /// What must be true as well.
        conditions: Vec<Condition> => or(Vec::new()),
    }
}

choice! {
    /// What a policy says.
    pub enum Effect {
        /// Yes.
        Allow = "allow",
        /// No; it wins over every yes.
        Deny = "deny",
    }
}

record! {
    /// A comparison that must be true for a policy to count.
    pub struct Condition {
        /// What is compared: `actor.id`, `actor.meta.role`, `action`, `resource`.
        field: String as Name => required,
        /// How it is compared.
        operator: ConditionOperator => or(ConditionOperator::Eq),
        /// With what.
        value: Value => optional,
        /// With what other field.
        value_from: String as Name => optional,
    }
}

choice! {
    /// How a condition compares.
    pub enum ConditionOperator {
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
        /// Less.
        Lt = "lt",
        /// Less or equal.
        Lte = "lte",
        /// Greater.
        Gt = "gt",
        /// Greater or equal.
        Gte = "gte",
        /// One of a list.
        In = "in",
        /// None of a list.
        NotIn = "nin",
        /// There is such a field.
        Exists = "exists",
        /// There is no such field.
        NotExists = "nexists",
        /// A text or list that holds the value.
        Contains = "contains",
        /// A text or list that does not hold the value.
        NotContains = "ncontains",
        /// A text that a pattern fits, in which `*` stands for any text.
        Matches = "matches",
        /// A text that a pattern does not fit.
        NotMatches = "nmatches",
    }
}

record! {
    /// Tokens that stand for an actor and a scope.
    pub struct SecurityTokenStore {
        /// Where tokens are kept.
        store: EntryId as IdOf<Store> => required,
        /// Bytes of a token.
        token_length: u32 as Count => or(32),
        /// How long a token counts.
        default_expiration: Duration => or(Duration::from_secs(24 * 3600)),
        /// The variable that holds the key that tokens are signed with.
        token_key: EntryId as IdOf<Variable> => optional,
    }
}
