//! The memory of one VM: counted, limited, and never refused to the host itself.
//!
//! Guest code that asks for more than the limit is refused, whereupon Lua collects garbage
//! and asks once more. A refusal that stands makes the heap *exhausted*: from then on the
//! process is as good as dead, whatever the script catches, because the VM's owner looks
//! here after each step and the refused coroutine carries a hook that ends it.
//!
//! While Rust code of this crate works on the VM nothing is refused (see
//! [`Heap::host_mode`]): Lua reports a refusal by `longjmp`, which must not cross Rust
//! frames. What the host allocates for a guest is bounded by the sizes of messages and
//! values, and paid for when the host function ends (see `Core::charge`).
//!
//! The stack of a Lua thread is refused beyond [`STACK_SLOTS_MAX`], and before that to a call
//! that looks for its function in an endless chain of `__call`: each link moves all arguments,
//! so that Lua's own limit is minutes away, and no instruction runs meanwhile.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use crate::preempt;

/// What Lua's own allocator would guarantee.
const ALIGN: usize = 16;

/// Slots of a Lua thread's stack, which hold calls and what they work on.
pub(crate) const STACK_SLOTS_MAX: usize = 81_920;

/// A stack with fewer slots grows as it likes.
const STACK_SLOTS_MIN: usize = 4096;

/// Slots that Lua has beyond those that it counts, and at most.
const STACK_EXTRA: usize = 5;
const STACK_LUA_MAX: usize = 1_000_000;

const SLOT_BYTES: usize = 16;

/// Of the limit, one part in so many is to be free after a collection that Lua makes for want
/// of memory, or was freed by it.
const FREED_PARTS: usize = 32;

/// Collections in a row that may miss that. A script so near its limit does little else than
/// collect, and each takes as long as the heap is large.
const POOR_MAX: u8 = 4;

/// One request to grow: block, old size, new size.
type Request = (usize, usize, usize);

/// The account of one VM.
pub(crate) struct Heap {
    used: Cell<usize>,
    limit: usize,
    /// Whether Rust code is at work, which is never refused.
    host: Cell<bool>,
    /// The refusal that Lua may still repair by collecting garbage.
    refused: Cell<Option<Request>>,
    /// What was in use then.
    used_then: Cell<usize>,
    /// Collections in a row that freed next to nothing.
    poor: Cell<u8>,
    exhausted: Cell<bool>,
}

impl Heap {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            used: Cell::new(0),
            limit,
            host: Cell::new(true),
            refused: Cell::new(None),
            used_then: Cell::new(0),
            poor: Cell::new(0),
            exhausted: Cell::new(false),
        }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Whether the guest met the limit, be it caught or not.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Whether the guest was refused memory, for good or until Lua has collected.
    pub(crate) fn is_refused(&self) -> bool {
        let refused = self.refused.take();
        self.refused.set(refused);
        refused.is_some() || self.exhausted.get()
    }

    /// Whether more is in use than the limit: the host was not refused.
    pub(crate) fn is_over(&self) -> bool {
        self.used.get() > self.limit
    }

    /// Notes that the limit is met for good.
    pub(crate) fn exhaust(&self) {
        self.exhausted.set(true);
    }

    /// Counts a refusal that nothing repaired. For the VM's owner, between steps.
    pub(crate) fn settle(&self) {
        if self.refused.take().is_some() {
            self.exhausted.set(true);
        }
    }

    /// Sets whether Rust code is at work; returns what was set before.
    pub(crate) fn host_mode(&self, on: bool) -> bool {
        self.host.replace(on)
    }

    /// Whether growing is allowed; keeps the books on refusals.
    fn allows(&self, request: Request) -> bool {
        let (_, old, new) = request;
        let fits = self.used.get().saturating_add(new.saturating_sub(old)) <= self.limit;
        if self.host.get() {
            return true;
        }
        match self.refused.take() {
            // Lua's second attempt, after a collection.
            Some(refused) if refused == request && fits => self.judge_collection(new - old),
            // The second attempt failed, or Lua gave up after the first.
            Some(_) => {
                self.exhausted.set(true);
                preempt::arm_running();
            }
            None => {}
        }
        if !fits {
            self.used_then.set(self.used.get());
            self.refused.set(Some(request));
        }
        fits
    }

    /// Judges the collection that made room for so many bytes.
    fn judge_collection(&self, bytes: usize) {
        let part = self.limit / FREED_PARTS;
        let freed = self.used_then.get().saturating_sub(self.used.get());
        let free = self.limit - self.used.get().saturating_add(bytes).min(self.limit);
        if freed >= part || free >= part {
            return self.poor.set(0);
        }
        self.poor.set(self.poor.get() + 1);
        if self.poor.get() >= POOR_MAX {
            self.exhausted.set(true);
            preempt::arm_running();
        }
    }

    /// The allocator function of the VM.
    ///
    /// # Safety
    ///
    /// For Lua alone: `heap` is a live `Heap`, `block` is null or came from here with the
    /// size `old`.
    pub(crate) unsafe extern "C" fn allocate(
        heap: *mut c_void,
        block: *mut c_void,
        old: usize,
        new: usize,
    ) -> *mut c_void {
        // SAFETY: the VM's owner keeps the heap alive for longer than the VM, and shares it
        // only by reference.
        let heap = unsafe { &*heap.cast::<Heap>() };
        // Without a block, `old` is a type tag.
        let old = if block.is_null() { 0 } else { old };
        if let Some(slots) = grown_stack(old, new)
            && (slots > STACK_SLOTS_MAX || preempt::is_stuck())
        {
            // The memory is not exhausted: this is an error of the script, see `protected.rs`.
            return ptr::null_mut();
        }
        if new > old && !heap.allows((block as usize, old, new)) {
            return ptr::null_mut();
        }
        // SAFETY: the layouts repeat the sizes that Lua was given, as its contract says.
        let moved = unsafe { resize(block, old, new) };
        if new == 0 || !moved.is_null() {
            heap.used.set((heap.used.get() + new).saturating_sub(old));
        } else {
            heap.exhausted.set(true);
        }
        moved
    }
}

/// The slots of a stack that Lua makes twice as large, or as large as it can be. Nothing else
/// grows by such sizes: the places of tables are powers of two.
fn grown_stack(old: usize, new: usize) -> Option<usize> {
    let slots = |bytes: usize| {
        let whole = bytes.is_multiple_of(SLOT_BYTES);
        whole.then(|| (bytes / SLOT_BYTES).saturating_sub(STACK_EXTRA))
    };
    let (old, new) = (slots(old)?, slots(new)?);
    let doubled = new == old * 2;
    let greatest = (STACK_LUA_MAX..STACK_LUA_MAX + 1000).contains(&new);
    (old >= STACK_SLOTS_MIN && new > old && (doubled || greatest)).then_some(new)
}

/// SAFETY: as for [`Heap::allocate`].
unsafe fn resize(block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    let layout = |size| Layout::from_size_align(size, ALIGN).ok();
    // SAFETY: a block of `old` bytes was made with the same layout; sizes of 0 never reach
    // the allocator.
    unsafe {
        match (NonNull::new(block.cast::<u8>()), new) {
            (None, 0) => ptr::null_mut(),
            (None, _) => layout(new).map_or(ptr::null_mut(), |layout| alloc(layout)).cast(),
            (Some(block), 0) => {
                if let Some(layout) = layout(old) {
                    dealloc(block.as_ptr(), layout);
                }
                ptr::null_mut()
            }
            (Some(block), _) => match (layout(old), layout(new)) {
                (Some(layout), Some(_)) => realloc(block.as_ptr(), layout, new).cast(),
                _ => ptr::null_mut(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_a_collection_repairs_is_none() {
        let heap = Heap::new(100);
        heap.host_mode(false);
        heap.used.set(90);
        assert!(!heap.allows((0, 0, 20)));
        heap.used.set(10);
        assert!(heap.allows((0, 0, 20)));
        heap.settle();
        assert!(!heap.is_exhausted());
    }

    #[test]
    fn a_refusal_that_stands_exhausts() {
        let heap = Heap::new(100);
        heap.host_mode(false);
        assert!(!heap.allows((0, 0, 200)));
        assert!(heap.allows((0, 0, 5)));
        assert!(heap.is_exhausted());
    }

    #[test]
    fn collections_that_free_next_to_nothing_exhaust() {
        let heap = Heap::new(3200);
        heap.host_mode(false);
        let collect = |before: usize, after: usize| {
            heap.used.set(before);
            assert!(!heap.allows((0, 0, 3201 - before)));
            heap.used.set(after);
            assert!(heap.allows((0, 0, 3201 - before)));
            heap.is_exhausted()
        };
        for _ in 0..10 {
            // Much is freed, or is free.
            assert!(!collect(3190, 3080));
            assert!(!collect(1600, 1300));
            assert!(!collect(3190, 3090));
        }
        assert!(!collect(3190, 3091));
        assert!(!collect(3190, 3091));
        assert!(!collect(3190, 3091));
        assert!(collect(3190, 3091));
    }

    #[test]
    fn stacks_are_told_from_tables() {
        let bytes = |slots: usize| (slots + STACK_EXTRA) * SLOT_BYTES;
        assert_eq!(grown_stack(bytes(40_960), bytes(81_920)), Some(81_920));
        assert_eq!(grown_stack(bytes(655_360), bytes(1_000_000)), Some(1_000_000));
        assert_eq!(grown_stack(bytes(40), bytes(80)), None);
        for places in [4096, 1 << 15, 1 << 20] {
            assert_eq!(grown_stack(places * SLOT_BYTES, 2 * places * SLOT_BYTES), None);
        }
    }

    #[test]
    fn the_host_is_never_refused() {
        let heap = Heap::new(100);
        assert!(heap.allows((0, 0, 200)));
        assert!(!heap.is_exhausted());
    }
}
