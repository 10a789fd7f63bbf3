//! Conditions of a policy: one field compared with a value or with another field.

use std::cmp::Ordering;

use wippy_model::Value;

use super::Question;
use super::pattern::{Pattern, fits};

/// A comparison that must be true for a policy to count.
///
/// A field that is not there equals nothing, is neither less nor greater, holds nothing and
/// fits nothing; a negated operator is true exactly where its plain one is false.
#[derive(Debug)]
pub struct Condition {
    field: Field,
    operator: Operator,
    operand: Operand,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `actor.id`
    ActorId,
    /// `actor.meta.a.b`: the names after `actor.meta`.
    ActorMeta(Vec<Box<str>>),
    /// `action`
    Action,
    /// `resource`
    Resource,
    /// `meta.a.b`: what whoever asks says of the resource, else the meta of the entry that
    /// the resource names.
    Meta(Vec<Box<str>>),
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal; numbers by their value, whatever their type.
    Eq,
    /// Not equal.
    Ne,
    /// Less: two numbers, or two texts.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// There is such a field, and it is not null.
    Exists,
    /// There is no such field, or it is null.
    NotExists,
    /// A text or list that holds the value.
    Contains,
    /// Not such a text or list.
    NotContains,
    /// A text that a pattern fits, in which `*` stands for any text.
    Matches,
    /// Not such a text.
    NotMatches,
}

#[derive(Debug)]
enum Operand {
    Value(Value),
    Pattern(Pattern),
    Field(Field),
}

/// A value of either side. A text is never inside `Value`, so that borrowed ones compare.
#[derive(Clone, Copy)]
enum Term<'a> {
    Text(&'a str),
    Value(&'a Value),
}

static ABSENT: Value = Value::Nil;

impl Field {
    /// Reads `actor.id`, `actor.meta.a.b`, `action`, `resource` or `meta.a.b`.
    pub fn parse(text: &str) -> Option<Self> {
        let path = |rest: &str| -> Option<Vec<Box<str>>> {
            let steps: Vec<Box<str>> = rest.split('.').map(Into::into).collect();
            steps.iter().all(|step| !step.is_empty()).then_some(steps)
        };
        match text {
            "actor.id" => Some(Self::ActorId),
            "action" => Some(Self::Action),
            "resource" => Some(Self::Resource),
            _ => match text.strip_prefix("actor.meta.") {
                Some(rest) => path(rest).map(Self::ActorMeta),
                None => text.strip_prefix("meta.").and_then(path).map(Self::Meta),
            },
        }
    }

    fn of<'a>(&self, question: &Question<'a>) -> Term<'a> {
        match self {
            Self::ActorId => Term::Text(&question.actor.id),
            Self::Action => Term::Text(question.action),
            Self::Resource => Term::Text(question.resource),
            Self::ActorMeta(path) => Term::of(inside(&question.actor.meta, path)),
            Self::Meta(path) => Term::of(inside(question.meta, path)),
        }
    }
}

fn inside<'a>(mut value: &'a Value, path: &[Box<str>]) -> &'a Value {
    for step in path {
        match value {
            Value::Map(map) => value = map.get(&**step).unwrap_or(&ABSENT),
            _ => return &ABSENT,
        }
    }
    value
}

impl Condition {
    /// `field operator value`.
    pub fn new(field: Field, operator: Operator, value: Value) -> Self {
        let operand = match (operator, value) {
            (Operator::Matches | Operator::NotMatches, Value::String(text)) => {
                Operand::Pattern(Pattern::new(&text))
            }
            (_, value) => Operand::Value(value),
        };
        Self { field, operator, operand }
    }

    /// `field operator other`.
    pub fn between(field: Field, operator: Operator, other: Field) -> Self {
        Self { field, operator, operand: Operand::Field(other) }
    }

    /// Whether it looks at what is known of the resource.
    pub(super) fn looks_at_meta(&self) -> bool {
        matches!(self.field, Field::Meta(_))
            || matches!(self.operand, Operand::Field(Field::Meta(_)))
    }

    pub(super) fn holds(&self, question: &Question<'_>) -> bool {
        let left = self.field.of(question);
        let right = match &self.operand {
            Operand::Value(value) => Term::of(value),
            Operand::Field(field) => field.of(question),
            Operand::Pattern(pattern) => {
                let fits = matches!(left, Term::Text(text) if pattern.fits(text));
                return fits == (self.operator == Operator::Matches);
            }
        };
        let order =
            |wanted: &[Ordering]| left.order(right).is_some_and(|order| wanted.contains(&order));
        match self.operator {
            Operator::Eq => left.equals(right),
            Operator::Ne => !left.equals(right),
            Operator::Lt => order(&[Ordering::Less]),
            Operator::Lte => order(&[Ordering::Less, Ordering::Equal]),
            Operator::Gt => order(&[Ordering::Greater]),
            Operator::Gte => order(&[Ordering::Greater, Ordering::Equal]),
            Operator::In => right.lists(left),
            Operator::NotIn => !right.lists(left),
            Operator::Exists => left.exists(),
            Operator::NotExists => !left.exists(),
            Operator::Contains => left.holds(right),
            Operator::NotContains => !left.holds(right),
            Operator::Matches => left.fits(right),
            Operator::NotMatches => !left.fits(right),
        }
    }
}

impl<'a> Term<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            other => Self::Value(other),
        }
    }

    fn exists(self) -> bool {
        !matches!(self, Self::Value(Value::Nil | Value::Null))
    }

    /// What is absent equals nothing, another absent one either.
    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Value(a), Self::Value(b)) => self.exists() && equal(a, b),
            _ => false,
        }
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Value(a), Self::Value(b)) => order_of_numbers(a, b),
            _ => None,
        }
    }

    fn lists(self, item: Self) -> bool {
        matches!(self, Self::Value(Value::List(items))
            if items.iter().any(|listed| Term::of(listed).equals(item)))
    }

    fn holds(self, part: Self) -> bool {
        match (self, part) {
            (Self::Text(text), Self::Text(part)) => text.contains(part),
            (list, part) => list.lists(part),
        }
    }

    fn fits(self, pattern: Self) -> bool {
        matches!((self, pattern), (Self::Text(text), Self::Text(glob)) if fits(glob, text))
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b || order_of_numbers(a, b) == Some(Ordering::Equal),
    }
}

fn order_of_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => float(a)?.partial_cmp(&float(b)?),
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::UInt(number) => Some((*number).into()),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "compared with a float anyway")]
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        other => whole(other).map(|number| number as f64),
    }
}
