//! Services: processes that are kept running.
//!
//! `docs/supervision.md` has the rules. Here is how others see services: adding, starting,
//! stopping, watching. What happens between a start and a stop is in `task.rs`; how long it
//! waits is in `backoff.rs`.
//!
//! Starts go in the order in which services were added, which is after those they require;
//! stops go backwards.

mod backoff;
mod service;
mod spec;
mod task;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;
use wippy_model::{EntryId, Result};

use self::service::{Claim, Service};
use self::task::ServiceTask;
use crate::Kernel;

pub use self::service::ServiceWatch;
pub(crate) use self::service::Services;
pub use self::spec::{
    Budget, NotStarted, Restart, ServiceInfo, ServiceSpec, ServiceState, Startup,
};

/// How long a service that stops has until the next one is asked, where neither requires the
/// other: those that stop at once stop in strict order, and those that take their time do so
/// together.
const STOP_STEP: Duration = Duration::from_millis(100);

/// How much longer than its `stop_timeout` a stop is waited for. Past it the service's own
/// task does not get to run, because its host is jammed.
const STOP_MARGIN: Duration = Duration::from_secs(2);

impl Kernel {
    /// Adds a service; it starts when somebody starts it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when there is one of that ID, `NotFound` when it requires one that was
    /// not added before: so there are no circles.
    pub fn add_service(&self, spec: ServiceSpec) -> Result<()> {
        self.services_of().add(spec)
    }

    /// Starts the services with `auto_start`, and what they require: each once those that it
    /// requires are running, the others at the same time. Resolves when all are running, have
    /// ended, or are optional and have failed.
    ///
    /// # Errors
    ///
    /// When a required one does not start: then all are stopped again.
    pub async fn start_services(&self) -> Result<(), NotStarted> {
        let wanted = self.with_required(|spec| spec.auto_start);
        let claims = self.begin(&wanted, |spec| spec.auto_start).await;
        let start = |(place, (service, claim)): (usize, (&Arc<Service>, Claim))| {
            let service = service.clone();
            async move { (place, service.started(claim.cycle).await, service) }
        };
        let starts = wanted.iter().zip(claims).enumerate().map(start);
        let mut starts: FuturesUnordered<_> = starts.collect();
        let mut failed: Option<(usize, NotStarted)> = None;
        // One failure fails others: of those that are known together the first is the cause.
        while let Some(settled) = match &failed {
            None => starts.next().await,
            Some(_) => starts.next().now_or_never().flatten(),
        } {
            let (place, Err(error), service) = settled else { continue };
            match service.spec.startup {
                Startup::Optional => tracing::warn!("{error}; it is optional"),
                Startup::Required => {
                    let earlier = failed.as_ref().is_some_and(|(earlier, _)| *earlier < place);
                    if !earlier {
                        let service = service.spec.id.clone();
                        failed = Some((place, NotStarted { service, error }));
                    }
                }
            }
        }
        match failed {
            None => Ok(()),
            Some((_, failed)) => {
                drop(starts);
                self.stop_services().await;
                Err(failed)
            }
        }
    }

    /// Starts a service, after those that it requires. One that runs already is left alone;
    /// one that stops is started when it has stopped. Resolves when it is running.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such service; else why it did not start. Where the error may
    /// pass, the service is tried again all the same, until it is stopped.
    pub async fn start_service(&self, id: &EntryId) -> Result<()> {
        self.services_of().get(id)?;
        let wanted = self.with_required(|spec| spec.id == *id);
        let claims = self.begin(&wanted, |spec| spec.id == *id).await;
        match wanted.last().zip(claims.last()) {
            Some((service, claim)) => service.started(claim.cycle).await,
            None => Ok(()),
        }
    }

    /// Stops a service, after those that require it. Resolves when it has ended; one that is
    /// not active is left as it is.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such service.
    pub async fn stop_service(&self, id: &EntryId) -> Result<()> {
        self.services_of().get(id)?;
        let mut stops: HashSet<EntryId> = HashSet::from([id.clone()]);
        let all = self.services_of().all();
        // Each is added after those that it requires: one pass finds all dependents.
        for service in &all {
            if service.spec.requires.iter().any(|required| stops.contains(required)) {
                stops.insert(service.spec.id.clone());
            }
        }
        self.stop_all(all.into_iter().filter(|service| stops.contains(&service.spec.id))).await;
        Ok(())
    }

    /// Stops all services in the reverse order of their starts, each after those that require
    /// it. Resolves when all have ended.
    pub async fn stop_services(&self) {
        self.stop_all(self.services_of().all().into_iter()).await;
    }

    /// The services, each after those that it requires.
    pub fn services(&self) -> Vec<ServiceInfo> {
        self.services_of().all().iter().map(|service| service.info()).collect()
    }

    /// Follows the states of a service.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such service.
    pub fn watch_service(&self, id: &EntryId) -> Result<ServiceWatch> {
        Ok(ServiceWatch::new(self.services_of().get(id)?))
    }

    fn services_of(&self) -> &Services {
        &self.inner().services
    }

    /// The services that fit, and what they require, in order.
    fn with_required(&self, fits: impl Fn(&ServiceSpec) -> bool) -> Vec<Arc<Service>> {
        let mut wanted: HashSet<&EntryId> = HashSet::new();
        let all = self.services_of().all();
        // Backwards, each comes after all that require it.
        for service in all.iter().rev() {
            if fits(&service.spec) || wanted.contains(&service.spec.id) {
                wanted.insert(&service.spec.id);
                wanted.extend(&service.spec.requires);
            }
        }
        all.iter().filter(|service| wanted.contains(&service.spec.id)).cloned().collect()
    }

    /// Begins the starts of services, each after those that it requires. One that has done its
    /// work is there for those that require it, and runs again only where it was asked for.
    async fn begin(
        &self,
        services: &[Arc<Service>],
        asked: impl Fn(&ServiceSpec) -> bool,
    ) -> Vec<Claim> {
        let mut claims = Vec::with_capacity(services.len());
        for service in services {
            let order = || self.services_of().orders.fetch_add(1, Relaxed);
            let asked = asked(&service.spec);
            let claim = loop {
                if let Some(claim) = service.claim(asked, order) {
                    break claim;
                }
                let cycle = service.status.borrow().cycle;
                service.over(cycle).await;
            };
            if claim.is_new {
                let seed = backoff::seed(self.inner().seed, service.spec.id.as_str());
                Box::new(ServiceTask::new(self, service.clone(), seed)).launch(self);
            }
            claims.push(claim);
        }
        claims
    }

    async fn stop_all(&self, services: impl Iterator<Item = Arc<Service>>) {
        let mut order: Vec<Arc<Service>> = services.collect();
        order.sort_by_cached_key(|service| std::cmp::Reverse(service.status.borrow().order));
        let mut dependents: HashMap<&EntryId, Vec<&Arc<Service>>> = HashMap::new();
        for service in &order {
            for required in &service.spec.requires {
                dependents.entry(required).or_default().push(service);
            }
        }
        let mut stops = FuturesUnordered::new();
        for (place, service) in order.iter().enumerate() {
            let mut before = dependents.remove(&service.spec.id).unwrap_or_default();
            before.retain(|dependent| dependent.status.borrow().state.is_active());
            let is_asked_now = before.is_empty();
            stops.push(async move {
                for dependent in before {
                    let cycle = dependent.status.borrow().cycle;
                    dependent.over(cycle).await;
                }
                self.stop_one(service).await;
                place
            });
            if is_asked_now {
                let stopped =
                    async { while stops.next().await.is_some_and(|stopped| stopped != place) {} };
                // Past it the next one is asked, too.
                let _ = timeout(STOP_STEP, stopped).await;
            }
        }
        while stops.next().await.is_some() {}
    }

    async fn stop_one(&self, service: &Service) {
        let Some(cycle) = service.ask_to_stop() else { return };
        let patience = service.spec.stop_timeout.saturating_add(STOP_MARGIN);
        if timeout(patience, service.over(cycle)).await.is_err() {
            let id = &service.spec.id;
            tracing::error!(entry = %id, "does not stop: the workers of {} are busy", service.spec.host);
            let pid = service.status.borrow().pid.clone();
            // It fails where the process has ended meanwhile.
            let _ = pid.map(|pid| self.terminate(&pid));
        }
    }
}
