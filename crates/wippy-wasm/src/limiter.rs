//! What one process may hold of memories, tables and instances.

use wasmtime::ResourceLimiter;
use wippy_kernel::ProcessContext;
use wippy_model::{Limit, Limits};

/// Counts all memories and all tables of a process together.
///
/// A refused growth answers -1 in the guest, as WebAssembly has it; `refused` remembers
/// which limit it was, so that the trap that usually follows is reported as what it is. A
/// growth that succeeds afterwards shows that the guest coped, and so does a slice in which it
/// goes on.
pub(crate) struct Limiter {
    process: ProcessContext,
    memory_bytes: Count,
    table_elements: Count,
    instances_max: usize,
    pub(crate) refused: Option<Limit>,
}

/// What is used of something, and how much may be.
struct Count {
    limit: Limit,
    used: u64,
    max: u64,
}

impl Count {
    /// Counts a growth, unless it is too large.
    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        own_maximum: Option<usize>,
        refused: &mut Option<Limit>,
    ) -> bool {
        // wasmtime asks before it looks at the memory's or table's own maximum, which is no
        // limit of ours: counting such a growth would count what never happens.
        if own_maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let total = self.used.saturating_add(desired.saturating_sub(current) as u64);
        let allowed = total <= self.max;
        if !allowed {
            *refused = Some(self.limit);
        } else if *refused == Some(self.limit) {
            *refused = None;
        }
        if allowed {
            self.used = total;
        }
        allowed
    }
}

impl Limiter {
    pub(crate) fn new(limits: &Limits, process: ProcessContext) -> Self {
        Self {
            process,
            memory_bytes: Count { limit: Limit::Memory, used: 0, max: limits.memory_bytes },
            table_elements: Count { limit: Limit::Table, used: 0, max: limits.table_elements },
            instances_max: limits.instances as usize,
            refused: None,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.memory_bytes.grow(current, desired, maximum, &mut self.refused);
        self.process.set_memory_bytes(self.memory_bytes.used);
        Ok(grown)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(current, desired, maximum, &mut self.refused))
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.instances_max
    }

    fn memories(&self) -> usize {
        self.instances_max
    }
}
