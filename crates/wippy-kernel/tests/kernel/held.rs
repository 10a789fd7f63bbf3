//! What waits for a process besides its messages is bounded: results in events, results of what
//! it executes, and replies.

use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::{Received, Watcher};
use wippy_model::{Error, Event, Exit, Kind, Limits, MailboxLimits, Value};

use crate::script::{add, node, request};

/// Room for two texts of 400 KiB.
fn limits() -> Limits {
    let mailbox = MailboxLimits { bytes: 1 << 20, ..MailboxLimits::default() };
    Limits { mailbox, ..Limits::default() }
}

fn large() -> Value {
    Value::from("x".repeat(400 << 10).as_str())
}

#[tokio::test(start_paused = true)]
async fn events_come_without_results_that_do_not_fit() {
    let kernel = node();
    add(&kernel, "test:large", Limits::default(), |_, _| async move { Exit::Normal(large()) });
    add(
        &kernel,
        "test:small",
        Limits::default(),
        |_, _| async move { Exit::Normal(Value::Int(7)) },
    );
    add(&kernel, "test:fails", Limits::default(), |_, _| async move {
        let error = Error::invalid("w".repeat(2000)).with_details(large());
        Exit::Failed(error.with_retryable(false))
    });
    add(&kernel, "test:watcher", limits(), |context, _| async move {
        for name in ["test:large", "test:large", "test:large", "test:small", "test:fails"] {
            let mut spawn = request(name);
            spawn.watcher = Some(Watcher::Process(context.clone()));
            context.spawn(spawn).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let mut exits = Vec::new();
        while let Some(Received::Event(Event { exit, .. })) = context.try_receive() {
            exits.push(exit.unwrap());
        }
        assert_eq!(exits.len(), 5);
        assert_eq!([&*exits[0], &*exits[1]], [&Exit::Normal(large()); 2]);
        let lost = exits[2].error().unwrap();
        assert_eq!(lost.kind(), Kind::ResourceExhausted);
        assert!(lost.message().starts_with("it ended normally, but its result is lost"), "{lost}");
        assert_eq!(*exits[3], Exit::Normal(Value::Int(7)));
        let short = exits[4].error().unwrap();
        assert_eq!((short.kind(), short.retryable()), (Kind::Invalid, Some(false)));
        assert!(short.message().starts_with("wwww") && short.message().len() < 500, "{short}");
        assert_eq!((exits[4].name(), short.details()), ("failed", &Value::Nil));
        // What was received has made room.
        let mut spawn = request("test:large");
        spawn.watcher = Some(Watcher::Process(context.clone()));
        context.spawn(spawn).await.unwrap();
        let event = context.receive_event().await;
        assert_eq!(event.exit.as_deref(), Some(&Exit::Normal(large())));
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = kernel.spawn_watched(request("test:watcher")).await.unwrap();
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn results_of_exec_that_nobody_looks_at_are_lost() {
    let kernel = node();
    add(&kernel, "test:large", Limits::default(), |_, _| async move { Exit::Normal(large()) });
    add(&kernel, "test:executes", limits(), |context, _| async move {
        // From then on it is loaded, and a spawn waits for nothing.
        assert_eq!(context.exec(request("test:large")).await.unwrap(), large());
        let mut execs: Vec<_> =
            (0..4).map(|_| Box::pin(context.exec(request("test:large")))).collect();
        for exec in &mut execs {
            // It is started, and not looked at again while it ends.
            tokio::select! {
                biased;
                _ = exec => panic!("it has ended"),
                () = std::future::ready(()) => {}
            }
        }
        sleep(Duration::from_millis(5)).await;
        let mut lost = 0;
        for exec in execs {
            match exec.await {
                Ok(value) => assert_eq!(value, large()),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
                    lost += 1;
                }
            }
        }
        assert_eq!(lost, 2);
        assert_eq!(context.exec(request("test:large")).await.unwrap(), large());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = kernel.spawn_watched(request("test:executes")).await.unwrap();
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_fit_may_be_tried_again() {
    let kernel = node();
    add(&kernel, "test:server", Limits::default(), |context, _| async move {
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push(context.receive_message().await.from.unwrap());
        }
        let reply = |to| context.send(to, "reply", vec![large()]);
        assert_eq!(reply(&asked[0]), Ok(()));
        assert_eq!(reply(&asked[1]), Ok(()));
        let error = reply(&asked[2]).unwrap_err();
        assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, Some(true)));
        // A second reply is late, whatever room there is.
        assert_eq!(reply(&asked[0]).unwrap_err().kind(), Kind::NotFound);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(reply(&asked[2]), Ok(()));
        sleep(Duration::from_secs(1)).await;
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:client", limits(), |context, _| async move {
        let mut server = request("test:server");
        server.name = Some("server".into());
        context.spawn(server).await.unwrap();
        let ask = || context.request("server".into(), "ask", Vec::new(), None);
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        for reply in [a, b, c] {
            assert_eq!(reply.unwrap().payloads, [large()]);
        }
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = kernel.spawn_watched(request("test:client")).await.unwrap();
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}
