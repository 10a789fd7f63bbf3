//! The fields of one map, taken one by one; what nobody took is unknown.

use super::decoder::Decoder;
use super::record::{Shape, Table};
use super::suggest;
use crate::diagnostic::Diagnostic;
use crate::yaml::{Key, Node, Span};

/// The fields of one map while a record reads it.
pub(crate) struct Fields<'n> {
    fields: Vec<Field<'n>>,
    /// Where a missing field is reported.
    span: Span,
}

struct Field<'n> {
    key: &'n Key,
    node: &'n Node,
    taken: bool,
}

impl<'n> Fields<'n> {
    /// The fields of a map, without those that `skip` names.
    pub(crate) fn new(pairs: &'n [(Key, Node)], skip: &[&str], span: Span) -> Self {
        let fields = pairs
            .iter()
            .filter(|(key, _)| !skip.contains(&key.text.as_str()))
            .map(|(key, node)| Field { key, node, taken: false })
            .collect();
        Self { fields, span }
    }

    /// The fields of a node, which must be a map.
    pub(crate) fn open(node: &'n Node, cx: &mut Decoder<'_>, table: fn() -> Table) -> Option<Self> {
        match &node.content {
            crate::yaml::Content::Map(pairs) => Some(Self::new(pairs, &[], node.span)),
            _ => {
                let table = table();
                let known: Vec<_> = table.rows.iter().map(|row| row.name).collect();
                let message = format!("`{}`: expected a map, found {}", cx.path(), node.content);
                let help = format!("write a map with fields of: {}", known.join(", "));
                cx.error("wrong-type", node.span, message, help);
                None
            }
        }
    }

    /// A field as it stands, taken or not.
    pub(crate) fn peek(&self, name: &str) -> Option<&'n Node> {
        self.fields.iter().find(|field| field.key.text == name).map(|field| field.node)
    }

    /// Whether a field that nobody took is a slip of the pen for this one.
    pub(crate) fn has_slip_of(&self, name: &str) -> bool {
        let mut unknown = self.fields.iter().filter(|field| !field.taken);
        unknown.any(|field| suggest::nearest(&field.key.text, [name]).is_some())
    }

    /// Takes a field under its name or an older one. Nothing written is not given.
    pub(crate) fn take(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &str,
        aliases: &[&str],
    ) -> Option<(&'n str, &'n Node)> {
        let mut first: Option<(&'n Key, &'n Node)> = None;
        for field in &mut self.fields {
            if field.key.text != name && !aliases.contains(&field.key.text.as_str()) {
                continue;
            }
            field.taken = true;
            if let Some((earlier, _)) = first {
                let (old, new) = (&earlier.text, &field.key.text);
                let message =
                    format!("`{}` and `{}` are the same field", cx.path_of(old), cx.path_of(new));
                let diagnostic = cx
                    .diagnostic(Diagnostic::error, "given-twice", field.key.span, message)
                    .related("given here first", cx.scope.sources.place(earlier.span))
                    .help(format!("keep `{name}`"));
                cx.found.push(diagnostic);
            } else {
                first = Some((field.key, field.node));
            }
        }
        first
            .map(|(key, node)| (key.text.as_str(), node))
            .filter(|(_, node)| node.content != crate::yaml::Content::Null)
    }

    /// A field that must be given.
    pub(crate) fn required<S: Shape>(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &'static str,
        aliases: &[&str],
    ) -> Option<S::Output> {
        match self.take(cx, name, aliases) {
            Some((name, node)) => cx.inside(name, |cx| S::decode(node, cx)),
            None => {
                let span = self.peek(name).map_or(self.span, |node| node.span);
                cx.inside(name, |cx| S::missing(span, cx))
            }
        }
    }

    /// A field that may be left out.
    pub(crate) fn optional<S: Shape>(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &'static str,
        aliases: &[&str],
    ) -> Option<Option<S::Output>> {
        match self.take(cx, name, aliases) {
            Some((name, node)) => cx.inside(name, |cx| S::decode(node, cx)).map(Some),
            None => Some(None),
        }
    }

    /// A field with a default.
    pub(crate) fn or<S: Shape>(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &'static str,
        aliases: &[&str],
        default: impl FnOnce() -> S::Output,
    ) -> Option<S::Output> {
        Some(self.optional::<S>(cx, name, aliases)?.unwrap_or_else(default))
    }

    /// A map whose fields all have defaults.
    pub(crate) fn group<S: Shape>(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &'static str,
        aliases: &[&str],
    ) -> Option<S::Output> {
        let empty =
            Node { content: crate::yaml::Content::Map(Vec::new()), span: self.span, flow: false };
        let node = self.take(cx, name, aliases).map_or(&empty, |(_, node)| node);
        cx.inside(name, |cx| S::decode(node, cx))
    }

    /// A field that must be given, here or in `meta`.
    pub(crate) fn or_meta<S: Shape>(
        &mut self,
        cx: &mut Decoder<'_>,
        name: &'static str,
        aliases: &[&str],
    ) -> Option<S::Output> {
        match self.take(cx, name, aliases) {
            Some((name, node)) => cx.inside(name, |cx| S::decode(node, cx)),
            None => match Self::meta::<S>(cx, name)? {
                Some(value) => Some(value),
                None => cx.inside(name, |cx| S::missing(self.span, cx)),
            },
        }
    }

    /// A field of `meta` that may be left out.
    pub(crate) fn meta<S: Shape>(cx: &mut Decoder<'_>, name: &str) -> Option<Option<S::Output>> {
        let meta = cx.scope.meta;
        let node = meta.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
        match node.filter(|node| node.content != crate::yaml::Content::Null) {
            Some(node) => {
                cx.inside("meta", |cx| cx.inside(name, |cx| S::decode(node, cx))).map(Some)
            }
            None => Some(None),
        }
    }

    /// Reports the fields that nobody took.
    pub(crate) fn close(self, cx: &mut Decoder<'_>, table: fn() -> Table) {
        // `meta` is free: programs keep fields of their own in it.
        if cx.is_free() || self.fields.iter().all(|field| field.taken) {
            return;
        }
        let table = table();
        for Field { key, .. } in self.fields.iter().filter(|field| !field.taken) {
            let path = cx.path_of(&key.text);
            if let Some((_, why)) = table.refused.iter().find(|(name, _)| *name == key.text) {
                cx.error("refused-field", key.span, format!("`{path}`: {why}"), "remove it");
            } else if table.ignored.contains(&key.text.as_str()) {
                let message = format!("`{path}` has no effect in this runtime");
                let notice = cx.diagnostic(Diagnostic::notice, "ignored-field", key.span, message);
                cx.found.push(notice.help("remove it, or keep it for other runtimes"));
            } else {
                let help = table.suggest(&key.text);
                let unknown = |make: fn(&'static str, String) -> Diagnostic, cx: &Decoder<'_>| {
                    let section = cx.scope.id.is_none() && !path.contains('.');
                    let what = if section { "section" } else { "field" };
                    let message = format!("unknown {what} `{path}`");
                    cx.diagnostic(make, "unknown-field", key.span, message).help(help)
                };
                // A typing error in settings must not stop what ran yesterday, but for one
                // that would leave permissions open.
                let make = match cx.scope.id.is_some() || is_of_security(cx, &path) {
                    true => Diagnostic::error,
                    false => Diagnostic::warning,
                };
                let diagnostic = unknown(make, cx);
                cx.found.push(diagnostic);
            }
        }
    }
}

/// The section of the settings that decides on permissions, and its field.
const SECURITY: [&str; 2] = ["security", "strict_mode"];

/// Whether a path that is not known lies in the section of permissions, or was meant to.
fn is_of_security(cx: &Decoder<'_>, path: &str) -> bool {
    if cx.scope.label != "settings" {
        return false;
    }
    match path.split_once('.') {
        Some((section, _)) => section == "security",
        None => {
            suggest::nearest(path, SECURITY).is_some() || path.to_lowercase().starts_with("secur")
        }
    }
}

impl Table {
    /// The next step for a field that this record does not know: where the name lives, a
    /// near name, or all names.
    fn suggest(&self, name: &str) -> String {
        if self.rows.iter().any(|row| row.meta && row.name == name) {
            return "write it inside `meta`".to_owned();
        }
        let inner = self.rows.iter().find_map(|row| {
            let table = row.ty.table.map(|table| table())?;
            let known = table.rows.iter().any(|inner| inner.name == name);
            known.then(|| format!("write it inside `{}`", row.name))
        });
        if let Some(help) = inner {
            return help;
        }
        let names = self
            .rows
            .iter()
            .filter(|row| !row.meta)
            .flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
        suggest::did_you_mean(name, names, "known fields")
    }
}
