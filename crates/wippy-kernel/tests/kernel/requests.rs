//! Calls: one reply each, past the mailbox, and an end of the wait in every case.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wippy_kernel::{REQUESTS_MAX, Received};
use wippy_model::{Exit, Kind, Limits, MailboxLimits, Pid, Value};

use crate::script::{add, forever, node, request, spawn};

fn target(args: &[Value]) -> Pid {
    match args.first() {
        Some(Value::String(text)) => Pid::parse(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_reply_counts_and_goes_past_a_full_mailbox() {
    let kernel = node();
    add(&kernel, "test:server", Limits::default(), |context, _| async move {
        let asked = context.receive_message().await;
        let address = asked.from.unwrap();
        assert!(address.call() > 0);
        let large = "x".repeat(5000);
        let error = context.send(&address, "t", vec![Value::from(large.as_str())]).unwrap_err();
        assert_eq!(error.kind(), Kind::ResourceExhausted);
        // By its text as well as by itself; a reply address can be asked for nothing else.
        context.send(address.to_string().as_str(), "reply", vec![Value::Int(1)]).unwrap();
        for _ in 0..2 {
            let error = context.send(&address, "reply", vec![Value::Int(2)]).unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound);
            assert!(error.message().ends_with("it came twice, or too late"), "{error}");
        }
        forever().await
    });
    let mailbox = MailboxLimits { capacity: 1, message_bytes: 2000, ..MailboxLimits::default() };
    let limits = Limits { mailbox, ..Limits::default() };
    add(&kernel, "test:client", limits, |context, args| async move {
        context.send(context.pid(), "full", Vec::new()).unwrap();
        let server = target(&args);
        let reply = context.request((&server).into(), "ask", Vec::new(), None).await.unwrap();
        assert_eq!((&*reply.topic, reply.payloads), ("reply", vec![Value::Int(1)]));
        sleep(Duration::from_millis(1)).await;
        let Some(Received::Message(message)) = context.try_receive() else { panic!("nothing") };
        assert_eq!(&*message.topic, "full");
        assert!(context.try_receive().is_none());
        Exit::Normal(Value::Nil)
    });
    let (server, _watch) = spawn(&kernel, "test:server").await;
    let mut client = request("test:client");
    client.args = vec![Value::from(server.to_string().as_str())];
    let (_, watch) = kernel.spawn_watched(client).await.unwrap();
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_other_ends_or_the_time_is_up() {
    let kernel = node();
    add(&kernel, "test:replies", Limits::default(), |context, _| async move {
        let asked = context.receive_message().await;
        context.send(&asked.from.unwrap(), "reply", Vec::new()).unwrap();
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:ends", Limits::default(), |context, _| async move {
        context.receive_message().await;
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:late", Limits::default(), |context, _| async move {
        let asked = context.receive_message().await;
        sleep(Duration::from_secs(60)).await;
        let error = context.send(&asked.from.unwrap(), "reply", Vec::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        Exit::Normal(Value::Int(1))
    });
    add(&kernel, "test:client", Limits::default(), |context, _| async move {
        let mut late = None;
        for (server, timeout, wanted, waited) in [
            ("test:replies", None, None, 0),
            ("test:ends", None, Some(Kind::Unavailable), 0),
            ("test:late", None, Some(Kind::Timeout), 5),
            ("test:late", Some(Duration::from_secs(2)), Some(Kind::Timeout), 2),
            ("test:late", Some(Duration::ZERO), Some(Kind::Timeout), 0),
        ] {
            let pid = context.spawn(request(server)).await.unwrap();
            let start = Instant::now();
            let result = context.request((&pid).into(), "ask", Vec::new(), timeout).await;
            assert_eq!(result.err().map(|error| error.kind()), wanted, "{server}");
            assert_eq!(start.elapsed().as_secs(), waited, "{server}");
            late = Some(pid);
        }
        let pid = late.unwrap();
        let start = Instant::now();
        let none = context.request("nobody".into(), "ask", Vec::new(), None).await.unwrap_err();
        assert_eq!(none.kind(), Kind::NotFound);
        assert_eq!(none.message(), "cannot send to nobody: no process is registered as \"nobody\"");
        context.register("late", Some((&pid).into())).unwrap();
        let forever = Some(Duration::MAX);
        context.terminate("late").unwrap();
        let ended = context.request("late".into(), "ask", Vec::new(), forever).await.unwrap_err();
        assert_eq!(ended.kind(), Kind::Unavailable);
        assert!(ended.message().starts_with("late ended before it replied"), "{ended}");
        let gone = context.request((&pid).into(), "ask", Vec::new(), forever).await.unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);
        assert_eq!(start.elapsed().as_secs(), 0);
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:client").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(kernel.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_has_so_many_calls_under_way() {
    let kernel = node();
    let limits = Limits {
        mailbox: MailboxLimits { capacity: 5000, bytes: 64 << 20, ..MailboxLimits::default() },
        ..Limits::default()
    };
    add(&kernel, "test:deaf", limits, |_, _| forever());
    add(&kernel, "test:client", Limits::default(), |context, _| async move {
        let deaf = context.spawn(request("test:deaf")).await.unwrap();
        let deaf = Arc::new(deaf);
        let mut calls: Vec<std::pin::Pin<Box<dyn Future<Output = Kind> + Send>>> = Vec::new();
        for _ in 0..=REQUESTS_MAX {
            let (context, deaf) = (context.clone(), deaf.clone());
            calls.push(Box::pin(async move {
                let call = context.request((&*deaf).into(), "t", Vec::new(), None).await;
                call.unwrap_err().kind()
            }));
        }
        let mut ended = Vec::new();
        std::future::poll_fn(|poller| {
            calls.retain_mut(|call| match call.as_mut().poll(poller) {
                std::task::Poll::Ready(kind) => {
                    ended.push(kind);
                    false
                }
                std::task::Poll::Pending => true,
            });
            match calls.is_empty() {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        assert_eq!(ended[0], Kind::Unavailable);
        assert!(ended[1..].iter().all(|kind| *kind == Kind::Timeout));
        assert_eq!(ended.len(), REQUESTS_MAX + 1);
        // There is room again.
        let again = context.request((&*deaf).into(), "t", Vec::new(), None).await;
        assert_eq!(again.unwrap_err().kind(), Kind::Timeout);
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:client").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}
