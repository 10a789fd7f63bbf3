//! A command with std: arguments, environment, standard streams, exit code and panic.
//!
//! Prints its arguments (without the program name), one per line, and `NAME=...` if that
//! variable is set. The first argument may ask for something else instead:
//!
//! - `program` prints the program name
//! - `exit CODE` exits with that code
//! - `stdin` copies standard input to standard output
//! - `stderr TEXT` writes a line to standard error
//! - `panic` panics
//!
//! It is checked in twice: as a preview1 module (`cli-args`) and, with the adapter, as a
//! component that exports `wasi:cli/run` (`cli-component`).

use std::env;
use std::io;
use std::process;

fn main() -> io::Result<()> {
    let mut args = env::args();
    let program = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();

    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["program"] => println!("{program}"),
        ["exit", code] => process::exit(code.parse().expect("a number")),
        ["stdin"] => {
            io::copy(&mut io::stdin(), &mut io::stdout())?;
        }
        ["stderr", text] => eprintln!("{text}"),
        ["panic"] => panic!("as asked"),
        _ => {
            for arg in &args {
                println!("{arg}");
            }
            if let Ok(name) = env::var("NAME") {
                println!("NAME={name}");
            }
        }
    }
    Ok(())
}
