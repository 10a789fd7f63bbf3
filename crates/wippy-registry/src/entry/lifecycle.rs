//! How an entry starts, stops and is started again.

use std::time::Duration;

use wippy_model::{EntryId, Value};

use super::target::{Any, Policy};
use crate::diagnostic::Diagnostic;
use crate::schema::{
    BudgetCount, Decoder, Factor, Fields, Fraction, GroupId, IdOf, Name, choice, record,
};
use crate::yaml::Content;

record! {
    /// How an entry starts, stops and is started again.
    pub struct Lifecycle {
        /// Whether it starts with the runtime.
        auto_start: bool => or(false),
        /// Whether a failed start ends the runtime, of what starts with it.
        startup: Startup => or(Startup::Required),
        /// How long a start may take: until its process has begun.
        start_timeout: Duration => or(Duration::from_secs(10)),
        /// How long a stop may take before it is terminated.
        stop_timeout: Duration => or(Duration::from_secs(10)),
        /// A run that is longer than this counts as stable: the backoff starts anew.
        stable_threshold: Duration => or(Duration::from_secs(5)),
        /// What must run before it.
        requires | depends_on: Vec<EntryId> as Vec<IdOf<Any>> => or(Vec::new()),
        /// How it is started again.
        restart: Restart => group,
        /// On whose behalf it runs; none means the runtime itself.
        security: ServiceSecurity => optional,
    }
}

choice! {
    /// Whether a failed start ends the runtime.
    pub enum Startup {
        /// It does.
        Required = "required",
        /// The runtime goes on without it.
        Optional = "optional",
    }
}

record! {
    /// The delay before attempt n is `initial_delay × backoff_factor^(n-1)`, at the most
    /// `max_delay`, give or take `jitter`.
    pub struct Restart {
        /// The delay before the first attempt.
        initial_delay | delay: Duration => or(Duration::from_secs(1)),
        /// The longest delay.
        max_delay: Duration => or(Duration::from_secs(90)),
        /// What each delay is multiplied with.
        backoff_factor: f64 as Factor => or(2.0),
        /// How much a delay varies, from 0 (not) to 1 (by its whole length).
        jitter: f64 as Fraction => or(0.1),
        /// How often it is tried in a row, without a stable run in between; 0 is without limit.
        max_attempts: u32 => or(0),
        /// How often it is tried in a time, stable runs or not. Without a budget, attempts past
        /// 1,000 a minute are put off and not given up.
        budget: RestartBudget => optional,
    }
}

record! {
    /// One attempt more than `restarts` within the time `within` is not made: the service has
    /// failed for good.
    pub struct RestartBudget {
        /// How many attempts.
        restarts: u32 as BudgetCount => required,
        /// Within which time.
        within: Duration => required,
    }
}

record! {
    /// On whose behalf a service or a command runs. With an actor and policies or groups,
    /// only what they allow is allowed.
    pub struct ServiceSecurity {
        /// The actor.
        actor: Actor => optional,
        /// The groups of policies that decide for it.
        groups: Vec<EntryId> as Vec<GroupId> => or(Vec::new()),
        /// The policies that decide for it.
        policies: Vec<EntryId> as Vec<IdOf<Policy>> => or(Vec::new()),
    }
    check decides_for_somebody;
}

record! {
    /// An actor.
    pub struct Actor {
        /// Its ID, such as `service:worker`.
        id: String as Name => required,
        /// What policies may look at.
        meta: Value => or(Value::map::<String>([])),
    }
}

/// Without an actor there is nobody to decide for.
fn decides_for_somebody(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let written = |name| fields.peek(name).filter(|node| node.content != Content::Null);
    if written("actor").is_none()
        && !fields.has_slip_of("actor")
        && let Some(named) = written("policies").or_else(|| written("groups"))
    {
        let message = format!("`{}` decides nothing without an actor", cx.path());
        let warning = cx.diagnostic(Diagnostic::warning, "no-actor", named.span, message);
        cx.found.push(warning.help("add `actor: { id: \"service:name\" }`"));
    }
    Some(())
}
