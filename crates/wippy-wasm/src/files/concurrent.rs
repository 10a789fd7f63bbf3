//! The functions of `wasi:filesystem/types` of WASI 0.3 that the host counts.
//!
//! Its streams are made at once and do their work as they are read, so a refusal is an empty
//! stream whose future holds the error. A stream of a file has a thread only while a read or
//! write of at most 8 KiB runs, and shares the file's handle: what is counted is how many there
//! are. wasmtime-wasi's listing has a thread and a handle of its own until it is dropped, read
//! or not, and the threads are those of the whole host: so listings are made here.
//!
//! The other methods make one call of the system each; the tests below name them all.

use std::fs::File;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Access, Accessor, Destination, FutureReader, Linker, Resource, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntry, ErrorCode, Filesize, HostDescriptorWithStore,
    OpenFlags, PathFlags,
};

use crate::files::budget::{Budget, Charge};
use crate::files::{LISTED_BYTES, Place};
use crate::guest::Guest;

/// The instance as wasmtime-wasi names it; other versions are found through it.
const TYPES: &str = "wasi:filesystem/types@0.3.0";

/// What a guest is told that has as many files open as it may.
const TOO_MANY: ErrorCode = ErrorCode::Quota;

/// How many entries one read gets at the most: each makes the guest find room for its name.
const PIECE: usize = 256;

type End = Result<(), ErrorCode>;
type Ends = FutureReader<End>;

/// Puts the counting functions before wasmtime-wasi's.
pub(crate) fn shadow(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent("[method]descriptor.open-at", |accessor, params| {
        Box::pin(open_at(accessor, params))
    })?;
    types.func_wrap("[method]descriptor.read-directory", read_directory)?;
    types.func_wrap("[method]descriptor.read-via-stream", read_via_stream)?;
    types.func_wrap("[method]descriptor.write-via-stream", write_via_stream)?;
    types.func_wrap("[method]descriptor.append-via-stream", append_via_stream)?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open_at(
    accessor: &Accessor<Guest>,
    (dir, at, path, open, flags): (
        Resource<Descriptor>,
        PathFlags,
        String,
        OpenFlags,
        DescriptorFlags,
    ),
) -> wasmtime::Result<(Result<Resource<Descriptor>, ErrorCode>,)> {
    let Some(place) = accessor.with(|mut store| store.data_mut().files.reserve()) else {
        return Ok((Err(TOO_MANY),));
    };
    let files = accessor.with_getter::<WasiFilesystem>(Guest::filesystem);
    let opened = HostDescriptorWithStore::open_at(&files, dir, at, path, open, flags).await;
    match opened {
        Ok(descriptor) => accessor.with(|mut store| {
            let guest = store.data_mut();
            let opened = guest.filesystem().table.get(&descriptor)?.clone();
            guest.files.opened(&place, &opened);
            Ok((Ok(descriptor),))
        }),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn read_directory(
    mut store: StoreContextMut<'_, Guest>,
    (dir,): (Resource<Descriptor>,),
) -> wasmtime::Result<((StreamReader<DirectoryEntry>, Ends),)> {
    let guest = store.data_mut();
    let opened = match guest.filesystem().table.get(&dir)? {
        Descriptor::Dir(dir) => Ok(dir.dir.clone()),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
    };
    let opened = opened.and_then(|dir| Ok((dir, guest.files.reserve().ok_or(TOO_MANY)?)));
    let (dir, place) = match opened {
        Ok(opened) => opened,
        Err(code) => {
            return Ok(((StreamReader::new(&mut store, iter::empty())?, end(store, code)?),));
        }
    };
    let (told, ends) = oneshot::channel();
    let listing = Listing { state: State::Unread(dir), told: Some(told), place: Some(place) };
    Ok(((StreamReader::new(&mut store, listing)?, FutureReader::new(&mut store, ends)?),))
}

fn read_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file, offset): (Resource<Descriptor>, Filesize),
) -> wasmtime::Result<((StreamReader<u8>, Ends),)> {
    if !store.data_mut().files.has_room_for_a_stream() {
        return Ok(((StreamReader::new(&mut store, iter::empty())?, end(store, TOO_MANY)?),));
    }
    Ok((HostDescriptorWithStore::read_via_stream(access(store), file, offset)?,))
}

fn write_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file, mut data, offset): (Resource<Descriptor>, StreamReader<u8>, Filesize),
) -> wasmtime::Result<(Ends,)> {
    if !store.data_mut().files.has_room_for_a_stream() {
        data.close(&mut store)?;
        return Ok((end(store, TOO_MANY)?,));
    }
    Ok((HostDescriptorWithStore::write_via_stream(access(store), file, data, offset)?,))
}

fn append_via_stream(
    mut store: StoreContextMut<'_, Guest>,
    (file, mut data): (Resource<Descriptor>, StreamReader<u8>),
) -> wasmtime::Result<(Ends,)> {
    if !store.data_mut().files.has_room_for_a_stream() {
        data.close(&mut store)?;
        return Ok((end(store, TOO_MANY)?,));
    }
    Ok((HostDescriptorWithStore::append_via_stream(access(store), file, data)?,))
}

fn access(store: StoreContextMut<'_, Guest>) -> Access<'_, Guest, WasiFilesystem> {
    Access::<Guest, WasiFilesystem>::new(store, Guest::filesystem)
}

/// The future of a stream that was refused.
fn end(store: StoreContextMut<'_, Guest>, code: ErrorCode) -> wasmtime::Result<Ends> {
    FutureReader::new(store, async move { wasmtime::error::Ok(Err(code)) })
}

/// An open listing. It holds its folder until it is read for the first time; that reads the
/// folder whole, and further reads take from what there is.
struct Listing {
    state: State,
    told: Option<oneshot::Sender<End>>,
    place: Option<Place>,
}

enum State {
    Unread(Arc<File>),
    Collecting(JoinHandle<Collected>),
    Collected(Collected),
    Ended,
}

struct Collected {
    entries: vec::IntoIter<DirectoryEntry>,
    end: End,
    /// Held as long as the entries are.
    _charge: Charge,
}

impl Listing {
    /// Gives back all that it holds.
    fn end(&mut self, end: End) {
        if let State::Collecting(task) = std::mem::replace(&mut self.state, State::Ended) {
            task.abort();
        }
        self.place = None;
        if let Some(told) = self.told.take() {
            // Nobody may want to know.
            let _ = told.send(end);
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl StreamProducer<Guest> for Listing {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        mut store: StoreContextMut<'a, Guest>,
        mut reader: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let own = self.get_mut();
        let wanted = reader.remaining(&mut store).unwrap_or(PIECE).min(PIECE);
        if wanted == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        loop {
            match &mut own.state {
                State::Unread(dir) => {
                    let budget = store.data_mut().listing_budget();
                    own.state =
                        State::Collecting(tokio::spawn(collect_in_turn(dir.clone(), budget)));
                }
                State::Collecting(task) => {
                    let collected = match Pin::new(task).poll(poller) {
                        Poll::Pending if finish => {
                            return Poll::Ready(Ok(StreamResult::Cancelled));
                        }
                        collected => ready!(collected)?,
                    };
                    own.state = State::Collected(collected);
                }
                State::Collected(collected) => {
                    let piece: Vec<_> = collected.entries.by_ref().take(wanted).collect();
                    reader.set_buffer(piece.into());
                    if collected.entries.len() > 0 {
                        return Poll::Ready(Ok(StreamResult::Completed));
                    }
                    let end = std::mem::replace(&mut collected.end, Ok(()));
                    own.end(end);
                }
                State::Ended => return Poll::Ready(Ok(StreamResult::Dropped)),
            }
        }
    }
}

/// Reads a folder when no other of the guest is being read, so that a guest has one thread of
/// the host for all of its listings.
async fn collect_in_turn(dir: Arc<File>, budget: Arc<Budget>) -> Collected {
    let turn = budget.turn().await;
    let charge = Charge::new(&budget);
    let collected = tokio::task::spawn_blocking(move || {
        let collected = collect(&dir, charge);
        drop(turn);
        collected
    });
    collected.await.unwrap_or_else(|_| Collected {
        entries: Vec::new().into_iter(),
        end: Err(ErrorCode::Io),
        _charge: Charge::new(&budget),
    })
}

/// Reads a folder. The entries before one that cannot be told come all the same; of a folder
/// that is too large come none.
fn collect(dir: &File, mut charge: Charge) -> Collected {
    let mut entries = Vec::new();
    let end = read(dir, &mut entries, &mut charge);
    if matches!(end, Err(ErrorCode::InsufficientMemory)) {
        entries = Vec::new();
        charge.clear();
    }
    Collected { entries: entries.into_iter(), end, _charge: charge }
}

fn read(dir: &File, entries: &mut Vec<DirectoryEntry>, charge: &mut Charge) -> End {
    let failed = |error: Errno| ErrorCode::from(std::io::Error::from(error));
    // A mount's own handle is one that cannot be read (`O_PATH`): so it is opened anew.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, c".", flags, Mode::empty());
    for entry in opened.and_then(Dir::new).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !charge.add(LISTED_BYTES + name.count_bytes() as u64) {
            return Err(ErrorCode::InsufficientMemory);
        }
        let kind = match entry.file_type() {
            // Some filesystems do not tell it here.
            FileType::Unknown => match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(failed(error)),
            },
            kind => kind,
        };
        let name = name.to_str().map_err(|_| ErrorCode::IllegalByteSequence)?.to_owned();
        entries.push(DirectoryEntry { type_: descriptor_type(kind), name });
    }
    Ok(())
}

fn descriptor_type(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Other(None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use wasmtime::Engine;

    use super::*;

    /// Bounded by functions of this module.
    const SHADOWED: [&str; 5] =
        ["open-at", "read-directory", "read-via-stream", "write-via-stream", "append-via-stream"];

    /// One call of the system each, after which the host holds nothing: its tasks are counted.
    const ONE_CALL: [&str; 20] = [
        "advise",
        "sync-data",
        "get-flags",
        "get-type",
        "set-size",
        "set-times",
        "sync",
        "create-directory-at",
        "stat",
        "stat-at",
        "set-times-at",
        "link-at",
        "readlink-at",
        "remove-directory-at",
        "rename-at",
        "symlink-at",
        "unlink-file-at",
        "is-same-object",
        "metadata-hash",
        "metadata-hash-at",
    ];

    /// The methods of `descriptor` as the WIT of this version has them.
    fn methods() -> BTreeSet<&'static str> {
        let wit = include_str!("../../../../guests/wasi-0.3/filesystem.wit");
        let (_, methods) = wit.split_once("resource descriptor {").unwrap();
        let (methods, _) = methods.split_once('}').unwrap();
        methods
            .lines()
            .filter_map(|line| Some(line.trim().split_once(": ")?.0))
            .filter(|name| !name.starts_with('@'))
            .collect()
    }

    /// A method that comes with a later version must be looked at for what it holds.
    #[test]
    fn every_method_is_looked_at() {
        let classified: BTreeSet<_> = SHADOWED.into_iter().chain(ONE_CALL).collect();
        assert_eq!(methods(), classified);
        let mut linker = Linker::<Guest>::new(&Engine::default());
        wasmtime_wasi::p3::add_to_linker(&mut linker).unwrap();
        for name in classified {
            let name = format!("[method]descriptor.{name}");
            let twice = linker.instance(TYPES).unwrap().func_new(&name, |_, _, _, _| Ok(()));
            assert!(twice.is_err(), "{name} is not there");
        }
        shadow(&mut linker).unwrap();
    }

    fn names(collected: &mut Collected) -> Vec<String> {
        let mut names: Vec<_> = collected.entries.by_ref().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_read_with_what_is_in_it() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        let dir = File::open(folder.path()).unwrap();
        let budget = Budget::new(1000);
        let mut collected = collect(&dir, Charge::new(&budget));
        assert!(collected.end.is_ok());
        assert_eq!(budget.room(), 1000 - 3 * LISTED_BYTES - 14);
        for entry in collected.entries.clone() {
            let expected = match entry.name.as_str() {
                "file" => matches!(entry.type_, DescriptorType::RegularFile),
                "folder" => matches!(entry.type_, DescriptorType::Directory),
                _ => matches!(entry.type_, DescriptorType::SymbolicLink),
            };
            assert!(expected, "{entry:?}");
        }
        assert_eq!(names(&mut collected), ["file", "folder", "link"]);
        drop(collected);
        assert_eq!(budget.room(), 1000);
    }

    #[test]
    fn a_folder_that_is_too_large_holds_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let dir = File::open(folder.path()).unwrap();
        let budget = Budget::new(2 * (LISTED_BYTES + 1));
        let mut collected = collect(&dir, Charge::new(&budget));
        assert!(matches!(collected.end, Err(ErrorCode::InsufficientMemory)));
        assert_eq!(names(&mut collected), [""; 0]);
        assert_eq!(budget.room(), 2 * (LISTED_BYTES + 1));
        std::fs::remove_file(folder.path().join("c")).unwrap();
        assert_eq!(names(&mut collect(&dir, Charge::new(&budget))), ["a", "b"]);
    }

    #[test]
    fn a_name_that_is_no_text_ends_a_listing() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let dir = File::open(folder.path()).unwrap();
        let collected = collect(&dir, Charge::new(&Budget::new(1000)));
        assert!(matches!(collected.end, Err(ErrorCode::IllegalByteSequence)));
    }
}
