//! Which ends of a service restart it, when, and how often.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep};
use wippy_kernel::{
    Budget, HostSpec, Kernel, KernelOptions, Restart, Scheduler, ServiceInfo, ServiceSpec,
    ServiceState,
};
use wippy_model::{Error, Exit, Kind, Limit, Limits, Pid, Value};

use crate::log::Log;
use crate::script::{HOST, add, forever, id, node, node_with};

const SECOND: Duration = Duration::from_secs(1);

/// When each run of a process began, since the first look.
#[derive(Clone)]
struct Starts(Arc<Mutex<Vec<Instant>>>, Instant);

impl Starts {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }
    fn add(&self) -> usize {
        let mut starts = self.0.lock().unwrap();
        starts.push(Instant::now());
        starts.len()
    }
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    fn seconds(&self) -> Vec<f64> {
        let rounded = |at: &Instant| (at.duration_since(self.1).as_millis() as f64) / 1000.0;
        self.0.lock().unwrap().iter().map(rounded).collect()
    }
}

/// A unit whose processes run for so long and then trap; and its starts.
fn trapping(kernel: &Kernel, runs: Duration) -> Starts {
    let starts = Starts::new();
    let noted = starts.clone();
    add(kernel, "test:worker", Limits::default(), move |_, _| {
        noted.add();
        async move {
            if !runs.is_zero() {
                sleep(runs).await;
            }
            trap()
        }
    });
    starts
}

fn trap() -> Exit {
    Exit::Trap(Error::internal("unreachable"))
}

fn plain() -> Restart {
    Restart { jitter: 0.0, ..Restart::default() }
}

fn spec(restart: Restart) -> ServiceSpec {
    let spec = ServiceSpec::new(id("test:service"), id("test:worker"), id(HOST));
    ServiceSpec { restart, ..spec }
}

async fn start(kernel: &Kernel, spec: ServiceSpec) {
    let service = spec.id.clone();
    kernel.add_service(spec).unwrap();
    kernel.start_service(&service).await.unwrap();
}

async fn until(kernel: &Kernel, state: ServiceState) -> ServiceInfo {
    let mut watch = kernel.watch_service(&id("test:service")).unwrap();
    watch.wait_for(|info| info.state == state).await
}

fn info(kernel: &Kernel) -> ServiceInfo {
    kernel.services().remove(0)
}

#[tokio::test(start_paused = true)]
async fn delays_grow_to_the_cap() {
    let kernel = node();
    let starts = trapping(&kernel, Duration::ZERO);
    let restart = Restart { max_delay: SECOND * 5, backoff_factor: 1.5, ..plain() };
    start(&kernel, spec(restart)).await;
    sleep(SECOND * 20).await;
    assert_eq!(starts.seconds(), [0.0, 1.0, 2.5, 4.75, 8.125, 13.125, 18.125]);
    let info = info(&kernel);
    assert_eq!((info.state, info.restarts, info.attempt), (ServiceState::Starting, 6, 7));
    assert_eq!(info.last_exit.as_deref(), Some(&trap()));
    assert_eq!(info.pid, None);
    let next = info.next_start.unwrap().duration_since(info.since).unwrap();
    assert!(next.abs_diff(SECOND * 5) < SECOND / 10, "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn jitter_stays_in_its_range_and_replays_with_the_seed() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let kernel = Kernel::new(KernelOptions { seed, ..KernelOptions::default() });
        kernel.add_host(HostSpec {
            scheduler: Scheduler::Shared(Handle::current()),
            ..HostSpec::new(id(HOST))
        });
        let starts = trapping(&kernel, Duration::ZERO);
        let restart = Restart { jitter: 0.5, backoff_factor: 1.0, ..Restart::default() };
        start(&kernel, spec(restart)).await;
        sleep(SECOND * 60).await;
        kernel.stop_services().await;
        runs.push(starts.seconds());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let waits: Vec<f64> = runs[0].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| (0.499..=1.502).contains(wait)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stable_run_begins_the_backoff_anew() {
    // Not longer than the threshold, and longer.
    for (runs, expected) in [
        (SECOND * 5, vec![0.0, 6.0, 13.0, 22.0]),
        (SECOND * 5 + SECOND / 100, vec![0.0, 6.01, 12.02, 18.03, 24.04]),
    ] {
        let kernel = node();
        let starts = trapping(&kernel, runs);
        start(&kernel, spec(plain())).await;
        sleep(SECOND * 25).await;
        // Timers have whole milliseconds.
        let seconds: Vec<_> =
            starts.seconds().iter().map(|s| (s * 100.0).round() / 100.0).collect();
        assert_eq!(seconds, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stable_run_is_seen_while_it_runs() {
    let kernel = node();
    let starts = Starts::new();
    add(&kernel, "test:worker", Limits::default(), move |_, _| {
        let n = starts.add();
        async move { if n < 3 { trap() } else { forever().await } }
    });
    start(&kernel, spec(plain())).await;
    sleep(SECOND * 4).await;
    let young = info(&kernel);
    assert_eq!((young.state, young.restarts, young.attempt), (ServiceState::Running, 2, 2));
    assert!(young.pid.is_some());
    sleep(SECOND * 5).await;
    assert_eq!((info(&kernel).restarts, info(&kernel).attempt), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn attempts_run_out() {
    let (kernel, log) = (node(), Log::collect());
    let starts = trapping(&kernel, Duration::ZERO);
    start(&kernel, spec(Restart { max_attempts: 2, ..plain() })).await;
    let failed = until(&kernel, ServiceState::Failed).await;
    sleep(SECOND * 1000).await;
    assert_eq!(starts.seconds(), [0.0, 1.0, 3.0]);
    assert_eq!(failed.last_exit.as_deref(), Some(&trap()));
    let error = failed.last_error.unwrap();
    assert_eq!(
        error.message(),
        "given up after 2 attempts in a row (restart.max_attempts): unreachable"
    );
    assert_eq!(
        log.lines(),
        [
            "INFO running entry=test:service pid",
            "WARN ended (trap: unreachable); attempt 1 in 1s entry=test:service",
            "INFO running entry=test:service pid",
            "WARN ended (trap: unreachable); attempt 2 in 2s entry=test:service",
            "INFO running entry=test:service pid",
            "ERROR failed, and is not started again: given up after 2 attempts in a row \
             (restart.max_attempts): unreachable entry=test:service",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_runs_out_however_stable_the_runs_were() {
    let kernel = node();
    let starts = trapping(&kernel, SECOND);
    let budget = Budget { restarts: 3, within: SECOND * 30 };
    let restart = Restart { initial_delay: Duration::ZERO, budget: Some(budget), ..plain() };
    start(&kernel, ServiceSpec { stable_threshold: SECOND / 2, ..spec(restart) }).await;
    let failed = until(&kernel, ServiceState::Failed).await;
    assert_eq!(starts.seconds(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(
        failed.last_error.unwrap().message(),
        "given up after 3 restarts within 30s (restart.budget): unreachable"
    );
    // Started by somebody, it has its budget again.
    kernel.start_service(&id("test:service")).await.unwrap();
    until(&kernel, ServiceState::Failed).await;
    assert_eq!(starts.count(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_not_met_by_restarts_that_are_far_apart() {
    let kernel = node();
    let starts = trapping(&kernel, SECOND * 11);
    let budget = Budget { restarts: 3, within: SECOND * 30 };
    let restart = Restart { initial_delay: Duration::ZERO, budget: Some(budget), ..plain() };
    start(&kernel, spec(restart)).await;
    sleep(SECOND * 1000).await;
    assert_eq!((info(&kernel).state, starts.count()), (ServiceState::Running, 91));
}

#[tokio::test(start_paused = true)]
async fn restarts_at_once_are_paced() {
    let kernel = node();
    let log = Log::collect();
    let starts = trapping(&kernel, Duration::ZERO);
    start(&kernel, spec(Restart { initial_delay: Duration::ZERO, ..plain() })).await;
    sleep(SECOND * 59).await;
    assert_eq!(starts.count(), 1 + Budget::PACE.restarts as usize);
    assert_eq!(info(&kernel).state, ServiceState::Starting);
    assert_eq!(
        log.lines().last().unwrap(),
        "WARN ended (trap: unreachable); attempt 1001 in 60s, because restarts without a budget \
         are paced entry=test:service"
    );
    sleep(SECOND * 2).await;
    assert_eq!(starts.count(), 1 + 2 * Budget::PACE.restarts as usize);
    assert_eq!(info(&kernel).restarts, 2 * u64::from(Budget::PACE.restarts));
}

/// Each row of the table of exits: what becomes of a service that ends so by itself.
#[tokio::test(start_paused = true)]
async fn the_table_of_exits() {
    use ServiceState::{Exited, Failed, Running, Stopped};
    let error = || Error::internal("x");
    let other = Pid::parse("{n@a:b|1.2}").unwrap();
    let rows = [
        (Exit::Normal(Value::Int(1)), Exited),
        (Exit::Failed(error()), Running),
        (Exit::Failed(error().with_retryable(true)), Running),
        (Exit::Failed(error().with_retryable(false)), Failed),
        (Exit::Trap(error()), Running),
        (Exit::Code(3), Running),
        (Exit::Limit(Limit::Execution, Error::new(Kind::Timeout, "x")), Running),
        (Exit::Limit(Limit::Memory, Error::new(Kind::ResourceExhausted, "x")), Running),
        (Exit::Canceled(None), Stopped),
        (Exit::Terminated, Running),
        (Exit::Linked(other, error()), Running),
        (Exit::Config(Error::invalid("x")), Failed),
        (Exit::HostPanic("x".into()), Running),
        (Exit::NoProcess, Running),
        (Exit::NodeDown, Running),
    ];
    for (exit, expected) in rows {
        let kernel = node();
        let (runs, ends_so) = (Starts::new(), exit.clone());
        add(&kernel, "test:worker", Limits::default(), move |_, _| {
            let (n, exit) = (runs.add(), ends_so.clone());
            async move { if n == 1 { exit } else { forever().await } }
        });
        start(&kernel, spec(plain())).await;
        sleep(SECOND * 2).await;
        let info = info(&kernel);
        let restarts = u64::from(expected == Running);
        assert_eq!((info.state, info.restarts), (expected, restarts), "{exit}");
        assert_eq!(info.last_exit.as_deref(), Some(&exit));
        let error = (expected == Failed).then(|| exit.error().unwrap());
        assert_eq!(info.last_error, error, "{exit}");
        assert_eq!(info.pid.is_some(), expected == Running, "{exit}");
    }
}

#[tokio::test(start_paused = true)]
async fn terminated_by_somebody_else_it_restarts_and_cancelled_it_stops() {
    let kernel = node();
    add(&kernel, "test:worker", Limits::default(), |context, _| async move {
        Exit::Canceled(context.receive_event().await.reason)
    });
    start(&kernel, spec(Restart { initial_delay: Duration::ZERO, ..plain() })).await;
    let first = info(&kernel).pid.unwrap();
    kernel.terminate(&first).unwrap();
    sleep(SECOND).await;
    let second = info(&kernel);
    assert_eq!((second.state, second.restarts), (ServiceState::Running, 1));
    assert_eq!(second.last_exit.as_deref(), Some(&Exit::Terminated));
    let second = second.pid.unwrap();
    assert_ne!(first, second);
    kernel.cancel(&second, None, None, Some("enough")).unwrap();
    sleep(SECOND * 100).await;
    assert_eq!(info(&kernel).state, ServiceState::Stopped);
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_fails_for_now_is_an_attempt() {
    let (kernel, log) = (node_with(|host| host.processes_max = 1), Log::collect());
    trapping(&kernel, Duration::MAX);
    add(&kernel, "test:guest", Limits::default(), |_, _| forever());
    let (guest, _exit) = crate::script::spawn(&kernel, "test:guest").await;
    kernel.add_service(spec(plain())).unwrap();
    let begun = Instant::now();
    let error = kernel.start_service(&id("test:service")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(
        error.to_string(),
        "test:service did not start: it takes longer than 10s (lifecycle.start_timeout): cannot \
         spawn test:worker: test:host is full: 1 processes (host.max_processes)"
    );
    // It is tried again all the same: at 0, 1, 3, 7 and 15 seconds.
    assert_eq!(info(&kernel).attempt, 4);
    kernel.terminate(&guest).unwrap();
    let running = until(&kernel, ServiceState::Running).await;
    assert_eq!((begun.elapsed().as_secs(), running.restarts), (15, 0));
    assert_eq!(
        log.lines()[0],
        "WARN did not start (cannot spawn test:worker: test:host is full: 1 processes \
         (host.max_processes)); attempt 1 in 1s entry=test:service"
    );
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_cannot_succeed_is_the_end() {
    let kernel = node();
    trapping(&kernel, Duration::ZERO);
    for (change, name, expected) in [
        (
            (|spec| spec.host = id("test:nowhere")) as fn(&mut ServiceSpec),
            "test:a",
            "test:a did not start: there is no process host test:nowhere; hosts: test:host",
        ),
        (
            |spec| spec.process = id("test:nothing"),
            "test:b",
            "test:b did not start: there is no process entry test:nothing; process entries: \
             test:worker",
        ),
        (|spec| spec.input = vec!["refuse".into()], "test:c", "test:c did not start: refused"),
    ] {
        let mut spec = ServiceSpec { id: id(name), ..spec(plain()) };
        change(&mut spec);
        kernel.add_service(spec).unwrap();
        let error = kernel.start_service(&id(name)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let states: Vec<_> = kernel.services().iter().map(|info| (info.state, info.attempt)).collect();
    assert_eq!(states, [(ServiceState::Failed, 0); 3]);
}

/// In real time, because a clock that jumps waits for loaders.
#[tokio::test]
async fn a_unit_that_is_slow_to_load_is_loaded_once() {
    let kernel = node();
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let (loads, released) = (Arc::new(AtomicUsize::new(0)), Mutex::new(released));
    let counted = loads.clone();
    add(&kernel, "test:ready", Limits::default(), |_, _| forever());
    let ready = kernel.unit(&id("test:ready")).await.unwrap();
    kernel.add_unit(
        id("test:worker"),
        Box::new(move || {
            counted.fetch_add(1, SeqCst);
            let _ = released.lock().unwrap().recv();
            Ok(ready.clone())
        }),
    );
    let restart = Restart { initial_delay: SECOND / 100, ..plain() };
    let spec = ServiceSpec { start_timeout: SECOND / 50, ..spec(restart) };
    kernel.add_service(spec).unwrap();
    let error = kernel.start_service(&id("test:service")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    let mut watch = kernel.watch_service(&id("test:service")).unwrap();
    let third = watch.wait_for(|info| info.attempt >= 3).await;
    assert_eq!(
        third.last_error.unwrap().to_string(),
        "no step of it began within 20ms (lifecycle.start_timeout)"
    );
    release.send(()).unwrap();
    until(&kernel, ServiceState::Running).await;
    assert_eq!(loads.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_begin_is_not_followed_by_others() {
    let kernel = node();
    let starts = trapping(&kernel, Duration::MAX);
    start(&kernel, spec(plain())).await;
    // Another host of the same name, whose worker never comes to anything.
    let stuck = Builder::new_current_thread().enable_all().build().unwrap();
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Shared(stuck.handle().clone()),
        ..HostSpec::new(id(HOST))
    });
    kernel.terminate(&info(&kernel).pid.unwrap()).unwrap();
    sleep(SECOND * 1000).await;
    assert_eq!((kernel.waiting_count(), starts.count()), (1, 1));
    assert_eq!(info(&kernel).state, ServiceState::Starting);
    // A third one that works.
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Shared(Handle::current()),
        ..HostSpec::new(id(HOST))
    });
    stuck.shutdown_background();
    let running = until(&kernel, ServiceState::Running).await;
    assert_eq!((running.restarts, starts.count()), (2, 2));
}
