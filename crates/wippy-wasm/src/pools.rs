//! Places for the guests of spawn hosts: how many are taken, and where the next guest goes.
//!
//! A pool of wasmtime has a fixed number of places and costs time and maps of the kernel for
//! each, used or not. So the first pool is small, and when three quarters of all places are
//! taken a thread makes a pool four times as large as the newest. A spawn takes a place in
//! the oldest pool that has one; what comes while a larger pool is being made, or finds the
//! last one full, is allocated on demand.
//!
//! What the kernel allows of maps (`vm.max_map_count`) and of address space bounds them all:
//! it is set aside for each place and each guest on demand, and a guest for which there is
//! none is refused before anything is made for it.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wippy_model::{Error, Result};

use crate::budget::{Budget, Cost, Short};
use crate::engine::{
    Allocation, Class, EngineKind, HOST_STACK_BYTES, MEMORY_GUARD_BYTES, MEMORY_RESERVATION_BYTES,
    POOL_TABLES_EACH,
};

/// Places of the first pool, and how many times as large the next one is.
const FIRST_PLACES: u32 = 256;
const GROWTH: u32 = 4;

/// All pools together: half of the address space at 4 GiB and a guard for each memory.
const PLACES_MAX: u32 = 16_384;

/// Maps that a place can come to: two for each stack as soon as its pool is there, and these
/// while a guest has a memory in it.
const MAPS_OF_MEMORY: u64 = 3;

/// Maps of a guest on demand: these, two for each stack, and for each memory what is before,
/// in and behind its image, and its guard.
const MAPS_ON_DEMAND: u64 = 2;
const MAPS_OF_MEMORY_ON_DEMAND: u64 = 4;
const MAPS_OF_STACK: u64 = 2;

/// How long after a pool could not be made the next one is tried.
const REST: Duration = Duration::from_secs(10);

/// Stacks of each place: a guest of WASI 0.3 may have several calls under way.
pub(crate) fn stacks_each(class: Class) -> u32 {
    match class {
        Class::Plain => 1,
        Class::Concurrent => 2,
    }
}

/// What one process has at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    pub(crate) stacks: u32,
}

impl Size {
    /// What it takes of a pool, which has one memory and some tables and stacks for each of
    /// its places.
    fn places(self, class: Class) -> u32 {
        let tables = self.tables.div_ceil(POOL_TABLES_EACH);
        self.memories.max(tables).max(self.stacks.div_ceil(stacks_each(class))).max(1)
    }

    /// What it costs outside of the pools.
    fn on_demand(self, stack_bytes: usize) -> Cost {
        let guard = MEMORY_GUARD_BYTES * 2;
        let memory =
            Cost { maps: MAPS_OF_MEMORY_ON_DEMAND, bytes: MEMORY_RESERVATION_BYTES + guard };
        Cost { maps: MAPS_ON_DEMAND, bytes: 0 }
            .plus(memory.times(self.memories.max(1).into()))
            .plus(stack(stack_bytes).times(self.stacks.into()))
    }
}

fn stack(stack_bytes: usize) -> Cost {
    let bytes = stack_bytes.saturating_add(HOST_STACK_BYTES) as u64;
    Cost { maps: MAPS_OF_STACK, bytes }
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

    fn cost(&self) -> Cost {
        cost_of_places(self.kind.class, self.kind.stack_bytes, self.places)
    }

    fn take(&self, places: u32) -> bool {
        let taken = |taken: u32| taken.checked_add(places).filter(|taken| *taken <= self.places);
        self.taken.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    fn is_three_quarters_full(&self) -> bool {
        u64::from(self.taken.load(Relaxed)) * 4 >= u64::from(self.places) * 3
    }
}

/// What a pool of so many places costs.
fn cost_of_places(class: Class, stack_bytes: usize, places: u32) -> Cost {
    let bytes = MEMORY_RESERVATION_BYTES + MEMORY_GUARD_BYTES;
    Cost { maps: MAPS_OF_MEMORY, bytes }
        .plus(stack(stack_bytes).times(stacks_each(class).into()))
        .times(places.into())
}

/// The pools that guests of one class and stack size share, oldest first.
struct Generations {
    class: Class,
    stack_bytes: usize,
    /// Replaced as a whole; readers take no lock.
    pools: ArcSwap<Vec<Arc<Pool>>>,
    /// A larger pool is being made. Whoever sets it looks at `pools` again: what it knew may
    /// be older than the pool that was made before.
    growing: AtomicBool,
    /// A pool could not be made, and when.
    failed: AtomicBool,
    failed_at: Mutex<Option<Instant>>,
}

impl Generations {
    fn failed(&self) {
        *self.failed_at.lock() = Some(Instant::now());
        self.failed.store(true, Release);
    }

    /// Whether a pool may be tried: what failed is not tried with each spawn.
    fn has_rested(&self, rest: Duration) -> bool {
        if !self.failed.load(Acquire) {
            return true;
        }
        let rested = self.failed_at.lock().is_none_or(|at| at.elapsed() >= rest);
        if rested {
            self.failed.store(false, Release);
        }
        rested
    }
}

/// Every pool there is.
pub(crate) struct Pools {
    budget: Arc<Budget>,
    all: ArcSwap<Vec<Arc<Generations>>>,
    /// Places of all pools.
    places: AtomicU32,
    rest: Duration,
    /// Held while `all` or a list of pools changes.
    changing: Mutex<()>,
}

/// A place that one process has. Drop gives it back.
pub(crate) struct Place(Held);

enum Held {
    InPool(Arc<Pool>, u32),
    OnDemand(EngineKind, Cost, Arc<Budget>),
}

impl Pools {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            all: ArcSwap::default(),
            places: AtomicU32::new(0),
            rest: REST,
            changing: Mutex::new(()),
        }
    }

    /// The engine of a guest's place, and the place: in a pool if one has room. `grow` is
    /// told of an engine with a pool that is wanted; [`Pools::grown`] is its answer.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the kernel would not allow what it needs.
    pub(crate) fn take(
        &self,
        class: Class,
        stack_bytes: usize,
        size: Size,
        grow: impl FnOnce(EngineKind),
    ) -> Result<Place> {
        let on_demand = EngineKind { class, allocation: Allocation::OnDemand, stack_bytes };
        let places = size.places(class);
        if places > FIRST_PLACES {
            return self.on_demand(on_demand, size);
        }
        let generations = self.generations(class, stack_bytes);
        let pools = generations.pools.load();
        let taken = pools.iter().find(|pool| pool.take(places));
        let wanted = match (taken, pools.last()) {
            // Older pools are full, or nearly so: the newest one tells.
            (Some(pool), Some(newest)) => {
                Arc::ptr_eq(pool, newest) && newest.is_three_quarters_full()
            }
            _ => true,
        };
        if wanted && let Some(kind) = self.wanted(&generations, pools.len()) {
            grow(kind);
        }
        match taken {
            Some(pool) => Ok(Place(Held::InPool(pool.clone(), places))),
            None => self.on_demand(on_demand, size),
        }
    }

    /// A place outside of the pools, for a guest that does not fit one.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the kernel would not allow what it needs.
    pub(crate) fn on_demand(&self, kind: EngineKind, size: Size) -> Result<Place> {
        let cost = size.on_demand(kind.stack_bytes);
        let short = match self.budget.take(cost) {
            Ok(()) => return Ok(Place(Held::OnDemand(kind, cost, self.budget.clone()))),
            Err(short) => short,
        };
        Err(Error::unavailable(match short {
            Short::Maps(max) => format!(
                "no WebAssembly process has room on a host of profile spawn any more: \
                 vm.max_map_count is {max}; raise it, or use host.profile: density, whose \
                 processes take no maps"
            ),
            Short::AddressSpace => format!(
                "no address space is left for another WebAssembly process on a host of profile \
                 spawn, where each memory has 4 GiB and this one has {}; use host.profile: \
                 density, where a memory has limits.memory_bytes",
                size.memories
            ),
        }))
    }

    /// The next pool, if it is for this caller to have it made: of `known` pools the newest
    /// was too small. What it costs is set aside.
    fn wanted(&self, generations: &Generations, known: usize) -> Option<EngineKind> {
        // Without a write while there is no room for one: each spawn comes here then.
        self.places_for(generations, 0)?;
        if !generations.has_rested(self.rest) || generations.growing.swap(true, AcqRel) {
            return None;
        }
        let pools = generations.pools.load();
        let next = match pools.len() == known {
            true => self.next(generations, &pools),
            // A larger one has come meanwhile: the next spawn sees whether it is enough.
            false => None,
        };
        if next.is_none() {
            generations.growing.store(false, Release);
        }
        next
    }

    /// How many places, up to `wanted`, another pool may have; none when that is too few.
    fn places_for(&self, generations: &Generations, wanted: u32) -> Option<u32> {
        let Generations { class, stack_bytes, .. } = generations;
        let one = cost_of_places(*class, *stack_bytes, 1);
        let left = self.budget.left();
        // An eighth of the maps stays for guests that do not fit a pool.
        let maps = left.maps.saturating_sub(self.budget.maps_max() / 8) / one.maps;
        let fit = u32::try_from(maps.min(left.bytes / one.bytes)).unwrap_or(u32::MAX);
        let left = PLACES_MAX.saturating_sub(self.places.load(Relaxed));
        let places = fit.min(left).min(wanted.max(FIRST_PLACES));
        (places >= FIRST_PLACES).then_some(places)
    }

    fn next(&self, generations: &Generations, pools: &[Arc<Pool>]) -> Option<EngineKind> {
        let newest = pools.last().map_or(0, |pool| pool.places);
        let places = self.places_for(generations, newest.saturating_mul(GROWTH))?;
        let generation = pools.last().map_or(0, |pool| match pool.kind.allocation {
            Allocation::Pool { generation, .. } => generation.saturating_add(1),
            _ => 0,
        });
        let pool = Pool::new(generations.class, generations.stack_bytes, generation, places);
        self.set_aside(&pool).then_some(pool.kind)
    }

    fn set_aside(&self, pool: &Pool) -> bool {
        let taken = self.budget.take(pool.cost()).is_ok();
        if taken {
            self.places.fetch_add(pool.places, Relaxed);
        }
        taken
    }

    fn give_up(&self, pool: &Pool) {
        self.budget.give_back(pool.cost());
        self.places.fetch_sub(pool.places, Relaxed);
    }

    /// A pool that was wanted is there, or could not be made.
    pub(crate) fn grown(&self, kind: EngineKind, made: bool) {
        let Allocation::Pool { generation, places } = kind.allocation else { return };
        let generations = self.generations(kind.class, kind.stack_bytes);
        let pool = Pool::new(kind.class, kind.stack_bytes, generation, places);
        if made {
            let _changing = self.changing.lock();
            let mut pools = Vec::clone(&generations.pools.load());
            pools.push(pool);
            generations.pools.store(Arc::new(pools));
        } else {
            self.give_up(&pool);
            generations.failed();
        }
        generations.growing.store(false, Release);
    }

    /// The engine of a pool that has been counted could not be made: there is no such pool.
    pub(crate) fn lost(&self, kind: EngineKind) {
        let generations = self.generations(kind.class, kind.stack_bytes);
        let _changing = self.changing.lock();
        let mut pools = Vec::clone(&generations.pools.load());
        let Some(at) = pools.iter().position(|pool| pool.kind == kind) else { return };
        let pool = pools.remove(at);
        generations.failed();
        generations.pools.store(Arc::new(pools));
        self.give_up(&pool);
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
        if self.set_aside(&first) {
            pools.push(first);
        }
        let generations = Arc::new(Generations {
            class,
            stack_bytes,
            pools: ArcSwap::from_pointee(pools),
            growing: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failed_at: Mutex::new(None),
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
            Held::OnDemand(kind, ..) => *kind,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.0 {
            Held::InPool(pool, places) => drop(pool.taken.fetch_sub(*places, Relaxed)),
            Held::OnDemand(_, cost, budget) => budget.give_back(*cost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 512 << 10;
    const ONE: Size = Size { memories: 1, tables: 1, stacks: 1 };
    const MAPS_MAX: u64 = 65_530;

    /// Pools where the kernel allows so many maps for guests, and enough address space.
    fn pools(maps: u64) -> Pools {
        Pools::new(Arc::new(Budget::new(MAPS_MAX, Cost { maps, bytes: 1 << 47 })))
    }

    fn stock() -> Pools {
        pools(MAPS_MAX - 4_000)
    }

    fn pooled(place: &Place) -> Option<u8> {
        match place.kind().allocation {
            Allocation::Pool { generation, .. } => Some(generation),
            _ => None,
        }
    }

    /// Takes places for so many guests and gives the pools that were wanted.
    fn fill(pools: &Pools, guests: usize, made: bool) -> (Vec<Place>, Vec<EngineKind>) {
        let (mut held, mut all) = (Vec::new(), Vec::new());
        for _ in 0..guests {
            let mut wanted = None;
            held.push(pools.take(Class::Plain, STACK, ONE, |kind| wanted = Some(kind)).unwrap());
            if let Some(kind) = wanted {
                pools.grown(kind, made);
                all.push(kind);
            }
        }
        (held, all)
    }

    #[test]
    fn pools_grow_by_need() {
        let pools = stock();
        let mut held = Vec::new();
        let mut grown = Vec::new();
        for _ in 0..12_000 {
            let mut wanted = None;
            let Ok(place) = pools.take(Class::Plain, STACK, ONE, |kind| wanted = Some(kind)) else {
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
        let place = pools.take(Class::Plain, STACK, ONE, |_| {}).unwrap();
        assert_eq!(pooled(&place), Some(0));
    }

    #[test]
    fn a_guest_takes_places_for_its_memories_tables_and_stacks() {
        let rows = [
            (Class::Plain, Size { memories: 3, ..ONE }, 85),
            (Class::Plain, Size { tables: 5, ..ONE }, 85),
            (Class::Concurrent, Size { stacks: 6, ..ONE }, 85),
            (Class::Concurrent, Size { stacks: 2, ..ONE }, 256),
            (Class::Concurrent, Size { stacks: 512, ..ONE }, 1),
            (Class::Concurrent, Size { stacks: 513, ..ONE }, 0),
        ];
        for (class, size, fit) in rows {
            let pools = stock();
            let take = || pools.take(class, STACK, size, |_| {}).unwrap();
            let held: Vec<Place> = (0..=fit).map(|_| take()).collect();
            let of_first = held.iter().filter(|place| pooled(place) == Some(0)).count();
            assert_eq!(of_first, fit, "{class:?} {size:?}");
            assert_eq!(pooled(&held[fit]), None, "{class:?} {size:?}");
        }
    }

    #[test]
    fn without_maps_a_guest_is_refused() {
        let pools = pools(3 * ONE.on_demand(STACK).maps);
        let take = || pools.take(Class::Plain, STACK, ONE, |_| {});
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
    fn a_guest_on_demand_is_counted_by_what_it_has() {
        let many = Size { memories: 60, tables: 0, stacks: 1 };
        let kind = EngineKind::compiler(Class::Plain);
        // 4 GiB and two guards for each memory.
        let room = |bytes| Pools::new(Arc::new(Budget::new(MAPS_MAX, Cost { maps: 1_000, bytes })));
        let pools = room(61 * ((4 << 30) + (64 << 20)));
        let first = pools.on_demand(kind, many).unwrap();
        let refused = pools.on_demand(kind, many).map(drop).unwrap_err();
        assert!(refused.retryable() == Some(true), "{refused}");
        assert!(refused.message().contains("address space"), "{refused}");
        drop(first);
        pools.on_demand(kind, many).unwrap();
        let pools = room(1 << 47);
        let held: Vec<Place> =
            std::iter::from_fn(|| pools.on_demand(kind, many).ok()).take(10).collect();
        assert_eq!(held.len(), 4, "each takes 244 maps of 1,000");
        drop(held);
        assert_eq!(pools.budget.left(), Cost { maps: 1_000, bytes: 1 << 47 });
    }

    #[test]
    fn a_pool_that_cannot_be_made_is_tried_again_after_a_while() {
        let mut pools = stock();
        let left = pools.budget.left();
        let (held, wanted) = fill(&pools, 400, false);
        assert_eq!(wanted.len(), 1);
        assert_eq!(held.iter().filter(|place| pooled(place).is_some()).count(), 256);
        pools.rest = Duration::ZERO;
        let (more, wanted) = fill(&pools, 1, true);
        assert_eq!(wanted.len(), 1);
        let (in_it, _) = fill(&pools, 1, true);
        assert_eq!(pooled(&in_it[0]), Some(1));
        drop((held, more, in_it));
        let pools_cost = cost_of_places(Class::Plain, STACK, 256 + 1_024);
        assert_eq!(pools.budget.left().plus(pools_cost), left);
    }

    #[test]
    fn a_pool_for_which_there_were_no_maps_is_made_when_there_are() {
        let pools = stock();
        let others = Cost { maps: pools.budget.left().maps - 10_000, bytes: 0 };
        pools.budget.take(others).unwrap();
        let (held, wanted) = fill(&pools, 300, true);
        assert_eq!(wanted, [], "an eighth of all maps stays for others");
        pools.budget.give_back(others);
        let (more, wanted) = fill(&pools, 1, true);
        assert_eq!(wanted.len(), 1);
        drop((held, more));
    }

    #[test]
    fn a_spawn_that_saw_an_older_list_makes_no_pool_twice() {
        let pools = stock();
        let (_held, wanted) = fill(&pools, 200, true);
        assert_eq!(wanted.len(), 1);
        let generations = pools.generations(Class::Plain, STACK);
        assert_eq!(generations.pools.load().len(), 2);
        // It saw one pool, three quarters full, and is late.
        assert_eq!(pools.wanted(&generations, 1), None);
        assert!(!generations.growing.load(Acquire), "the next one may grow");
        let next = pools.wanted(&generations, 2).unwrap();
        assert!(
            matches!(next.allocation, Allocation::Pool { generation: 2, places: 4_096 }),
            "{next:?}"
        );
        assert_eq!(pools.wanted(&generations, 2), None, "one at a time");
    }

    #[test]
    fn a_pool_whose_engine_cannot_be_made_is_forgotten() {
        let pools = stock();
        let left = pools.budget.left();
        let place = pools.take(Class::Plain, STACK, ONE, |_| {}).unwrap();
        let kind = place.kind();
        pools.lost(kind);
        pools.lost(kind);
        assert_eq!(pools.budget.left(), left);
        let (next, wanted) = fill(&pools, 1, true);
        assert_eq!((pooled(&next[0]), wanted.len()), (None, 0), "it rests first");
    }
}
