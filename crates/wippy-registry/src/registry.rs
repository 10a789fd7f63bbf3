//! The entries of a project, in the order in which they are loaded.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use wippy_model::EntryId;

use crate::diff::Difference;
use crate::entry::{Command, Entry, EntryKind};

/// Checked entries. Each comes after those that it names.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: IndexMap<EntryId, Arc<Entry>>,
}

impl Registry {
    pub(crate) fn new(entries: IndexMap<EntryId, Arc<Entry>>) -> Self {
        Self { entries }
    }

    /// The entry of that name.
    pub fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.entries.get(id)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries in load order: each after those that it names, else by ID.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The entries of one kind, in load order.
    pub fn of_kind(&self, kind: EntryKind) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries().filter(move |entry| entry.kind() == kind)
    }

    /// The commands, by name.
    pub fn commands(&self) -> Vec<(&Command, &Arc<Entry>)> {
        let mut commands: Vec<_> = self
            .entries()
            .filter_map(|entry| entry.command().map(|command| (command, entry)))
            .collect();
        commands.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        commands
    }

    /// What starts with the runtime, in order: the entries with `auto_start`, and what they
    /// need that starts as well. Stopping goes through it backwards.
    pub fn start_order(&self) -> Vec<&Arc<Entry>> {
        let auto = |entry: &&Arc<Entry>| entry.lifecycle().is_some_and(|l| l.auto_start);
        let mut wanted: HashSet<&EntryId> = HashSet::new();
        let mut open: Vec<&Arc<Entry>> = self.entries().filter(auto).collect();
        while let Some(entry) = open.pop() {
            if wanted.insert(&entry.id) {
                open.extend(entry.requires.iter().filter_map(|id| self.get(id)));
            }
        }
        self.entries()
            .filter(|entry| entry.lifecycle().is_some() && wanted.contains(&entry.id))
            .collect()
    }

    /// What was added, changed and removed on the way from an older registry to this one.
    pub fn since(&self, older: &Self) -> Difference {
        Difference::between(older, self)
    }
}

impl<'a> IntoIterator for &'a Registry {
    type Item = &'a Arc<Entry>;
    type IntoIter = indexmap::map::Values<'a, EntryId, Arc<Entry>>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.values()
    }
}
