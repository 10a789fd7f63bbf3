//! The control socket: how `wippy ps` and `wippy top` look at a runtime that runs.
//!
//! A runtime listens on a Unix socket that its owner alone can open: the folder has mode 0700,
//! the socket 0600, and who connects must be the same user, or root. It can be asked for figures
//! and for nothing else; nothing that is asked changes anything.
//!
//! - `folder.rs`: where sockets are, and whose.
//! - `protocol.rs`: what is asked and answered, one line of JSON each.
//! - `serve.rs`: the runtime's side, on a thread of its own.
//! - `client.rs`: which runtime is meant, and asking it.

pub(crate) mod client;
mod folder;
pub(crate) mod protocol;
mod serve;

pub(crate) use serve::{Control, Subject};
