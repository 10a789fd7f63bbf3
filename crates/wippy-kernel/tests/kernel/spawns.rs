//! Spawns: all of it is there before any code runs, and what fails leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wippy_kernel::{Received, SpawnRequest, Watcher};
use wippy_model::{Error, EventKind, Exit, Handle, Kind, Limits, MailboxLimits, Value};

use crate::script::{HOST, add, forever, id, message, node, node_with, request, spawn};

#[tokio::test(start_paused = true)]
async fn all_of_it_is_there_before_any_code_runs() {
    let kernel = node();
    add(&kernel, "test:child", Limits::default(), |context, _| async move {
        let own = context.pid();
        assert_eq!(context.lookup("child").unwrap(), *own);
        let topics: Vec<_> = std::iter::from_fn(|| context.try_receive_message())
            .map(|message| message.topic.to_string())
            .collect();
        assert_eq!(topics, ["first", "second"]);
        // A monitor and a link of the parent: its two promises, and the child's one.
        assert_eq!(context.kernel().unwrap().bond_count(), 3);
        Exit::Failed(Error::internal("child"))
    });
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        context.set_options(crate::links::options(true)).unwrap();
        let mut child = request("test:child");
        child.name = Some("child".into());
        child.messages = vec![message("first", 1), message("second", 2)];
        child.watcher = Some(Watcher::Process(context.clone()));
        child.link = Some(context.clone());
        let pid = context.spawn(child).await.unwrap();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let event = context.receive_event().await;
            assert_eq!(event.from, pid);
            assert_eq!(event.exit.as_deref(), Some(&Exit::Failed(Error::internal("child"))));
            kinds.push(event.kind);
        }
        assert!(kinds.contains(&EventKind::Exit) && kinds.contains(&EventKind::LinkDown));
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_failure_leaves_nothing_behind() {
    let kernel = node_with(|host| {
        host.processes_max = 3;
        host.queue_size = 2;
    });
    let mailbox = MailboxLimits { capacity: 2, message_bytes: 1000, ..MailboxLimits::default() };
    let limits = Limits { mailbox, ..Limits::default() };
    add(&kernel, "test:child", limits, |_, _| forever());
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let kernel = context.kernel().unwrap();
        context.register("taken", None).unwrap();
        let handle = Handle { owner: context.pid().clone(), index: 1, name: "counter".into() };
        type Change = Box<dyn Fn(&mut SpawnRequest) + Send + Sync>;
        let rows: Vec<(Kind, Change)> = vec![
            (Kind::NotFound, Box::new(|child| child.unit = id("test:absent"))),
            (Kind::NotFound, Box::new(|child| child.host = id("test:absent"))),
            (Kind::Invalid, Box::new(|child| child.args = vec![Value::from("refuse")])),
            (Kind::AlreadyExists, Box::new(|child| child.name = Some("taken".into()))),
            (Kind::Invalid, Box::new(|child| child.name = Some("".into()))),
            (Kind::Unavailable, Box::new(|child| child.messages = vec![message("t", 1); 3])),
            (
                Kind::ResourceExhausted,
                Box::new(|child| child.messages = vec![message("t", "x".repeat(2000))]),
            ),
            (
                Kind::Invalid,
                Box::new(move |child| {
                    child.messages = vec![message("t", Value::Handle(handle.clone()))];
                }),
            ),
        ];
        for round in 0..5 {
            for (kind, change) in &rows {
                let mut child = request("test:child");
                child.name = Some("child".into());
                child.watcher = Some(Watcher::Process(context.clone()));
                child.link = Some(context.clone());
                change(&mut child);
                let error = context.spawn(child).await.unwrap_err();
                assert_eq!(error.kind(), *kind, "{round}: {error}");
                assert_eq!((kernel.process_count(), kernel.bond_count()), (1, 0));
                assert_eq!(kernel.waiting_count(), 0);
                assert!(context.lookup("child").is_err());
            }
        }
        assert!(context.try_receive().is_none());
        // The host is as it was: two more have a place, and no third.
        for _ in 0..2 {
            context.spawn(request("test:child")).await.unwrap();
        }
        let full = context.spawn(request("test:child")).await.unwrap_err();
        assert_eq!((full.kind(), full.retryable()), (Kind::Unavailable, Some(true)));
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn exec_gives_the_value_or_the_error_and_outlives_nobody() {
    let kernel = node();
    add(&kernel, "test:value", Limits::default(), |_, _| async { Exit::Normal(Value::Int(3)) });
    add(&kernel, "test:error", Limits::default(), |_, _| async {
        Exit::Failed(Error::invalid("no"))
    });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:parent", Limits::default(), |context, args| async move {
        assert_eq!(context.exec(request("test:value")).await.unwrap(), Value::Int(3));
        let error = context.exec(request("test:error")).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Invalid, "no"));
        let absent = context.exec(request("test:absent")).await.unwrap_err();
        assert_eq!(absent.kind(), Kind::NotFound);
        let wait = context.exec(request("test:forever"));
        assert!(timeout(Duration::from_secs(1), wait).await.is_err());
        sleep(Duration::from_millis(1)).await;
        assert_eq!(context.kernel().unwrap().process_count(), 1);
        match args.first() {
            Some(_) => {
                context.exec(request("test:forever")).await.map_or_else(Exit::Failed, Exit::Normal)
            }
            None => Exit::Normal(Value::Nil),
        }
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    let mut parent = request("test:parent");
    parent.args = vec![Value::Bool(true)];
    let (pid, watch) = kernel.spawn_watched(parent).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(kernel.process_count(), 2);
    kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_of_what_ended_before_its_first_step() {
    let ran = Arc::new(AtomicUsize::new(0));
    let kernel = node();
    let count = ran.clone();
    add(&kernel, "test:child", Limits::default(), move |_, _| {
        count.fetch_add(1, SeqCst);
        forever()
    });
    // Nothing is polled before this test waits.
    let (terminated, first) = spawn(&kernel, "test:child").await;
    kernel.terminate(&terminated).unwrap();
    let (cancelled, second) = spawn(&kernel, "test:child").await;
    kernel.cancel(&cancelled, None, Some(Duration::ZERO), None).unwrap();
    let (monitored, third) = spawn(&kernel, "test:child").await;
    kernel.register("monitored", &monitored).unwrap();
    kernel.terminate("monitored").unwrap();
    assert_eq!(*first.await, Exit::Terminated);
    assert_eq!(*second.await, Exit::Canceled(None));
    assert_eq!(*third.await, Exit::Terminated);
    assert_eq!((ran.load(SeqCst), kernel.waiting_count()), (0, 0));
    assert!(kernel.lookup("monitored").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_clock_can_count_to_is_a_long_time() {
    let kernel = node();
    add(&kernel, "test:polite", Limits::default(), |context, _| async move {
        let Received::Event(event) = context.receive().await else { panic!("a message") };
        assert!(event.deadline.is_some());
        Exit::Canceled(event.reason)
    });
    let (pid, watch) = spawn(&kernel, "test:polite").await;
    kernel.cancel(&pid, None, Some(Duration::MAX), Some("ever")).unwrap();
    let start = Instant::now();
    assert_eq!(*watch.await, Exit::Canceled(Some("ever".into())));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(id(HOST).as_str(), pid.host().as_str());
}
