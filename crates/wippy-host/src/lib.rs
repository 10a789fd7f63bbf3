//! Capabilities, written once for both engines.
//!
//! - [`Terminal`]: the terminal's stdin, stdout and stderr, for processes of a terminal
//!   host.
//! - [`GuestLog`]: what the others write to stdout and stderr, line by line, to the log.
//! - [`Volume`]: a directory that no path leaves.
//! - [`policy`]: who may do what.
//! - [`Variables`]: the environment that entries hand to guests, from memory, files
//!   ([`EnvFile`]) and the operating system.
//! - [`HttpClient`]: requests whose every address the caller allows.
//! - [`resident_bytes`] and [`cores`]: what the system says of this program.
//! - [`Lookups`], [`Resolver`] and [`is_private`]: names and addresses.

mod address;
mod env_file;
mod error;
mod guest_log;
mod http_client;
mod machine;
pub mod policy;
mod terminal;
mod variables;
mod volume;

pub use address::{Lookups, Resolver, is_private};
pub use env_file::{CreateModes, EnvFile, FILE_BYTES_MAX as ENV_FILE_BYTES_MAX};
pub use error::VolumeError;
pub use guest_log::GuestLog;
pub use http_client::{
    HttpBody, HttpClient, HttpConnection, HttpError, HttpResponse, HttpTimeouts,
};
pub use machine::{cores, resident_bytes};
pub use terminal::{Captured, Stream, Terminal};
pub use variables::{Storage, Variable, Variables};
pub use volume::Volume;
