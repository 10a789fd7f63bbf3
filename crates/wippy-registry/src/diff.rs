//! What is different between two registries.

use wippy_model::EntryId;

use crate::registry::Registry;

/// What was added, changed and removed, each in load order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the newer registry alone.
    pub added: Vec<EntryId>,
    /// In both, with another kind, data or meta. The place alone is no change.
    pub changed: Vec<EntryId>,
    /// In the older registry alone.
    pub removed: Vec<EntryId>,
}

impl Difference {
    /// The difference between two registries.
    pub fn between(older: &Registry, newer: &Registry) -> Self {
        let mut difference = Self::default();
        for entry in newer.entries() {
            match older.get(&entry.id) {
                None => difference.added.push(entry.id.clone()),
                Some(old)
                    if (&old.data, &old.meta, &old.root)
                        != (&entry.data, &entry.meta, &entry.root) =>
                {
                    difference.changed.push(entry.id.clone());
                }
                Some(_) => {}
            }
        }
        let gone = older.entries().filter(|entry| newer.get(&entry.id).is_none());
        difference.removed.extend(gone.map(|entry| entry.id.clone()));
        difference
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}
