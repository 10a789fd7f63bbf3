//! What one process may hold of memories, tables and instances.

use wasmtime::ResourceLimiter;
use wippy_kernel::ProcessContext;
use wippy_model::{Limit, Limits};

/// Counts all memories and all tables of a process together.
///
/// A refused growth answers -1 in the guest, as WebAssembly has it; `refused` remembers
/// which limit it was, so that the trap that usually follows is reported as what it is. A
/// growth that succeeds afterwards shows that the guest coped.
pub(crate) struct Limiter {
    process: ProcessContext,
    memory_bytes: u64,
    memory_bytes_max: u64,
    table_elements: u64,
    table_elements_max: u64,
    instances_max: usize,
    pub(crate) refused: Option<Limit>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits, process: ProcessContext) -> Self {
        Self {
            process,
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes,
            table_elements: 0,
            table_elements_max: limits.table_elements,
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
        // wasmtime asks before it looks at the memory's own maximum, which is no limit of
        // ours: counting such a growth would count what never happens.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let total = self.memory_bytes.saturating_add(more);
        if total > self.memory_bytes_max {
            self.refused = Some(Limit::Memory);
            return Ok(false);
        }
        self.refused = None;
        self.memory_bytes = total;
        self.process.set_memory_bytes(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let total = self.table_elements.saturating_add(more);
        if total > self.table_elements_max {
            self.refused = Some(Limit::Table);
            return Ok(false);
        }
        self.refused = None;
        self.table_elements = total;
        Ok(true)
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
