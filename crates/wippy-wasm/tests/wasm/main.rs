//! Real guests on a real kernel.

mod exits;
mod load;
mod node;
