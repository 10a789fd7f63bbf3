//! A panic three calls deep, in a binary that kept its function names and DWARF line
//! tables: a backtrace can show `innermost`, `middle` and `outermost` with their lines.

use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package wippy:trap-rust;

        world trap-rust {
            export run: func();
        }
    ",
});

struct TrapRust;

impl Guest for TrapRust {
    fn run() {
        black_box(outermost(&[1, 2, 3]));
    }
}

#[inline(never)]
fn outermost(numbers: &[u32]) -> u32 {
    middle(numbers) + 1
}

#[inline(never)]
fn middle(numbers: &[u32]) -> u32 {
    innermost(numbers, black_box(7)) + 1
}

#[inline(never)]
fn innermost(numbers: &[u32], index: usize) -> u32 {
    numbers[index] // out of bounds
}

export!(TrapRust);
