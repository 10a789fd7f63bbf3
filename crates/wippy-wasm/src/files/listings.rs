//! `fd_readdir` of preview1, with its listings kept between calls.
//!
//! A guest reads a folder piece by piece, with a cookie for where it goes on; wasmtime-wasi
//! reads the whole folder for each piece, which takes 10 s for 5,000 entries. Here the first
//! piece (cookie 0) reads it, and the others come from that. So what is added or removed
//! meanwhile is seen after a rewind, as POSIX leaves open.
//!
//! All listings of a guest together hold `host_buffer_bytes`: a larger folder is `nomem`, and
//! the oldest listing goes first; its reader has its folder read again.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime::{Caller, Extern, Linker};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as functions, WasiSnapshotPreview1};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorType, DirectoryEntry, HostDescriptor, PathFlags,
};
use wiggle::GuestMemory;

use crate::files::components::measure;
use crate::files::preview1::fuel;
use crate::guest::Guest;
use crate::interfaces::PREVIEW1;

/// `errno::nomem`: the listing is larger than what the host may hold.
const NOMEM: i32 = 48;

/// Bytes of a `dirent` before the name: next cookie, inode, length of the name, type.
const HEAD_BYTES: usize = 24;

/// The listings that a guest is reading, the oldest first.
#[derive(Default)]
pub(super) struct Listings(Vec<Listing>);

struct Listing {
    fd: i32,
    /// The folder's own inode, so that another under the same number is another.
    inode: u64,
    bytes: u64,
    entries: Arc<[Entry]>,
}

struct Entry {
    inode: u64,
    kind: u8,
    name: String,
}

impl Listings {
    fn find(&self, fd: i32, inode: u64) -> Option<Arc<[Entry]>> {
        let found = self.0.iter().find(|own| own.fd == fd && own.inode == inode)?;
        Some(found.entries.clone())
    }

    fn keep(&mut self, listing: Listing, bytes_max: u64) {
        self.0.retain(|own| own.fd != listing.fd);
        let mut held = self.0.iter().map(|own| own.bytes).sum::<u64>() + listing.bytes;
        while held > bytes_max && !self.0.is_empty() {
            held -= self.0.remove(0).bytes;
        }
        self.0.push(listing);
    }
}

/// Puts the function before wasmtime-wasi's, which still answers where something is wrong.
pub(super) fn shadow(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        PREVIEW1,
        "fd_readdir",
        |mut caller: Caller<'_, Guest>,
         (fd, buffer, len, cookie, result): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let fuel = fuel(&mut caller);
                let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                    return Err(wasmtime::Error::msg("missing required memory export"));
                };
                let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                match list(guest, bytes, fd, cookie as u64).await {
                    Listed::Entries(entries) => {
                        let written = place(bytes, buffer, len, result).map(|(place, used)| {
                            let written = fill(place, &entries, cookie as u64);
                            used.copy_from_slice(&(written as u32).to_le_bytes());
                        });
                        if written.is_some() {
                            return Ok(0);
                        }
                    }
                    Listed::TooLarge => return Ok(NOMEM),
                    Listed::NotHere => {}
                }
                let context = guest.wasi1();
                context.set_hostcall_fuel(fuel);
                let mut memory = GuestMemory::Unshared(bytes);
                functions::fd_readdir(context, &mut memory, fd, buffer, len, cookie, result).await
            })
        },
    )?;
    Ok(())
}

enum Listed {
    Entries(Arc<[Entry]>),
    TooLarge,
    /// Not a folder, or something else that wasmtime-wasi has the words for.
    NotHere,
}

async fn list(guest: &mut Guest, bytes: &mut [u8], fd: i32, cookie: u64) -> Listed {
    let bytes_max = guest.limits().host_buffer_bytes;
    let context = guest.wasi1();
    let mut memory = GuestMemory::Unshared(bytes);
    let Ok(stat) = context.fd_filestat_get(&mut memory, (fd as u32).into()).await else {
        return Listed::NotHere;
    };
    if cookie > 0
        && let Some(entries) = guest.files.listings1.find(fd, stat.ino)
    {
        return Listed::Entries(entries);
    }
    let context = guest.wasi1();
    let Some((handle, dir)) = folder(context, stat.ino).await else { return Listed::NotHere };
    let measured = tokio::task::spawn_blocking(move || measure(&dir, bytes_max)).await;
    let held = measured.unwrap_or(u64::MAX);
    if held > bytes_max {
        return Listed::TooLarge;
    }
    let Some(entries) = read(context, handle, stat.ino).await else { return Listed::NotHere };
    let entries: Arc<[Entry]> = entries.into();
    let listing = Listing { fd, inode: stat.ino, bytes: held, entries: entries.clone() };
    guest.files.listings1.keep(listing, bytes_max);
    Listed::Entries(entries)
}

/// The folder of that inode among the open ones. Which of wasmtime-wasi's descriptors stands
/// behind a number it tells nobody, but each has the same entries.
async fn folder(context: &mut WasiP1Ctx, inode: u64) -> Option<(u32, Arc<std::fs::File>)> {
    let table = context.ctx().table;
    let mut left = table.iter_mut().filter(|entry| entry.is::<Descriptor>()).count();
    let mut handle = 0;
    while left > 0 {
        let own = Resource::<Descriptor>::new_borrow(handle);
        if let Ok(descriptor) = context.ctx().table.get(&own) {
            left -= 1;
            if let Descriptor::Dir(dir) = descriptor {
                let dir = dir.dir.clone();
                let hash = context.filesystem().metadata_hash(own).await;
                if hash.is_ok_and(|hash| hash.lower == inode) {
                    return Some((handle, dir));
                }
            }
        }
        handle += 1;
    }
    None
}

/// Reads a folder: `.`, `..`, and what is in it. An entry that is gone again is left out.
async fn read(context: &mut WasiP1Ctx, handle: u32, inode: u64) -> Option<Vec<Entry>> {
    let dir = || Resource::<Descriptor>::new_borrow(handle);
    let listing = context.filesystem().read_directory(dir()).await.ok()?;
    let listing = context.ctx().table.delete(listing).ok()?;
    let own = |name: &str| Entry { inode, kind: 3, name: name.to_owned() };
    let mut entries = vec![own("."), own("..")];
    for entry in listing {
        let DirectoryEntry { type_, name } = entry.ok()?;
        let hash =
            context.filesystem().metadata_hash_at(dir(), PathFlags::empty(), name.clone()).await;
        if let Ok(hash) = hash {
            entries.push(Entry { inode: hash.lower, kind: kind(type_), name });
        }
    }
    Some(entries)
}

/// `filetype`; what it has no number for is unknown.
fn kind(ty: DescriptorType) -> u8 {
    match ty {
        DescriptorType::BlockDevice => 1,
        DescriptorType::CharacterDevice => 2,
        DescriptorType::Directory => 3,
        DescriptorType::RegularFile => 4,
        DescriptorType::SymbolicLink => 7,
        _ => 0,
    }
}

/// The guest's buffer and the place for how much of it is used; they must not overlap.
fn place(memory: &mut [u8], buffer: i32, len: i32, result: i32) -> Option<(&mut [u8], &mut [u8])> {
    let start = buffer as u32 as usize;
    let buffer = start..start.checked_add(len as u32 as usize)?;
    let result = result as u32 as usize..(result as u32 as usize).checked_add(4)?;
    memory.get_disjoint_mut([buffer, result]).ok().map(|[buffer, result]| (buffer, result))
}

/// Writes entries from the cookie on until the buffer is full; the last one may be cut.
fn fill(buffer: &mut [u8], entries: &[Entry], cookie: u64) -> usize {
    let mut used = 0;
    let first = usize::try_from(cookie).unwrap_or(usize::MAX);
    for (number, entry) in entries.iter().enumerate().skip(first) {
        let mut dirent = Vec::with_capacity(HEAD_BYTES + entry.name.len());
        dirent.extend_from_slice(&(number as u64 + 1).to_le_bytes());
        dirent.extend_from_slice(&entry.inode.to_le_bytes());
        dirent.extend_from_slice(&(entry.name.len() as u32).to_le_bytes());
        dirent.extend_from_slice(&[entry.kind, 0, 0, 0]);
        dirent.extend_from_slice(entry.name.as_bytes());
        let rest = buffer.get_mut(used..).unwrap_or_default();
        let len = dirent.len().min(rest.len());
        for (to, from) in rest.iter_mut().zip(&dirent) {
            *to = *from;
        }
        used += len;
        if len < dirent.len() {
            break;
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::LISTED_BYTES;

    fn counted(names: &[&str]) -> u64 {
        names.iter().map(|name| LISTED_BYTES + name.len() as u64).sum()
    }

    fn listing(fd: i32, names: &[&str]) -> Listing {
        let entry = |name: &&str| Entry { inode: 7, kind: 4, name: (*name).to_owned() };
        let entries = names.iter().map(entry).collect();
        Listing { fd, inode: 1, bytes: counted(names), entries }
    }

    #[test]
    fn a_cut_entry_comes_again() {
        let listing = listing(3, &["one", "three"]);
        let mut buffer = [0xff; HEAD_BYTES + 3 + HEAD_BYTES + 2];
        assert_eq!(fill(&mut buffer, &listing.entries, 0), buffer.len());
        assert_eq!(&buffer[..8], 1u64.to_le_bytes());
        assert_eq!(&buffer[24..27], b"one");
        assert_eq!(&buffer[51..], b"th");
        let used = fill(&mut buffer, &listing.entries, 1);
        assert_eq!((used, &buffer[24..29]), (HEAD_BYTES + 5, &b"three"[..]));
        assert_eq!(fill(&mut buffer, &listing.entries, 2), 0);
        assert_eq!(fill(&mut buffer, &listing.entries, u64::MAX), 0);
    }

    #[test]
    fn the_oldest_listing_goes_first() {
        let mut listings = Listings::default();
        let bytes_max = 2 * counted(&["a"]);
        for fd in 3..6 {
            listings.keep(listing(fd, &["a"]), bytes_max);
        }
        assert!(listings.find(3, 1).is_none());
        assert!(listings.find(4, 1).is_some() && listings.find(5, 1).is_some());
        assert!(listings.find(5, 2).is_none(), "another folder under that number");
        listings.keep(listing(5, &["b"]), bytes_max);
        assert_eq!(listings.0.len(), 2);
    }

    #[test]
    fn places_outside_of_memory_are_none() {
        let mut memory = [0; 100];
        assert!(place(&mut memory, 0, 90, 92).is_some());
        for (buffer, len, result) in [(0, 101, 0), (0, 90, 97), (-1, 1, 0), (0, 90, 88)] {
            assert!(place(&mut memory, buffer, len, result).is_none());
        }
    }
}
