//! What a guest has open of files and folders, and what of them the host holds for it.
//!
//! wasmtime-wasi opens as many as the system allows; here `max_open_files` is the limit, of
//! WASI 0.2, WASI 0.3 and preview1 alike. The functions that open or that hold much are
//! shadowed: `components` for WASI 0.2, `concurrent` for WASI 0.3, `preview1` and `listings`.
//! `mounts` hands the entry's directories over.
//!
//! Listings have a limit of bytes in common, the `budget`. Those of WASI 0.3 count as files too:
//! they keep their folder until they are read. The others have closed it when they are made.
//! Not counted: the mounts themselves.

mod budget;
mod components;
mod concurrent;
mod listings;
mod mounts;
mod preview1;

use std::any::Any;
use std::sync::{Arc, Weak};

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::ReaddirIterator;
use wippy_model::Limits;

pub(crate) use budget::Budget;
pub(crate) use components::shadow;
pub(crate) use concurrent::shadow as shadow_concurrent;
pub(crate) use mounts::preopen;
pub(crate) use preview1::shadow as shadow_preview1;

use budget::Charge;

/// References to one open file: its descriptor, a stream to read and one to write. Each
/// stream may hold 64 KiB, so their number is limited with that of the files.
const REFERENCES_EACH: usize = 3;

/// What the host holds for one entry of a listing, besides its name.
const LISTED_BYTES: u64 = 96;

/// The open files of one guest.
pub(crate) struct Files {
    max: usize,
    /// One for each open file; dead once its descriptor and all of its streams are gone,
    /// which is when the system's handle is closed.
    held: Vec<Weak<dyn Any + Send + Sync>>,
    budget: Arc<Budget>,
    /// What each listing of WASI 0.2 has of it, by its handle. One that is gone is found when
    /// the next is made.
    listings: Vec<(u32, Charge)>,
    /// Files that preview1 has opened since they were counted, and those counted.
    opened1: usize,
    listings1: listings::Listings,
}

/// The place of a file that is being opened. Dropped without [`Files::opened`], it is free.
pub(crate) struct Place(Arc<dyn Any + Send + Sync>);

impl Files {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            max: limits.open_files_max as usize,
            held: Vec::new(),
            budget: Budget::new(limits.host_buffer_bytes),
            listings: Vec::new(),
            opened1: 0,
            listings1: listings::Listings::default(),
        }
    }

    /// A place for one more file; `None` if as many are open as may be.
    fn reserve(&mut self) -> Option<Place> {
        if self.held.len() >= self.max {
            self.held.retain(|file| file.strong_count() > 0);
        }
        (self.held.len() < self.max).then(|| {
            let place: Arc<dyn Any + Send + Sync> = Arc::new(());
            self.held.push(Arc::downgrade(&place));
            Place(place)
        })
    }

    /// A file that has been opened takes its place.
    fn opened(&mut self, place: &Place, descriptor: &Descriptor) {
        let file: Arc<dyn Any + Send + Sync> = match descriptor {
            Descriptor::File(file) => file.file.clone(),
            Descriptor::Dir(dir) => dir.dir.clone(),
        };
        let own = Arc::downgrade(&place.0);
        if let Some(held) = self.held.iter_mut().rfind(|held| held.ptr_eq(&own)) {
            *held = Arc::downgrade(&file);
        }
    }

    /// Whether one more stream of a file may be made.
    fn has_room_for_a_stream(&self) -> bool {
        let references: usize = self.held.iter().map(Weak::strong_count).sum();
        references < self.max.saturating_mul(REFERENCES_EACH)
    }

    /// What a further listing is charged to.
    pub(crate) fn listing_budget(&mut self, table: &ResourceTable) -> Arc<Budget> {
        self.listings.retain(|(handle, _)| {
            table.get::<ReaddirIterator>(&Resource::new_borrow(*handle)).is_ok()
        });
        self.budget.clone()
    }

    fn listed(&mut self, handle: u32, charge: Charge) {
        // A handle is used again when its listing is gone.
        self.listings.retain(|(used, _)| *used != handle);
        self.listings.push((handle, charge));
    }

    /// Whether preview1 may open one more file. Its context has a table of its own, in which
    /// every descriptor is one, the `mounts` apart.
    pub(crate) fn has_room1(&mut self, table: &mut ResourceTable, mounts: usize) -> bool {
        if self.opened1 >= self.max {
            let descriptors = table.iter_mut().filter(|entry| entry.is::<Descriptor>()).count();
            self.opened1 = descriptors.saturating_sub(mounts);
        }
        self.opened1 < self.max
    }

    fn opened1(&mut self) {
        self.opened1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::filesystem::{Dir, OpenMode};

    use super::*;

    fn open() -> Descriptor {
        let dir = std::fs::File::open(".").unwrap();
        Descriptor::Dir(Dir::new(dir, wasmtime_wasi::FsPerms::ReadOnly, OpenMode::READ, false))
    }

    #[test]
    fn a_place_is_free_again_when_the_last_reference_is_gone() {
        let limits = Limits { open_files_max: 2, ..Limits::default() };
        let mut files = Files::new(&limits);
        let first = open();
        let stream = first.clone();
        let place = files.reserve().unwrap();
        files.opened(&place, &first);
        drop(place);
        let failed = files.reserve().unwrap();
        assert!(files.reserve().is_none(), "one open, one being opened");
        drop(failed);
        let place = files.reserve().unwrap();
        let second = open();
        files.opened(&place, &second);
        drop((place, first));
        assert!(files.reserve().is_none(), "a stream of the first is left");
        drop(stream);
        assert!(files.reserve().is_some());
        drop(second);
    }
}
