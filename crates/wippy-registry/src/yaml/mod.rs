//! YAML with places: texts, the tree of a text, and the reading of one.
//!
//! JSON is read by the same parser, because JSON is YAML.

mod node;
mod parse;
mod scalar;
mod source;

pub(crate) use node::{Content, Key, Node};
pub(crate) use parse::{DEPTH_MAX, NODES_MAX, SyntaxError, parse};
pub use source::Place;
pub(crate) use source::{Source, SourceId, Sources, Span};
