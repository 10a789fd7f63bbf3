//! The kernel under locks whose every hand-over is drawn by lot: each seed of a test is another
//! interleaving of the same few calls.
//!
//! The sources are those of the crate, compiled once more with the locks of `sched.rs`: what
//! follows is `lib.rs` with other paths, and changes with it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]

extern crate self as parking_lot;

#[path = "../../src/address.rs"]
mod address;
#[path = "../../src/authorizer.rs"]
mod authorizer;
#[path = "../../src/bonds.rs"]
mod bonds;
#[path = "../../src/call.rs"]
mod call;
#[path = "../../src/context.rs"]
mod context;
#[path = "../../src/figures.rs"]
mod figures;
#[path = "../../src/held.rs"]
mod held;
#[path = "../../src/host.rs"]
mod host;
#[path = "../../src/kernel.rs"]
mod kernel;
#[path = "../../src/links.rs"]
mod links;
#[path = "../../src/mailbox.rs"]
mod mailbox;
#[path = "../../src/names.rs"]
mod names;
#[path = "../../src/others.rs"]
mod others;
#[path = "../../src/post.rs"]
mod post;
#[path = "../../src/process.rs"]
mod process;
#[path = "../../src/request.rs"]
mod request;
mod sched;
#[path = "../../src/select.rs"]
mod select;
#[path = "../../src/supervisor/mod.rs"]
mod supervisor;
#[path = "../../src/table.rs"]
mod table;
#[path = "../../src/task.rs"]
mod task;
mod tests;
#[path = "../../src/unit.rs"]
mod unit;
#[path = "../../src/units.rs"]
mod units;
#[path = "../../src/upgrade.rs"]
mod upgrade;
#[path = "../../src/watch.rs"]
mod watch;

pub use address::Address;
pub use authorizer::Authorizer;
pub use call::{CALLS_MAX, DEPTH_MAX, FunctionCall};
pub use context::ProcessContext;
pub use figures::{HostInfo, NodeInfo, ProcessInfo, State};
pub use host::{HostSpec, Profile, Scheduler};
pub use kernel::{Kernel, KernelOptions, Replaced, SpawnRequest};
pub use mailbox::{Numbered, Received};
pub use names::{NAME_BYTES_MAX, NAMES_MAX};
pub use process::Options;
pub use request::{REQUEST_TIMEOUT, REQUESTS_MAX};
pub(crate) use sched::{Mutex, RwLock};
pub use select::Order;
pub use supervisor::{
    Budget, NotStarted, Restart, ServiceInfo, ServiceSpec, ServiceState, ServiceWatch, Startup,
};
pub use unit::{Loader, Prepare, Process, Role, Unit};
pub use watch::{ExitWatch, Watcher};
