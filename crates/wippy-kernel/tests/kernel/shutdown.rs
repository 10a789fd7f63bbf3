//! The end of a node: everyone is asked, whoever is late is ended, and all exits are announced.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wippy_kernel::{HostSpec, Kernel, Scheduler, Watcher};
use wippy_model::{EventKind, Exit, Kind, Limits, Value};

use crate::script::{HOST, add, forever, id, message, node, request, spawn};

#[tokio::test(start_paused = true)]
async fn everyone_is_asked_once_and_exits_are_announced() {
    let kernel = node();
    add(&kernel, "test:deaf", Limits::default(), |_, _| forever());
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let mut child = request("test:deaf");
        child.watcher = Some(Watcher::Process(context.clone()));
        let child = context.spawn(child).await.unwrap();
        let event = context.receive_event().await;
        assert_eq!(
            (event.kind, event.reason.as_deref()),
            (EventKind::Cancel, Some("the node is stopping"))
        );
        let late = context.spawn(request("test:deaf")).await.unwrap_err();
        assert_eq!((late.kind(), late.retryable()), (Kind::Unavailable, Some(true)));
        // It can still end others and hear of it, send and look names up.
        context.register("parent", None).unwrap();
        context.send("parent", "t", Vec::new()).unwrap();
        context.terminate(&child).unwrap();
        let event = context.receive_event().await;
        assert_eq!((event.kind, event.from), (EventKind::Exit, child));
        Exit::Normal(Value::Int(1))
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    kernel.shutdown(Duration::MAX).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(*watch.await, Exit::Normal(Value::Int(1)));
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_late_is_ended_with_all_that_waits() {
    let kernel = node();
    add(&kernel, "test:deaf", Limits::default(), |context, _| async move {
        context.register(&format!("deaf {}", context.pid().serial()), None).unwrap();
        forever().await
    });
    let mut watches = Vec::new();
    for _ in 0..10 {
        let (pid, watch) = spawn(&kernel, "test:deaf").await;
        kernel.send(&pid, message("t", 1)).unwrap();
        watches.push((pid, watch));
    }
    let start = Instant::now();
    kernel.shutdown(Duration::from_secs(3)).await;
    assert_eq!(start.elapsed().as_secs(), 3);
    for (pid, watch) in watches {
        assert_eq!(*watch.await, Exit::Canceled(Some("the node is stopping".into())));
        assert!(kernel.lookup(&format!("deaf {}", pid.serial())).is_err());
    }
}

#[tokio::test]
async fn processes_whose_host_goes_away_make_their_exits() {
    let kernel = Kernel::new(Default::default());
    let mut host = HostSpec::new(id(HOST));
    host.scheduler = Scheduler::Own { workers: 2 };
    kernel.add_host(host);
    add(&kernel, "test:linked", Limits::default(), |context, args| async move {
        if let Some(Value::String(other)) = args.first() {
            context.link(other.as_str()).unwrap();
        }
        forever().await
    });
    let mut watches = Vec::new();
    let mut before: Option<String> = None;
    for _ in 0..2000 {
        let mut linked = request("test:linked");
        linked.args = before.iter().map(|pid| Value::from(pid.as_str())).collect();
        let (pid, watch) = kernel.spawn_watched(linked).await.unwrap();
        before = Some(pid.to_string());
        watches.push(watch);
    }
    kernel.kill().await;
    for watch in watches {
        let exit = watch.await;
        let expected = matches!(*exit, Exit::Terminated | Exit::Linked(..) | Exit::NodeDown);
        assert!(expected, "{exit}");
    }
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}
