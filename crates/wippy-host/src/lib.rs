//! Capabilities, written once for both engines.
//!
//! - [`Terminal`]: the terminal's stdin, stdout and stderr, for processes of a terminal
//!   host.
//! - [`GuestLog`]: what the others write to stdout and stderr, line by line, to the log.
//! - [`Volume`]: a directory that no path leaves.
//! - [`policy`]: who may do what.
//! - [`Variables`]: the environment that entries hand to guests.

mod error;
mod guest_log;
pub mod policy;
mod terminal;
mod variables;
mod volume;

pub use error::VolumeError;
pub use guest_log::GuestLog;
pub use terminal::{Captured, Stream, Terminal};
pub use variables::Variables;
pub use volume::Volume;
