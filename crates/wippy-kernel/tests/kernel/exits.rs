//! Exactly one exit for each process, whatever happened, to every monitor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use wippy_kernel::{Received, Watcher};
use wippy_model::{
    Context, ContextBody, Error, EventKind, Exit, Kind, Limit, Limits, MailboxLimits, Value,
};

use crate::script::{add, forever, node, request, spawn};

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_told() {
    let kernel = node();
    add(&kernel, "test:normal", Limits::default(), |_, _| async { Exit::Normal(Value::Int(1)) });
    add(&kernel, "test:failed", Limits::default(), |_, _| async {
        Exit::Failed(Error::internal("no"))
    });
    add(&kernel, "test:panic", Limits::default(), |_, _| async { panic!("boom") });
    let limits = Limits { execution_max: Some(Duration::from_millis(20)), ..Limits::default() };
    add(&kernel, "test:slow", limits, |_, _| forever());
    let rows = [
        ("test:normal", Exit::Normal(Value::Int(1))),
        ("test:failed", Exit::Failed(Error::internal("no"))),
        ("test:panic", Exit::HostPanic("boom".into())),
        (
            "test:slow",
            Exit::Limit(
                Limit::Execution,
                Error::new(
                    Kind::Timeout,
                    "test:slow did not end within 20 ms (limits.max_execution_ms)",
                ),
            ),
        ),
    ];
    for (name, expected) in rows {
        let (_, watch) = spawn(&kernel, name).await;
        assert_eq!(*watch.await, expected);
        assert_eq!(kernel.process_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn terminate_wins_over_what_it_causes() {
    let kernel = node();
    add(&kernel, "test:quick", Limits::default(), |context, _| async move {
        context.kernel().unwrap().terminate(context.pid()).unwrap();
        Exit::Failed(Error::internal("it noticed, and gave up"))
    });
    let (_, watch) = spawn(&kernel, "test:quick").await;
    assert_eq!(*watch.await, Exit::Terminated);
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_poll_and_in_a_drop_is_an_exit() {
    struct PanicOnDrop;
    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let kernel = node();
    add(&kernel, "test:early", Limits::default(), |_, _| {
        if true {
            panic!("early");
        }
        forever()
    });
    add(&kernel, "test:drop", Limits::default(), |_, _| async {
        let guard = PanicOnDrop;
        sleep(Duration::from_secs(1000)).await;
        drop(guard);
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:early").await;
    assert_eq!(*watch.await, Exit::HostPanic("early".into()));
    let (pid, watch) = spawn(&kernel, "test:drop").await;
    sleep(Duration::from_millis(1)).await;
    kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::HostPanic("in drop".into()));
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn terminate_ends_now_and_the_exit_comes_once() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, watch) = spawn(&kernel, "test:forever").await;
    let second = kernel.watch(&pid);
    kernel.terminate(&pid).unwrap();
    let _ = kernel.terminate(&pid);
    assert_eq!(*watch.await, Exit::Terminated);
    assert_eq!(*second.await, Exit::Terminated);
    assert_eq!(*kernel.watch(&pid).await, Exit::NoProcess);
    let error = kernel.terminate(&pid).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn cancel_asks_first_and_ends_at_the_deadline() {
    let kernel = node();
    add(&kernel, "test:deaf", Limits::default(), |_, _| forever());
    add(&kernel, "test:polite", Limits::default(), |context, _| async move {
        let event = context.receive_event().await;
        assert_eq!(event.kind, EventKind::Cancel);
        assert_eq!(event.reason.as_deref(), Some("enough"));
        Exit::Canceled(event.reason)
    });
    for (name, waited) in [("test:deaf", 3), ("test:polite", 0)] {
        let (pid, watch) = spawn(&kernel, name).await;
        let start = Instant::now();
        kernel.cancel(&pid, None, Some(Duration::from_secs(3)), Some("enough")).unwrap();
        assert_eq!(*watch.await, Exit::Canceled(Some("enough".into())), "{name}");
        assert_eq!(start.elapsed().as_secs(), waited, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_cancel_can_only_be_sooner() {
    let kernel = node();
    add(&kernel, "test:deaf", Limits::default(), |_, _| forever());
    let (pid, watch) = spawn(&kernel, "test:deaf").await;
    let start = Instant::now();
    kernel.cancel(&pid, None, None, None).unwrap();
    sleep(Duration::from_secs(1)).await;
    kernel.cancel(&pid, None, Some(Duration::from_secs(1)), Some("now")).unwrap();
    kernel.cancel(&pid, None, Some(Duration::from_secs(60)), Some("now")).unwrap();
    assert_eq!(*watch.await, Exit::Canceled(Some("now".into())));
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_has_a_size() {
    let kernel = node();
    let limits = Limits { host_buffer_bytes: 1000, ..Limits::default() };
    add(&kernel, "test:large", limits, |_, _| async {
        Exit::Normal("x".repeat(1000).as_str().into())
    });
    let (_, watch) = spawn(&kernel, "test:large").await;
    let exit = watch.await;
    let Exit::Limit(Limit::HostBuffer, error) = &*exit else { panic!("{exit}") };
    assert!(error.message().ends_with("it may have 1000 (limits.host_buffer_bytes)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pid_with_another_host_is_nobody() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, _watch) = spawn(&kernel, "test:forever").await;
    let forged = pid.to_string().replace("test:host", "test:other");
    let error = kernel.terminate(&wippy_model::Pid::parse(&forged).unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_context_holds() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let mut late = request("test:forever");
    let deadline = Some(SystemTime::now() + Duration::from_secs(5));
    late.context = Context::new(ContextBody { deadline, ..ContextBody::default() });
    let start = Instant::now();
    let (_, watch) = kernel.spawn_watched(late).await.unwrap();
    let exit = watch.await;
    let Exit::Limit(Limit::Execution, error) = &*exit else { panic!("{exit}") };
    assert_eq!(error.message(), "test:forever did not end by the deadline of its caller");
    assert!(start.elapsed() <= Duration::from_secs(6));
}

#[tokio::test]
async fn a_task_that_lost_its_scheduler_makes_its_exit() {
    let kernel = wippy_kernel::Kernel::new(Default::default());
    kernel.add_host(wippy_kernel::HostSpec::new(crate::script::id(crate::script::HOST)));
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (_, watch) = spawn(&kernel, "test:forever").await;
    let (_, terminated) = spawn(&kernel, "test:forever").await;
    kernel.kill().await;
    for watch in [watch, terminated] {
        assert!(matches!(*watch.await, Exit::Terminated | Exit::NodeDown));
    }
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_those_who_obey() {
    let kernel = node();
    add(&kernel, "test:polite", Limits::default(), |context, _| async move {
        let event = context.receive_event().await;
        sleep(Duration::from_secs(2)).await;
        Exit::Canceled(event.reason)
    });
    add(&kernel, "test:deaf", Limits::default(), |_, _| forever());
    let (_, polite) = spawn(&kernel, "test:polite").await;
    let (_, deaf) = spawn(&kernel, "test:deaf").await;
    let start = Instant::now();
    kernel.shutdown(Duration::from_secs(5)).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(*polite.await, Exit::Canceled(Some("the node is stopping".into())));
    assert_eq!(*deaf.await, Exit::Canceled(Some("the node is stopping".into())));
    let error = kernel.spawn(request("test:deaf")).await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_hears_of_each_exit_once_and_after_the_close() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Held;
    impl Drop for Held {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    let kernel = node();
    add(&kernel, "test:child", Limits::default(), |_, _| async {
        let _held = Held;
        tokio::task::yield_now().await;
        Exit::Normal(Value::Int(7))
    });
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let kernel = context.kernel().unwrap();
        for round in 1..=100 {
            let mut child = request("test:child");
            child.watcher = Some(Watcher::Process(context.clone()));
            let pid = kernel.spawn(child).await.unwrap();
            let event = context.receive_event().await;
            assert_eq!((event.kind, event.from), (EventKind::Exit, pid));
            assert_eq!(event.exit.unwrap().value(), Some(&Value::Int(7)));
            assert_eq!(DROPPED.load(SeqCst), round);
        }
        assert!(context.try_receive().is_none());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn monitors_of_the_dead_and_unmonitor() {
    let kernel = node();
    add(&kernel, "test:child", Limits::default(), |_, _| async { Exit::Normal(Value::Nil) });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let kernel = context.kernel().unwrap();
        let (dead, watch) = kernel.spawn_watched(request("test:child")).await.unwrap();
        watch.await;
        kernel.monitor(&context, &dead).unwrap();
        let event = context.receive_event().await;
        assert_eq!(event.exit.as_deref(), Some(&Exit::NoProcess));

        let (alive, watch) = kernel.spawn_watched(request("test:forever")).await.unwrap();
        kernel.monitor(&context, &alive).unwrap();
        kernel.monitor(&context, &alive).unwrap();
        kernel.unmonitor(&context, &alive);
        kernel.monitor(&context, &alive).unwrap();
        kernel.terminate(&alive).unwrap();
        watch.await;
        let Received::Event(event) = context.receive().await else { panic!("a message") };
        assert_eq!(event.exit.as_deref(), Some(&Exit::Terminated));
        assert!(context.try_receive().is_none());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn exits_arrive_at_a_full_mailbox() {
    let kernel = node();
    add(&kernel, "test:child", Limits::default(), |_, _| async { Exit::Normal(Value::Nil) });
    let mailbox = MailboxLimits { capacity: 1, ..MailboxLimits::default() };
    let limits = Limits { mailbox, ..Limits::default() };
    add(&kernel, "test:parent", limits, |context, _| async move {
        let kernel = context.kernel().unwrap();
        kernel.send(context.pid(), crate::script::message("t", 1)).unwrap();
        assert!(kernel.send(context.pid(), crate::script::message("t", 2)).is_err());
        for _ in 0..10 {
            let mut child = request("test:child");
            child.watcher = Some(Watcher::Process(context.clone()));
            kernel.spawn(child).await.unwrap();
        }
        for _ in 0..10 {
            assert_eq!(context.receive_event().await.kind, EventKind::Exit);
        }
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn figures_are_kept() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |context, _| async move {
        context.set_memory_bytes(4096);
        forever().await
    });
    let (pid, _watch) = spawn(&kernel, "test:forever").await;
    sleep(Duration::from_millis(1)).await;
    let infos = kernel.processes();
    let info = Arc::new(infos.first().unwrap());
    assert_eq!((&info.pid, info.entry.as_str(), info.memory_bytes), (&pid, "test:forever", 4096));
    assert_eq!((info.state, info.steps), (wippy_kernel::State::Waiting, 1));
}
