//! Monitors: one event for each, nothing of what was taken back, and their limits.

use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::{Options, Received};
use wippy_model::{Error, EventKind, Exit, Kind, Limits, Value};

use crate::links::{add_puppet, tell};
use crate::log::Log;
use crate::script::{add, add_function, forever, id, node, node_with, request, spawn};

/// Monitors and links of one process.
const BONDS_MAX: usize = 1 << 16;

#[tokio::test(start_paused = true)]
async fn on_oneself_it_gives_none_and_ends_with_the_one_that_monitors() {
    let kernel = node();
    add_puppet(&kernel, "test:puppet");
    let (one, watch) = spawn(&kernel, "test:puppet").await;
    let (other, second) = spawn(&kernel, "test:puppet").await;
    tell(&kernel, &one, "monitor", &one).await;
    tell(&kernel, &one, "monitor", &other).await;
    tell(&kernel, &other, "monitor", &one).await;
    assert_eq!(kernel.bond_count(), 3);
    tell(&kernel, &one, "fail", "why").await;
    assert!(!watch.await.is_normal());
    // The event waits with the other one, which is none the worse.
    assert_eq!((kernel.process_count(), kernel.bond_count()), (1, 1));
    kernel.terminate(&other).unwrap();
    assert_eq!(*second.await, Exit::Terminated);
    assert_eq!(kernel.bond_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_nothing_changes() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:greedy", Limits::default(), |context, _| async move {
        let target = context.spawn(request("test:forever")).await.unwrap();
        for _ in 0..BONDS_MAX {
            context.monitor(&target).unwrap();
        }
        for _ in 0..2 {
            let error = context.monitor(&target).unwrap_err();
            assert_eq!(error.kind(), Kind::ResourceExhausted);
            assert_eq!(
                context.link(&target).unwrap_err().message(),
                "a process holds at most 65536 monitors and links"
            );
            let mut linked = request("test:forever");
            linked.link = Some(context.clone());
            linked.name = Some("linked".into());
            assert_eq!(context.spawn(linked).await.unwrap_err().kind(), Kind::ResourceExhausted);
            assert!(context.lookup("linked").is_err());
        }
        let kernel = context.kernel().unwrap();
        assert_eq!((kernel.process_count(), kernel.bond_count()), (2, BONDS_MAX));
        context.unmonitor(&target).unwrap();
        assert_eq!(kernel.bond_count(), 0);
        for _ in 0..BONDS_MAX {
            context.monitor(&target).unwrap();
        }
        context.terminate(&target).unwrap();
        let mut heard = 0;
        context.receive_event().await;
        heard += 1;
        while context.try_receive().is_some() {
            heard += 1;
        }
        assert_eq!((heard, kernel.bond_count()), (BONDS_MAX, 0));
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:greedy").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_many_watch_is_not_slow() {
    const WATCHERS: usize = 4000;
    let kernel = node_with(|host| {
        host.processes_max = 10_000;
        host.queue_size = 10_000;
    });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (hub, watch) = spawn(&kernel, "test:forever").await;
    let name = hub.to_string();
    add(&kernel, "test:watcher", Limits::default(), move |context, _| {
        let name = name.clone();
        async move {
            context.monitor(name.as_str()).unwrap();
            context.set_options(Options { trap_links: true, upgradable: false }).unwrap();
            context.link(name.as_str()).unwrap();
            let kinds = [context.receive_event().await.kind, context.receive_event().await.kind];
            assert!(kinds.contains(&EventKind::Exit) && kinds.contains(&EventKind::LinkDown));
            Exit::Normal(Value::Nil)
        }
    });
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        watchers.push(spawn(&kernel, "test:watcher").await.1);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(kernel.bond_count(), 3 * WATCHERS);
    // Of one that comes and goes while all the others are there.
    add(&kernel, "test:storm", Limits::default(), move |context, args| async move {
        let Some(Value::String(hub)) = args.first() else { panic!("no hub") };
        for _ in 0..20_000 {
            context.monitor(hub.as_str()).unwrap();
            context.unmonitor(hub.as_str()).unwrap();
            context.link(hub.as_str()).unwrap();
            context.unlink(hub.as_str()).unwrap();
        }
        Exit::Normal(Value::Nil)
    });
    let mut storm = request("test:storm");
    storm.args = vec![Value::from(hub.to_string().as_str())];
    let (_, storm) = kernel.spawn_watched(storm).await.unwrap();
    assert!(storm.await.is_normal());
    assert_eq!(kernel.bond_count(), 3 * WATCHERS);
    kernel.terminate(&hub).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
    for watcher in watchers {
        let exit = watcher.await;
        assert!(exit.is_normal(), "{exit}");
    }
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_address_of_one_that_is_gone_means_the_process() {
    let kernel = node();
    add(&kernel, "test:brief", Limits::default(), |_, _| async { Exit::Normal(Value::Nil) });
    add(&kernel, "test:watcher", Limits::default(), |context, _| async move {
        let dead = context.spawn(request("test:brief")).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        let texts = [dead.to_string(), dead.for_call(9).to_string()];
        context.monitor(&dead.for_call(9)).unwrap();
        for text in &texts {
            context.monitor(text.as_str()).unwrap();
        }
        for _ in 0..3 {
            let Some(Received::Event(event)) = context.try_receive() else { panic!("nothing") };
            assert_eq!((event.kind, &event.from), (EventKind::Exit, &dead));
        }
        assert_eq!(context.monitor("nobody").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(context.monitor("{nobody").unwrap_err().kind(), Kind::Invalid);
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:watcher").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_function_has_nothing_that_needs_a_mailbox() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add_function(&kernel, "test:function", Limits::default(), |context, _| async move {
        let other = context.spawn(request("test:forever")).await.unwrap();
        let mut linked = request("test:forever");
        linked.link = Some(context.clone());
        let refused = [
            context.monitor(&other).unwrap_err(),
            context.unmonitor(&other).unwrap_err(),
            context.link(&other).unwrap_err(),
            context.unlink(&other).unwrap_err(),
            context.register("name", None).unwrap_err(),
            context.unregister("name").unwrap_err(),
            context.set_options(Options::default()).unwrap_err(),
            context.spawn(linked).await.unwrap_err(),
            context.request((&other).into(), "t", Vec::new(), None).await.unwrap_err(),
            context.upgrade(None, Vec::new(), Vec::new).await.unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind() == Kind::Invalid), "{refused:?}");
        context.send(&other, "t", Vec::new()).unwrap();
        context.register("other", Some((&other).into())).unwrap();
        assert_eq!(context.lookup("other").unwrap(), other);
        context.cancel("other", None, None).unwrap();
        context.terminate("other").unwrap();
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        let called = context.call(id("test:function"), Vec::new(), Default::default()).await;
        match called {
            Ok(value) => Exit::Normal(value),
            Err(error) => Exit::Failed(error),
        }
    });
    let (_, watch) = spawn(&kernel, "test:caller").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_ends_leaves_nothing_with_the_one_it_monitors() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (hub, _watch) = spawn(&kernel, "test:forever").await;
    let name = hub.to_string();
    add(&kernel, "test:brief", Limits::default(), move |context, _| {
        let name = name.clone();
        async move {
            context.monitor(name.as_str()).unwrap();
            context.monitor(name.as_str()).unwrap();
            Exit::Normal(Value::Nil)
        }
    });
    for _ in 0..30 {
        let (_, watch) = spawn(&kernel, "test:brief").await;
        assert!(watch.await.is_normal());
        // The test's own one is the only one.
        assert_eq!(kernel.process_info(&hub).unwrap().monitors, 1);
    }
    assert_eq!(kernel.bond_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_does_not_hide_a_bad_end() {
    let (kernel, log) = (node(), Log::collect());
    add(&kernel, "test:server", Limits::default(), |context, _| async move {
        loop {
            let asked = context.receive_message().await;
            match &*asked.topic {
                "fail" => return Exit::Failed(Error::invalid("on purpose")),
                "ask" => context.send(&asked.from.unwrap(), "reply", Vec::new()).unwrap(),
                _ => {}
            }
        }
    });
    add(&kernel, "test:client", Limits::default(), |context, _| async move {
        let server = context.spawn(request("test:server")).await.unwrap();
        let ask = |topic: &'static str| context.request((&server).into(), topic, vec![], None);
        ask("ask").await.unwrap();
        let monitors = || context.kernel().unwrap().process_info(&server).unwrap().monitors;
        assert_eq!(monitors(), 0);
        assert_eq!(ask("ignored").await.unwrap_err().kind(), Kind::Timeout);
        assert_eq!(monitors(), 0);
        // Also where it waits for the reply when that end comes.
        assert_eq!(ask("fail").await.unwrap_err().kind(), Kind::Unavailable);
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:client").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    assert_eq!(log.with("nobody monitors it: on purpose").len(), 1, "{:?}", log.lines());
}
