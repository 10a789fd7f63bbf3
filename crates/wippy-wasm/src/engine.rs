//! wasmtime engines, made on demand: one for each (concurrency, allocation, stack).
//!
//! Two things decide what code must be compiled for: the [`Class`] of the guest, and whether
//! its memories are slots of a slab. Engines that agree in both share all settings that
//! compiled code depends on, so one artifact serves the pool and the on-demand engine alike,
//! and one serves slabs of every size. The figures behind the settings are in
//! `docs/performance.md`.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wippy_kernel::{HostSpec, Profile};
use wippy_model::{Error, Limits, Result};

use crate::budget::Budget;
use crate::guest::Guest;
use crate::link;
use crate::pools::{self, Place, Pools, Size};
use crate::slab::{self, Slab};
use crate::ticker::Ticker;

/// Tables that a pool keeps for each of its places: a component made from one preview1
/// module has two.
pub(crate) const POOL_TABLES_EACH: u32 = 2;

/// What fits the pool's places. A guest that is larger is allocated on demand.
const POOL_TABLE_ELEMENTS: usize = 20_000;
const POOL_PER_MODULE_MAX: u32 = 4;
const POOL_INSTANCE_BYTES: usize = 1 << 20;

/// Bytes of a memory or table that stay with their slot when a process ends: above it a
/// spawn pays for page faults and an munmap, which also hinder other threads.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;

/// Address space for each memory, as the artifacts expect it, and the guards on either side.
pub(crate) const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
pub(crate) const MEMORY_GUARD_BYTES: u64 = 32 << 20;

/// Host frames run on the guest's stack too: this much is theirs.
pub(crate) const HOST_STACK_BYTES: usize = 512 << 10;

/// What compiled code depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Nothing asynchronous is imported or exported: WASI 0.2, preview1 and plain guests.
    Plain,
    /// WASI 0.3 guests; starting one costs more.
    Concurrent,
}

/// Where memories, tables and stacks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Allocation {
    OnDemand,
    /// The pool of this generation; each is larger than the one before.
    Pool {
        generation: u8,
        places: u32,
    },
    /// Memories and stacks are slots of slabs; a memory has at most this many bytes.
    Slab {
        slot_bytes: usize,
    },
}

/// Which engine a process needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EngineKind {
    pub(crate) class: Class,
    pub(crate) allocation: Allocation,
    pub(crate) stack_bytes: usize,
}

impl EngineKind {
    /// The engine of a host's guests; on a spawn host [`Engines::place`] says which pool.
    pub(crate) fn for_host(class: Class, host: &HostSpec, limits: &Limits) -> Self {
        let allocation = match host.profile {
            // One process at a time needs neither.
            _ if host.terminal => Allocation::OnDemand,
            // Which pool, its place decides.
            Profile::Spawn => Allocation::Pool { generation: 0, places: 0 },
            Profile::Density => {
                Allocation::Slab { slot_bytes: slab::slot_bytes(limits.memory_bytes) }
            }
        };
        Self { class, allocation, stack_bytes: host.stack_bytes }
    }

    /// The engine that compiles and reads types: on demand, so that it costs no pool.
    pub(crate) fn compiler(class: Class) -> Self {
        Self { class, allocation: Allocation::OnDemand, stack_bytes: 512 << 10 }
    }

    /// Whether it takes code for slabs: such code compares each address with the memory's
    /// length, which other code mostly leaves to the pages behind a memory.
    pub(crate) fn is_slab(self) -> bool {
        matches!(self.allocation, Allocation::Slab { .. })
    }
}

/// An engine with its linkers and its clock.
pub(crate) struct GuestEngine {
    pub(crate) engine: Engine,
    pub(crate) components: wasmtime::component::Linker<Guest>,
    pub(crate) modules: wasmtime::Linker<Guest>,
    pub(crate) ticker: Ticker,
}

/// The engines that have been needed so far, and the slabs that they share.
pub(crate) struct Engines {
    made: Mutex<HashMap<EngineKind, Arc<GuestEngine>>>,
    memories: Mutex<HashMap<usize, Arc<Slab>>>,
    stacks: Mutex<HashMap<usize, Arc<Slab>>>,
    pools: Pools,
    /// What pools and slabs share.
    budget: Arc<Budget>,
}

impl Default for Engines {
    fn default() -> Self {
        let budget = Arc::<Budget>::default();
        Self {
            made: Mutex::default(),
            memories: Mutex::default(),
            stacks: Mutex::default(),
            pools: Pools::new(budget.clone()),
            budget,
        }
    }
}

impl Engines {
    /// A place for a guest of a spawn host that has this kind: mostly in a pool, whose
    /// engine is the place's. It never waits for a pool that is being made.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the kernel would not allow another.
    pub(crate) fn place(self: &Arc<Self>, kind: EngineKind, size: Size) -> Result<Place> {
        self.pools.take(kind.class, kind.stack_bytes, size, |wanted| {
            let engines = self.clone();
            let thread = thread::Builder::new().name("pool".to_owned());
            let thread = thread.spawn(move || {
                let made = engines.make(wanted).map(|engine| {
                    engines.made.lock().entry(wanted).or_insert(Arc::new(engine));
                });
                if let Err(error) = &made {
                    tracing::warn!("no larger pool for WebAssembly processes: {error:#}");
                }
                engines.pools.grown(wanted, made.is_ok());
            });
            if thread.is_err() {
                self.pools.grown(wanted, false);
            }
        })
    }

    /// A place for a guest that found no room in its pool.
    ///
    /// # Errors
    ///
    /// As [`Engines::place`].
    pub(crate) fn place_on_demand(&self, kind: EngineKind, size: Size) -> Result<Place> {
        self.pools.on_demand(EngineKind { allocation: Allocation::OnDemand, ..kind }, size)
    }

    /// The engine of a pool; none, and the pool is forgotten, when it cannot be made.
    pub(crate) fn get_pool(&self, kind: EngineKind) -> Option<Arc<GuestEngine>> {
        match self.get(kind) {
            Ok(engine) => Some(engine),
            Err(error) => {
                tracing::warn!("no pool for WebAssembly processes: {error}");
                self.pools.lost(kind);
                None
            }
        }
    }

    /// The engine of a kind. The first call makes it: 1 ms, with the first pool 2 ms.
    pub(crate) fn get(&self, kind: EngineKind) -> Result<Arc<GuestEngine>> {
        let mut made = self.made.lock();
        if let Some(engine) = made.get(&kind) {
            return Ok(engine.clone());
        }
        let engine = self.make(kind).map_err(|error| {
            Error::unavailable(format!("cannot make the WebAssembly engine: {error:#}"))
        })?;
        let engine = Arc::new(engine);
        made.insert(kind, engine.clone());
        Ok(engine)
    }

    fn make(&self, kind: EngineKind) -> wasmtime::Result<GuestEngine> {
        let engine = Engine::new(&self.config(kind))?;
        Ok(GuestEngine {
            components: link::components(&engine, kind.class)?,
            modules: link::modules(&engine)?,
            ticker: Ticker::start(&engine)?,
            engine,
        })
    }

    fn config(&self, kind: EngineKind) -> Config {
        let async_stack_bytes = kind.stack_bytes.saturating_add(HOST_STACK_BYTES);
        let mut config = Config::new();
        config
            .concurrency_support(kind.class == Class::Concurrent)
            .epoch_interruption(true)
            .max_wasm_stack(kind.stack_bytes)
            .async_stack_size(async_stack_bytes)
            // Source lines are read from the binary when somebody reads a backtrace; artifacts
            // stay small and a trap stays cheap.
            .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
        match kind.allocation {
            Allocation::OnDemand => {
                config
                    .memory_reservation(MEMORY_RESERVATION_BYTES)
                    .memory_guard_size(MEMORY_GUARD_BYTES);
            }
            Allocation::Pool { places, .. } => {
                let pool = pool(kind.class, places);
                config
                    .memory_reservation(MEMORY_RESERVATION_BYTES)
                    .memory_guard_size(MEMORY_GUARD_BYTES)
                    .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
            }
            Allocation::Slab { slot_bytes } => {
                let memories = shared(&self.memories, slot_bytes, |bytes| {
                    Slab::for_memories(bytes, &self.budget)
                });
                let stacks = shared(&self.stacks, async_stack_bytes, |bytes| {
                    Slab::for_stacks(bytes, &self.budget)
                });
                slab::configure(&mut config, memories, stacks);
            }
        }
        config
    }
}

/// The slab of a size.
fn shared(
    slabs: &Mutex<HashMap<usize, Arc<Slab>>>,
    bytes: usize,
    make: impl FnOnce(usize) -> Arc<Slab>,
) -> Arc<Slab> {
    slabs.lock().entry(bytes).or_insert_with(|| make(bytes)).clone()
}

/// Sets a configuration as a density host's engines have it, with slabs of its own: what is
/// measured beside such a host should have its settings.
pub fn density_config(config: &mut Config, limits: &Limits, stack_bytes: usize) {
    let async_stack_bytes = stack_bytes.saturating_add(HOST_STACK_BYTES);
    let budget = Arc::default();
    let memories = Slab::for_memories(slab::slot_bytes(limits.memory_bytes), &budget);
    config.max_wasm_stack(stack_bytes).async_stack_size(async_stack_bytes);
    slab::configure(config, memories, Slab::for_stacks(async_stack_bytes, &budget));
}

fn pool(class: Class, places: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(places)
        .total_tables(places.saturating_mul(POOL_TABLES_EACH))
        .total_stacks(places.saturating_mul(pools::stacks_each(class)))
        .total_gc_heaps(places)
        // Instances are only counted, and `limits.instances` counts them for each guest.
        .total_component_instances(u32::MAX)
        .total_core_instances(u32::MAX)
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_tables_per_module(POOL_PER_MODULE_MAX)
        .max_memories_per_module(POOL_PER_MODULE_MAX)
        .max_core_instance_size(POOL_INSTANCE_BYTES)
        .max_component_instance_size(POOL_INSTANCE_BYTES)
        .max_unused_warm_slots(places)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
