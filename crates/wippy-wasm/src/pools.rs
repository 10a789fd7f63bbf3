//! Places for the guests of spawn hosts: how many are taken, and where the next guest goes.
//!
//! A pool of wasmtime has a fixed number of places and costs time and maps of the kernel for
//! each, used or not. So the first pool is small, and when three quarters of all places are
//! taken a thread makes a pool four times as large as the newest. A spawn takes a place in
//! the oldest pool that has one; what comes while a larger pool is being made, or finds the
//! last one full, is allocated on demand.
//!
//! The kernel's limit of maps (`vm.max_map_count`) bounds them all: each place and each guest
//! on demand has maps set aside, and a guest for which there are none is refused before
//! anything is made for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wippy_model::{Error, Result};

use crate::engine::{Allocation, Class, EngineKind};

/// Places of the first pool, and how many times as large the next one is.
const FIRST_PLACES: u32 = 256;
const GROWTH: u32 = 4;

/// All pools together: what the address space holds at 4 GiB and a guard for each memory.
const PLACES_MAX: u32 = 16_384;

/// Maps that a place can come to: two for each stack as soon as its pool is there, and these
/// while a guest has a memory in it. A guest on demand has all of its own.
const MAPS_OF_MEMORY: u64 = 3;
const MAPS_ON_DEMAND: u64 = 8;

/// Maps of everything else: the program, its libraries, threads, heaps and code.
const MAPS_OF_PROGRAM: u64 = 4_000;

/// How many maps the kernel allows where it does not say.
const MAPS_MAX: u64 = 65_530;

/// Stacks of each place: a guest of WASI 0.3 may have several calls under way.
pub(crate) fn stacks_each(class: Class) -> u32 {
    match class {
        Class::Plain => 1,
        Class::Concurrent => 2,
    }
}

/// The maps that are left for guests. `Relaxed` here and below: counts guard nothing else.
struct Maps {
    max: u64,
    left: AtomicU64,
}

impl Maps {
    fn of_kernel() -> Self {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        Self::new(text.trim().parse().unwrap_or(MAPS_MAX))
    }

    fn new(max: u64) -> Self {
        Self { max, left: AtomicU64::new(max.saturating_sub(MAPS_OF_PROGRAM)) }
    }

    fn take(&self, maps: u64) -> bool {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(maps)).is_ok()
    }

    fn give_back(&self, maps: u64) {
        self.left.fetch_add(maps, Relaxed);
    }
}

/// One pool: the engine `kind` has it.
struct Pool {
    kind: EngineKind,
    places: u32,
    taken: AtomicU32,
}

impl Pool {
    fn new(class: Class, stack_bytes: usize, generation: u8, places: u32) -> Arc<Self> {
        let allocation = Allocation::Pool { generation, places };
        let kind = EngineKind { class, allocation, stack_bytes };
        Arc::new(Self { kind, places, taken: AtomicU32::new(0) })
    }

    fn maps(&self) -> u64 {
        let stacks = u64::from(stacks_each(self.kind.class));
        u64::from(self.places) * (MAPS_OF_MEMORY + 2 * stacks)
    }

    fn take(&self, places: u32) -> bool {
        let taken = |taken: u32| taken.checked_add(places).filter(|taken| *taken <= self.places);
        self.taken.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }
}

/// The pools that guests of one class and stack size share, oldest first.
struct Generations {
    class: Class,
    stack_bytes: usize,
    /// Replaced as a whole; readers take no lock.
    pools: ArcSwap<Vec<Arc<Pool>>>,
    /// A larger pool is being made, or none can be made any more.
    growing: AtomicBool,
}

/// Every pool there is.
pub(crate) struct Pools {
    maps: Arc<Maps>,
    all: ArcSwap<Vec<Arc<Generations>>>,
    /// Held while `all` or a list of pools changes.
    changing: Mutex<()>,
}

/// A place that one process has. Drop gives it back.
pub(crate) struct Place(Held);

enum Held {
    InPool(Arc<Pool>, u32),
    OnDemand(EngineKind, Arc<Maps>),
}

impl Default for Pools {
    fn default() -> Self {
        Self::new(Maps::of_kernel())
    }
}

impl Pools {
    fn new(maps: Maps) -> Self {
        Self { maps: Arc::new(maps), all: ArcSwap::default(), changing: Mutex::new(()) }
    }

    /// The engine of a guest's place, and the place: in a pool if one has room. `grow` is
    /// told of an engine with a pool that is wanted; [`Pools::grown`] is its answer.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the kernel would not allow the maps.
    pub(crate) fn take(
        &self,
        class: Class,
        stack_bytes: usize,
        places: u32,
        grow: impl FnOnce(EngineKind),
    ) -> Result<Place> {
        let generations = self.generations(class, stack_bytes);
        let pools = generations.pools.load();
        let taken = pools.iter().find(|pool| pool.take(places));
        let wanted = match (taken, pools.last()) {
            // Older pools are full, or nearly so: the newest one tells.
            (Some(pool), Some(newest)) => {
                Arc::ptr_eq(pool, newest)
                    && u64::from(newest.taken.load(Relaxed)) * 4 >= u64::from(newest.places) * 3
            }
            _ => true,
        };
        if wanted && !generations.growing.swap(true, Relaxed) {
            match self.next(&generations, &pools) {
                Some(kind) => grow(kind),
                None => tracing::debug!("the pools have all the places that they can have"),
            }
        }
        match taken {
            Some(pool) => Ok(Place(Held::InPool(pool.clone(), places))),
            None => {
                self.on_demand(EngineKind { class, allocation: Allocation::OnDemand, stack_bytes })
            }
        }
    }

    /// A place outside of the pools, for a guest that does not fit one.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the kernel would not allow the maps.
    pub(crate) fn on_demand(&self, kind: EngineKind) -> Result<Place> {
        if self.maps.take(MAPS_ON_DEMAND) {
            return Ok(Place(Held::OnDemand(kind, self.maps.clone())));
        }
        Err(Error::unavailable(format!(
            "no WebAssembly process has room on a host of profile spawn any more: \
             vm.max_map_count is {}; raise it, or use host.profile: density, whose processes \
             take no maps",
            self.maps.max
        )))
    }

    /// The next pool, with its maps set aside; none when they or the places are used up.
    fn next(&self, generations: &Generations, pools: &[Arc<Pool>]) -> Option<EngineKind> {
        let lists = self.all.load();
        let all: u32 = lists
            .iter()
            .flat_map(|list| list.pools.load().iter().map(|pool| pool.places).collect::<Vec<_>>())
            .sum();
        let newest = pools.last().map_or(0, |pool| pool.places);
        // An eighth of the maps stays for guests that do not fit a pool.
        let left = self.maps.left.load(Relaxed).saturating_sub(self.maps.max / 8);
        let pool = |places| {
            let generation = u8::try_from(pools.len()).unwrap_or(u8::MAX);
            Pool::new(generations.class, generations.stack_bytes, generation, places)
        };
        let left = u32::try_from(left / pool(1).maps()).unwrap_or(u32::MAX);
        let places = newest.saturating_mul(GROWTH).max(FIRST_PLACES);
        let pool = pool(places.min(PLACES_MAX.saturating_sub(all)).min(left));
        (pool.places >= FIRST_PLACES && self.maps.take(pool.maps())).then_some(pool.kind)
    }

    /// A pool that was wanted is there, or could not be made.
    pub(crate) fn grown(&self, kind: EngineKind, made: bool) {
        let Allocation::Pool { generation, places } = kind.allocation else { return };
        let generations = self.generations(kind.class, kind.stack_bytes);
        let pool = Pool::new(kind.class, kind.stack_bytes, generation, places);
        if !made {
            // What failed once is not tried with each spawn: `growing` stays set.
            self.maps.give_back(pool.maps());
            return;
        }
        let _changing = self.changing.lock();
        let mut pools = Vec::clone(&generations.pools.load());
        pools.push(pool);
        generations.pools.store(Arc::new(pools));
        generations.growing.store(false, Relaxed);
    }

    /// The pools of a class and stack size. The first is counted at once, and its engine
    /// made by the first guest that goes there.
    fn generations(&self, class: Class, stack_bytes: usize) -> Arc<Generations> {
        let find = |all: &[Arc<Generations>]| {
            let own =
                |list: &&Arc<Generations>| list.class == class && list.stack_bytes == stack_bytes;
            all.iter().find(own).cloned()
        };
        if let Some(found) = find(&self.all.load()) {
            return found;
        }
        let _changing = self.changing.lock();
        if let Some(found) = find(&self.all.load()) {
            return found;
        }
        let mut pools = Vec::new();
        let first = Pool::new(class, stack_bytes, 0, FIRST_PLACES);
        if self.maps.take(first.maps()) {
            pools.push(first);
        }
        let generations = Arc::new(Generations {
            class,
            stack_bytes,
            pools: ArcSwap::from_pointee(pools),
            growing: AtomicBool::new(false),
        });
        let mut all = Vec::clone(&self.all.load());
        all.push(generations.clone());
        self.all.store(Arc::new(all));
        generations
    }
}

impl Place {
    /// The engine that has the place.
    pub(crate) fn kind(&self) -> EngineKind {
        match &self.0 {
            Held::InPool(pool, _) => pool.kind,
            Held::OnDemand(kind, _) => *kind,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.0 {
            Held::InPool(pool, places) => drop(pool.taken.fetch_sub(*places, Relaxed)),
            Held::OnDemand(_, maps) => maps.give_back(MAPS_ON_DEMAND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 512 << 10;

    fn pooled(place: &Place) -> Option<u8> {
        match place.kind().allocation {
            Allocation::Pool { generation, .. } => Some(generation),
            _ => None,
        }
    }

    #[test]
    fn pools_grow_by_need() {
        let pools = Pools::new(Maps::new(MAPS_MAX));
        let mut held = Vec::new();
        let mut grown = Vec::new();
        for _ in 0..12_000 {
            let mut wanted = None;
            let Ok(place) = pools.take(Class::Plain, STACK, 1, |kind| wanted = Some(kind)) else {
                break;
            };
            held.push(place);
            if let Some(kind) = wanted {
                let Allocation::Pool { places, .. } = kind.allocation else { panic!("{kind:?}") };
                grown.push((held.len(), places));
                pools.grown(kind, true);
            }
        }
        // Each when three quarters of the newest are taken.
        assert_eq!(grown[..2], [(192, 1_024), (256 + 768, 4_096)]);
        assert_eq!(grown.len(), 3, "{grown:?}");
        let places: u32 = 256 + grown.iter().map(|(_, places)| places).sum::<u32>();
        let in_pools = held.iter().filter(|place| pooled(place).is_some()).count();
        assert_eq!(in_pools, places as usize);
        assert!(held.len() >= 10_000, "{} fit the kernel's maps", held.len());
        // What has ended leaves its place to the next, in the oldest pool first.
        held.truncate(100);
        let place = pools.take(Class::Plain, STACK, 1, |_| {}).unwrap();
        assert_eq!(pooled(&place), Some(0));
    }

    #[test]
    fn a_guest_of_several_memories_takes_several_places() {
        let pools = Pools::new(Maps::new(MAPS_MAX));
        let three: Vec<Place> =
            (0..86).map(|_| pools.take(Class::Plain, STACK, 3, |_| {}).unwrap()).collect();
        assert_eq!(three.iter().filter(|place| pooled(place) == Some(0)).count(), 85);
        assert_eq!(pooled(&three[85]), None, "256 places hold 85 guests of three");
    }

    #[test]
    fn without_maps_a_guest_is_refused() {
        let pools = Pools::new(Maps::new(MAPS_OF_PROGRAM + 3 * MAPS_ON_DEMAND));
        let take = || pools.take(Class::Plain, STACK, 1, |_| {});
        let held: Vec<Place> = (0..3).map(|_| take().unwrap()).collect();
        let Err(refused) = take() else { panic!("it has room") };
        assert!(
            refused.retryable() == Some(true) && refused.message().contains("density"),
            "{refused}"
        );
        drop(held);
        take().unwrap();
    }

    #[test]
    fn a_pool_that_cannot_be_made_is_not_tried_again() {
        let pools = Pools::new(Maps::new(MAPS_MAX));
        let mut wanted = Vec::new();
        let mut held = Vec::new();
        for _ in 0..400 {
            let mut asked = None;
            held.push(pools.take(Class::Plain, STACK, 1, |kind| asked = Some(kind)).unwrap());
            if let Some(kind) = asked {
                pools.grown(kind, false);
                wanted.push(kind);
            }
        }
        assert_eq!(wanted.len(), 1);
        assert_eq!(held.iter().filter(|place| pooled(place).is_some()).count(), 256);
    }
}
