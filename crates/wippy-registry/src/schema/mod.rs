//! The language in which entries are declared, and the reading of what is declared.
//!
//! A record is a map with named fields, declared once with [`record!`]: the Rust type, the
//! decoder and the table in `docs/entries.md` come from that declaration. A [`Shape`] says
//! how one value is read. Reading never stops at the first mistake: what is wrong goes to
//! the [`Decoder`], and the value is left out.

mod decoder;
mod fields;
mod record;
mod shapes;
mod suggest;

pub(crate) use decoder::{Decoder, Scope};
pub(crate) use fields::Fields;
pub(crate) use record::{Row, Shape, Table, TypeDoc, bare, choice, join, record, targets};
pub(crate) use shapes::{
    AbsolutePath, BudgetCount, ByteSize, Count, Factor, Fraction, GroupId, IdOf, Imports, Mode,
    Name, OneOrMany, Pin, SourceShape, StackSize, Target, Workers, Written, decode_choice,
};
pub(crate) use suggest::{did_you_mean, nearest, nearest_id};
