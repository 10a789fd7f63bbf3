//! From text to tree.
//!
//! Limits: [`DEPTH_MAX`] levels of nesting and [`NODES_MAX`] nodes, what aliases stand for
//! counted each time, so that a small text cannot become a large tree. A key that is
//! given twice is an error, as is a key that is a list or a map.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::node::{Content, Key, Node};
use super::scalar;
use super::source::{SourceId, Span};

/// How deep lists and maps nest at the most.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many nodes a text stands for at the most.
pub(crate) const NODES_MAX: usize = 200_000;

/// Maps with more keys than this look for duplicates by hash.
const KEYS_COMPARED_MAX: usize = 16;

/// A text that is no YAML, or YAML that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) message: String,
    /// Where.
    pub(crate) span: Span,
    /// What to do.
    pub(crate) help: Option<&'static str>,
    /// Another place that belongs to it, with its name.
    pub(crate) related: Option<(&'static str, Span)>,
}

/// Reads all documents of a text.
///
/// # Errors
///
/// At the first thing that is no YAML, is a duplicate key, or passes a limit.
pub(crate) fn parse(source: SourceId, text: &str) -> Result<Vec<Node>, SyntaxError> {
    let offsets = Offsets::new(text);
    let events = Parser::new_from_str(text);
    let anchors = HashMap::new();
    let mut reader = Reader { events, source, text, offsets, anchors, nodes_left: NODES_MAX };
    reader.documents()
}

/// From character numbers, in which the parser counts, to byte numbers.
struct Offsets {
    /// The byte of every 64th character; empty for ASCII, where the numbers are equal.
    marks: Vec<usize>,
}

const MARK_EVERY: usize = 64;

impl Offsets {
    fn new(text: &str) -> Self {
        let marks = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().step_by(MARK_EVERY).map(|(at, _)| at).collect(),
        };
        Self { marks }
    }

    fn byte(&self, text: &str, index: usize) -> u32 {
        let byte = if self.marks.is_empty() {
            index.min(text.len())
        } else {
            let mark = self.marks.get(index / MARK_EVERY).copied().unwrap_or(text.len());
            let rest = text.get(mark..).unwrap_or("");
            let step = rest.char_indices().nth(index % MARK_EVERY);
            step.map_or(text.len(), |(at, _)| mark + at)
        };
        u32::try_from(byte).unwrap_or(u32::MAX)
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    source: SourceId,
    text: &'t str,
    offsets: Offsets,
    /// Complete nodes by anchor. An alias to a node it is part of finds nothing.
    anchors: HashMap<usize, (Node, usize)>,
    nodes_left: usize,
}

impl<'t> Reader<'t> {
    fn documents(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(_), _) => {
                    let (event, span) = self.next()?;
                    documents.push(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), SyntaxError> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span.start.index(), span.end.index());
                Ok((event, span))
            }
            Some(Err(error)) => {
                let at = error.marker().index();
                let (message, help) = explain(error.info());
                Err(SyntaxError { message, span: self.span(at, at + 1), help, related: None })
            }
            None => Ok((Event::StreamEnd, self.span(0, 0))),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let byte = |index| self.offsets.byte(self.text, index);
        Span { source: self.source, start: byte(start), end: byte(end.max(start)) }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        self.spend(1, span)?;
        if depth > DEPTH_MAX {
            return Err(refuse(
                span,
                format!("lists and maps nest deeper than {DEPTH_MAX} levels here"),
                "nest less",
            ));
        }
        let nodes_before = self.nodes_left;
        let (anchor, node) = match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    let message = "this alias is part of what it stands for";
                    return Err(refuse(span, message.to_owned(), "write the value out"));
                };
                self.spend(size, span)?;
                return Ok(Node { span, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.filter(|tag| tag.is_yaml_core_schema());
                let content = match tag.as_ref().map(|tag| tag.suffix.as_str()) {
                    Some("str") => Content::Text(text.into_owned()),
                    _ if style != ScalarStyle::Plain => Content::Text(text.into_owned()),
                    _ => scalar::resolve(&text),
                };
                let span = self.trim(span);
                let span = match style {
                    ScalarStyle::SingleQuoted => self.quoted(span, '\''),
                    ScalarStyle::DoubleQuoted => self.quoted(span, '"'),
                    _ => span,
                };
                (anchor, Node { content, span, flow: false })
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(span, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(span, depth)?),
            _ => {
                return Err(refuse(span, "a value is missing here".to_owned(), "write a value"));
            }
        };
        if anchor != 0 {
            let size = nodes_before - self.nodes_left;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), SyntaxError> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => Err(refuse(
                span,
                format!("this file stands for more than {NODES_MAX} values"),
                "use fewer aliases, or split the file",
            )),
        }
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, end) => {
                    let (span, flow) = self.whole(start, end, items.last(), '[');
                    return Ok(Node { content: Content::List(items), span, flow });
                }
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, SyntaxError> {
        let mut pairs: Vec<(Key, Node)> = Vec::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let last = pairs.last().map(|(_, node)| node).or(merges.last());
                let (span, flow) = self.whole(start, span, last, '{');
                // The span of a block map starts at its first key.
                let first = pairs.first().map_or(span.start, |(key, _)| key.span.start);
                let span = if flow { span } else { Span { start: first.min(span.start), ..span } };
                self.duplicates(&pairs)?;
                self.merge(&mut pairs, merges)?;
                return Ok(Node { content: Content::Map(pairs), span, flow });
            }
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            if value.span.start == value.span.end {
                // An empty value has no place of its own.
                value.span = key.span;
            }
            match plain && key.text == "<<" {
                true => merges.push(value),
                false => pairs.push((key, value)),
            }
        }
    }

    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Key, SyntaxError> {
        match event {
            Event::Scalar(text, _, 0, _) => {
                self.spend(1, span)?;
                Ok(Key { text: text.into_owned(), span: self.trim(span) })
            }
            event => {
                let node = self.node(event, span, depth + 1)?;
                match node.content {
                    Content::Text(text) => Ok(Key { text, span: self.trim(span) }),
                    _ => {
                        let message = "a key of a map must be text".to_owned();
                        Err(refuse(span, message, "put the key in quotes"))
                    }
                }
            }
        }
    }

    fn duplicates(&self, pairs: &[(Key, Node)]) -> Result<(), SyntaxError> {
        let again = if pairs.len() <= KEYS_COMPARED_MAX {
            let earlier =
                |at: usize, key: &Key| pairs.iter().take(at).any(|(k, _)| k.text == key.text);
            pairs.iter().enumerate().find(|(at, (key, _))| earlier(*at, key)).map(|(_, pair)| pair)
        } else {
            let mut seen = HashSet::with_capacity(pairs.len());
            pairs.iter().find(|(key, _)| !seen.insert(key.text.as_str()))
        };
        let Some((key, _)) = again else { return Ok(()) };
        let first = pairs.iter().find(|(other, _)| other.text == key.text);
        Err(SyntaxError {
            message: format!("the key `{}` is given twice", key.text),
            span: key.span,
            help: Some("keep one of them"),
            related: first.map(|(first, _)| ("given here first", first.span)),
        })
    }

    /// Adds what `<<` brings in: a map or a list of maps. What is written stays.
    fn merge(
        &mut self,
        pairs: &mut Vec<(Key, Node)>,
        merges: Vec<Node>,
    ) -> Result<(), SyntaxError> {
        for merged in merges {
            let span = merged.span;
            let maps = match merged.content {
                Content::List(items) => items,
                _ => vec![merged],
            };
            for map in maps {
                let Content::Map(more) = map.content else {
                    let message = format!("`<<` merges maps, and this is {}", map.content);
                    return Err(refuse(span, message, "name a map, or a list of maps"));
                };
                if pairs.len() + more.len() <= KEYS_COMPARED_MAX {
                    for (key, node) in more {
                        if !pairs.iter().any(|(own, _)| own.text == key.text) {
                            pairs.push((key, node));
                        }
                    }
                } else {
                    let own: HashSet<String> =
                        pairs.iter().map(|(key, _)| key.text.clone()).collect();
                    pairs.extend(more.into_iter().filter(|(key, _)| !own.contains(&key.text)));
                }
            }
        }
        Ok(())
    }

    /// The span of a list or map, and whether it is written in brackets.
    fn whole(&self, start: Span, end: Span, last: Option<&Node>, bracket: char) -> (Span, bool) {
        let rest = self.text.get(start.start as usize..).unwrap_or("");
        let flow = rest.starts_with(bracket) && start.end > start.start;
        let end = match (flow, last) {
            (true, _) => end.end,
            (false, Some(last)) => last.span.end,
            (false, None) => start.end,
        };
        (Span { end: end.max(start.start), ..start }, flow)
    }

    /// The span of a quoted text up to its closing quote: the parser's span goes on to what
    /// follows.
    fn quoted(&self, span: Span, quote: char) -> Span {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let Some(open) = text.find(quote) else { return span };
        let mut chars = text.char_indices().skip_while(|(at, _)| *at <= open).peekable();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' if quote == '"' => _ = chars.next(),
                '\'' if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    _ = chars.next();
                }
                _ if char == quote => {
                    let end = span.start + u32::try_from(at + 1).unwrap_or(0);
                    return Span { end, ..span };
                }
                _ => {}
            }
        }
        span
    }

    /// The span without white space at its end.
    fn trim(&self, span: Span) -> Span {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let cut = text.len() - text.trim_end().len();
        Span { end: span.end - u32::try_from(cut).unwrap_or(0), ..span }
    }
}

fn refuse(span: Span, message: String, help: &'static str) -> SyntaxError {
    SyntaxError { message, span, help: Some(help), related: None }
}

/// What the parser says, with the next step for the mistakes people make most.
fn explain(info: &str) -> (String, Option<&'static str>) {
    let help = match info {
        "mapping values are not allowed in this context" => {
            Some("check the indentation, and put text with `: ` in it in quotes")
        }
        _ if info.contains("unknown anchor") => {
            Some("declare it before, as `&name value`, or put text that starts with * in quotes")
        }
        "recursion limit exceeded" => Some("nest less"),
        _ if info.contains("tab") => Some("indent with spaces"),
        _ if info.contains("unexpected character") => {
            Some("put text that starts with such a character in quotes")
        }
        _ if info.contains("quoted scalar") => Some("close the quotes"),
        _ if info.contains("flow") => Some("close the bracket"),
        _ if info.contains("'-' indicator") => Some("check the indentation"),
        _ => Some("check the indentation and the quotes"),
    };
    (format!("this is no YAML: {info}"), help)
}
