//! The functions of `wasi:filesystem/types` of WASI 0.2 that the host counts; and three that it
//! corrects: times of a mount itself, and what crosses filesystems.

use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, Filesize, HostDescriptor, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, ReaddirIterator};

use crate::files::LISTED_BYTES;
use crate::files::budget::Charge;
use crate::guest::Guest;

/// The instance as wasmtime-wasi names it; other versions are found through it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// What a guest is told that has as many files open as it may. There is no code for it; `insufficient-memory` would blame the guest's own.
const TOO_MANY: ErrorCode = ErrorCode::Quota;

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// Puts the counting functions before wasmtime-wasi's.
pub(crate) fn shadow(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async("[method]descriptor.open-at", |store, params| {
        Box::new(open_at(store, params))
    })?;
    types.func_wrap_async("[method]descriptor.read-directory", |store, params| {
        Box::new(read_directory(store, params))
    })?;
    types.func_wrap("[method]descriptor.read-via-stream", read_via_stream)?;
    types.func_wrap("[method]descriptor.write-via-stream", write_via_stream)?;
    types.func_wrap("[method]descriptor.append-via-stream", append_via_stream)?;
    types.func_wrap_async("[method]descriptor.set-times", |store, params| {
        Box::new(set_times(store, params))
    })?;
    types.func_wrap_async("[method]descriptor.rename-at", |store, params| {
        Box::new(rename_at(store, params))
    })?;
    types.func_wrap_async("[method]descriptor.link-at", |store, params| {
        Box::new(link_at(store, params))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open_at(
    mut store: StoreContextMut<'_, Guest>,
    (dir, at, path, open, flags): (
        Resource<Descriptor>,
        PathFlags,
        String,
        OpenFlags,
        DescriptorFlags,
    ),
) -> Answer<Resource<Descriptor>> {
    let guest = store.data_mut();
    let Some(place) = guest.files.reserve() else { return Ok((Err(TOO_MANY),)) };
    let opened = guest.filesystem().open_at(dir, at, path, open, flags).await;
    if let Ok(descriptor) = &opened {
        let view = guest.filesystem();
        let descriptor = view.table.get(descriptor)?.clone();
        guest.files.opened(&place, &descriptor);
    }
    answer(opened)
}

/// wasmtime-wasi reads a folder whole. So its names are measured first; what is added in
/// between is a guest's own doing and bounded by how fast it can.
async fn read_directory(
    mut store: StoreContextMut<'_, Guest>,
    (dir,): (Resource<Descriptor>,),
) -> Answer<Resource<ReaddirIterator>> {
    let guest = store.data_mut();
    let budget = guest.listing_budget();
    let mut charge = Charge::new(&budget);
    if let Descriptor::Dir(dir) = guest.filesystem().table.get(&dir)? {
        let dir = dir.dir.clone();
        let room = budget.room();
        let measured = tokio::task::spawn_blocking(move || measure(&dir, room)).await;
        if !charge.add(measured.unwrap_or(u64::MAX)) {
            return Ok((Err(ErrorCode::InsufficientMemory),));
        }
    }
    let listing = guest.filesystem().read_directory(dir).await;
    if let Ok(listing) = &listing {
        guest.files.listed(listing.rep(), charge);
    }
    answer(listing)
}

/// What a listing of a folder would hold, or something above `enough`. A folder that cannot
/// be read holds nothing: reading it gives the error.
pub(super) fn measure(dir: &Arc<std::fs::File>, enough: u64) -> u64 {
    let mut bytes: u64 = 0;
    // A mount's own handle is one that cannot be read (`O_PATH`): so it is opened anew.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, c".", flags, Mode::empty());
    for entry in opened.and_then(Dir::new).into_iter().flatten() {
        let Ok(entry) = entry else { break };
        bytes = bytes.saturating_add(LISTED_BYTES + entry.file_name().count_bytes() as u64);
        if bytes > enough {
            break;
        }
    }
    bytes
}

fn read_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file, offset): (Resource<Descriptor>, Filesize),
) -> Answer<Resource<DynInputStream>> {
    let guest = store.data_mut();
    if !guest.files.has_room_for_a_stream() {
        return Ok((Err(TOO_MANY),));
    }
    answer(guest.filesystem().read_via_stream(file, offset))
}

fn write_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file, offset): (Resource<Descriptor>, Filesize),
) -> Answer<Resource<DynOutputStream>> {
    let guest = store.data_mut();
    if !guest.files.has_room_for_a_stream() {
        return Ok((Err(TOO_MANY),));
    }
    answer(guest.filesystem().write_via_stream(file, offset))
}

fn append_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file,): (Resource<Descriptor>,),
) -> Answer<Resource<DynOutputStream>> {
    let guest = store.data_mut();
    if !guest.files.has_room_for_a_stream() {
        return Ok((Err(TOO_MANY),));
    }
    answer(guest.filesystem().append_via_stream(file))
}

/// A folder's times are set by its path `.`: the handle of a mount cannot set any.
async fn set_times(
    mut store: StoreContextMut<'_, Guest>,
    (descriptor, access, modification): (Resource<Descriptor>, NewTimestamp, NewTimestamp),
) -> Answer<()> {
    let mut view = store.data_mut().filesystem();
    let set = match view.table.get(&descriptor)? {
        Descriptor::Dir(_) => {
            let (at, path) = (PathFlags::empty(), ".".to_owned());
            view.set_times_at(descriptor, at, path, access, modification).await
        }
        Descriptor::File(_) => view.set_times(descriptor, access, modification).await,
    };
    answer(set)
}

async fn rename_at(
    mut store: StoreContextMut<'_, Guest>,
    (from, old, to, new): (Resource<Descriptor>, String, Resource<Descriptor>, String),
) -> Answer<()> {
    let mut view = store.data_mut().filesystem();
    let devices = (device(view.table.get(&from)?), device(view.table.get(&to)?));
    Ok((cross_device(answer(view.rename_at(from, old, to, new).await)?.0, devices),))
}

type Link = (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String);

async fn link_at(
    mut store: StoreContextMut<'_, Guest>,
    (from, at, old, to, new): Link,
) -> Answer<()> {
    let mut view = store.data_mut().filesystem();
    let devices = (device(view.table.get(&from)?), device(view.table.get(&to)?));
    Ok((cross_device(answer(view.link_at(from, at, old, to, new).await)?.0, devices),))
}

/// The filesystem that a folder is on.
fn device(descriptor: &Descriptor) -> Option<u64> {
    match descriptor {
        Descriptor::Dir(dir) => rustix::fs::fstat(&dir.dir).ok().map(|stat| stat.st_dev),
        Descriptor::File(_) => None,
    }
}

/// wasmtime-wasi says `io` where the system says that two filesystems are two. Programs that
/// move files look for that, and copy then.
fn cross_device(
    result: Result<(), ErrorCode>,
    (from, to): (Option<u64>, Option<u64>),
) -> Result<(), ErrorCode> {
    result.map_err(|code| match code {
        ErrorCode::Io if from != to => ErrorCode::CrossDevice,
        code => code,
    })
}

/// An error code is the guest's, anything else ends it.
fn answer<T>(result: FsResult<T>) -> Answer<T> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(FsError::downcast(error)?),)),
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    /// A name that wasmtime-wasi does not have would shadow nothing, and nobody would notice.
    #[test]
    fn what_is_shadowed_is_there() {
        let mut linker = Linker::<Guest>::new(&Engine::default());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let names = [
            "open-at",
            "read-directory",
            "read-via-stream",
            "write-via-stream",
            "append-via-stream",
            "set-times",
            "rename-at",
            "link-at",
        ];
        for name in names {
            let name = format!("[method]descriptor.{name}");
            let mut instance = linker.instance(TYPES).unwrap();
            let twice = instance.func_new(&name, |_, _, _, _| Ok(()));
            assert!(twice.is_err(), "{name} is not there");
        }
        shadow(&mut linker).unwrap();
    }
}
