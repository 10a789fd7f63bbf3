//! From entries as they are written to a registry: overrides, types, references, order.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use wippy_model::{EntryId, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::entry::{Data, Entry, EntryKind, Wasi};
use crate::graph::{self, Declarations, Declared, Reference};
use crate::index::RawEntry;
use crate::overrides::Override;
use crate::registry::Registry;
use crate::schema::{Decoder, Scope, did_you_mean, nearest, nearest_id};
use crate::yaml::{Content, Key, Node, Sources, Span};

/// Keys of an entry that are not its data.
const OWN_KEYS: [&str; 4] = ["name", "kind", "meta", "data"];

/// What does not change while a project is loaded.
pub(crate) struct Loader<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) project_root: &'a Path,
    pub(crate) unfilled_hashes: bool,
}

impl Loader<'_> {
    /// Checks entries and puts them in order. The registry is whole where no error was
    /// found.
    pub(crate) fn load(
        &self,
        mut raw: Vec<RawEntry>,
        overrides: &[Override],
        found: &mut Diagnostics,
    ) -> Registry {
        self.apply(&mut raw, overrides, found);
        let mut declared = Declarations::with_capacity(raw.len());
        let mut references = Vec::new();
        let mut entries: HashMap<EntryId, Entry> = HashMap::with_capacity(raw.len());
        for raw in raw {
            if let Some(first) = declared.get(&raw.id) {
                found.push(self.duplicate(&raw, first.span));
                continue;
            }
            let kind = self.kind(&raw, found);
            declared.insert(raw.id.clone(), Declared { kind, span: raw.span });
            if let Some(entry) = kind.and_then(|kind| self.entry(raw, kind, &mut references, found))
            {
                entries.insert(entry.id.clone(), entry);
            }
        }
        self.commands(&entries, found);
        // A policy that is itself wrong may have the group.
        let broken = |(id, declared): (&EntryId, &Declared)| {
            declared.kind.is_none_or(|kind| kind == EntryKind::SecurityPolicy)
                && !entries.contains_key(id)
        };
        if !declared.iter().any(broken) {
            groups(&entries, found);
        }
        let references = graph::check(references, &declared, self.sources, found);
        for reference in &references {
            if let Some(entry) = entries.get_mut(&reference.from)
                && !entry.requires.contains(&reference.to)
            {
                entry.requires.push(reference.to.clone());
            }
        }
        for entry in entries.values_mut() {
            leave_out(entry, &declared);
        }
        let order = graph::order(&declared, &references, self.sources, found);
        let ordered = order.into_iter().filter_map(|id| entries.remove_entry(&id));
        Registry::new(ordered.map(|(id, entry)| (id, Arc::new(entry))).collect())
    }

    fn apply(&self, raw: &mut [RawEntry], overrides: &[Override], found: &mut Diagnostics) {
        for over in overrides {
            let Some(id) = &over.entry else { continue };
            let Some(target) = raw.iter_mut().find(|raw| raw.id == *id) else {
                let message = format!("the option names {id}, which does not exist");
                let ids: BTreeSet<&str> = raw.iter().map(|raw| raw.id.as_str()).collect();
                let help = match nearest_id(id, &ids) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name an entry of this project".to_owned(),
                };
                let place = self.sources.place(over.span);
                found.push(Diagnostic::error("dangling-id", message).at(place).help(help));
                continue;
            };
            let own = over.is_of("meta") || over.is_of("kind");
            let data = match &mut target.node.content {
                Content::Map(pairs) if !own => {
                    pairs.iter_mut().find(|(key, _)| key.text == "data").map(|(_, data)| data)
                }
                _ => None,
            };
            let applied = match data {
                Some(data) => over.apply(data),
                None => over.apply(&mut target.node),
            };
            if let Err(why) = applied {
                let message = format!("entry {id}: the option cannot be applied: {why}");
                let help = "correct the field's path";
                let place = self.sources.place(over.span);
                found.push(Diagnostic::error("bad-option", message).at(place).help(help));
            }
        }
    }

    fn duplicate(&self, raw: &RawEntry, first: Span) -> Diagnostic {
        Diagnostic::error("duplicate-entry", format!("entry {} is declared twice", raw.id))
            .at(self.sources.place(raw.span))
            .related("declared here first", self.sources.place(first))
            .help("rename one of them, or remove it")
    }

    fn kind(&self, raw: &RawEntry, found: &mut Diagnostics) -> Option<EntryKind> {
        let id = &raw.id;
        let names = || EntryKind::ALL.iter().map(|kind| kind.name());
        let known = || names().collect::<Vec<_>>().join(", ");
        let (code, span, message, help) = match raw.node.pair("kind") {
            None => {
                let message = format!("entry {id}: the required field `kind` is missing");
                let help = format!("add `kind: ...`; kinds are: {}", known());
                ("missing-field", raw.span, message, help)
            }
            Some((_, node)) => match node.as_text() {
                None => {
                    let message =
                        format!("entry {id}: `kind`: expected text, found {}", node.content);
                    let help = format!("write it as `kind: process.wasm`; kinds are: {}", known());
                    ("wrong-type", node.span, message, help)
                }
                Some(name) => match EntryKind::from_name(name) {
                    Some(kind) => return Some(kind),
                    None => {
                        let message = format!("entry {id}: unknown kind {name:?}");
                        let help = match nearest(name, names()) {
                            Some(near) => {
                                format!("did you mean `{near}`?\nkinds are: {}", known())
                            }
                            None => format!("kinds are: {}", known()),
                        };
                        ("unknown-kind", node.span, message, help)
                    }
                },
            },
        };
        found.push(Diagnostic::error(code, message).at(self.sources.place(span)).help(help));
        None
    }

    fn entry(
        &self,
        raw: RawEntry,
        kind: EntryKind,
        references: &mut Vec<Reference>,
        found: &mut Diagnostics,
    ) -> Option<Entry> {
        let RawEntry { id, node, index_meta, span, file } = raw;
        let meta = self.meta(&id, &node, &index_meta, found);
        let scope = Scope {
            sources: self.sources,
            id: Some(&id),
            label: "",
            meta: &meta,
            folder: file.folder.as_deref(),
            source_root: file.source_root.as_deref(),
            project_root: self.project_root,
            unfilled_hashes: self.unfilled_hashes,
        };
        let data = match node.get("data") {
            Some(data) => {
                self.flattened_too(&id, &node, found);
                self.must_be_map(&id, data, kind, found)?;
                let mut cx = Decoder::new(scope, found, references);
                Data::read(kind, data, &[], span, &mut cx)
            }
            None => {
                let mut cx = Decoder::new(scope, found, references);
                Data::read(kind, &node, &OWN_KEYS, span, &mut cx)
            }
        };
        let source = Arc::clone(self.sources.get(file.source)?);
        let meta = meta.iter().map(|(key, node)| (key.text.clone(), node.to_value()));
        Some(Entry {
            data: data?,
            meta: Value::map(meta),
            root: file.root,
            requires: Vec::new(),
            node: Arc::new(node),
            source,
            span,
            id,
        })
    }

    /// The entry's `meta` over that of the index.
    fn meta(
        &self,
        id: &EntryId,
        node: &Node,
        index_meta: &[(Key, Node)],
        found: &mut Diagnostics,
    ) -> Vec<(Key, Node)> {
        let mut meta = index_meta.to_vec();
        let Some(own) = node.get("meta").filter(|own| own.content != Content::Null) else {
            return meta;
        };
        let Content::Map(pairs) = &own.content else {
            let message = format!("entry {id}: `meta`: expected a map, found {}", own.content);
            let place = self.sources.place(own.span);
            let help = "write it as `meta: { ... }`";
            found.push(Diagnostic::error("wrong-type", message).at(place).help(help));
            return meta;
        };
        for (key, value) in pairs {
            match meta.iter_mut().find(|(own, _)| own.text == key.text) {
                Some(pair) => *pair = (key.clone(), value.clone()),
                None => meta.push((key.clone(), value.clone())),
            }
        }
        meta
    }

    /// `data` replaces the fields beside it: they would be lost without a word.
    fn flattened_too(&self, id: &EntryId, node: &Node, found: &mut Diagnostics) {
        let beside = node.pairs().iter().filter(|(key, _)| !OWN_KEYS.contains(&key.text.as_str()));
        for (key, _) in beside {
            let name = &key.text;
            let message = format!("entry {id}: `{name}` has no effect, because `data` replaces it");
            let place = self.sources.place(key.span);
            let help = format!("move `{name}` into `data`");
            found.push(Diagnostic::warning("replaced-field", message).at(place).help(help));
        }
    }

    fn must_be_map(
        &self,
        id: &EntryId,
        data: &Node,
        kind: EntryKind,
        found: &mut Diagnostics,
    ) -> Option<()> {
        if kind == EntryKind::RegistryEntry || matches!(data.content, Content::Map(_)) {
            return Some(());
        }
        let message = format!("entry {id}: `data`: expected a map, found {}", data.content);
        let place = self.sources.place(data.span);
        let help = did_you_mean("", kind.table().rows.iter().map(|row| row.name), "its fields");
        found.push(Diagnostic::error("wrong-type", message).at(place).help(help));
        None
    }

    /// Two commands of one name.
    fn commands(&self, entries: &HashMap<EntryId, Entry>, found: &mut Diagnostics) {
        let mut named: Vec<(&str, &Entry)> = entries
            .values()
            .filter_map(|entry| entry.command().map(|command| (command.name.as_str(), entry)))
            .collect();
        named.sort_by(|(a, x), (b, y)| (a, &x.id).cmp(&(b, &y.id)));
        let mut first: IndexMap<&str, &Entry> = IndexMap::new();
        for (name, entry) in named {
            if name == "list" {
                let message = format!(
                    "entry {}: no command can have the name \"list\": `wippy run list` lists \
                     the commands",
                    entry.id
                );
                let diagnostic = Diagnostic::error("reserved-command", message)
                    .at(entry.place_of("meta.command.name"))
                    .help("give it another `meta.command.name`");
                found.push(diagnostic);
                continue;
            }
            match first.get(name) {
                None => _ = first.insert(name, entry),
                Some(other) => {
                    let message = format!(
                        "entry {}: the command name {name:?} is taken by {}",
                        entry.id, other.id
                    );
                    let diagnostic = Diagnostic::error("duplicate-command", message)
                        .at(entry.place_of("meta.command.name"))
                        .related("taken here", other.place_of("meta.command.name"))
                        .help("give one of them another `meta.command.name`");
                    found.push(diagnostic);
                }
            }
        }
    }
}

/// Groups that no policy belongs to: what is meant is not what would decide.
fn groups(entries: &HashMap<EntryId, Entry>, found: &mut Diagnostics) {
    let policies = entries.values().filter_map(|entry| match &entry.data {
        Data::SecurityPolicy(policy) => Some(&policy.groups),
        _ => None,
    });
    let known: BTreeSet<&str> = policies.flatten().map(EntryId::as_str).collect();
    let mut named: Vec<&Entry> = entries.values().collect();
    named.sort_by(|a, b| a.id.cmp(&b.id));
    for entry in named {
        let Some((security, field)) = entry.security() else { continue };
        for (group, index) in security.groups.iter().zip(0..) {
            if known.contains(group.as_str()) {
                continue;
            }
            let message = format!(
                "entry {}: `{field}.groups[{index}]` names the group {group}, which no policy \
                 belongs to",
                entry.id
            );
            let help = match nearest_id(group, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `groups: [{group}]` to a security.policy"),
            };
            let place = entry.place_of(&format!("{field}.groups.{index}"));
            found.push(Diagnostic::error("unknown-group", message).at(place).help(help));
        }
    }
}

/// Leaves out optional variables that name nothing; the check has warned of them.
fn leave_out(entry: &mut Entry, declared: &Declarations) {
    let keep = |wasi: &mut Wasi| {
        wasi.env.retain(|env| env.required || declared.contains_key(&env.id));
    };
    match &mut entry.data {
        Data::ProcessWasm(entry) => keep(&mut entry.run.wasi),
        Data::FunctionWasm(entry) => keep(&mut entry.run.wasi),
        Data::FunctionWat(entry) => keep(&mut entry.run.wasi),
        _ => {}
    }
}
