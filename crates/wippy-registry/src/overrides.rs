//! What the command line puts over project files: `-o ns:entry:field=value` and
//! `--set section.path=value`.
//!
//! The value is YAML, and the flag is a text of its own with places, so that a mistake in
//! it is shown as one in a file. Overrides are laid over the tree before it is checked.

use wippy_model::EntryId;

use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Content, Key, Node, Source, SourceId, Sources, Span};

/// One flag, taken apart.
pub(crate) struct Override {
    /// The entry; none for a setting.
    pub(crate) entry: Option<EntryId>,
    path: Vec<Key>,
    value: Node,
    /// The whole flag, for errors.
    pub(crate) span: Span,
}

impl Override {
    /// Takes `ns:entry:field.path=value` apart.
    pub(crate) fn of_entry(flag: &str, sources: &mut Sources) -> Result<Self, Box<Diagnostic>> {
        Self::parse(flag, "-o", "namespace:name:field=value", true, sources)
    }

    /// Takes `section.path=value` apart.
    pub(crate) fn of_setting(flag: &str, sources: &mut Sources) -> Result<Self, Box<Diagnostic>> {
        Self::parse(flag, "--set", "section.field=value", false, sources)
    }

    fn parse(
        flag: &str,
        option: &str,
        form: &str,
        has_entry: bool,
        sources: &mut Sources,
    ) -> Result<Self, Box<Diagnostic>> {
        let source = sources.add(Source::of_option(&format!("{option} {flag}"), flag));
        let len = u32::try_from(flag.len()).unwrap_or(u32::MAX);
        let whole = Span { source, start: 0, end: len };
        let malformed = |sources: &Sources, why: &str| {
            let message = format!("the option `{option} {flag}`: {why}");
            Diagnostic::error("bad-option", message)
                .at(sources.place(whole))
                .help(format!("write it as `{option} {form}`"))
        };
        let Some((name, text)) = flag.split_once('=') else {
            return Err(Box::new(malformed(sources, "there is no `=`")));
        };
        let (entry, path) = match has_entry {
            false => (None, name),
            true => match name.rsplit_once(':') {
                Some((id, path)) => match EntryId::parse(id) {
                    Ok(id) => (Some(id), path),
                    Err(_) => {
                        let why = format!("{id:?} is no entry ID");
                        return Err(Box::new(malformed(sources, &why)));
                    }
                },
                None => return Err(Box::new(malformed(sources, "it names no entry"))),
            },
        };
        let mut at = name.len() - path.len();
        let mut keys = Vec::new();
        for step in path.split('.') {
            if step.is_empty() {
                return Err(Box::new(malformed(sources, "it names no field")));
            }
            keys.push(Key { text: step.to_owned(), span: part(source, at, step.len()) });
            at += step.len() + 1;
        }
        let value = value(source, name.len() + 1, text, whole)
            .map_err(|why| Box::new(malformed(sources, &why)))?;
        Ok(Self { entry, path: keys, value, span: whole })
    }

    /// Whether the override is of this field of an entry, or of a part of it.
    pub(crate) fn is_of(&self, field: &str) -> bool {
        self.path.first().is_some_and(|key| key.text == field)
    }

    /// Lays it over a tree. The error is the part of the path that is neither map nor list.
    pub(crate) fn apply(&self, root: &mut Node) -> Result<(), String> {
        let mut node = root;
        for (at, key) in self.path.iter().enumerate() {
            if node.content == Content::Null {
                node.content = Content::Map(Vec::new());
            }
            let before = || {
                let before: Vec<_> = self.path.iter().take(at).map(|k| k.text.as_str()).collect();
                before.join(".")
            };
            node = match &mut node.content {
                Content::Map(pairs) => {
                    let found = pairs.iter().position(|(own, _)| own.text == key.text);
                    let index = found.unwrap_or_else(|| {
                        let content = Content::Null;
                        pairs.push((key.clone(), Node { content, span: key.span, flow: false }));
                        pairs.len() - 1
                    });
                    match pairs.get_mut(index) {
                        Some((_, node)) => node,
                        None => return Err(before()),
                    }
                }
                Content::List(items) => {
                    let len = items.len();
                    let item = key.text.parse().ok().and_then(|at: usize| items.get_mut(at));
                    match item {
                        Some(item) => item,
                        None => return Err(format!("`{}` is a list of {len}", before())),
                    }
                }
                other => return Err(format!("`{}` is {other}", before())),
            };
        }
        *node = self.value.clone();
        Ok(())
    }
}

/// The value of a flag. Nothing at all is the empty text: `default=` clears a default.
fn value(source: SourceId, start: usize, text: &str, whole: Span) -> Result<Node, String> {
    if text.is_empty() {
        return Ok(Node { content: Content::Text(String::new()), span: whole, flow: false });
    }
    // Spaces keep the places of the value equal to those in the flag.
    let padded = format!("{}{text}", " ".repeat(start));
    let documents = yaml::parse(source, &padded).map_err(|error| error.message)?;
    match <[Node; 1]>::try_from(documents) {
        Ok([node]) => Ok(node),
        Err(_) => Err("the value is not one value".to_owned()),
    }
}

fn part(source: SourceId, start: usize, len: usize) -> Span {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Span { source, start: number(start), end: number(start + len) }
}
