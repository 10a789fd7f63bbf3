//! Index files: from the tree of a file to entries that are not yet checked.

use std::path::Path;
use std::sync::Arc;

use wippy_model::EntryId;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schema::did_you_mean;
use crate::yaml::{Content, Key, Node, Source, SourceId, Sources, Span};

/// One text with entries, and the folders around it.
#[derive(Clone)]
pub(crate) struct IndexFile {
    pub(crate) source: SourceId,
    /// The folder of the file; none in memory.
    pub(crate) folder: Option<Arc<Path>>,
    /// The folder that `file://` may not leave, symlinks resolved; none in memory.
    pub(crate) source_root: Option<Arc<Path>>,
    /// The folder that `directory:` is relative to.
    pub(crate) root: Arc<Path>,
}

/// An entry as it is written.
pub(crate) struct RawEntry {
    pub(crate) id: EntryId,
    /// The whole map.
    pub(crate) node: Node,
    /// The `meta` of the index.
    pub(crate) index_meta: Arc<Vec<(Key, Node)>>,
    /// Where the name is.
    pub(crate) span: Span,
    pub(crate) file: IndexFile,
}

const INDEX_KEYS: [&str; 4] = ["version", "namespace", "meta", "entries"];

/// The entries of one document. One without a namespace is no index.
pub(crate) fn entries(
    document: Node,
    file: &IndexFile,
    sources: &Sources,
    found: &mut Diagnostics,
    raw: &mut Vec<RawEntry>,
) {
    let name = || sources.get(file.source).map_or("", |source| Source::name(source));
    let Some((key, namespace)) = document.pair("namespace") else {
        tracing::debug!(file = name(), "skipped: no namespace, so it is no index of entries");
        // Other YAML may stand beside indexes; a list of kinds is an index all the same.
        if let Some((key, entries)) = document.pair("entries")
            && let Content::List(items) = &entries.content
            && items.iter().any(|item| item.get("kind").is_some())
        {
            let message = format!("{}: it has entries but no `namespace`: skipped", name());
            let help = "add `namespace: app`, or another name, above the entries";
            let place = sources.place(key.span);
            found.push(Diagnostic::warning("no-namespace", message).at(place).help(help));
        }
        return;
    };
    let error = |code, span, message: String, help: &str| {
        Diagnostic::error(code, format!("{}: {message}", name())).at(sources.place(span)).help(help)
    };
    let valid = |text: &&str| {
        !text.is_empty() && !text.contains(':') && !text.contains(char::is_whitespace)
    };
    let Some(namespace) = namespace.as_text().filter(valid).map(str::to_owned) else {
        let span = if namespace.content == Content::Null { key.span } else { namespace.span };
        let found_text = &namespace.content;
        let message = format!("`namespace`: expected a name without `:`, found {found_text}");
        found.push(error("bad-namespace", span, message, "write it as `namespace: app`"));
        return;
    };
    if let Some(version) = document.get("version") {
        let text = sources.slice(version.span).trim_matches(['"', '\'']);
        if text != "1.0" && text != "1" {
            let message = format!("{}: `version`: {text} is not known, 1.0 is", name());
            let place = sources.place(version.span);
            let help = "write it as `version: \"1.0\"`";
            found.push(Diagnostic::warning("version", message).at(place).help(help));
        }
    }
    let Content::Map(pairs) = document.content else { return };
    let mut index_meta = Arc::default();
    let mut items = None;
    for (key, node) in pairs {
        match (key.text.as_str(), node.content) {
            ("meta", Content::Map(pairs)) => index_meta = Arc::new(pairs),
            ("entries", Content::List(list)) => items = Some(list),
            ("meta" | "entries", Content::Null) => {}
            ("meta" | "entries", other) => {
                let expected = if key.text == "meta" { "a map" } else { "a list" };
                let message = format!("`{}`: expected {expected}, found {other}", key.text);
                let help = "write it as `entries:` and then `  - name: ...` lines";
                let help = if key.text == "meta" { "write it as `meta: { ... }`" } else { help };
                found.push(error("wrong-type", node.span, message, help));
            }
            (other, _) if !INDEX_KEYS.contains(&other) => {
                let help = did_you_mean(other, INDEX_KEYS, "known keys");
                let message = format!("unknown key `{other}`");
                found.push(error("unknown-field", key.span, message, &help));
            }
            _ => {}
        }
    }
    for node in items.into_iter().flatten() {
        if let Some((id, span)) = name_of(&node, &namespace, &error, found) {
            let index_meta = Arc::clone(&index_meta);
            raw.push(RawEntry { id, node, index_meta, span, file: file.clone() });
        }
    }
}

fn name_of(
    node: &Node,
    namespace: &str,
    error: &dyn Fn(&'static str, Span, String, &str) -> Diagnostic,
    found: &mut Diagnostics,
) -> Option<(EntryId, Span)> {
    let help = "write it as `- name: worker` with `kind: ...` below";
    if !matches!(node.content, Content::Map(_)) {
        let message = format!("an entry must be a map, and this is {}", node.content);
        found.push(error("wrong-type", node.span, message, help));
        return None;
    }
    let Some((key, name)) = node.pair("name") else {
        let first = node.pairs().first().map_or(node.span, |(key, _)| key.span);
        found.push(error("missing-field", first, "this entry has no `name`".to_owned(), help));
        return None;
    };
    let id = name.as_text().and_then(|name| EntryId::new(namespace, name).ok());
    if id.is_none() {
        let message = format!("`name`: expected text without white space, found {}", name.content);
        let span = if name.content == Content::Null { key.span } else { name.span };
        found.push(error("bad-name", span, message, help));
    }
    id.map(|id| (id, name.span))
}
