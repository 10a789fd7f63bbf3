//! The least a process can cost on this engine: what a program does that uses wasmtime and
//! tokio directly, with the same settings.

use std::sync::Arc;

use wasmtime::component::{
    Component, ComponentExportIndex, InstancePre, Linker, ResourceTable, Val,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    UpdateDeadline,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

const PLACES: u32 = 1_000;

/// What a bare store holds.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component, linked once.
pub struct Floor {
    engine: Engine,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
}

impl Floor {
    /// Compiles and links a guest with the settings that the runtime uses.
    pub fn new(guest: &str, method: &str) -> Arc<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(PLACES)
            .total_core_instances(PLACES * 4)
            .total_memories(PLACES)
            .total_tables(PLACES * 2)
            .total_stacks(PLACES)
            .max_unused_warm_slots(PLACES)
            .linear_memory_keep_resident(2 << 20)
            .table_keep_resident(2 << 20)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_file(&engine, crate::guest(guest)).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let pre = linker.instantiate_pre(&component).unwrap();
        let export = component.get_export_index(None, method).unwrap();
        Arc::new(Self { engine, pre, export })
    }

    /// Store, WASI context, instance, call, drop.
    pub async fn run(&self, args: &[Val]) -> Val {
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let func = instance.get_func(&mut store, self.export).unwrap();
        let mut result = [Val::Bool(false)];
        func.call_async(&mut store, args, &mut result).await.unwrap();
        let [result] = result;
        result
    }
}
