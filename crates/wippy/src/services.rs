//! The `process.service` entries of a project, as the services of a node.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use wippy_kernel::{Budget, Kernel, Restart, ServiceSpec, Startup};
use wippy_model::{EntryId, Error, Result};
use wippy_registry::{Data, Entry, ProcessService, Registry};

use crate::policies;

/// Adds the services of a project to a kernel, which starts none of them yet. Gives back how
/// long stopping all of them may take.
///
/// # Errors
///
/// When a policy is not there; the registry has refused that already.
pub(crate) fn add(kernel: &Kernel, registry: &Registry) -> Result<Duration> {
    let specs = specs(kernel, registry)?;
    let timeout = stop_timeout(&specs);
    for spec in specs {
        kernel.add_service(spec)?;
    }
    Ok(timeout)
}

/// The services, each after those that it requires.
fn specs(kernel: &Kernel, registry: &Registry) -> Result<Vec<ServiceSpec>> {
    // What each entry requires of services, also by way of entries of other kinds.
    let mut behind: HashMap<&EntryId, BTreeSet<&EntryId>> = HashMap::new();
    let mut specs = Vec::new();
    for entry in registry.entries() {
        let mut requires = BTreeSet::new();
        for id in &entry.requires {
            match registry.get(id).map(|required| &required.data) {
                Some(Data::ProcessService(_)) => {
                    requires.insert(id);
                }
                _ => requires.extend(behind.get(id).into_iter().flatten()),
            }
        }
        if let Data::ProcessService(service) = &entry.data {
            let requires = requires.iter().copied().cloned().collect();
            specs.push(spec(kernel, entry, service, requires)?);
        }
        behind.insert(&entry.id, requires);
    }
    Ok(specs)
}

fn spec(
    kernel: &Kernel,
    entry: &Entry,
    service: &ProcessService,
    requires: Vec<EntryId>,
) -> Result<ServiceSpec> {
    let ProcessService { process, host, input, lifecycle } = service;
    let restart = &lifecycle.restart;
    let context = policies::context(kernel, lifecycle.security.as_ref());
    Ok(ServiceSpec {
        id: entry.id.clone(),
        process: process.clone(),
        host: host.clone(),
        input: input.clone(),
        context: context.map_err(|error: Error| error.context(&entry.id))?,
        requires,
        auto_start: lifecycle.auto_start,
        startup: match lifecycle.startup {
            wippy_registry::Startup::Required => Startup::Required,
            wippy_registry::Startup::Optional => Startup::Optional,
        },
        start_timeout: lifecycle.start_timeout,
        stop_timeout: lifecycle.stop_timeout,
        stable_threshold: lifecycle.stable_threshold,
        restart: Restart {
            initial_delay: restart.initial_delay,
            max_delay: restart.max_delay,
            backoff_factor: restart.backoff_factor,
            jitter: restart.jitter,
            max_attempts: restart.max_attempts,
            budget: restart
                .budget
                .as_ref()
                .map(|budget| Budget { restarts: budget.restarts, within: budget.within }),
        },
    })
}

/// How long stopping these may take: a service stops after those that require it, and the
/// others at the same time.
fn stop_timeout(specs: &[ServiceSpec]) -> Duration {
    let mut behind: HashMap<&EntryId, Duration> = HashMap::new();
    let mut longest = Duration::ZERO;
    for spec in specs.iter().rev() {
        let after = behind.get(&spec.id).copied().unwrap_or_default();
        let whole = after.saturating_add(spec.stop_timeout);
        longest = longest.max(whole);
        for required in &spec.requires {
            let known = behind.entry(required).or_default();
            *known = whole.max(*known);
        }
    }
    longest
}
