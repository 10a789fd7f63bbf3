//! What one process may hold of memories, tables and instances.

use wasmtime::ResourceLimiter;
use wippy_kernel::ProcessContext;
use wippy_model::{Limit, Limits};

/// Counts all memories and all tables of a process together.
///
/// A refused growth answers -1 in the guest, as WebAssembly has it; `refused` remembers
/// which limit it was, so that the trap that usually follows is reported as what it is.
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
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes + (desired.saturating_sub(current)) as u64;
        if total > self.memory_bytes_max {
            self.refused = Some(Limit::Memory);
            return Ok(false);
        }
        self.memory_bytes = total;
        self.process.set_memory_bytes(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements + (desired.saturating_sub(current)) as u64;
        if total > self.table_elements_max {
            self.refused = Some(Limit::Table);
            return Ok(false);
        }
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
