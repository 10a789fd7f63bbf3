//! Order and bounds of mailboxes.

use wippy_kernel::Received;
use wippy_model::{Exit, Handle, Kind, Limits, MailboxLimits, Pid, Value};

use crate::script::{add, forever, message, node, spawn};

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_arrive_in_order() {
    let kernel = node();
    add(&kernel, "test:reader", Limits::default(), |context, _| async move {
        let mut numbers = Vec::new();
        while numbers.len() < 1000 {
            let message = context.receive_message().await;
            numbers.extend(message.payloads);
        }
        assert!(numbers.iter().enumerate().all(|(at, n)| *n == Value::Int(at as i64)));
        Exit::Normal(Value::Nil)
    });
    let (pid, watch) = spawn(&kernel, "test:reader").await;
    for number in 0..1000 {
        kernel.send(&pid, message("n", number)).unwrap();
    }
    assert!(watch.await.is_normal());
    let error = kernel.send(&pid, message("n", 0)).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(
        error.message(),
        format!("cannot send to {pid}: there is no such process (any more)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_tells_the_sender_which_limit_it_is() {
    let kernel = node();
    let mailbox = MailboxLimits { capacity: 3, bytes: 1000, message_bytes: 800 };
    let limits = Limits { mailbox, ..Limits::default() };
    add(&kernel, "test:forever", limits, |_, _| forever());
    let (pid, _watch) = spawn(&kernel, "test:forever").await;

    let error = kernel.send(&pid, message("t", "x".repeat(1000))).unwrap_err();
    assert_eq!(error.kind(), Kind::ResourceExhausted);
    assert!(error.message().contains("mailbox.message_bytes allows 800"), "{error}");

    kernel.send(&pid, message("t", "x".repeat(500))).unwrap();
    let error = kernel.send(&pid, message("t", "x".repeat(500))).unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, Some(true)));
    assert!(error.message().contains("of 1000 bytes are taken (mailbox.bytes)"), "{error}");

    let (pid, _watch) = spawn(&kernel, "test:forever").await;
    for number in 0..3 {
        kernel.send(&pid, message("t", number)).unwrap();
    }
    let error = kernel.send(&pid, message("t", 3)).unwrap_err();
    assert_eq!(
        error.message(),
        format!("cannot send to {pid}: the mailbox is full: 3 messages wait (mailbox.capacity)")
    );
}

#[tokio::test(start_paused = true)]
async fn receive_takes_messages_and_events_in_order_of_arrival() {
    let kernel = node();
    add(&kernel, "test:reader", Limits::default(), |context, _| async move {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let mut kinds = Vec::new();
        while let Some(received) = context.try_receive() {
            kinds.push(match received {
                Received::Message(message) => message.topic.to_string(),
                Received::Event(event) => event.kind.name().to_owned(),
            });
        }
        assert_eq!(kinds, ["first", "pid.cancel", "second"]);
        Exit::Normal(Value::Nil)
    });
    let (pid, watch) = spawn(&kernel, "test:reader").await;
    kernel.send(&pid, message("first", 1)).unwrap();
    kernel.cancel(&pid, None, None, None).unwrap();
    kernel.send(&pid, message("second", 2)).unwrap();
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_handle_does_not_leave_its_process() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, _watch) = spawn(&kernel, "test:forever").await;
    let handle = Handle { owner: pid.clone(), index: 1, name: "counter".into() };
    let error = kernel.send(&pid, message("t", Value::Handle(handle))).unwrap_err();
    assert_eq!(error.message(), "a handle of counter cannot leave its process in a message");
}

#[tokio::test(start_paused = true)]
async fn a_pid_of_another_start_of_the_node_is_nobody() {
    let (first, second) = (node(), node());
    add(&first, "test:forever", Limits::default(), |_, _| forever());
    add(&second, "test:forever", Limits::default(), |_, _| forever());
    let (pid, _watch) = spawn(&first, "test:forever").await;
    let (other, _watch) = spawn(&second, "test:forever").await;
    assert_eq!(pid.serial(), other.serial());
    assert_ne!(pid, other);
    let text = pid.to_string();
    assert!(first.send(&Pid::parse(&text).unwrap(), message("t", 1)).is_ok());
    assert!(second.send(&pid, message("t", 1)).is_err());
}
