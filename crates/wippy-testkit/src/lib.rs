//! Test support, for dev-dependencies alone.
//!
//! - [`guests`]: the checked-in guest programs and their hashes.
//! - [`Dir`]: a project folder of one test, with a compile cache of its own.
//! - [`TestCommand`]: one run of the real `wippy`, bounded in time, its output captured;
//!   [`OnTerminal`] where it has a terminal.
//!
//! ```no_run
//! use wippy_testkit::Dir;
//!
//! let dir = Dir::new("target/debug/wippy");
//! dir.guest("hello-wat", "hello.wasm");
//! dir.wippy(["run", "hello.wasm", "World"]).succeeds().prints("Hello, World!\n");
//! ```
//!
//! What fails here fails a test, so this crate panics where others return errors.
//! `tests/tidy.rs` guards the habits of the whole workspace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command;
mod dir;
pub mod guests;
mod pty;

pub use command::{Outcome, Running, TestCommand};
pub use dir::{Dir, copy_tree};
pub use pty::OnTerminal;
pub use rustix::process::Signal;
