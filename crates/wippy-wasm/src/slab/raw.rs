//! The slab's calls to the kernel, and what wasmtime asks of whoever gives it memories and
//! stacks. All that is unsafe about slabs is in this file.
//!
//! Two facts make it sound. A slot has one holder: `Slab::take` gives out an address that is
//! neither taken nor free any more, and only the holder's `Drop` gives it back. And a
//! mapping outlives its slots: each holder keeps its slab, and the slab its mappings.

#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::{Arc, Once};

use wasmtime::{LinearMemory, MemoryCreator, MemoryType, StackCreator, StackMemory};

use super::{Slab, Slot};

/// Slots of 2 MiB and more begin where the kernel begins a page table.
const ALIGNMENT: usize = 2 << 20;

/// Linux 6.13: makes pages fault without splitting the map they are in.
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;

pub(super) fn page_bytes() -> usize {
    // SAFETY: reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// Reserved address space, readable and writable; unmapped on drop.
pub(super) struct Mapping {
    address: *mut libc::c_void,
    bytes: usize,
}

// SAFETY: the address is used as a number, and to unmap it once.
unsafe impl Send for Mapping {}

impl Mapping {
    pub(super) fn reserve(bytes: usize) -> io::Result<Self> {
        let bytes =
            bytes.checked_add(ALIGNMENT).ok_or(io::Error::from(io::ErrorKind::OutOfMemory))?;
        // Without MAP_NORESERVE the kernel would count it all as memory in use.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice, touches nothing else.
        let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A process touches a few pages of its slot: a huge one would cost 2 MiB each. It
        // fails where the kernel has no huge pages, and then there is nothing to forbid.
        #[cfg(target_os = "linux")]
        // SAFETY: the mapping was made above, and nobody else knows it yet.
        let _ = unsafe { libc::madvise(address, bytes, libc::MADV_NOHUGEPAGE) };
        Ok(Self { address, bytes })
    }

    /// Where its first slot begins.
    pub(super) fn start(&self) -> usize {
        self.address.expose_provenance().next_multiple_of(ALIGNMENT)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and its slots went before it.
        let _ = unsafe { libc::munmap(self.address, self.bytes) };
    }
}

/// How the page below a stack is made to fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// A mark in the page table.
    Mark,
    /// A protected map of its own, which splits the one it is in: two for each stack.
    Protect,
}

impl Guard {
    /// The best that this kernel has.
    pub(super) fn best() -> Self {
        if cfg!(target_os = "linux") && Self::kernel_has_marks() { Self::Mark } else { Self::old() }
    }

    fn old() -> Self {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
            let maps: usize = maps.trim().parse().unwrap_or(65_530);
            tracing::warn!(
                "this kernel has no MADV_GUARD_INSTALL (Linux 6.13 has): each process of a \
                 density host takes two memory maps, and vm.max_map_count = {maps} allows about \
                 {} processes",
                maps / 2
            );
        });
        Self::Protect
    }

    fn kernel_has_marks() -> bool {
        Mapping::reserve(page_bytes())
            .is_ok_and(|probe| Self::Mark.install(probe.start(), page_bytes()).is_ok())
    }

    /// Makes the pages at `start` fault from now on. They are those of a slot that nobody
    /// has taken yet.
    pub(super) fn install(self, start: usize, bytes: usize) -> io::Result<()> {
        let address = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the slab calls this for the guard pages of a slot that nobody holds, so no
        // reference into them exists, now or later.
        let result = unsafe {
            match self {
                #[cfg(target_os = "linux")]
                Self::Mark => libc::madvise(address, bytes, MADV_GUARD_INSTALL),
                _ => libc::mprotect(address, bytes, libc::PROT_NONE),
            }
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Gives pages back to the kernel; they read as zeros afterwards.
pub(super) fn discard(start: usize, bytes: usize) -> io::Result<()> {
    let bytes = bytes.next_multiple_of(page_bytes());
    if bytes == 0 {
        return Ok(());
    }
    let address = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the slab calls this for a slot between two holders, so no reference into it
    // exists.
    #[cfg(target_os = "linux")]
    let done = unsafe { libc::madvise(address, bytes, libc::MADV_DONTNEED) } == 0;
    // Elsewhere the advice does not promise zeros; a new map over the old one does.
    #[cfg(not(target_os = "linux"))]
    let done = {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: as above; the range is inside a mapping of the slab.
        unsafe { libc::mmap(address, bytes, access, flags, -1, 0) != libc::MAP_FAILED }
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives an engine its linear memories.
pub(crate) struct Memories(pub(crate) Arc<Slab>);

/// A linear memory; goes back to its slab on drop.
struct Memory {
    slot: Slot,
    /// What the guest may use, from the slot's start.
    bytes: usize,
    slab: Arc<Slab>,
}

// SAFETY: a new memory is a slot that nobody else holds, reads as zeros, never moves, and has
// the capacity that it says. Code for these engines is compiled without a reservation and
// without guards, so it compares each address with the memory's length and relies on no page
// to fault; settings that promise more are refused.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved_bytes: Option<usize>,
        guard_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if guard_bytes != 0 || reserved_bytes.is_some_and(|bytes| bytes != 0) {
            return Err("a slot has neither a reservation nor a guard".to_owned());
        }
        if minimum > self.0.usable_bytes() {
            return Err(format!(
                "a memory of {minimum} bytes is larger than its slot of {}",
                self.0.usable_bytes()
            ));
        }
        let slot = self.0.take().map_err(|error| error.to_string())?;
        Ok(Box::new(Memory { slot, bytes: minimum, slab: self.0.clone() }))
    }
}

// SAFETY: `bytes` never exceeds the slot, all of which is readable and writable, and the
// base is the slot's start for the whole life of the memory.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.slot.bytes
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.slot.bytes {
            return Err(wasmtime::Error::msg("the memory has outgrown its slot"));
        }
        self.bytes = bytes;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.slot.start)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.slab.give_back(&self.slot, self.bytes);
    }
}

/// Gives an engine the stacks of its guests.
pub(crate) struct Stacks(pub(crate) Arc<Slab>);

/// A stack; goes back to its slab on drop.
struct Stack {
    slot: Slot,
    guard_bytes: usize,
    slab: Arc<Slab>,
}

// SAFETY: a new stack is a slot that nobody else holds, begins and ends at a page, and has a
// page below that faults. It may hold what an earlier stack left, which is refused where
// zeros are asked for.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, bytes: usize, zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        if zeroed && self.0.warm_max > 0 || bytes > self.0.usable_bytes() {
            return Err(wasmtime::Error::msg("the slab has no such stacks"));
        }
        let slot = self.0.take()?;
        Ok(Box::new(Stack { slot, guard_bytes: self.0.guard_bytes, slab: self.0.clone() }))
    }
}

impl Stack {
    fn end(&self) -> usize {
        self.slot.start + self.slot.bytes
    }
}

// SAFETY: the ranges are those of the slot and of the guard right below it.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.end())
    }

    fn range(&self) -> Range<usize> {
        self.slot.start..self.end()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let start = self.slot.start - self.guard_bytes;
        ptr::with_exposed_provenance_mut(start)..ptr::with_exposed_provenance_mut(self.slot.start)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.slab.give_back(&self.slot, self.slot.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(slab: &Arc<Slab>, bytes: usize) -> Box<dyn LinearMemory> {
        let ty = MemoryType::new(1, None);
        Memories(slab.clone()).new_memory(ty, bytes, None, Some(0), 0).unwrap()
    }

    #[test]
    fn a_memory_is_zero_for_its_next_holder() {
        let slab = Slab::for_memories(1 << 20, &Arc::default());
        let mut first = memory(&slab, 64 << 10);
        first.grow_to(1 << 20).unwrap();
        assert!(first.grow_to((1 << 20) + 1).is_err());
        let address = first.as_ptr();
        for at in [0, (64 << 10) - 1, (1 << 20) - 1] {
            // SAFETY: inside the slot.
            unsafe { address.add(at).write(0xAB) };
        }
        drop(first);
        let second = memory(&slab, 1 << 20);
        assert_eq!(second.as_ptr(), address, "the slot is used again");
        // SAFETY: inside the slot, which nobody writes.
        let bytes = unsafe { std::slice::from_raw_parts(second.as_ptr(), second.byte_size()) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    /// What the kernel says of one page: whether it may be read.
    fn readable(address: *mut u8) -> bool {
        let (reader, writer) = io::pipe().unwrap();
        use std::os::fd::AsRawFd;
        // SAFETY: the kernel checks the address and answers EFAULT where it may not be read.
        let written = unsafe { libc::write(writer.as_raw_fd(), address.cast(), 1) };
        drop(reader);
        written == 1
    }

    #[test]
    fn a_stack_has_a_guard_below_it() {
        for guard in [Guard::best(), Guard::Protect] {
            let page = page_bytes();
            let slab = Arc::new(Slab::new((256 << 10) + page, page, guard, 1, &Arc::default()));
            let stacks = Stacks(slab.clone());
            for round in 0..2 {
                let held: Vec<_> =
                    (0..3).map(|_| stacks.new_stack(256 << 10, false).unwrap()).collect();
                for stack in &held {
                    let bottom: *mut u8 = ptr::with_exposed_provenance_mut(stack.range().start);
                    assert_eq!(stack.top().addr() - bottom.addr(), 256 << 10);
                    assert!(readable(bottom) && readable(stack.top().wrapping_sub(1)));
                    assert!(!readable(bottom.wrapping_sub(1)), "{guard:?}, round {round}");
                    assert!(!readable(stack.guard_range().start), "{guard:?}, round {round}");
                }
            }
        }
    }
}
