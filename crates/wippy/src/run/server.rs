//! `wippy run` without a command: the runtime, until SIGINT or SIGTERM.

use std::time::Duration;

use wippy_registry::{Data, Entry, EntryKind, Registry};

use super::block_on;
use crate::cli::RunArgs;
use crate::control::{Control, Subject};
use crate::failure::{Failure, Outcome, status};
use crate::log::Mode;
use crate::node::{Node, NodeOptions};
use crate::signals::Signals;
use crate::{progress, project};

/// Starts the runtime and keeps it.
pub(super) fn run(args: &RunArgs) -> Outcome {
    let (project, _log) = project::load(&args.project, args.log, Mode::Server)?;
    let grace = stop_timeout(project.registry());
    let node = Node::new(project, NodeOptions::default())?;
    block_on(async {
        let mut signals = Signals::take()?;
        tokio::select! {
            biased;
            stop = signals.next() => {
                progress::clear();
                return Err(Failure::silent(stop.status()));
            }
            loaded = node.load_all() => loaded?,
        }
        let subject = Subject { project: node.root().to_owned(), command: None };
        let _control = Control::open(&node.kernel, subject);
        warn_of_services(node.registry());
        tracing::info!(
            entries = node.registry().len(),
            hosts = hosts(node.registry()).count(),
            "running; Ctrl-C stops"
        );
        signals.next().await;
        tracing::info!("stopping, for up to {}s; once more ends at once", grace.as_secs());
        tokio::select! {
            biased;
            stop = signals.next() => return Err(Failure::silent(stop.status())),
            () = node.kernel.shutdown(grace) => {}
        }
        tracing::info!("stopped");
        Ok(status::OK)
    })
}

fn hosts(registry: &Registry) -> impl Iterator<Item = &Entry> {
    let host =
        |entry: &&Entry| matches!(entry.kind(), EntryKind::ProcessHost | EntryKind::TerminalHost);
    registry.entries().map(AsRef::as_ref).filter(host)
}

/// The longest that a host gives its processes.
fn stop_timeout(registry: &Registry) -> Duration {
    let timeouts = registry.entries().filter_map(|entry| match &entry.data {
        Data::ProcessHost(host) => Some(host.host.stop_timeout),
        _ => None,
    });
    timeouts.max().unwrap_or(Duration::from_secs(10))
}

/// What would start with the runtime and does not: said once, so that nobody waits for it.
fn warn_of_services(registry: &Registry) {
    let hosts: Vec<_> = hosts(registry).map(|entry| &entry.id).collect();
    let waiting: Vec<String> = registry
        .start_order()
        .into_iter()
        .filter(|entry| !hosts.contains(&&entry.id))
        .map(|entry| format!("{} ({})", entry.id, entry.kind()))
        .collect();
    if !waiting.is_empty() {
        tracing::warn!("this version does not start services: {}", waiting.join(", "));
    }
}
