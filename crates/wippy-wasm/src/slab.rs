//! Memories and stacks for very many processes: slots of a few large mappings.
//!
//! wasmtime's own allocators take several maps of the kernel for each process, and the
//! kernel allows 65,530 by default (`vm.max_map_count`). A [`Slab`] reserves address space
//! for many slots at once, which costs one map for all of them, and doubles what it has
//! when it is used up: it holds what was needed at the same time at some point and no more.
//! Address space is all that a slot costs until a guest touches its pages.
//!
//! A slot that comes back gives its pages to the kernel, so that the next guest finds zeros;
//! a few stacks are kept as they are, because no guest can read what is below its frames.
//! The calls to the kernel, and all that is unsafe, are in `raw`.

mod raw;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::Config;

use crate::budget::{Budget, Charge, Cost};

use raw::{Guard, Mapping, Memories, Stacks};

/// Slots of the first mapping; each further one holds as many as there are already, up to
/// a bound that keeps a failure of `mmap` far away.
const FIRST_SLOTS: usize = 64;
const MAPPING_BYTES_MAX: usize = 4 << 40;

/// Stacks that stay as they are when their process ends, so that the next one takes no page
/// faults and makes no call. Each keeps what it has touched, mostly 8 KiB.
const WARM_STACKS: usize = 256;

/// The smallest slot: a page of WebAssembly.
const SLOT_BYTES_MIN: u64 = 64 << 10;

/// The size of the slot that holds any memory of a process with this limit: a power of two,
/// so that there are few sizes and each serves many units.
pub(crate) fn slot_bytes(memory_bytes: u64) -> usize {
    let bytes = memory_bytes.max(SLOT_BYTES_MIN).checked_next_power_of_two();
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
}

/// Settings of an engine that takes its memories and stacks from slabs. Code for one such
/// engine fits them all.
pub(crate) fn configure(config: &mut Config, memories: Arc<Slab>, stacks: Arc<Slab>) {
    config
        // Without a reservation code compares with the memory's true length, which lets all of
        // a slot be accessible; with one it would compare with that constant and rely on the
        // pages between the two to fault.
        .memory_reservation(0)
        .memory_guard_size(0)
        .memory_may_move(false)
        // wasmtime maps images only over memories of its own, and panics here.
        .memory_init_cow(false)
        .with_host_memory(Arc::new(Memories(memories)))
        .with_host_stack(Arc::new(Stacks(stacks)));
}

/// How the error begins of a memory for which there is no room: wasmtime keeps its text alone.
pub(crate) const NO_ROOM: &str = "there is no room for another process: ";

/// No address space, or no map, is left for another slot.
#[derive(Debug, thiserror::Error)]
#[error(
    "{NO_ROOM}reserving {bytes} bytes of address space failed; lower limits.memory_bytes, or see vm.overcommit_memory, vm.max_map_count and \
     the address space limit of the runtime (ulimit -v)"
)]
pub(crate) struct NoRoom {
    bytes: usize,
    #[source]
    source: io::Error,
}

/// Slots of one size.
pub(crate) struct Slab {
    /// With the guard.
    slot_bytes: usize,
    /// At the lower end of each slot: for stacks, which grow down.
    guard_bytes: usize,
    guard: Guard,
    warm_max: usize,
    /// What its mappings take their address space from.
    budget: Arc<Budget>,
    slots: Mutex<Slots>,
}

/// Which slots are there. A slot is named by its address.
#[derive(Default)]
struct Slots {
    /// Free, with pages of an earlier process.
    warm: Vec<usize>,
    /// Free and zero; taken last in, first out, so that page tables are used again.
    free: Vec<usize>,
    /// Never used yet: from here to there in the newest mapping.
    fresh: usize,
    fresh_end: usize,
    /// How many there are in all mappings.
    total: usize,
    /// Unmapped when the slab goes.
    mappings: Vec<(Mapping, Charge)>,
}

/// A slot that its holder may use until it gives it back.
struct Slot {
    /// The lowest address above the guard.
    start: usize,
    bytes: usize,
}

impl Slab {
    /// Slots for linear memories. A guest cannot reach beyond the length of its memory,
    /// because code of this class compares each address with it: no guard is needed.
    pub(crate) fn for_memories(slot_bytes: usize, budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self::new(slot_bytes, 0, Guard::best(), 0, budget))
    }

    /// Slots for stacks of this size, each above a page that nobody can touch.
    pub(crate) fn for_stacks(stack_bytes: usize, budget: &Arc<Budget>) -> Arc<Self> {
        let page = raw::page_bytes();
        let slot = stack_bytes.next_multiple_of(page).saturating_add(page);
        Arc::new(Self::new(slot, page, Guard::best(), WARM_STACKS, budget))
    }

    fn new(
        slot_bytes: usize,
        guard_bytes: usize,
        guard: Guard,
        warm_max: usize,
        budget: &Arc<Budget>,
    ) -> Self {
        let budget = budget.clone();
        Self { slot_bytes, guard_bytes, guard, warm_max, budget, slots: Mutex::default() }
    }

    /// What a slot holds beside its guard.
    fn usable_bytes(&self) -> usize {
        self.slot_bytes - self.guard_bytes
    }

    /// A slot of zeros; where `warm` slots are kept, one with an earlier process's bytes.
    fn take(&self) -> Result<Slot, NoRoom> {
        let bytes = self.usable_bytes();
        let at = {
            let mut slots = self.slots.lock();
            if let Some(start) = slots.warm.pop().or_else(|| slots.free.pop()) {
                return Ok(Slot { start, bytes });
            }
            slots.fresh(self.slot_bytes, &self.budget)?
        };
        // Outside of the lock: the kernel makes a page table for it. The guard stays for
        // the life of the slab.
        if self.guard_bytes > 0
            && let Err(source) = self.guard.install(at, self.guard_bytes)
        {
            self.slots.lock().lost(at, self.slot_bytes);
            return Err(NoRoom { bytes: self.slot_bytes, source });
        }
        Ok(Slot { start: at + self.guard_bytes, bytes })
    }

    /// Takes a slot back of which the first or, for stacks, the last `touched` bytes may have
    /// been written.
    fn give_back(&self, slot: &Slot, touched: usize) {
        {
            let mut slots = self.slots.lock();
            if slots.warm.len() < self.warm_max {
                slots.warm.push(slot.start);
                return;
            }
        }
        // A slot whose pages the kernel does not take is not used again.
        if raw::discard(slot.start, touched).is_ok() {
            self.slots.lock().free.push(slot.start);
        }
    }
}

impl Slots {
    /// The next slot that nobody has used.
    fn fresh(&mut self, slot_bytes: usize, budget: &Arc<Budget>) -> Result<usize, NoRoom> {
        if self.fresh == self.fresh_end {
            self.grow(slot_bytes, budget)?;
        }
        let at = self.fresh;
        self.fresh += slot_bytes;
        Ok(at)
    }

    /// Reserves as many slots again as there are; half as many, and so on, where the
    /// address space does not have them.
    fn grow(&mut self, slot_bytes: usize, budget: &Arc<Budget>) -> Result<(), NoRoom> {
        let most = (MAPPING_BYTES_MAX / slot_bytes).max(1);
        let mut count = self.total.clamp(FIRST_SLOTS, most.max(FIRST_SLOTS)).min(most);
        loop {
            let bytes = count.saturating_mul(slot_bytes);
            let cost = Cost { maps: 0, bytes: bytes as u64 };
            let reserved = match budget.hold(cost) {
                Ok(charge) => Mapping::reserve(bytes).map(|mapping| (mapping, charge)),
                Err(_) => Err(io::ErrorKind::OutOfMemory.into()),
            };
            match reserved {
                Ok((mapping, charge)) => {
                    self.fresh = mapping.start();
                    self.fresh_end = self.fresh + bytes;
                    self.total += count;
                    self.mappings.push((mapping, charge));
                    return Ok(());
                }
                Err(source) if count == 1 => return Err(NoRoom { bytes, source }),
                Err(_) => count /= 2,
            }
        }
    }

    /// A fresh slot could not be made ready: the next spawn tries it again if it still can.
    fn lost(&mut self, at: usize, slot_bytes: usize) {
        if self.fresh == at + slot_bytes {
            self.fresh = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_sizes_are_few() {
        let cases = [(0, 64 << 10), (1 << 20, 1 << 20), ((1 << 20) + 1, 2 << 20)];
        for (limit, slot) in cases {
            assert_eq!(slot_bytes(limit), slot, "{limit}");
        }
        assert_eq!(slot_bytes(u64::MAX), usize::MAX);
    }

    #[test]
    fn slots_are_taken_again() {
        let slab = Slab::for_memories(1 << 20, &Arc::default());
        let first: Vec<Slot> = (0..200).map(|_| slab.take().unwrap()).collect();
        let mut starts: Vec<usize> = first.iter().map(|slot| slot.start).collect();
        starts.sort_unstable();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 1 << 20), "they overlap");
        for slot in &first {
            slab.give_back(slot, 0);
        }
        let mut again: Vec<usize> = (0..200).map(|_| slab.take().unwrap().start).collect();
        again.sort_unstable();
        assert_eq!(again, starts);
        assert_eq!(slab.slots.lock().mappings.len(), 3, "64, 64 and 128 slots");
    }

    #[test]
    fn what_does_not_fit_the_address_space_is_an_error() {
        let slab = Slab::for_memories(1 << 50, &Arc::default());
        assert!(slab.take().is_err_and(|error| error.to_string().contains("limits.memory_bytes")));
    }
    #[test]
    fn slabs_share_the_address_space_with_everything_else() {
        let budget = Arc::new(Budget::new(0, Cost { maps: 0, bytes: 100 << 20 }));
        let slab = Slab::for_memories(1 << 20, &budget);
        let held: Vec<Slot> = (0..100).map(|_| slab.take().unwrap()).collect();
        assert!(slab.take().is_err(), "of 100 MiB, 101 are in use");
        drop((held, slab));
        assert_eq!(budget.left().bytes, 100 << 20);
    }
}
