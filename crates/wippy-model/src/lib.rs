//! The nouns of Wippy, shared by every other crate.
//!
//! This crate knows no runtime, no engine and no I/O: only names, values and the
//! shapes in which things happen. What is here can be sent to another process and,
//! handles apart, written down.
//!
//! - [`EntryId`]: `namespace:name`, the name of an entry of a project.
//! - [`Pid`]: the name of one process, never used twice.
//! - [`Value`]: what crosses between Lua, WebAssembly, JSON and the command line.
//! - [`Message`] and [`Event`]: what arrives in a mailbox.
//! - [`Exit`]: why a process ended; exactly one for each process.
//! - [`Error`]: the one error shape, with a [`Kind`].
//! - [`Context`]: principal, values, trace and deadline that a spawn and a message carry.
//! - [`Limits`]: every limit of a process, with its default.

mod context;
mod error;
mod event;
mod exit;
mod id;
mod limits;
mod message;
mod pid;
mod value;

pub use context::{Actor, Context, ContextBody, Principal, Scope, TraceId};
pub use error::{Error, Kind, Result, Stack, StackTrace};
pub use event::{Event, EventKind};
pub use exit::{Exit, Limit};
pub use id::{EntryId, EntryIdError};
pub use limits::{Limits, MailboxLimits};
pub use message::Message;
pub use pid::{Home, Pid, PidError, PidText};
pub use value::{BinaryError, Handle, Map, Value};
