//! The kernel's guarantees, with processes scripted in Rust. Time is virtual: a paused
//! clock jumps to the next timer when nothing else is to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod calls;
mod denials;
mod exits;
mod figures;
mod held;
mod links;
mod log;
mod mailboxes;
mod monitors;
mod names;
mod requests;
mod restarts;
mod script;
mod services;
mod shutdown;
mod spawns;
mod upgrades;
mod versions;
