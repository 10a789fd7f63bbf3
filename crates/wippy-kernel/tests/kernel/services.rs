//! Starting and stopping services: order, states, time limits, several callers at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Restart, Scheduler, ServiceInfo, ServiceSpec, ServiceState,
    Startup,
};
use wippy_model::{EntryId, Error, EventKind, Exit, Kind, Limits};

use crate::log::Log;
use crate::script::{HOST, add, add_deaf, forever, id, node, spawn};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<String>>>);

impl Story {
    fn tell(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A process that tells when it begins, and obeys after some time when it shall stop.
fn polite(kernel: &Kernel, name: &'static str, takes: Duration, story: &Story) {
    let story = story.clone();
    add(kernel, &format!("test:{name}-process"), Limits::default(), move |context, _| {
        let story = story.clone();
        async move {
            story.tell(format!("{name} begins"));
            let event = context.receive_event().await;
            assert_eq!(event.kind, EventKind::Cancel);
            assert_eq!(event.reason.as_deref(), Some("the service is stopped"));
            story.tell(format!("{name} is asked"));
            sleep(takes).await;
            story.tell(format!("{name} ends"));
            Exit::Canceled(None)
        }
    });
}

fn service(name: &str) -> ServiceSpec {
    let restart = Restart { jitter: 0.0, ..Restart::default() };
    let process = id(&format!("test:{name}-process"));
    let spec = ServiceSpec::new(id(&format!("test:{name}")), process, id(HOST));
    ServiceSpec { restart, auto_start: true, ..spec }
}

fn after(name: &str, requires: &[&str]) -> ServiceSpec {
    let requires = requires.iter().map(|name| id(&format!("test:{name}"))).collect();
    ServiceSpec { requires, ..service(name) }
}

/// Loads the units of services. Loading happens on other threads, in any order; what is loaded
/// starts in order.
async fn load(kernel: &Kernel, names: &[&str]) {
    for name in names {
        kernel.unit(&id(&format!("test:{name}-process"))).await.unwrap();
    }
}

fn info(kernel: &Kernel, name: &str) -> ServiceInfo {
    let name = id(&format!("test:{name}"));
    kernel.services().into_iter().find(|info| info.id == name).unwrap()
}

fn states(kernel: &Kernel) -> Vec<(String, ServiceState)> {
    kernel.services().iter().map(|info| (info.id.name().to_owned(), info.state)).collect()
}

fn service_id() -> EntryId {
    id("test:a")
}

#[tokio::test(start_paused = true)]
async fn starts_follow_requirements_and_stops_go_backwards() {
    let (kernel, story) = (node(), Story::default());
    for name in ["a", "b", "c", "d", "e"] {
        polite(&kernel, name, SECOND / 50, &story);
    }
    kernel.add_service(service("a")).unwrap();
    kernel.add_service(service("b")).unwrap();
    kernel.add_service(after("c", &["a", "b"])).unwrap();
    // Nobody needs this one, and nobody starts it.
    kernel.add_service(ServiceSpec { auto_start: false, ..after("e", &["a"]) }).unwrap();
    kernel.add_service(after("d", &["c"])).unwrap();
    load(&kernel, &["a", "b"]).await;
    kernel.start_services().await.unwrap();
    assert_eq!(story.told(), ["a begins", "b begins", "c begins", "d begins"]);
    assert_eq!(info(&kernel, "e").state, ServiceState::Unknown);
    kernel.stop_services().await;
    let expected = [
        "d is asked",
        "d ends",
        "c is asked",
        "c ends",
        "b is asked",
        "b ends",
        "a is asked",
        "a ends",
    ];
    assert_eq!(story.told(), expected);
    assert_eq!(
        states(&kernel),
        [("a", "stopped"), ("b", "stopped"), ("c", "stopped"), ("e", "unknown"), ("d", "stopped")]
            .map(|(name, state)| (name.to_owned(), state))
            .map(|(name, state)| {
                let all = [ServiceState::Unknown, ServiceState::Stopped];
                (name, all.into_iter().find(|known| known.name() == state).unwrap())
            })
    );
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_required_starts_too() {
    let (kernel, story) = (node(), Story::default());
    for name in ["a", "b"] {
        polite(&kernel, name, Duration::ZERO, &story);
    }
    kernel.add_service(ServiceSpec { auto_start: false, ..service("a") }).unwrap();
    kernel.add_service(after("b", &["a"])).unwrap();
    kernel.start_services().await.unwrap();
    assert_eq!(story.told(), ["a begins", "b begins"]);
    // And what requires it stops with it.
    kernel.stop_service(&service_id()).await.unwrap();
    assert_eq!(story.told(), ["b is asked", "b ends", "a is asked", "a ends"]);
}

#[tokio::test(start_paused = true)]
async fn the_slow_ones_stop_together() {
    let (kernel, story) = (node(), Story::default());
    for name in ["a", "b", "c"] {
        polite(&kernel, name, SECOND * 5, &story);
        kernel.add_service(service(name)).unwrap();
    }
    kernel.start_services().await.unwrap();
    story.told();
    let begun = Instant::now();
    kernel.stop_services().await;
    assert_eq!(begun.elapsed().as_millis() / 100, 52);
    let asked = ["c is asked", "b is asked", "a is asked", "c ends", "b ends", "a ends"];
    assert_eq!(story.told(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_is_terminated() {
    let (kernel, log) = (node(), Log::collect());
    add(&kernel, "test:a-process", Limits::default(), |context, _| async move {
        loop {
            context.receive_event().await;
        }
    });
    kernel.add_service(ServiceSpec { stop_timeout: SECOND * 3, ..service("a") }).unwrap();
    kernel.start_services().await.unwrap();
    let begun = Instant::now();
    kernel.stop_services().await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(
        log.lines(),
        [
            "INFO running entry=test:a pid",
            "WARN terminated: it did not stop within 3s (lifecycle.stop_timeout) entry=test:a pid",
            "INFO stopped entry=test:a",
        ]
    );
    assert_eq!((info(&kernel, "a").state, kernel.process_count()), (ServiceState::Stopped, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_hear_is_not_waited_for() {
    let (kernel, log) = (node(), Log::collect());
    add_deaf(&kernel, "test:a-process", |_, _| forever());
    kernel.add_service(service("a")).unwrap();
    kernel.start_services().await.unwrap();
    let begun = Instant::now();
    kernel.stop_services().await;
    assert!(begun.elapsed().is_zero());
    assert_eq!(info(&kernel, "a").last_exit.as_deref(), Some(&Exit::Terminated));
    assert_eq!(log.with("WARN"), [""; 0]);
}

/// Whatever it does of being asked, it has been stopped.
#[tokio::test(start_paused = true)]
async fn however_it_ends_a_stopped_service_is_stopped() {
    let exits = [
        Exit::Normal(1.into()),
        Exit::Trap(Error::internal("x")),
        Exit::Config(Error::invalid("x")),
    ];
    for exit in exits {
        let (kernel, ends_so) = (node(), exit.clone());
        add(&kernel, "test:a-process", Limits::default(), move |context, _| {
            let exit = ends_so.clone();
            async move {
                context.receive_event().await;
                exit
            }
        });
        kernel.add_service(service("a")).unwrap();
        kernel.start_services().await.unwrap();
        kernel.stop_services().await;
        sleep(SECOND * 100).await;
        let info = info(&kernel, "a");
        assert_eq!((info.state, info.last_exit.as_deref()), (ServiceState::Stopped, Some(&exit)));
    }
}

#[tokio::test(start_paused = true)]
async fn states_come_in_order() {
    let (kernel, story) = (node(), Story::default());
    add(&kernel, "test:a-process", Limits::default(), |context, _| async move {
        tokio::select! {
            _ = context.receive_event() => sleep(SECOND).await,
            () = sleep(SECOND * 2) => {}
        }
        Exit::Code(1)
    });
    kernel.add_service(service("a")).unwrap();
    let (mut watch, seen) = (kernel.watch_service(&service_id()).unwrap(), story.clone());
    seen.tell(watch.info().state.name());
    let watching = tokio::spawn(async move {
        loop {
            let info = watch.changed().await;
            let waits = if info.next_start.is_some() { ", waiting" } else { "" };
            let pid = if info.pid.is_some() { ", with a process" } else { "" };
            seen.tell(format!("{}{waits}{pid}", info.state.name()));
        }
    });
    yield_now().await;
    kernel.start_service(&service_id()).await.unwrap();
    sleep(SECOND * 4).await;
    kernel.stop_service(&service_id()).await.unwrap();
    yield_now().await;
    assert_eq!(
        story.told(),
        [
            "unknown",
            "starting",
            "running, with a process",
            "starting, waiting",
            "running, with a process",
            "stopping, with a process",
            "stopped",
        ]
    );
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_backoff_is_at_once() {
    let (kernel, story) = (node(), Story::default());
    let runs = story.clone();
    add(&kernel, "test:a-process", Limits::default(), move |_, _| {
        runs.tell("run");
        async { Exit::Code(1) }
    });
    kernel.add_service(service("a")).unwrap();
    kernel.start_services().await.unwrap();
    sleep(SECOND / 2).await;
    assert!(info(&kernel, "a").next_start.is_some());
    let begun = Instant::now();
    kernel.stop_service(&service_id()).await.unwrap();
    assert!(begun.elapsed().is_zero());
    sleep(SECOND * 100).await;
    let info = info(&kernel, "a");
    assert_eq!((info.state, info.next_start), (ServiceState::Stopped, None));
    assert_eq!(story.told(), ["run"]);
}

#[tokio::test(start_paused = true)]
async fn many_callers_at_once() {
    let (kernel, story) = (node(), Story::default());
    polite(&kernel, "a", SECOND, &story);
    kernel.add_service(service("a")).unwrap();
    let starts = |kernel: &Kernel| {
        let start = |_| {
            let kernel = kernel.clone();
            tokio::spawn(async move { kernel.start_service(&service_id()).await })
        };
        (0..10).map(start).collect::<Vec<_>>()
    };
    for start in starts(&kernel) {
        start.await.unwrap().unwrap();
    }
    assert_eq!(story.told(), ["a begins"]);
    let stops: Vec<_> = (0..10)
        .map(|_| {
            let kernel = kernel.clone();
            tokio::spawn(async move { kernel.stop_service(&service_id()).await })
        })
        .collect();
    sleep(SECOND / 2).await;
    // Those that start it while it stops wait, and start it again.
    let again = starts(&kernel);
    for stop in stops {
        stop.await.unwrap().unwrap();
    }
    for start in again {
        start.await.unwrap().unwrap();
    }
    assert_eq!(story.told(), ["a is asked", "a ends", "a begins"]);
    assert_eq!(info(&kernel, "a").state, ServiceState::Running);
    // A stop overtakes a start that goes on.
    kernel.stop_service(&service_id()).await.unwrap();
    let id = service_id();
    let (start, stop) = tokio::join!(kernel.start_service(&id), kernel.stop_service(&id));
    stop.unwrap();
    let error = start.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Canceled, "test:a did not start: it was stopped before")
    );
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_required_service_that_fails_ends_the_start() {
    let (kernel, story) = (node(), Story::default());
    for name in ["a", "c"] {
        polite(&kernel, name, Duration::ZERO, &story);
        kernel.add_service(service(name)).unwrap();
    }
    kernel.add_service(after("b", &["a"])).unwrap();
    kernel.add_service(after("d", &["b"])).unwrap();
    let failed = kernel.start_services().await.unwrap_err();
    assert_eq!(failed.service, id("test:b"));
    assert_eq!(
        failed.error.to_string(),
        "test:b did not start: there is no process entry test:b-process; process entries: \
         test:a-process, test:c-process"
    );
    assert_eq!(
        kernel.services().iter().map(|info| info.state.name()).collect::<Vec<_>>(),
        ["stopped", "stopped", "failed", "failed"]
    );
    let error = info(&kernel, "d").last_error.unwrap();
    assert!(
        error.message().starts_with("it requires test:b, which did not start: there is no"),
        "{error}"
    );
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_optional_one_does_not_hold_up_the_others() {
    let (kernel, story, log) = (node(), Story::default(), Log::collect());
    for name in ["a", "c", "d"] {
        polite(&kernel, name, Duration::ZERO, &story);
    }
    let optional = |spec| ServiceSpec { startup: Startup::Optional, ..spec };
    kernel.add_service(service("a")).unwrap();
    kernel.add_service(optional(service("b"))).unwrap();
    kernel.add_service(optional(after("c", &["b"]))).unwrap();
    kernel.add_service(service("d")).unwrap();
    load(&kernel, &["a", "d"]).await;
    kernel.start_services().await.unwrap();
    assert_eq!(story.told(), ["a begins", "d begins"]);
    let warnings = log.with("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|line| line.ends_with("; it is optional")), "{warnings:?}");
}

/// What an optional service lacks may come later; then those that require it start, too.
#[tokio::test(start_paused = true)]
async fn a_late_requirement_is_waited_for() {
    let (kernel, story) = (node(), Story::default());
    kernel.add_host(HostSpec {
        scheduler: Scheduler::Shared(tokio::runtime::Handle::current()),
        processes_max: 1,
        ..HostSpec::new(id("test:small"))
    });
    for name in ["a", "b"] {
        polite(&kernel, name, Duration::ZERO, &story);
    }
    add(&kernel, "test:guest", Limits::default(), |_, _| forever());
    let mut request = crate::script::request("test:guest");
    request.host = id("test:small");
    let guest = kernel.spawn(request).await.unwrap();
    let optional = |spec| ServiceSpec { startup: Startup::Optional, ..spec };
    let small = |spec| ServiceSpec { host: id("test:small"), ..spec };
    kernel.add_service(small(optional(service("a")))).unwrap();
    kernel.add_service(optional(after("b", &["a"]))).unwrap();
    let begun = Instant::now();
    kernel.start_services().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(info(&kernel, "b").state, ServiceState::Starting);
    kernel.terminate(&guest).unwrap();
    let mut watch = kernel.watch_service(&id("test:b")).unwrap();
    watch.wait_for(|info| info.state == ServiceState::Running).await;
    assert_eq!((begun.elapsed().as_secs(), story.told().len()), (15, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_done_its_work_is_there() {
    let (kernel, story) = (node(), Story::default());
    let runs = story.clone();
    add(&kernel, "test:a-process", Limits::default(), move |_, _| {
        runs.tell("a runs");
        async { Exit::Normal(1.into()) }
    });
    polite(&kernel, "b", Duration::ZERO, &story);
    kernel.add_service(service("a")).unwrap();
    kernel.add_service(after("b", &["a"])).unwrap();
    kernel.start_services().await.unwrap();
    assert_eq!(info(&kernel, "a").state, ServiceState::Exited);
    kernel.stop_services().await;
    kernel.start_service(&id("test:b")).await.unwrap();
    // Asked for itself it runs again.
    kernel.start_service(&service_id()).await.unwrap();
    assert_eq!(story.told(), ["a runs", "b begins", "b is asked", "b ends", "b begins", "a runs"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_leaves_those_that_require_it_alone() {
    let (kernel, story) = (node(), Story::default());
    for name in ["a", "b"] {
        polite(&kernel, name, Duration::ZERO, &story);
    }
    kernel.add_service(service("a")).unwrap();
    kernel.add_service(after("b", &["a"])).unwrap();
    kernel.start_services().await.unwrap();
    kernel.terminate(&info(&kernel, "a").pid.unwrap()).unwrap();
    sleep(SECOND * 2).await;
    assert_eq!(story.told(), ["a begins", "b begins", "a begins"]);
    assert_eq!(info(&kernel, "b").restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn the_node_stops_its_services_first() {
    let (kernel, story, log) = (node(), Story::default(), Log::collect());
    for name in ["a", "b"] {
        polite(&kernel, name, SECOND * 2, &story);
    }
    add(&kernel, "test:other", Limits::default(), |context, _| async move {
        Exit::Canceled(context.receive_event().await.reason)
    });
    let (_, exit) = spawn(&kernel, "test:other").await;
    kernel.add_service(service("a")).unwrap();
    kernel.add_service(after("b", &["a"])).unwrap();
    kernel.start_services().await.unwrap();
    story.told();
    let told = story.clone();
    let other = tokio::spawn(async move {
        exit.await;
        told.tell("the other ends");
    });
    kernel.shutdown(SECOND).await;
    other.await.unwrap();
    let expected = ["b is asked", "b ends", "a is asked", "a ends", "the other ends"];
    assert_eq!(story.told(), expected);
    sleep(SECOND * 100).await;
    assert_eq!(log.with("WARN").len() + log.with("ERROR").len(), 0, "{:?}", log.lines());
    let error = kernel.start_service(&service_id()).await.unwrap_err();
    assert_eq!(error.message(), "test:a did not start: it was stopped before");
}

#[tokio::test(start_paused = true)]
async fn services_that_cannot_be() {
    let kernel = node();
    let error = kernel.add_service(after("b", &["a"])).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::NotFound, "test:b requires test:a, which is no service (yet)")
    );
    kernel.add_service(service("a")).unwrap();
    let error = kernel.add_service(service("a")).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::AlreadyExists, "there is a service test:a already")
    );
    let unknown = id("test:x");
    let errors = [
        kernel.start_service(&unknown).await.unwrap_err(),
        kernel.stop_service(&unknown).await.unwrap_err(),
        kernel.watch_service(&unknown).err().unwrap(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.message()), (Kind::NotFound, "there is no service test:x"));
    }
    // Stopping what never ran changes nothing.
    kernel.stop_service(&service_id()).await.unwrap();
    assert_eq!(info(&kernel, "a").state, ServiceState::Unknown);
}

/// A host that is replaced takes its workers along when its last process ends; whoever
/// supervised on them goes on supervising.
#[tokio::test]
async fn a_service_survives_its_host() {
    let kernel = Kernel::new(KernelOptions::default());
    let host = || HostSpec { scheduler: Scheduler::Own { workers: 1 }, ..HostSpec::new(id(HOST)) };
    kernel.add_host(host());
    add_deaf(&kernel, "test:a-process", |_, _| forever());
    let restart = Restart { initial_delay: Duration::ZERO, ..Restart::default() };
    kernel.add_service(ServiceSpec { restart, ..service("a") }).unwrap();
    kernel.start_services().await.unwrap();
    let mut watch = kernel.watch_service(&service_id()).unwrap();
    for restarts in 1..=20 {
        kernel.add_host(host());
        // Once more on the same host, too.
        for restarts in [2 * restarts - 1, 2 * restarts] {
            kernel.terminate(&watch.info().pid.unwrap()).unwrap();
            let there = |info: &ServiceInfo| {
                info.restarts == restarts && info.state == ServiceState::Running
            };
            watch.wait_for(there).await;
        }
    }
    assert_eq!(kernel.process_count(), 1);
    kernel.shutdown(SECOND).await;
    assert_eq!(watch.info().state, ServiceState::Stopped);
}

/// A supervisor holds no node: one that was stopped and is dropped is gone.
#[tokio::test]
async fn a_service_does_not_keep_its_node() {
    let kernel = Kernel::new(KernelOptions::default());
    let workers = Scheduler::Own { workers: 1 };
    kernel.add_host(HostSpec { scheduler: workers, ..HostSpec::new(id(HOST)) });
    let token = Arc::new(());
    let held = token.clone();
    add(&kernel, "test:a-process", Limits::default(), move |_, _| {
        let held = held.clone();
        async move {
            forever().await;
            drop(held);
            Exit::Terminated
        }
    });
    kernel.add_service(service("a")).unwrap();
    kernel.start_services().await.unwrap();
    let mut watch = kernel.watch_service(&service_id()).unwrap();
    kernel.kill().await;
    watch.wait_for(|info| info.state == ServiceState::Stopped).await;
    drop((kernel, watch));
    while Arc::strong_count(&token) > 1 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_names_no_time_gives_what_the_service_has() {
    let kernel = node();
    add(&kernel, "test:a-process", Limits::default(), |_, _| forever());
    kernel.add_service(ServiceSpec { stop_timeout: SECOND * 3, ..service("a") }).unwrap();
    kernel.start_services().await.unwrap();
    let pid = info(&kernel, "a").pid.unwrap();
    let start = Instant::now();
    let exit = kernel.watch(&pid);
    kernel.cancel(&pid, None, None, None).unwrap();
    assert_eq!(*exit.await, Exit::Canceled(None));
    assert_eq!(start.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn whether_it_hears_is_asked_of_the_code_that_runs() {
    let (kernel, story) = (node(), Story::default());
    polite(&kernel, "a", SECOND, &story);
    kernel.add_service(service("a")).unwrap();
    kernel.start_services().await.unwrap();
    // New spawns could not hear; the one that runs can.
    add_deaf(&kernel, "test:a-process", |_, _| forever());
    kernel.unit(&id("test:a-process")).await.unwrap();
    kernel.stop_service(&service_id()).await.unwrap();
    assert_eq!(story.told(), ["a begins", "a is asked", "a ends"]);
}
