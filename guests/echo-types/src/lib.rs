//! One identity function for each family of WIT types, so that a test can send every value
//! through a guest and compare what comes back. Further: results that fail, a function of
//! an exported interface, and a resource. Built for wasm32-unknown-unknown, so that it
//! imports no function; the one interface that it imports holds only types.

mod bindings {
    wit_bindgen::generate!({ path: "world.wit" });
}

use std::cell::Cell;

use bindings::exports::wippy::test::nested::Guest as Nested;
use bindings::exports::wippy::test::resources::{
    Counter as CounterHandle, Guest as Resources, GuestCounter,
};
use bindings::{Color, Guest, Item, Permissions, Shape};

struct EchoTypes;

/// Functions that return their only argument.
macro_rules! echo {
    ($($name:ident: $type:ty,)*) => {
        $(fn $name(v: $type) -> $type { v })*
    };
}

impl Guest for EchoTypes {
    echo! {
        echo_bool: bool,
        echo_u8: u8,
        echo_u16: u16,
        echo_u32: u32,
        echo_u64: u64,
        echo_s8: i8,
        echo_s16: i16,
        echo_s32: i32,
        echo_s64: i64,
        echo_f32: f32,
        echo_f64: f64,
        echo_char: char,
        echo_string: String,
        echo_bytes: Vec<u8>,
        echo_strings: Vec<String>,
        echo_numbers: Vec<u32>,
        echo_record: Item,
        echo_records: Vec<Item>,
        echo_tuple: (u32, String, bool),
        echo_variant: Shape,
        echo_enum: Color,
        echo_flags: Permissions,
        echo_option: Option<String>,
        echo_nested_option: Option<Option<u32>>,
        echo_result: Result<u32, String>,
        echo_result_err: Result<(), String>,
        echo_result_ok: Result<u32, ()>,
        echo_result_empty: Result<(), ()>,
    }

    fn fail(msg: String) -> Result<String, String> {
        Err(msg)
    }

    fn ok(v: String) -> Result<String, String> {
        Ok(v)
    }

    fn none() {}
}

impl Nested for EchoTypes {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
}

impl Resources for EchoTypes {
    type Counter = Counter;

    fn total(counters: Vec<CounterHandle>) -> u32 {
        counters.iter().map(|counter| counter.get::<Counter>().value()).sum()
    }
}

struct Counter(Cell<u32>);

impl GuestCounter for Counter {
    fn new(start: u32) -> Self {
        Self(Cell::new(start))
    }

    fn increment(&self) -> u32 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    fn value(&self) -> u32 {
        self.0.get()
    }
}

bindings::export!(EchoTypes with_types_in bindings);
