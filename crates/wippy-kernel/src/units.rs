//! The units of a node by entry, loaded when they are first needed.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wippy_model::{EntryId, Error, Kind, Result};

use crate::{Loader, Unit};

/// Entries that an error lists at the most.
const KNOWN_MAX: usize = 10;

type Slots = HashMap<EntryId, Arc<UnitSlot>>;

/// The processes or the functions of a node.
pub(crate) struct Units {
    /// What they are called in errors.
    noun: &'static str,
    slots: ArcSwap<Slots>,
    /// Serialises changes; readers never take it. Holds the last versions of entries that were
    /// removed, so that none comes twice.
    registering: Mutex<HashMap<EntryId, u64>>,
}

/// A unit that is loaded when it is first needed. A unit is kept, and so is an error of
/// kind `Invalid`: the bytes are pinned by their hash, so loading again could only fail
/// again. Any other error may pass.
struct UnitSlot {
    id: EntryId,
    /// Counts the units that this entry has had, from 1.
    version: u64,
    /// Gone once its unit is there: what it would load from is of no use any more.
    loader: Mutex<Option<Arc<Loader>>>,
    loaded: OnceLock<Result<Arc<dyn Unit>>>,
    /// Held while it loads, so that many spawns load once.
    loading: tokio::sync::Mutex<()>,
}

impl Units {
    pub(crate) fn new(noun: &'static str) -> Self {
        Self { noun, slots: ArcSwap::default(), registering: Mutex::default() }
    }

    /// Registers a unit; one of the same name is replaced.
    pub(crate) fn add(&self, id: EntryId, loader: Loader) {
        self.put(UnitSlot::new(id, loader));
    }

    /// Loads a unit and, where it loads, puts it in the place of the one of its name. Tells its
    /// version.
    pub(crate) async fn replace(&self, id: EntryId, loader: Loader) -> Result<u64> {
        let slot = Arc::new(UnitSlot::new(id, loader));
        slot.clone().load().await?;
        let slot = Arc::try_unwrap(slot)
            .map_err(|slot| Error::internal(format!("{}: it is still being loaded", slot.id)))?;
        Ok(self.put(slot))
    }

    /// Takes a unit away; false where there is none of that name.
    pub(crate) fn remove(&self, id: &EntryId) -> bool {
        let mut removed = self.registering.lock();
        let mut slots = Slots::clone(&self.slots.load());
        let Some(slot) = slots.remove(id) else { return false };
        removed.insert(id.clone(), slot.version);
        self.slots.store(Arc::new(slots));
        true
    }

    fn put(&self, mut slot: UnitSlot) -> u64 {
        let mut removed = self.registering.lock();
        let mut slots = Slots::clone(&self.slots.load());
        let before = slots.get(&slot.id).map(|old| old.version);
        slot.version = before.or_else(|| removed.remove(&slot.id)).unwrap_or(0) + 1;
        let version = slot.version;
        slots.insert(slot.id.clone(), Arc::new(slot));
        self.slots.store(Arc::new(slots));
        version
    }

    /// The newest version of an entry.
    pub(crate) fn version(&self, id: &EntryId) -> Option<u64> {
        self.slots.load().get(id).map(|slot| slot.version)
    }

    /// The unit of an entry, loaded if it was not yet, and its version.
    pub(crate) async fn get(&self, id: &EntryId) -> Result<(Arc<dyn Unit>, u64)> {
        let slot = self.slot(id)?;
        let version = slot.version;
        let unit = match slot.loaded.get() {
            Some(loaded) => loaded.clone(),
            None => slot.load().await,
        };
        unit.map(|unit| (unit, version))
    }

    fn slot(&self, id: &EntryId) -> Result<Arc<UnitSlot>> {
        self.slots.load().get(id).cloned().ok_or_else(|| {
            let slots = self.slots.load();
            let mut known: Vec<&str> = slots.keys().map(EntryId::as_str).collect();
            known.sort_unstable();
            let more = if known.len() > KNOWN_MAX { ", …" } else { "" };
            known.truncate(KNOWN_MAX);
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let noun = self.noun;
            Error::not_found(format!(
                "there is no {noun} entry {id}; {noun} entries: {known}{more}"
            ))
        })
    }
}

impl UnitSlot {
    fn new(id: EntryId, loader: Loader) -> Self {
        Self {
            id,
            version: 0,
            loader: Mutex::new(Some(Arc::new(loader))),
            loaded: OnceLock::new(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    async fn load(self: Arc<Self>) -> Result<Arc<dyn Unit>> {
        let _loading = self.loading.lock().await;
        if let Some(loaded) = self.loaded.get() {
            return loaded.clone();
        }
        let loader = self.loader.lock().clone();
        // It goes together with the last look at what it gave.
        let loader = loader
            .ok_or_else(|| Error::internal(format!("{}: nothing loads it any more", self.id)))?;
        let loaded = tokio::task::spawn_blocking(move || loader()).await;
        let loaded = loaded.unwrap_or_else(|failure| {
            Err(Error::internal(format!("{}: loading it failed: {failure}", self.id)))
        });
        match &loaded {
            Err(error) if error.kind() != Kind::Invalid => loaded,
            _ => {
                let kept = self.loaded.get_or_init(|| loaded).clone();
                *self.loader.lock() = None;
                kept
            }
        }
    }
}
