//! `wippy`: the command line and the composition root.
//!
//! The one crate that knows every other one. A command line becomes a command here, a
//! project becomes a node (`node.rs`), and an outcome becomes text and an exit status.
//!
//! - `cli.rs`: every command and option; `failure.rs`: what goes wrong, and exit statuses.
//! - `project.rs`: project files with what the command line puts over them.
//! - `node.rs`: kernel, engines, volumes and variables of a project, put together.
//! - `run/`: the forms of `wippy run`. `watch/`: what `--watch` does to a running node.
//! - `control/`: how one can look at a runtime that runs; `ps.rs` and `top/` do.
//! - `scaffold.rs`: `init` and `new`. `check.rs`, `hash.rs`, `inspect.rs`: as they say.
//! - `output.rs`, `log.rs`, `progress.rs`, `signals.rs`: the way to the terminal and back.

mod check;
mod cli;
mod control;
mod environment;
mod failure;
mod hash;
mod inspect;
mod listing;
mod log;
mod node;
mod not_loaded;
mod output;
mod policies;
mod progress;
mod project;
mod ps;
mod run;
mod scaffold;
mod services;
mod signals;
mod suggest;
mod top;
mod volumes;
mod warnings;
mod watch;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::failure::{Failure, Outcome, status};

/// Guests make the host allocate small things often, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let status = dispatch(Cli::parse()).unwrap_or_else(|failure| {
        failure.show();
        failure.status
    });
    // Leaves without taking the node apart: the system frees all of it at once, and a guest
    // that cannot be reached any more must not hold up the end. Output is flushed already.
    std::process::exit(status);
}

fn dispatch(cli: Cli) -> Outcome {
    if let Some(directory) = &cli.directory {
        std::env::set_current_dir(directory)
            .map_err(|error| Failure::file("enter", directory, &error))?;
    }
    match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Init => scaffold::init(),
        Command::New(args) => scaffold::new(&args),
        Command::Check(args) => check::check(&args),
        Command::Hash(args) => hash::hash(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Ps(args) => ps::ps(&args),
        Command::Top(args) => top::top(&args),
        Command::Version => version(),
        Command::Completions(args) => completions(args.shell),
    }
}

fn version() -> Outcome {
    output::print_line(concat!("wippy ", env!("CARGO_PKG_VERSION")))?;
    Ok(status::OK)
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wippy", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(status::OK)
}
