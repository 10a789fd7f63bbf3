//! How a [`Value`](wippy_model::Value) becomes a WIT value and comes back.
//!
//! The table of rules is in `docs/values.md`; this folder is those rules as code. Nothing
//! here knows entries, processes or Lua: a function's types come in, values go through.
//!
//! - [`Type`] and [`Signature`]: the types of a function, read once when it is loaded.
//! - [`lower`] and [`lower_args`]: from a `Value` to what wasmtime takes, checked.
//! - [`lift`]: from what wasmtime gives to a `Value`.
//! - [`wave`]: the text form of the command line.
//! - [`Method`]: a signature with its call path; byte lists, strings and numbers go
//!   through typed functions, everything else through dynamic values.
//! - [`CoreSignature`]: the same checks for a core function of numbers.
//!
//! Limits: a type nests no deeper than wasm validation allows (100) and has at most
//! [`TYPE_NODES_MAX`] parts; lowered arguments take at most [`LOWERED_BYTES_MAX`] bytes.

mod call;
mod core;
mod lift;
mod lower;
mod mismatch;
mod near;
mod option;
#[cfg(test)]
mod roundtrip;
mod signature;
mod types;
pub mod wave;

pub use call::{Method, Prepared, Returned};
pub use core::CoreSignature;
pub use lift::lift;
pub use lower::{LOWERED_BYTES_MAX, lower, lower_args};
pub use signature::Signature;
pub use types::{TYPE_NODES_MAX, Type};
