//! The tree of a YAML text, in which every part knows its place.

use std::fmt;

use wippy_model::Value;

use super::source::Span;

/// A part of a YAML text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) content: Content,
    /// Where it is. Of an alias, the place of the alias.
    pub(crate) span: Span,
    /// Whether a list or a map is written in brackets.
    pub(crate) flow: bool,
}

/// What a part of a YAML text is, by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    /// The key as text.
    pub(crate) text: String,
    /// Where it is.
    pub(crate) span: Span,
}

impl Node {
    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|(_, node)| node)
    }

    /// Key and value under a key of a map.
    pub(crate) fn pair(&self, key: &str) -> Option<&(Key, Node)> {
        self.pairs().iter().find(|(found, _)| found.text == key)
    }

    /// The value under a path of keys and list indices.
    pub(crate) fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Node> {
        path.into_iter().try_fold(self, |node, step| match &node.content {
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.get(step),
        })
    }

    /// The pairs of a map; none of anything else.
    pub(crate) fn pairs(&self) -> &[(Key, Node)] {
        match &self.content {
            Content::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// The text of a text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value, without places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::Int(*value),
            Content::UInt(value) => Value::from(*value),
            Content::Float(value) => Value::Float(*value),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Content::Map(pairs) => {
                Value::map(pairs.iter().map(|(key, node)| (key.text.clone(), node.to_value())))
            }
        }
    }
}

/// What was found, for messages: the type, and the value where it is short.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "the number {value}"),
            Self::UInt(value) => write!(f, "the number {value}"),
            Self::Float(value) => write!(f, "the number {value:?}"),
            Self::Text(text) if text.chars().count() <= 40 => write!(f, "the text {text:?}"),
            Self::Text(text) => {
                let head: String = text.chars().take(37).collect();
                write!(f, "the text {:?}", format!("{head}..."))
            }
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a map"),
        }
    }
}
