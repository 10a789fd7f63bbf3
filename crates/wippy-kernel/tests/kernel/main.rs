//! The kernel's guarantees, with processes scripted in Rust. Time is virtual: a paused
//! clock jumps to the next timer when nothing else is to do.

mod admission;
mod exits;
mod mailboxes;
mod script;
