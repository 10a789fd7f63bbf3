//! The `security.policy` entries of a project, as the policies of a node.

use wippy_host::policy::{self, Condition, Field, Operator, Policies, Policy};
use wippy_kernel::Kernel;
use wippy_model::{Actor, Context, ContextBody, Principal, Result, Value};
use wippy_registry::{
    ConditionOperator, Data, Diagnostic, Diagnostics, Effect, Entry, Project, SecurityPolicy,
    ServiceSecurity,
};

/// The policies of these entries, compiled.
///
/// # Errors
///
/// When a condition looks at a field that nothing has; the registry has refused it already.
pub(crate) fn policies(project: &Project) -> Result<Policies, Diagnostics> {
    let mut compiled = Vec::new();
    for entry in project.registry().entries() {
        if let Data::SecurityPolicy(policy) = &entry.data {
            compiled.push(compile(entry, policy)?);
        }
    }
    let with_meta = compiled.iter().any(Policy::looks_at_meta);
    let mut policies = Policies::new(project.settings().security.strict_mode, compiled);
    for entry in project.registry().entries().filter(|_| with_meta) {
        policies.describe(&entry.id, entry.meta.clone());
    }
    Ok(policies)
}

/// Whether a policy looks at what is known of entries, which a node learns at its start.
pub(crate) fn look_at_meta(project: &Project) -> bool {
    let compiled = project.registry().entries().filter_map(|entry| match &entry.data {
        Data::SecurityPolicy(policy) => Some(compile(entry, policy)),
        _ => None,
    });
    // A policy that does not compile is no part of a node.
    compiled.flatten().any(|policy| policy.looks_at_meta())
}

fn compile(entry: &Entry, policy: &SecurityPolicy) -> Result<Policy, Diagnostics> {
    let rules = &policy.policy;
    let effect = match rules.effect {
        Effect::Allow => policy::Effect::Allow,
        Effect::Deny => policy::Effect::Deny,
    };
    let mut compiled = Policy::new(entry.id.clone(), effect, &rules.actions, &rules.resources)
        .in_groups(policy.groups.iter().cloned());
    for condition in &rules.conditions {
        let field = |text: &str| {
            Field::parse(text).ok_or_else(|| {
                let message = format!("entry {}: {text:?} is nothing to compare", entry.id);
                let place = entry.place_of("policy.conditions");
                Diagnostics::from(Diagnostic::error("unknown-field", message).at(place))
            })
        };
        let (left, operator) = (field(&condition.field)?, operator(condition.operator));
        compiled = compiled.when(match &condition.value_from {
            Some(other) => Condition::between(left, operator, field(other)?),
            None => Condition::new(left, operator, condition.value.clone().unwrap_or(Value::Nil)),
        });
    }
    Ok(compiled)
}

fn operator(operator: ConditionOperator) -> Operator {
    match operator {
        ConditionOperator::Eq => Operator::Eq,
        ConditionOperator::Ne => Operator::Ne,
        ConditionOperator::Lt => Operator::Lt,
        ConditionOperator::Lte => Operator::Lte,
        ConditionOperator::Gt => Operator::Gt,
        ConditionOperator::Gte => Operator::Gte,
        ConditionOperator::In => Operator::In,
        ConditionOperator::NotIn => Operator::NotIn,
        ConditionOperator::Exists => Operator::Exists,
        ConditionOperator::NotExists => Operator::NotExists,
        ConditionOperator::Contains => Operator::Contains,
        ConditionOperator::NotContains => Operator::NotContains,
        ConditionOperator::Matches => Operator::Matches,
        ConditionOperator::NotMatches => Operator::NotMatches,
    }
}

/// The context that a command or a service runs in. Neither policies nor groups are no
/// scope.
///
/// # Errors
///
/// `NotFound` for a policy or group that does not exist; the registry has refused it already.
pub(crate) fn context(kernel: &Kernel, security: Option<&ServiceSecurity>) -> Result<Context> {
    let Some(ServiceSecurity { actor, groups, policies }) = security else {
        return Ok(Context::default());
    };
    let decided = !policies.is_empty() || !groups.is_empty();
    let principal = Principal {
        actor: actor.as_ref().map(|actor| Actor::new(actor.id.as_str(), actor.meta.clone())),
        scope: decided.then(|| kernel.scope(policies, groups)).transpose()?,
    };
    Ok(Context::new(ContextBody { principal, ..ContextBody::default() }))
}
