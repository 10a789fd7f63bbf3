//! Lua units: one VM of Lua 5.4 for each process and each call of a function.
//!
//! [`LuaUnit::load`] compiles an entry; the kernel makes processes of it. The way of one
//! process: `unit.rs` makes a `vm.rs`, which fills its globals (`base.rs`, `modules/`) and
//! readies the main thread (`body.rs`); then `driver.rs`, a future, resumes the VM's threads
//! (`tasks.rs`) until the main one ends.
//!
//! A script calls the runtime through *host functions* (`host_fn.rs`), which are written
//! like polls: one that must wait yields through every coroutine around it (`coroutine.rs`)
//! to the driver, and is called again later. So waiting works wherever Lua 5.4 can yield:
//! at top level, under `pcall`, in metamethods, iterators and nested coroutines.
//!
//! Rules that hold everywhere:
//!
//! - Lua reports errors by `longjmp`. It never crosses a Rust frame that has something to
//!   drop: host functions work in *host mode* (`heap.rs`), where nothing raises, and raise
//!   from their outermost frame.
//! - The host never calls a metamethod of a script, and scripts have no finalizers.
//! - Memory is counted in the allocator. Meeting the limit ends the process, whatever the
//!   script catches.
//! - A busy script gives way at the end of its time slice (`preempt.rs`).
//!
//! C code of Lua runs no instruction, so nothing interrupts it. What a script could keep busy
//! there is therefore not Lua's own: searching (`strings.rs`, over the matcher of
//! `pattern.rs`), sorting and long work on tables and texts (`bounded.rs`, over Lua code of
//! ours in `long.lua`), compiling (`load.rs`), reading JSON (`modules/json_decode.rs`). Each
//! looks at the clock now and then (`budget.rs`). What is left of C takes as long as copying
//! or collecting the memory that the process may have; `docs/lua.md` lists it.
//!
//! Lua itself comes from `mlua`, whose C bindings are used; its safe layer is not, because
//! its async functions cannot be called inside coroutines and each call through it costs
//! several times as much.

mod base;
mod body;
mod bounded;
mod budget;
mod calls;
mod convert;
mod core;
mod coroutine;
mod dialect;
mod driver;
mod duration;
mod failure;
mod frozen;
mod handle;
mod heap;
mod host_fn;
mod load;
mod long;
mod mail;
mod modules;
mod moment;
mod output;
mod pattern;
mod preempt;
mod program;
mod protected;
mod single;
mod sort;
mod source;
mod state;
mod strings;
mod tasks;
mod typed;
mod uint;
mod unit;
mod vm;
mod work;

pub use modules::module_names;
pub use unit::{LuaImport, LuaSpec, LuaUnit};
