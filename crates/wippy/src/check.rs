//! `wippy check`: loads and checks everything, runs nothing.

use crate::cli::CheckArgs;
use crate::failure::{Failure, Outcome, status};
use crate::log::Mode;
use crate::node::{Node, NodeOptions};
use crate::signals::Signals;
use crate::{output, progress, project, run};

/// Loads every entry and reports everything that is wrong.
pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let (project, _log) = project::load(&args.project, args.log, Mode::Server)?;
    let node = Node::new(project, NodeOptions::default())?;
    run::block_on(async {
        let mut signals = Signals::take()?;
        tokio::select! {
            biased;
            stop = signals.next() => {
                progress::clear();
                return Err(Failure::silent(stop.status()));
            }
            loaded = node.load_all() => loaded?,
        }
        output::show(&node.warnings());
        let entries = node.registry().len();
        let programs = node
            .registry()
            .entries()
            .filter(|entry| entry.wasm().is_some() || entry.lua().is_some())
            .count();
        output::print_line(&format!("checked: {entries} entries, {programs} of them programs"))?;
        Ok(status::OK)
    })
}
