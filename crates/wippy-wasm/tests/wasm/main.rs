//! Real guests on a real kernel.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod actors;
mod actors_poll;
mod density;
mod environment;
mod exits;
mod funcs;
mod inspect;
mod links;
mod load;
mod node;
mod pools;
mod sdk;
mod values;
mod wasi;
mod wasi_0_3;
