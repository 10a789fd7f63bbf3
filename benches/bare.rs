//! The least a command can cost: a program that maps a precompiled component, calls one
//! function, and prints what it returned.
//!
//! `bare compile GUEST.wasm OUT.cwasm`, then `bare run OUT.cwasm FUNCTION TEXT`.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut config = Config::new();
    config.concurrency_support(false);
    let engine = Engine::new(&config).unwrap();
    if args[1] == "compile" {
        let bytes = std::fs::read(&args[2]).unwrap();
        std::fs::write(&args[3], engine.precompile_component(&bytes).unwrap()).unwrap();
        return;
    }
    // SAFETY: the file was written by `compile` of this very program.
    #[allow(unsafe_code)]
    let component = unsafe { Component::deserialize_file(&engine, &args[2]) }.unwrap();
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
    let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, state);
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let greet =
        instance.get_typed_func::<(&str,), (String,)>(&mut store, args[3].as_str()).unwrap();
    let (text,) = greet.call(&mut store, (args[4].as_str(),)).unwrap();
    println!("{text}");
}
