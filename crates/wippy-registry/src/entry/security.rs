//! Policies and tokens.

use std::time::Duration;

use wippy_model::{EntryId, Value};

use super::target::{Store, Variable};
use crate::schema::{
    Count, Decoder, Fields, GroupId, IdOf, Name, OneOrMany, choice, did_you_mean, record,
};
use crate::yaml::{Content, Node};

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
        /// Actions, such as `process.spawn` or `funcs.*`; `*` stands for any text.
        actions: Vec<String> as OneOrMany => required,
        /// What they are done to, such as `app:*`; IDs are written in full.
        resources: Vec<String> as OneOrMany => or(vec!["*".to_owned()]),
        /// Whether they are allowed.
        effect: Effect => required,
        /// What must be true as well.
        conditions: Vec<Condition> => or(Vec::new()),
    }
    check fits_something;
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
    /// A comparison that must be true for a policy to count. A field that is not there equals
    /// nothing, is neither less nor greater, holds nothing and fits nothing; a negated operator
    /// is true exactly where its plain one is false.
    pub struct Condition {
        /// What is compared: `actor.id`, `actor.meta.role`, `action`, `resource`, or
        /// `meta.owner`: the `meta` of the entry that the resource names, or what
        /// `security.can` was given.
        field: String as Name => required,
        /// How it is compared.
        operator: ConditionOperator => or(ConditionOperator::Eq),
        /// With what.
        value: Value => optional,
        /// With what other field.
        value_from: String as Name => optional,
    }
    check comparable;
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
        /// There is such a field, and it is not null.
        Exists = "exists",
        /// There is no such field, or it is null.
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

/// What conditions look at; the last two with the names of fields after them.
const FIELDS: [&str; 5] = ["actor.id", "action", "resource", "actor.meta.", "meta."];

/// A policy without actions or resources would silently say nothing.
fn fits_something(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let mut fine = Some(());
    for name in ["actions", "resources"] {
        let Some(node) = fields.peek(name) else { continue };
        if matches!(&node.content, Content::List(items) if items.is_empty()) {
            let message = format!("`{}` is empty: the policy would say nothing", cx.path_of(name));
            cx.error("empty-list", node.span, message, "name at least one; `\"*\"` is any");
            fine = None;
        }
    }
    fine
}

/// A condition that could never be true, or always is, is a mistake.
fn comparable(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let mut fine = Some(());
    for name in ["field", "value_from"] {
        if let Some(node) = fields.peek(name)
            && let Some(text) = node.as_text()
            && !is_field(text)
        {
            let message = format!("`{}`: {text:?} is nothing to compare", cx.path_of(name));
            let names = FIELDS.into_iter().map(|name| match name.ends_with('.') {
                true => format!("{name}*"),
                false => name.to_owned(),
            });
            let names: Vec<String> = names.collect();
            let help = did_you_mean(text, names.iter().map(String::as_str), "fields");
            cx.error("unknown-field", node.span, message, help);
            fine = None;
        }
    }
    let operator = match fields.peek("operator") {
        Some(node) => ConditionOperator::from_name(node.as_text()?)?,
        None => ConditionOperator::Eq,
    };
    let (value, from) = (fields.peek("value"), fields.peek("value_from"));
    let alone = matches!(operator, ConditionOperator::Exists | ConditionOperator::NotExists);
    let mut wrong = |node: Option<&Node>, why: &str, help: &str| {
        let span = node.or(fields.peek("field")).map(|node| node.span);
        if let Some(span) = span {
            let message = format!("`{}`: {} {why}", cx.path(), operator.name());
            cx.error("bad-condition", span, message, help);
        }
    };
    let taken = match operator {
        ConditionOperator::In | ConditionOperator::NotIn => Some("a list"),
        ConditionOperator::Matches | ConditionOperator::NotMatches => Some("a text"),
        ConditionOperator::Lt
        | ConditionOperator::Lte
        | ConditionOperator::Gt
        | ConditionOperator::Gte => Some("a number or a text"),
        _ => None,
    };
    let fits = |node: &Node| match (taken, &node.content) {
        (Some("a list"), content) => matches!(content, Content::List(_)),
        (Some("a text"), content) => matches!(content, Content::Text(_)),
        (Some(_), content) => matches!(
            content,
            Content::Text(_) | Content::Int(_) | Content::UInt(_) | Content::Float(_)
        ),
        (None, content) => *content != Content::Null,
    };
    match (value, from) {
        (Some(node), _) | (None, Some(node)) if alone => {
            wrong(Some(node), "compares with nothing", "remove `value` and `value_from`");
            None
        }
        (Some(_), Some(node)) => {
            let why = "compares with `value` or with `value_from`, not with both";
            wrong(Some(node), why, "keep one of them");
            None
        }
        (None, None) if !alone => {
            wrong(None, "compares with something", "add `value: ...` or `value_from: ...`");
            None
        }
        (Some(node), None) if !fits(node) => {
            let help = match taken {
                Some("a list") => "write it as `value: [first, second]`",
                Some("a text") => "write it as `value: \"app:*\"`, in which `*` is any text",
                Some(_) => "write it as `value: 3`",
                None => "exists and nexists ask whether there is a value",
            };
            let taken = taken.unwrap_or("a value, and nothing equals null");
            wrong(Some(node), &format!("takes {taken}, found {}", node.content), help);
            None
        }
        _ => fine,
    }
}

fn is_field(text: &str) -> bool {
    FIELDS.iter().any(|known| match text.strip_prefix(known) {
        Some(rest) if known.ends_with('.') => rest.split('.').all(|step| !step.is_empty()),
        Some(rest) => rest.is_empty(),
        None => false,
    })
}
