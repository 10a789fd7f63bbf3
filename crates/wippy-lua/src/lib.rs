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
//! What no rule covers: C code of Lua runs no instruction, so nothing interrupts it. Where
//! that matters its work is bounded (`bounded.rs`), but for these, which hold a worker for
//! as long as they take, terminated or not: a pattern that backtracks (`string.find`,
//! `match`, `gmatch`, `gsub`) on a long text; `table.sort` without a comparison, or with one
//! of C, on a table as large as the memory allows; calling a value whose chain of `__call`
//! leads back to itself.
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
mod driver;
mod duration;
mod failure;
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
mod sort;
mod source;
mod state;
mod strings;
mod tasks;
mod uint;
mod unit;
mod vm;
mod work;

pub use modules::module_names;
pub use unit::{LuaImport, LuaSpec, LuaUnit};
