//! WASI 0.2 by its own interfaces, driven by a script: one call of `script` is one guest,
//! each line one call of WASI, each answer one line. What a line opens is kept under a name
//! for the lines after it. So a host test says step by step what a guest does, and sees
//! what the guest saw, the error codes included.
//!
//! A line is words separated by spaces; the last one may hold spaces. `files.rs` lists the
//! words for files, `streams.rs` those for streams, `system.rs` the rest.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wippy:wasi-rust;

            world wasi-rust {
                export script: func(lines: list<string>) -> list<string>;
            }
        ",
    });
}

mod files;
mod standard;
mod streams;
mod system;

use std::collections::HashMap;

use bindings::Guest;
use wasip2::filesystem::types::{Descriptor, DirectoryEntryStream};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream};

struct WasiRust;

impl Guest for WasiRust {
    fn script(lines: Vec<String>) -> Vec<String> {
        let mut slots = Slots::default();
        lines.iter().map(|line| slots.run(line)).collect()
    }
}

/// What the script has opened, by name. Streams and pollables are children of what they were
/// made from, so they come first: fields are dropped in order.
#[derive(Default)]
struct Slots {
    pollables: Vec<Pollable>,
    inputs: HashMap<String, InputStream>,
    outputs: HashMap<String, OutputStream>,
    listings: Vec<DirectoryEntryStream>,
    descriptors: HashMap<String, Descriptor>,
    /// Opened in numbers, to meet a limit.
    many: Vec<Descriptor>,
    many_inputs: Vec<InputStream>,
}

/// What a line answers: a text, or the name of an error.
type Answer = Result<String, String>;

impl Slots {
    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = None
            .or_else(|| self.file(&words))
            .or_else(|| self.stream(&words))
            .or_else(|| standard::call(&words))
            .or_else(|| system::call(&words))
            .unwrap_or_else(|| panic!("no such line: {line}"));
        answer.unwrap_or_else(|error| format!("!{error}"))
    }

    fn descriptor(&self, name: &str) -> &Descriptor {
        self.descriptors.get(name).unwrap_or_else(|| panic!("no descriptor {name}"))
    }
}

/// A number of the script.
fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("no number: {word}"))
}

fn done() -> Answer {
    Ok("ok".to_owned())
}

bindings::export!(WasiRust with_types_in bindings);
