//! Changing a project file in place: `wippy hash --write`.
//!
//! Only the bytes of the hash change; comments, quotes, line ends and order stay. What
//! cannot be changed for certain is refused: the result is read again before it is given
//! back.

use std::ops::Range;

use wippy_model::{EntryId, Error};

use crate::hash::Hash;
use crate::yaml::{self, Content, Key, Node, Source, Sources};

/// Writes the hash of an entry into the text of its file, in place of the one that is
/// there, or as a new line or field after `path`.
///
/// ```
/// use wippy_registry::{edit, Hash};
/// let text = "namespace: app\nentries:\n  - name: w # worker\n    path: /w.wasm\n    kind: process.wasm\n";
/// let id = "app:w".parse().unwrap();
/// let edited = edit::set_hash(text, &id, &Hash::of(b"")).unwrap();
/// assert!(edited.contains("    path: /w.wasm\n    hash: sha256:e3b0c442"));
/// ```
///
/// # Errors
///
/// Of kind `NotFound` when the text does not declare the entry; of kind `Invalid` when it
/// is no YAML, or the entry is written through an alias.
pub fn set_hash(text: &str, id: &EntryId, hash: &Hash) -> Result<String, Error> {
    let hash = hash.to_string();
    let documents = read(text)?;
    let entry = find(&documents, id)
        .ok_or_else(|| Error::not_found(format!("this file does not declare the entry {id}")))?;
    let target = entry.get("data").unwrap_or(entry);
    let by_hand = || {
        Error::invalid(format!(
            "the hash of {id} cannot be written for you, because the entry is written through an \
             alias: add `hash: {hash}` by hand"
        ))
    };
    if slice(text, target).starts_with('*') {
        return Err(by_hand());
    }
    let (range, new) = match own(target, "hash") {
        Some((key, node)) => replace(text, key, node, &hash),
        None => insert(text, target, &hash).ok_or_else(by_hand)?,
    };
    let mut edited = text.to_owned();
    if !text.is_char_boundary(range.start) || !text.is_char_boundary(range.end) {
        return Err(by_hand());
    }
    edited.replace_range(range, &new);
    let check = read(&edited)?;
    let written = find(&check, id)
        .map(|entry| entry.get("data").unwrap_or(entry))
        .and_then(|target| target.get("hash"))
        .and_then(Node::as_text);
    if written == Some(hash.as_str()) { Ok(edited) } else { Err(by_hand()) }
}

fn read(text: &str) -> Result<Vec<Node>, Error> {
    let mut sources = Sources::default();
    let source = sources.add(Source::new("", None, text));
    yaml::parse(source, text).map_err(|error| {
        let place = sources.place(error.span);
        Error::invalid(format!("line {}, column {}: {}", place.line, place.column, error.message))
    })
}

fn find<'n>(documents: &'n [Node], id: &EntryId) -> Option<&'n Node> {
    documents
        .iter()
        .filter(|document| {
            document.get("namespace").and_then(Node::as_text) == Some(id.namespace())
        })
        .filter_map(|document| match &document.get("entries")?.content {
            Content::List(entries) => Some(entries),
            _ => None,
        })
        .flatten()
        .find(|entry| entry.get("name").and_then(Node::as_text) == Some(id.name()))
}

/// A field that the map itself writes, and not one that `<<` brought in.
fn own<'n>(map: &'n Node, key: &str) -> Option<&'n (Key, Node)> {
    map.pair(key)
        .filter(|(key, _)| map.span.start <= key.span.start && key.span.end <= map.span.end)
}

fn slice<'t>(text: &'t str, node: &Node) -> &'t str {
    text.get(node.span.start as usize..node.span.end as usize).unwrap_or("")
}

/// Whether nothing is written after the colon.
fn is_empty(key: &Key, node: &Node) -> bool {
    key.span == node.span
}

fn replace(text: &str, key: &Key, node: &Node, hash: &str) -> (Range<usize>, String) {
    if is_empty(key, node) {
        let rest = text.get(key.span.end as usize..).unwrap_or("");
        let at = key.span.end as usize + rest.find(':').map_or(0, |colon| colon + 1);
        return (at..at, format!(" {hash}"));
    }
    let (start, end) = (node.span.start as usize, node.span.end as usize);
    let old = slice(text, node);
    // An anchor stays, for the aliases that name it.
    let anchor = match old.split_once(char::is_whitespace) {
        Some((anchor, value)) if anchor.starts_with('&') => old.len() - value.trim_start().len(),
        _ => 0,
    };
    let old = old.get(anchor..).unwrap_or("");
    let new = match old.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{hash}{quote}"),
        _ => hash.to_owned(),
    };
    (start + anchor..end, new)
}

/// Where the field goes, and the text of it.
fn insert(text: &str, map: &Node, hash: &str) -> Option<(Range<usize>, String)> {
    let written = |name: &&str| own(map, name).is_some_and(|(key, node)| !is_empty(key, node));
    let after = ["path", "fs", "kind", "name"].into_iter().find(written);
    let Some((key, node)) = after.and_then(|name| own(map, name)) else {
        let at = map.span.start as usize + 1;
        let empty = map.flow && map.pairs().is_empty();
        return empty.then(|| (at..at, format!("hash: {hash}")));
    };
    let key_start = key.span.start as usize;
    let value_end = node.span.end as usize;
    let quote = match text.get(key_start..)?.chars().next() {
        Some('"') => "\"",
        _ => "",
    };
    let field = format!("{quote}hash{quote}: {quote}{hash}{quote}");
    if map.flow {
        return Some((value_end..value_end, format!(", {field}")));
    }
    let line_start = text.get(..key_start)?.rfind('\n').map_or(0, |at| at + 1);
    let column = text.get(line_start..key_start)?.chars().count();
    let rest = text.get(value_end..)?;
    let indent = " ".repeat(column);
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    Some(match rest.find('\n') {
        Some(at) => {
            let at = value_end + at + 1;
            (at..at, format!("{indent}{field}{line_break}"))
        }
        None => (text.len()..text.len(), format!("{line_break}{indent}{field}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// `<H>` stands for the hash in what is expected.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let id = EntryId::parse("app:w").unwrap();
        let edited = set_hash(text, &id, &Hash::of(b"")).unwrap();
        assert_eq!(edited, expected.replace("<H>", HASH));
        assert_eq!(set_hash(&edited, &id, &Hash::of(b"")).unwrap(), edited, "twice is once");
    }

    #[test]
    fn replaces_in_place() {
        check(
            "namespace: app\nentries:\n- name: w\n  hash: sha256:... \n  path: /w\n",
            "namespace: app\nentries:\n- name: w\n  hash: <H> \n  path: /w\n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  hash: \"sha256:...\"   \n",
            "namespace: app\nentries:\n- name: w\n  hash: \"<H>\"   \n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  hash: 'x''y'\n",
            "namespace: app\nentries:\n- name: w\n  hash: '<H>'\n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  hash:\n  path: /w\n",
            "namespace: app\nentries:\n- name: w\n  hash: <H>\n  path: /w\n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  hash: ~\n",
            "namespace: app\nentries:\n- name: w\n  hash: <H>\n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  hash: >-\n    sha256:...\n  path: /w\n",
            "namespace: app\nentries:\n- name: w\n  hash: >-\n    <H>\n  path: /w\n",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  data:\n    hash: sha256:...\n    path: /w\n",
            "namespace: app\nentries:\n- name: w\n  data:\n    hash: <H>\n    path: /w\n",
        );
    }

    #[test]
    fn only_this_entry_and_only_the_hash() {
        check(
            "namespace: öpp\nentries: [{name: w, hash: a}]\n---\nnamespace: app # ünï\nentries:\n  - name: v\n    hash: sha256:...\n  - name: w\n    hash: sha256:... \n",
            "namespace: öpp\nentries: [{name: w, hash: a}]\n---\nnamespace: app # ünï\nentries:\n  - name: v\n    hash: sha256:...\n  - name: w\n    hash: <H> \n",
        );
    }

    #[test]
    fn carriage_returns_stay() {
        check(
            "namespace: app\r\nentries:\r\n- name: w\r\n  hash: sha256:...\r\n  path: /w\r\n",
            "namespace: app\r\nentries:\r\n- name: w\r\n  hash: <H>\r\n  path: /w\r\n",
        );
        check(
            "namespace: app\r\nentries:\r\n- name: w\r\n  path: /w\r\n  method: m\r\n",
            "namespace: app\r\nentries:\r\n- name: w\r\n  path: /w\r\n  hash: <H>\r\n  method: m\r\n",
        );
    }

    #[test]
    fn inserts_a_line() {
        check(
            "namespace: app\nentries:\n  - path: /w\n    name: w\n",
            "namespace: app\nentries:\n  - path: /w\n    hash: <H>\n    name: w\n",
        );
        check(
            "namespace: app\nentries:\n- name: w",
            "namespace: app\nentries:\n- name: w\n  hash: <H>",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  meta:\n    hash: no\n  kind: process.wasm",
            "namespace: app\nentries:\n- name: w\n  meta:\n    hash: no\n  kind: process.wasm\n  hash: <H>",
        );
    }

    #[test]
    fn flow_style_and_json() {
        check(
            "namespace: app\nentries:\n- {name: w, path: /w, hash: sha256:...}\n",
            "namespace: app\nentries:\n- {name: w, path: /w, hash: <H>}\n",
        );
        check(
            "namespace: app\nentries: [{name: w, path: /w}]\n",
            "namespace: app\nentries: [{name: w, path: /w, hash: <H>}]\n",
        );
        check(
            "{\"namespace\": \"app\", \"entries\": [\n\t{\"name\": \"w\", \"path\": \"/w\"}]}",
            "{\"namespace\": \"app\", \"entries\": [\n\t{\"name\": \"w\", \"path\": \"/w\", \"hash\": \"<H>\"}]}",
        );
        check(
            "namespace: app\nentries:\n- name: w\n  data: {}\n",
            "namespace: app\nentries:\n- name: w\n  data: {hash: <H>}\n",
        );
    }

    #[test]
    fn anchors_stay_and_aliases_and_merges_are_not_written_through() {
        check(
            "namespace: app\nentries:\n- name: w\n  hash: &h sha256:...\n",
            "namespace: app\nentries:\n- name: w\n  hash: &h <H>\n",
        );
        check(
            "namespace: app\nmeta: {h: &h x}\nentries:\n- name: w\n  hash: *h\n",
            "namespace: app\nmeta: {h: &h x}\nentries:\n- name: w\n  hash: <H>\n",
        );
        check(
            "namespace: app\nmeta: &m {hash: x, path: /w}\nentries:\n- <<: *m\n  name: w\n",
            "namespace: app\nmeta: &m {hash: x, path: /w}\nentries:\n- <<: *m\n  name: w\n  hash: <H>\n",
        );
        let id = EntryId::parse("app:w").unwrap();
        let text = "namespace: app\nmeta: &m {name: w}\nentries: [*m]\n";
        let error = set_hash(text, &id, &Hash::of(b"")).unwrap_err();
        assert_eq!(
            error.message(),
            format!(
                "the hash of app:w cannot be written for you, because the entry is written \
                 through an alias: add `hash: {HASH}` by hand"
            )
        );
    }

    #[test]
    fn refuses_what_is_not_there() {
        let id = EntryId::parse("app:w").unwrap();
        let error = set_hash("namespace: app\n", &id, &Hash::of(b"")).unwrap_err();
        assert_eq!(error.message(), "this file does not declare the entry app:w");
        let error = set_hash("a: [", &id, &Hash::of(b"")).unwrap_err();
        assert!(error.message().starts_with("line 1, column "), "{error}");
    }
}
