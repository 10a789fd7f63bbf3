//! The `fs.directory` entries of a project, each opened when it is first needed.
//!
//! So a command does not fail for a folder that it never uses; `wippy check` and the
//! runtime open all of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use wippy_host::Volume;
use wippy_model::{EntryId, Error, Kind, Result, Value};
use wippy_registry::{Data, Registry};

/// The filesystems of a project.
#[derive(Debug, Default)]
pub(crate) struct Volumes(HashMap<EntryId, Slot>);

#[derive(Debug)]
struct Slot {
    directory: PathBuf,
    auto_init: bool,
    mode: u32,
    opened: OnceLock<Result<Arc<Volume>>>,
}

impl Volumes {
    /// The filesystems of these entries; none is opened.
    pub(crate) fn of(registry: &Registry) -> Self {
        let slots = registry.entries().filter_map(|entry| match &entry.data {
            Data::FsDirectory(fs) => Some((
                entry.id.clone(),
                Slot {
                    directory: entry.resolve(&fs.directory),
                    auto_init: fs.auto_init,
                    mode: fs.mode,
                    opened: OnceLock::new(),
                },
            )),
            _ => None,
        });
        Self(slots.collect())
    }

    /// The open filesystem of that name.
    ///
    /// # Errors
    ///
    /// When there is none, or its folder is missing or cannot be opened.
    pub(crate) fn get(&self, id: &EntryId) -> Result<Arc<Volume>> {
        let slot = self
            .0
            .get(id)
            .ok_or_else(|| Error::not_found(format!("there is no filesystem {id}")))?;
        slot.opened
            .get_or_init(|| {
                Volume::open(&slot.directory, slot.auto_init, Some(slot.mode))
                    .map(Arc::new)
                    .map_err(|error| {
                        let place = [("entry", id.as_str()), ("field", "directory")];
                        let place = place.map(|(name, value)| (name, Value::from(value)));
                        Error::new(Kind::NotFound, format!("{id}: {error}"))
                            .with_details(Value::map(place))
                    })
            })
            .clone()
    }
}
