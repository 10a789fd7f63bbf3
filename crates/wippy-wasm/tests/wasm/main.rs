//! Real guests on a real kernel.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod density;
mod exits;
mod inspect;
mod links;
mod load;
mod node;
mod values;
