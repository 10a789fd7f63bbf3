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
//! Locks are `parking_lot` mutexes, held for a few instructions and never across an await. Two
//! are held at once in three places, each in one order: the bonds of the two sides of a link
//! (`links.rs`), the names of a process and then those of the node (`names.rs`), and the bonds
//! of a process and then a mailbox, or why a link ends it (`links.rs`, `bonds.rs`).

mod address;
mod authorizer;
mod bonds;
mod call;
mod context;
mod figures;
mod held;
mod host;
mod kernel;
mod links;
mod mailbox;
mod names;
mod others;
mod post;
mod process;
mod request;
mod select;
mod supervisor;
mod table;
mod task;
mod unit;
mod units;
mod upgrade;
mod watch;

pub use address::Address;
pub use authorizer::Authorizer;
pub use call::{CALLS_MAX, DEPTH_MAX, FunctionCall};
pub use context::ProcessContext;
pub use figures::{HostInfo, NodeInfo, ProcessInfo, State};
pub use host::{HostSpec, Profile, Scheduler};
pub use kernel::{Kernel, KernelOptions, Replaced, SpawnRequest};
pub use mailbox::{Lane, Numbered, Received};
pub use names::{NAME_BYTES_MAX, NAMES_MAX};
pub use process::Options;
pub use request::{REQUEST_TIMEOUT, REQUESTS_MAX};
pub use select::Order;
pub use supervisor::{
    Budget, NotStarted, Restart, ServiceInfo, ServiceSpec, ServiceState, ServiceWatch, Startup,
};
pub use unit::{Loader, Prepare, Process, Role, Unit};
pub use watch::{ExitWatch, Watcher};
