//! Processes without an engine: the table, mailboxes, the process loop, monitors and
//! hosts.
//!
//! A process is whatever a [`Unit`] prepares: an engine (WebAssembly or Lua) implements
//! [`Unit`] and [`Process`], and nothing here knows which. The way of one spawn is
//! [`Kernel::spawn`]; the life of one process is the future in `task.rs`.
//!
//! Rules that hold everywhere:
//!
//! - One process, one owner task, one engine state. Everything from outside arrives as a
//!   signal, a message or an event. Killing is dropping.
//! - A process is in the table and monitored before any of its code runs.
//! - Every way to end, a panic and an aborted task too, makes exactly one
//!   [`Exit`](wippy_model::Exit).
//! - Lifecycle events travel in a lane of their own and are never dropped.
//! - No globals: two kernels run side by side in one test.
//!
//! Locks are `parking_lot` mutexes, held for a few instructions, never across an await and
//! never two at once.

mod authorizer;
mod call;
mod context;
mod figures;
mod host;
mod kernel;
mod mailbox;
mod process;
mod select;
mod table;
mod task;
mod unit;
mod units;
mod watch;

pub use authorizer::Authorizer;
pub use call::{CALLS_MAX, DEPTH_MAX, FunctionCall};
pub use context::ProcessContext;
pub use figures::{HostInfo, NodeInfo, ProcessInfo, State};
pub use host::{HostSpec, Profile, Scheduler};
pub use kernel::{Kernel, KernelOptions, SpawnRequest};
pub use mailbox::Received;
pub use select::Order;
pub use unit::{Loader, Prepare, Process, Role, Unit};
pub use watch::{ExitWatch, Watcher};
