//! Real guests on a real kernel.

mod exits;
mod inspect;
mod load;
mod node;
mod values;
