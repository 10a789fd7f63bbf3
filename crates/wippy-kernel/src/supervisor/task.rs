//! The life of one service, from a start to a stop: one task, which alone decides.
//!
//! It runs on the workers of the service's own host. So an exit reaches it, and its spawn the
//! host's queue, without waking another thread, and a jammed host delays its own services
//! alone. (A thread for all supervisors would cost two wake-ups a restart.) When that host
//! goes, because another took its name, the task moves to the new one with the process that
//! it watches: what it knows is in [`ServiceTask`], and nothing in its futures.
//!
//! Limits: one attempt is under way at a time. A unit that is slow to load is waited for again
//! by the next attempt and not loaded twice; a process that is slow to begin is gone before
//! the next one is spawned.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::select;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use wippy_model::{Error, Exit, Kind, Pid, Result};

use super::backoff::{Backoff, Next};
use super::service::{Service, Status};
use super::spec::{ServiceSpec, ServiceState};
use crate::host::Host;
use crate::kernel::Inner;
use crate::{ExitWatch, Kernel, SpawnRequest, Watcher};

/// How long a process that was terminated may take to be gone. One inside a long bulk memory
/// operation cannot be reached; it is left behind then.
const GONE_MAX: Duration = Duration::from_secs(1);

type Spawning = Pin<Box<dyn Future<Output = Result<Process>> + Send>>;

/// One start of a service, and what follows on it.
pub(super) struct ServiceTask {
    kernel: Weak<Inner>,
    service: Arc<Service>,
    backoff: Backoff,
    phase: Phase,
    /// When those who wait for the start are told that it takes too long. None once its first
    /// step has begun, or they were told.
    start_by: Option<Instant>,
    /// When the attempt under way has taken too long.
    attempt_by: Instant,
    /// An attempt that took too long, and that the next one goes on with.
    spawning: Option<Spawning>,
    process: Option<Process>,
    /// Whose workers run this task.
    home: Weak<Host>,
}

/// The process that a service has.
struct Process {
    pid: Pid,
    /// Resolves at its first step, and with an error where it ends before that.
    begun: oneshot::Receiver<()>,
    exit: ExitWatch,
    running: Option<Instant>,
}

/// What the task does.
#[derive(Clone, Copy)]
enum Phase {
    /// Waits for the services that this one requires.
    Requirements,
    /// Spawns.
    Spawn,
    /// Waits for the first step.
    Begin,
    /// Waits for the exit.
    Run,
    /// Ends a process whose first step did not come in time.
    Discard,
    /// Waits for the next attempt.
    Wait(Instant),
    /// Ends the process, because the service stops.
    Stop,
    Over,
}

/// Why there has to be another attempt.
enum Cause {
    Ended(Arc<Exit>),
    NotStarted(Error),
}

/// The task as the content of a future: when that is dropped with its workers, it moves.
struct Guard(Option<Box<ServiceTask>>);

impl ServiceTask {
    pub(super) fn new(kernel: &Kernel, service: Arc<Service>, seed: u64) -> Self {
        Self {
            kernel: Arc::downgrade(kernel.inner()),
            service,
            backoff: Backoff::new(seed),
            phase: Phase::Requirements,
            start_by: None,
            attempt_by: Instant::now(),
            spawning: None,
            process: None,
            home: Weak::new(),
        }
    }

    /// Puts the task on the workers of its host. Where there are none, a spawn says why, and
    /// for that any workers will do.
    pub(super) fn launch(mut self: Box<Self>, kernel: &Kernel) {
        let handle = kernel.host(&self.spec().host).and_then(|host| {
            self.home = Arc::downgrade(&host);
            host.handle().cloned()
        });
        let handle = match (handle, Handle::try_current()) {
            (Ok(handle), _) | (Err(_), Ok(handle)) => handle,
            (Err(error), Err(_)) => {
                self.phase = self.fail(error);
                return;
            }
        };
        let mut guard = Guard(Some(self));
        drop(handle.spawn(async move {
            if let Some(task) = &mut guard.0 {
                task.run().await;
            }
        }));
    }

    async fn run(&mut self) {
        // A wait leaves the phase as it is until it is over, so that the task can move.
        loop {
            self.phase = match self.phase {
                Phase::Requirements => self.requirements().await,
                Phase::Spawn => self.spawn().await,
                Phase::Begin => self.begin().await,
                Phase::Run => self.follow().await,
                Phase::Discard => self.discard().await,
                Phase::Wait(until) => {
                    match wait(&self.service, &mut self.start_by, sleep_until(until)).await {
                        Some(()) => Phase::Spawn,
                        None => Phase::Stop,
                    }
                }
                Phase::Stop => self.stop().await,
                Phase::Over => return,
            };
        }
    }

    fn spec(&self) -> &ServiceSpec {
        &self.service.spec
    }

    /// The kernel, while it starts anything.
    fn kernel(&self) -> Option<Kernel> {
        let kernel = self.kernel.upgrade().map(Kernel::from_inner);
        kernel.filter(|kernel| !kernel.is_stopping())
    }

    async fn requirements(&mut self) -> Phase {
        let Some(kernel) = self.kernel() else { return self.stopped(None) };
        let services = &kernel.inner().services;
        let requires: Result<Vec<_>> =
            self.spec().requires.iter().map(|id| services.get(id)).collect();
        drop(kernel);
        let requires = match requires {
            Ok(requires) => requires,
            Err(error) => return self.fail(error),
        };
        for required in requires {
            let mut told = false;
            loop {
                let awaited = required.settled(|status| {
                    let late = status.start_error.is_some() && !told;
                    status.has_run() || late || !status.state.is_active()
                });
                let Some(status) = wait(&self.service, &mut self.start_by, awaited).await else {
                    return Phase::Stop;
                };
                if status.has_run() {
                    break;
                }
                let error = lacking(&required, &status);
                if !status.state.is_active() {
                    return self.fail(error);
                }
                told = true;
                self.service.status.send_modify(|own| own.start_error = Some(error));
            }
        }
        self.start_by = Instant::now().checked_add(self.spec().start_timeout);
        Phase::Spawn
    }

    async fn spawn(&mut self) -> Phase {
        let Some(kernel) = self.kernel() else { return self.stopped(None) };
        let mut spawning = match self.spawning.take() {
            Some(spawning) => spawning,
            None => self.spawning(kernel),
        };
        let now = Instant::now();
        self.attempt_by = now.checked_add(self.spec().start_timeout).unwrap_or(now);
        let attempt_by = self.attempt_by;
        let attempt = async {
            select! {
                biased;
                spawned = &mut spawning => Some(spawned),
                () = sleep_until(attempt_by) => None,
            }
        };
        match wait(&self.service, &mut self.start_by, attempt).await {
            Some(Some(Ok(process))) => {
                let pid = process.pid.clone();
                self.service.note(|status| {
                    status.pid = Some(pid);
                    status.restarts += u64::from(status.started);
                });
                self.process = Some(process);
                Phase::Begin
            }
            Some(Some(Err(error))) => self.again(Cause::NotStarted(error)),
            Some(None) => {
                self.spawning = Some(spawning);
                self.again(Cause::NotStarted(self.took_too_long()))
            }
            None => Phase::Stop,
        }
    }

    fn spawning(&self, kernel: Kernel) -> Spawning {
        let ServiceSpec { process, host, input, context, stop_timeout, .. } = self.spec();
        let mut request = SpawnRequest::new(process.clone(), host.clone(), input.clone());
        request.context = context.clone();
        request.stop_timeout = Some(*stop_timeout);
        Box::pin(async move {
            let (watcher, begun, exit) = Watcher::native_from_begin();
            request.watcher = Some(watcher);
            let pid = kernel.spawn(request).await?;
            Ok(Process { pid, begun, exit, running: None })
        })
    }

    fn took_too_long(&self) -> Error {
        let limit = shown(self.spec().start_timeout);
        let message = format!("no step of it began within {limit} (lifecycle.start_timeout)");
        Error::new(Kind::Timeout, message)
    }

    async fn begin(&mut self) -> Phase {
        let Some(process) = &mut self.process else { return Phase::Spawn };
        let attempt_by = self.attempt_by;
        let begins = async {
            select! {
                biased;
                begun = &mut process.begun => Some(begun),
                () = sleep_until(attempt_by) => None,
            }
        };
        match wait(&self.service, &mut self.start_by, begins).await {
            Some(Some(Ok(()))) => {
                let now = Instant::now();
                process.running = Some(now);
                self.start_by = None;
                tracing::info!(entry = %self.service.spec.id, pid = %process.pid, "running");
                self.service.enter(ServiceState::Running, |status| {
                    status.started = true;
                    status.start_error = None;
                    status.running_since = Some(now);
                });
                Phase::Run
            }
            // It has ended before.
            Some(Some(Err(_))) => Phase::Run,
            Some(None) => Phase::Discard,
            None => Phase::Stop,
        }
    }

    async fn discard(&mut self) -> Phase {
        let Some(process) = &mut self.process else { return Phase::Spawn };
        if let Some(kernel) = self.kernel.upgrade().map(Kernel::from_inner) {
            // It fails where the process has ended meanwhile.
            let _ = kernel.terminate(&process.pid);
        }
        // Without a limit: one that cannot begin must not be followed by others.
        match wait(&self.service, &mut self.start_by, &mut process.exit).await {
            Some(_) => {
                self.process = None;
                self.again(Cause::NotStarted(self.took_too_long()))
            }
            None => Phase::Stop,
        }
    }

    async fn follow(&mut self) -> Phase {
        let Some(process) = &mut self.process else { return Phase::Spawn };
        let Some(exit) = wait(&self.service, &mut self.start_by, &mut process.exit).await else {
            return Phase::Stop;
        };
        let ran = process.running.map(|since| since.elapsed()).unwrap_or_default();
        self.process = None;
        if ran > self.spec().stable_threshold {
            self.backoff.reset();
        }
        match &*exit {
            Exit::Normal(_) => {
                tracing::info!(entry = %self.spec().id, "exited");
                self.over(ServiceState::Exited, Some(exit), None)
            }
            Exit::Canceled(_) => {
                tracing::info!(entry = %self.spec().id, "stopped: its process was cancelled");
                self.over(ServiceState::Stopped, Some(exit), None)
            }
            _ if exit.restarts() => self.again(Cause::Ended(exit)),
            _ => {
                self.service.note(|status| status.last_exit = Some(exit.clone()));
                let error = exit.error().unwrap_or_else(|| Error::internal(exit.name()));
                self.fail(error)
            }
        }
    }

    /// Another attempt, or none any more.
    fn again(&mut self, cause: Cause) -> Phase {
        if self.kernel().is_none() {
            return self.stopped(None);
        }
        if let Cause::NotStarted(error) = &cause
            && !is_worth_another(error)
        {
            return self.fail(error.clone());
        }
        let now = Instant::now();
        let next = self.backoff.next(&self.service.spec.restart, now);
        let (delay, paced) = match next {
            Next::After(delay) => (delay, ""),
            Next::Paced(delay) => (delay, ", because restarts without a budget are paced"),
            Next::NoAttempts(attempts) => {
                let tried = match attempts {
                    1 => "one attempt".to_owned(),
                    attempts => format!("{attempts} attempts in a row"),
                };
                return self.give_up(cause, &format!("{tried} (restart.max_attempts)"));
            }
            Next::NoBudget(budget) => {
                let within = shown(budget.within);
                let tried = match budget.restarts {
                    1 => format!("one restart within {within}"),
                    restarts => format!("{restarts} restarts within {within}"),
                };
                return self.give_up(cause, &format!("{tried} (restart.budget)"));
            }
        };
        let attempt = self.backoff.attempt();
        self.tell(&cause, attempt, delay, paced);
        self.service.enter(ServiceState::Starting, |status| {
            status.pid = None;
            status.attempt = attempt;
            match cause {
                Cause::Ended(exit) => status.last_exit = Some(exit),
                Cause::NotStarted(error) => status.last_error = Some(error),
            }
            if !delay.is_zero() {
                status.next_start = SystemTime::now().checked_add(delay);
            }
        });
        match now.checked_add(delay) {
            _ if delay.is_zero() => Phase::Spawn,
            Some(until) => Phase::Wait(until),
            // In a hundred million years.
            None => Phase::Wait(now),
        }
    }

    fn tell(&self, cause: &Cause, attempt: u32, delay: Duration, paced: &str) {
        let id = &self.spec().id;
        let when = match delay.is_zero() {
            true => "at once".to_owned(),
            false => format!("in {}", shown(delay)),
        };
        match cause {
            Cause::Ended(exit) => {
                tracing::warn!(entry = %id, "ended ({exit}); attempt {attempt} {when}{paced}");
                // Where in the guest: looking up its lines takes time.
                if tracing::enabled!(tracing::Level::DEBUG)
                    && let Some(stack) = exit.error().as_ref().and_then(Error::stack)
                {
                    tracing::debug!(entry = %id, "it ended here, innermost first:\n{stack}");
                }
            }
            Cause::NotStarted(error) => {
                tracing::warn!(entry = %id, "did not start ({error}); attempt {attempt} {when}{paced}");
            }
        }
    }

    fn give_up(&self, cause: Cause, after: &str) -> Phase {
        let error = match cause {
            Cause::NotStarted(error) => error,
            Cause::Ended(exit) => {
                self.service.note(|status| status.last_exit = Some(exit.clone()));
                exit.error().unwrap_or_else(|| Error::internal(exit.name()))
            }
        };
        self.fail(error.context(format_args!("given up after {after}")))
    }

    fn fail(&self, error: Error) -> Phase {
        tracing::error!(entry = %self.spec().id, "failed, and is not started again: {error}");
        self.over(ServiceState::Failed, None, Some(error))
    }

    fn stopped(&self, exit: Option<Arc<Exit>>) -> Phase {
        tracing::info!(entry = %self.spec().id, "stopped");
        self.over(ServiceState::Stopped, exit, None)
    }

    /// The last thing a task does: from here on another start may have another task.
    fn over(&self, state: ServiceState, exit: Option<Arc<Exit>>, error: Option<Error>) -> Phase {
        self.service.enter(state, |status| {
            status.pid = None;
            status.last_exit = exit.or(status.last_exit.take());
            status.last_error = error.or(status.last_error.take());
        });
        Phase::Over
    }

    async fn stop(&mut self) -> Phase {
        self.spawning = None;
        let Some(process) = &mut self.process else { return self.stopped(None) };
        let spec = &self.service.spec;
        self.service.enter(ServiceState::Stopping, |_| {});
        let kernel = || self.kernel.upgrade().map(Kernel::from_inner);
        let asked = Instant::now();
        if let Some(kernel) = kernel() {
            // Both fail where the process has ended meanwhile.
            let _ = match kernel.hears_events(&process.pid) {
                true => {
                    let reason = Some("the service is stopped");
                    kernel.cancel(&process.pid, None, Some(spec.stop_timeout), reason)
                }
                // One that cannot hear of it cannot obey.
                false => kernel.terminate(&process.pid),
            };
        }
        let mut exit = timeout(spec.stop_timeout, &mut process.exit).await.ok();
        let late = matches!(exit.as_deref(), None | Some(Exit::Canceled(_)));
        if late && asked.elapsed() >= spec.stop_timeout {
            tracing::warn!(
                entry = %spec.id,
                pid = %process.pid,
                "terminated: it did not stop within {} (lifecycle.stop_timeout)",
                shown(spec.stop_timeout)
            );
        }
        if exit.is_none() {
            if let Some(kernel) = kernel() {
                let _ = kernel.terminate(&process.pid);
            }
            exit = timeout(GONE_MAX, &mut process.exit).await.ok();
            if exit.is_none() {
                tracing::error!(entry = %spec.id, pid = %process.pid, "left behind: it cannot be ended now");
            }
        }
        self.process = None;
        self.stopped(exit)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(mut task) = self.0.take() else { return };
        if matches!(task.phase, Phase::Over) {
            return;
        }
        let Some(kernel) = task.kernel() else {
            task.phase = task.stopped(None);
            return;
        };
        let elsewhere = |host: &Arc<Host>| !std::ptr::eq(task.home.as_ptr(), Arc::as_ptr(host));
        match kernel.host(&task.spec().host) {
            Ok(host) if elsewhere(&host) => task.launch(&kernel),
            _ => {
                let gone = format!("the workers of {} are gone", task.spec().host);
                task.phase = task.fail(Error::unavailable(gone));
            }
        }
    }
}

/// Waits for something, and meanwhile for the end of the time that a start may take. None
/// when the service shall stop.
async fn wait<F: Future>(
    service: &Service,
    start_by: &mut Option<Instant>,
    awaited: F,
) -> Option<F::Output> {
    let mut awaited = pin!(awaited);
    loop {
        let late = *start_by;
        let late = async move {
            match late {
                Some(late) => sleep_until(late).await,
                None => pending().await,
            }
        };
        select! {
            biased;
            () = service.stop_asked() => return None,
            output = &mut awaited => return Some(output),
            () = late => {
                *start_by = None;
                service.start_is_late();
            }
        }
    }
}

/// Whether an error of a spawn may pass.
fn is_worth_another(error: &Error) -> bool {
    let lasting = [Kind::NotFound, Kind::Invalid, Kind::PermissionDenied];
    !lasting.contains(&error.kind()) && error.retryable() != Some(false)
}

/// What to tell of a start that lacks another one.
fn lacking(required: &Service, status: &Status) -> Error {
    let why = status.start_error.clone().or_else(|| status.last_error.clone());
    let why = why.unwrap_or_else(|| Error::new(Kind::Canceled, "it was stopped"));
    why.context(format_args!("it requires {}, which did not start", required.spec.id))
}

/// A duration for people: whole milliseconds.
pub(super) fn shown(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()) {
        Ok(ms) if ms > 0 => format!("{:?}", Duration::from_millis(ms)),
        _ => format!("{duration:?}"),
    }
}
