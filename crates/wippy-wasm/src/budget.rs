//! What the kernel allows of maps and address space, and how much of both is left.
//!
//! Pools, guests on demand and slabs share one address space and one `vm.max_map_count`, so
//! all of them take what they need from one [`Budget`] before they ask the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Maps of everything else: the program, its libraries, threads, heaps and code.
const MAPS_OF_PROGRAM: u64 = 4_000;

/// How many maps the kernel allows where it does not say.
const MAPS_MAX: u64 = 65_530;

/// The address space of a process where it is smallest, 47 bits, less an eighth for
/// everything else and for the gaps that nothing fits in.
const BYTES: u64 = (1 << 47) / 8 * 7;

/// What something takes of the kernel, at the most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) maps: u64,
    pub(crate) bytes: u64,
}

impl Cost {
    pub(crate) fn times(self, count: u64) -> Self {
        let Self { maps, bytes } = self;
        Self { maps: maps.saturating_mul(count), bytes: bytes.saturating_mul(count) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            maps: self.maps.saturating_add(other.maps),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// What there was not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// How many the kernel allows.
    Maps(u64),
    AddressSpace,
}

/// What is left. `Relaxed`: counts guard nothing else.
#[derive(Debug)]
pub(crate) struct Budget {
    maps_max: u64,
    maps: AtomicU64,
    bytes: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        let maps_max: u64 = text.trim().parse().unwrap_or(MAPS_MAX);
        Self::new(maps_max, Cost { maps: maps_max.saturating_sub(MAPS_OF_PROGRAM), bytes: BYTES })
    }
}

impl Budget {
    pub(crate) fn new(maps_max: u64, left: Cost) -> Self {
        Self { maps_max, maps: AtomicU64::new(left.maps), bytes: AtomicU64::new(left.bytes) }
    }

    pub(crate) fn maps_max(&self) -> u64 {
        self.maps_max
    }

    pub(crate) fn left(&self) -> Cost {
        Cost { maps: self.maps.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    /// Sets aside what something costs, or nothing of it.
    pub(crate) fn take(&self, cost: Cost) -> Result<(), Short> {
        let take = |of: &AtomicU64, count: u64| {
            of.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(count)).is_ok()
        };
        if !take(&self.maps, cost.maps) {
            return Err(Short::Maps(self.maps_max));
        }
        if !take(&self.bytes, cost.bytes) {
            self.maps.fetch_add(cost.maps, Relaxed);
            return Err(Short::AddressSpace);
        }
        Ok(())
    }

    pub(crate) fn give_back(&self, cost: Cost) {
        self.maps.fetch_add(cost.maps, Relaxed);
        self.bytes.fetch_add(cost.bytes, Relaxed);
    }

    /// The same as [`Budget::take`], given back on drop.
    pub(crate) fn hold(self: &Arc<Self>, cost: Cost) -> Result<Charge, Short> {
        self.take(cost).map(|()| Charge { cost, budget: self.clone() })
    }
}

/// What something has of a budget. Drop gives it back.
#[derive(Debug)]
pub(crate) struct Charge {
    cost: Cost,
    budget: Arc<Budget>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing_is_taken() {
        let all = Cost { maps: 10, bytes: 100 };
        let budget = Arc::new(Budget::new(20, all));
        let charge = budget.hold(Cost { maps: 4, bytes: 40 }).unwrap();
        assert_eq!(budget.take(Cost { maps: 7, bytes: 1 }), Err(Short::Maps(20)));
        assert_eq!(budget.take(Cost { maps: 1, bytes: 61 }), Err(Short::AddressSpace));
        assert_eq!(budget.left(), Cost { maps: 6, bytes: 60 });
        drop(charge);
        assert_eq!(budget.left(), all);
        assert_eq!(all.times(u64::MAX).plus(all), Cost { maps: u64::MAX, bytes: u64::MAX });
    }
}
