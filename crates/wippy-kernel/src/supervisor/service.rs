//! What everyone may know of a service: its spec, where it is, and whether it shall stop.
//! What happens next is decided by its task in `task.rs` alone.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::SystemTime;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use wippy_model::{EntryId, Error, Exit, Kind, Pid, Result};

use super::spec::{ServiceInfo, ServiceSpec, ServiceState};
use super::task::shown;

/// A service of a node.
///
/// The lock inside `status` is the only one. Who starts and who stops looks at the state and
/// changes it under that lock, so that each start has exactly one task, and a wish to stop
/// is seen by the task that it is meant for.
pub(super) struct Service {
    pub(super) spec: ServiceSpec,
    pub(super) status: watch::Sender<Status>,
    stop: AtomicBool,
    /// The task, while it waits.
    task: AtomicWaker,
}

/// Where a service is.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) state: ServiceState,
    /// Which start by somebody this is: 0 is none yet.
    pub(super) cycle: u64,
    /// The place of that start among all of the node's.
    pub(super) order: u64,
    /// Whether it has been running since that start.
    pub(super) started: bool,
    /// What is told to those who wait for that start, when it takes too long.
    pub(super) start_error: Option<Error>,
    pub(super) pid: Option<Pid>,
    pub(super) restarts: u64,
    pub(super) attempt: u32,
    pub(super) since: SystemTime,
    pub(super) running_since: Option<Instant>,
    pub(super) next_start: Option<SystemTime>,
    pub(super) last_exit: Option<Arc<Exit>>,
    pub(super) last_error: Option<Error>,
}

impl Status {
    /// Whether it has been running, and has not failed or been stopped since.
    pub(super) fn has_run(&self) -> bool {
        use ServiceState::{Exited, Running, Starting};
        self.started && matches!(self.state, Starting | Running | Exited)
    }
}

impl Service {
    pub(super) fn new(spec: ServiceSpec) -> Self {
        let status = Status {
            state: ServiceState::Unknown,
            cycle: 0,
            order: 0,
            started: false,
            start_error: None,
            pid: None,
            restarts: 0,
            attempt: 0,
            since: SystemTime::now(),
            running_since: None,
            next_start: None,
            last_exit: None,
            last_error: None,
        };
        let status = watch::Sender::new(status);
        Self { spec, status, stop: AtomicBool::new(false), task: AtomicWaker::new() }
    }

    /// Changes the state, and with it whatever else belongs to the change.
    pub(super) fn enter(&self, state: ServiceState, change: impl FnOnce(&mut Status)) {
        let since = SystemTime::now();
        self.status.send_modify(|status| {
            status.state = state;
            status.since = since;
            status.next_start = None;
            if state != ServiceState::Running {
                status.running_since = None;
            }
            change(status);
        });
    }

    /// Changes what nobody waits for.
    pub(super) fn note(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            change(status);
            false
        });
    }

    /// Claims a start: the cycle that it begins, or that is under way. None while it stops. One
    /// that has ended normally begins another only where it was asked for.
    pub(super) fn claim(&self, asked: bool, order: impl FnOnce() -> u64) -> Option<Claim> {
        let mut claim = None;
        self.status.send_if_modified(|status| {
            if status.state.is_active() {
                let stops = self.stop.load(Ordering::Relaxed);
                claim = (!stops).then_some(Claim { cycle: status.cycle, is_new: false });
                return false;
            }
            if status.state == ServiceState::Exited && !asked {
                claim = Some(Claim { cycle: status.cycle, is_new: false });
                return false;
            }
            self.stop.store(false, Ordering::Relaxed);
            status.state = ServiceState::Starting;
            status.cycle += 1;
            status.order = order();
            status.since = SystemTime::now();
            status.started = false;
            status.start_error = None;
            status.restarts = 0;
            status.attempt = 0;
            status.last_exit = None;
            status.last_error = None;
            claim = Some(Claim { cycle: status.cycle, is_new: true });
            true
        });
        claim
    }

    /// Asks it to stop, if it is active. The cycle that this ends.
    pub(super) fn ask_to_stop(&self) -> Option<u64> {
        let mut cycle = None;
        self.status.send_if_modified(|status| {
            if status.state.is_active() {
                cycle = Some(status.cycle);
                self.stop.store(true, Ordering::Release);
            }
            false
        });
        self.task.wake();
        cycle
    }

    pub(super) fn shall_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Resolves when it shall stop. For its task alone.
    pub(super) async fn stop_asked(&self) {
        poll_fn(|poller| {
            if self.shall_stop() {
                return Poll::Ready(());
            }
            self.task.register(poller.waker());
            // Asked between the look and the registration.
            if self.shall_stop() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Resolves when this holds of its status, with that status.
    pub(super) async fn settled(&self, holds: impl FnMut(&Status) -> bool) -> Status {
        let mut statuses = self.status.subscribe();
        match statuses.wait_for(holds).await {
            Ok(status) => Some(status.clone()),
            // The sender is here: it cannot be gone.
            Err(_) => None,
        }
        .unwrap_or_else(|| self.status.borrow().clone())
    }

    /// Tells those who wait for the start that it takes too long.
    pub(super) fn start_is_late(&self) {
        self.status.send_modify(|status| {
            let limit = shown(self.spec.start_timeout);
            let late = format!("it takes longer than {limit} (lifecycle.start_timeout)");
            status.start_error = Some(match &status.last_error {
                Some(error) => error.clone().context(late),
                None => Error::new(Kind::Timeout, late),
            });
        });
    }

    /// Resolves when that cycle is over.
    pub(super) async fn over(&self, cycle: u64) {
        self.settled(|status| status.cycle != cycle || !status.state.is_active()).await;
    }

    /// Resolves when that start has succeeded or failed.
    pub(super) async fn started(&self, cycle: u64) -> Result<()> {
        let settled = |status: &Status| {
            let Status { cycle: now, started, start_error, state, .. } = status;
            *now != cycle || *started || start_error.is_some() || !state.is_active()
        };
        let failed = match self.settled(settled).await {
            Status { cycle: now, started: true, .. } if now == cycle => return Ok(()),
            Status { cycle: now, start_error: Some(error), .. } if now == cycle => error,
            Status { state: ServiceState::Failed, last_error: Some(error), .. } => error,
            _ => Error::new(Kind::Canceled, "it was stopped before"),
        };
        Err(failed.context(format_args!("{} did not start", self.spec.id)))
    }

    pub(super) fn info(&self) -> ServiceInfo {
        self.info_of(&self.status.borrow())
    }

    pub(super) fn info_of(&self, status: &Status) -> ServiceInfo {
        let ServiceSpec { id, process, host, stable_threshold, .. } = &self.spec;
        let stable = status.running_since.is_some_and(|since| since.elapsed() > *stable_threshold);
        ServiceInfo {
            id: id.clone(),
            process: process.clone(),
            host: host.clone(),
            state: status.state,
            pid: status.pid.clone(),
            restarts: status.restarts,
            attempt: if stable { 0 } else { status.attempt },
            since: status.since,
            next_start: status.next_start,
            last_exit: status.last_exit.clone(),
            last_error: status.last_error.clone(),
        }
    }
}

/// A start that somebody waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) cycle: u64,
    /// Whether this claim began it, and has to launch its task.
    pub(super) is_new: bool,
}

/// Follows the states of one service. It sees the newest one: a state that passes quickly
/// may not be seen.
pub struct ServiceWatch {
    service: Arc<Service>,
    status: watch::Receiver<Status>,
}

impl ServiceWatch {
    pub(super) fn new(service: Arc<Service>) -> Self {
        let status = service.status.subscribe();
        Self { service, status }
    }

    /// What can be seen now.
    pub fn info(&mut self) -> ServiceInfo {
        let status = self.status.borrow_and_update();
        self.service.info_of(&status)
    }

    /// Resolves when the state has changed since it was last looked at.
    pub async fn changed(&mut self) -> ServiceInfo {
        // The sender is held here: it cannot be gone.
        let _ = self.status.changed().await;
        self.info()
    }

    /// Resolves when this holds.
    pub async fn wait_for(&mut self, mut holds: impl FnMut(&ServiceInfo) -> bool) -> ServiceInfo {
        loop {
            let info = self.info();
            if holds(&info) {
                return info;
            }
            let _ = self.status.changed().await;
        }
    }
}

/// The services of a node, in the order in which they were added: each after those that it
/// requires.
#[derive(Default)]
pub(crate) struct Services {
    all: Mutex<Listed>,
    /// Counts starts.
    pub(super) orders: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
struct Listed {
    in_order: Vec<Arc<Service>>,
    places: HashMap<EntryId, usize>,
}

impl Services {
    /// Adds a service.
    pub(super) fn add(&self, spec: ServiceSpec) -> Result<()> {
        let id = spec.id.clone();
        let mut listed = self.all.lock();
        if let Some(missing) = spec.requires.iter().find(|id| !listed.places.contains_key(*id)) {
            let message = format!("{id} requires {missing}, which is no service (yet)");
            return Err(Error::not_found(message));
        }
        if listed.places.contains_key(&id) {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("there is a service {id} already"),
            ));
        }
        let place = listed.in_order.len();
        listed.in_order.push(Arc::new(Service::new(spec)));
        listed.places.insert(id, place);
        Ok(())
    }

    pub(super) fn get(&self, id: &EntryId) -> Result<Arc<Service>> {
        let listed = self.all.lock();
        let found = listed.places.get(id).and_then(|place| listed.in_order.get(*place)).cloned();
        found.ok_or_else(|| Error::not_found(format!("there is no service {id}")))
    }

    pub(super) fn all(&self) -> Vec<Arc<Service>> {
        self.all.lock().in_order.clone()
    }
}
