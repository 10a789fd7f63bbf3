//! `wippy run` without a command: the runtime, until SIGINT or SIGTERM.

use std::time::Duration;

use wippy_kernel::NotStarted;
use wippy_registry::{Data, Entry, EntryKind, Registry};

use super::block_on;
use crate::cli::RunArgs;
use crate::control::{Control, Subject};
use crate::failure::{Failure, Outcome, status};
use crate::log::Mode;
use crate::node::{Node, NodeOptions};
use crate::signals::Signals;
use crate::watch::Watch;
use crate::{progress, project, services};

/// Starts the runtime and keeps it.
pub(super) fn run(args: &RunArgs) -> Outcome {
    let (project, _log) = project::load(&args.project, args.log, Mode::Server)?;
    let grace = stop_timeout(project.registry());
    let node = Node::new(project, NodeOptions::default())?;
    let services = services::add(&node.kernel, node.registry());
    let services = services.map_err(|error| Failure::of_start(&error))?;
    let watch = args.watch.then(|| Watch::new(&node, project::options(&args.project)));
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
        warn_of_others(node.registry());
        tokio::select! {
            biased;
            _ = signals.next() => {}
            started = node.kernel.start_services() => {
                if let Err(failed) = started {
                    node.kernel.shutdown(grace).await;
                    return Err(not_started(node.registry(), &failed));
                }
                tracing::info!(
                    entries = node.registry().len(),
                    hosts = hosts(node.registry()).count(),
                    services = node.kernel.services().iter().filter(|it| it.state.is_active()).count(),
                    "running; Ctrl-C stops"
                );
                if node.kernel.services().is_empty() {
                    tracing::info!("no services: nothing starts by itself");
                }
                if let Some(watch) = watch {
                    tracing::info!("watching {} files", watch.files());
                    tokio::spawn(watch.run());
                }
                signals.next().await;
            }
        }
        let within = (services + grace).as_secs();
        tracing::info!("stopping, for up to {within}s; once more ends at once");
        tokio::select! {
            biased;
            stop = signals.next() => return Err(Failure::silent(stop.status())),
            () = node.kernel.shutdown(grace) => {}
        }
        tracing::info!("stopped");
        Ok(status::OK)
    })
}

/// A service that the runtime does not go on without, at its place.
fn not_started(registry: &Registry, failed: &NotStarted) -> Failure {
    let mut failure = Failure::of(&failed.error, status::FAILED);
    if let Some(entry) = registry.get(&failed.service).filter(|entry| entry.file().is_some()) {
        failure = failure.at(entry.place());
    }
    failure
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
fn warn_of_others(registry: &Registry) {
    let starts = |kind: EntryKind| {
        kind == EntryKind::ProcessService
            || matches!(kind, EntryKind::ProcessHost | EntryKind::TerminalHost)
    };
    let waiting: Vec<String> = registry
        .start_order()
        .into_iter()
        .filter(|entry| !starts(entry.kind()))
        .map(|entry| format!("{} ({})", entry.id, entry.kind()))
        .collect();
    if !waiting.is_empty() {
        tracing::warn!("this version does not start {}", waiting.join(", "));
    }
}
