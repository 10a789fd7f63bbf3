//! The mailbox among pollables: with timers, with a socket, many of them, and too many.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wippy_model::{Exit, Limit, Limits, Value};

use crate::actors::{actor, send};
use crate::node::{Node, PROCESSES};

fn indices(indices: &[i64]) -> Exit {
    Exit::Normal(Value::List(indices.iter().map(|index| Value::Int(*index)).collect()))
}

#[tokio::test]
async fn it_is_ready_while_something_waits() {
    for node in [Node::new(), Node::density()] {
        let exit = node.run(actor("poll", "actor-poll", "ready"), vec![]).await.unwrap();
        let ready = [false, false, true, false, true, true, false, false];
        let ready = ready.map(Value::Bool).to_vec();
        assert_eq!(exit, Exit::Normal(Value::List(ready)));
        let exit = node.run(actor("poll", "actor-poll", "first"), vec![5.into()]).await.unwrap();
        assert_eq!(exit, indices(&[1]));
    }
}

#[tokio::test]
async fn a_message_wakes_whoever_polls() {
    for node in [Node::new(), Node::density()] {
        node.add(actor("block", "actor-poll", "block"));
        node.add(actor("first", "actor-poll", "first"));
        let (pid, watch) = node.spawn(PROCESSES, "block", vec![]).await.unwrap();
        // Mostly after it has begun to wait.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        send(&node, &pid, "a topic", vec![]);
        assert_eq!(*watch.await, Exit::Normal(Value::from("a topic")));
        let (pid, watch) = node.spawn(PROCESSES, "first", vec![60_000.into()]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        send(&node, &pid, "a topic", vec![]);
        assert_eq!(*watch.await, indices(&[0]));
    }
}

#[tokio::test]
async fn a_socket_and_the_mailbox_in_one_poll() {
    let node = Node::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = i64::from(listener.local_addr().unwrap().port());
    node.add(actor("bridge", "actor-poll", "bridge"));
    node.add(actor("counter", "actor-behaviours", "sleeps"));
    // It hears what comes in.
    let (hears, _watch) = node.spawn(PROCESSES, "counter", vec![]).await.unwrap();
    let args = vec![Value::Int(port), Value::from(hears.to_string())];
    let (bridge, watch) = node.spawn(PROCESSES, "bridge", args).await.unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    for round in 0..20_u8 {
        // From the mailbox to the socket, and then from the socket to a mailbox.
        let message = wippy_model::Message {
            from: Some(hears.clone()),
            topic: "out".into(),
            payloads: vec![Value::Bytes(vec![round; 100])],
            context: wippy_model::Context::default(),
        };
        node.kernel.send(&bridge, message).unwrap();
        let mut out = [0; 100];
        connection.read_exact(&mut out).await.unwrap();
        assert_eq!(out, [round; 100]);
        connection.write_all(&[round; 50]).await.unwrap();
    }
    drop(connection);
    assert_eq!(*watch.await, Exit::Normal(Value::from("2000 out, 1000 in")));
}

#[tokio::test]
async fn dropped_pollables_are_gone_and_hoarded_ones_are_counted() {
    let node = Node::new();
    let dropped = actor("dropped", "actor-poll", "dropped");
    assert_eq!(node.run(dropped, vec![20_000.into()]).await.unwrap(), indices(&[1]));
    let mut hoard = actor("hoard", "actor-poll", "hoard");
    hoard.limits = Limits { host_buffer_bytes: 1 << 20, ..Limits::default() };
    let exit = node.run(hoard, vec![]).await.unwrap();
    assert!(matches!(exit, Exit::Limit(Limit::HostBuffer, _)), "{exit:?}");
}
