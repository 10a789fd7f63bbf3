//! The environment that entries hand to guests: what `env.variable` entries resolve to.

use std::collections::HashMap;

use parking_lot::RwLock;
use wippy_model::EntryId;

/// Values of `env.variable` entries, by entry.
///
/// An empty string is a value. Reading never touches the host's own environment: an
/// `env.storage.os` entry is read when the project is loaded.
#[derive(Debug, Default)]
pub struct Variables(RwLock<HashMap<EntryId, String>>);

impl Variables {
    /// The value of a variable, if it has one.
    pub fn get(&self, id: &EntryId) -> Option<String> {
        self.0.read().get(id).cloned()
    }

    /// Sets a variable.
    pub fn set(&self, id: EntryId, value: String) {
        self.0.write().insert(id, value);
    }
}
