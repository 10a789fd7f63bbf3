//! `wasi:sockets`: TCP, UDP and names.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use wippy_model::{Exit, Value};

use super::network::{Policy, call, granted, int, outcome, run, strings, text};
use crate::node::{Node, PROCESSES, spec};

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that nobody listens on.
async fn free_port() -> u16 {
    listener().await.1
}

/// The port that a guest reports.
async fn reported(reports: &TcpListener) -> u16 {
    let mut text = String::new();
    reports.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
    text.parse().unwrap()
}

async fn list(method: &str, args: Vec<Value>) -> Vec<String> {
    strings(&call(&Node::new(), granted("sockets", method), args).await.unwrap())
}

// --- TCP --------------------------------------------------------------------------------

#[tokio::test]
async fn a_client_sends_half_closes_and_reads_to_the_end() {
    let (listener, port) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        stream.write_all(heard.to_uppercase().as_bytes()).await.unwrap();
        heard.len()
    });
    let long = "quite a lot of text ".repeat(20_000);
    let args = vec![int(port), text(&long)];
    let value = call(&Node::new(), granted("sockets", "tcp-client"), args).await.unwrap();
    assert_eq!(value, text(long.to_uppercase()));
    assert_eq!(server.await.unwrap(), long.len());
}

#[tokio::test]
async fn a_server_accepts_and_echoes() {
    let (reports, report) = listener().await;
    let node = Node::new();
    node.add(granted("sockets", "tcp-echo"));
    let (_, watch) = node.spawn(PROCESSES, "sockets", vec![int(report)]).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", reported(&reports).await)).await.unwrap();
    stream.write_all(&[7; 100_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, vec![7; 100_000]);
    assert_eq!(*watch.await, Exit::Normal(int(100_000)));
}

#[tokio::test]
async fn both_ends_in_one_guest() {
    let answers = list("tcp-both", vec![Value::Bool(false)]).await;
    assert_eq!(answers, ["ping", "pong", "true", "true", "false"]);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let answers = list("tcp-both", vec![Value::Bool(true)]).await;
        assert_eq!(answers, ["ping", "pong", "true", "true", "false"]);
    }
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let args = vec![text("127.0.0.1"), int(free_port().await)];
    let value = call(&Node::new(), granted("sockets", "tcp-connect"), args).await.unwrap();
    assert_eq!(value, text("connection-refused"));
}

#[tokio::test]
async fn an_address_in_use_says_so() {
    let (_held, port) = listener().await;
    let args = vec![text("127.0.0.1"), int(port)];
    let value = call(&Node::new(), granted("sockets", "tcp-listen"), args).await.unwrap();
    assert_eq!(value, text("address-in-use"));
}

#[tokio::test]
async fn a_half_closed_connection_still_reads() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        stream.write_all(format!("heard {heard}").as_bytes()).await.unwrap();
    });
    let answers = list("tcp-shutdown", vec![int(port)]).await;
    assert_eq!(answers, ["closed", "heard last words", "closed"]);
}

#[tokio::test]
async fn tcp_calls_in_a_wrong_state_or_with_wrong_arguments() {
    assert_eq!(
        list("tcp-errors", vec![]).await,
        [
            "local-address of a new socket: invalid-state",
            "remote-address of a new socket: invalid-state",
            "finish-bind before start-bind: not-in-progress",
            "finish-connect before start-connect: not-in-progress",
            "finish-listen before start-listen: not-in-progress",
            "listen unbound: invalid-state",
            "accept without listening: invalid-state",
            "shutdown without a connection: invalid-state",
            "bind twice: invalid-state",
            "listen twice: invalid-state",
            "accept with nobody there: would-block",
            "connect a listener: invalid-state",
            "start-listen inside a bind: concurrency-conflict",
            "bind an address of the other family: invalid-argument",
            "bind a multicast address: invalid-argument",
            "bind a foreign address: address-not-bindable",
            "connect to the other family: invalid-argument",
            "connect to a multicast address: invalid-argument",
            "connect to 0.0.0.0: invalid-argument",
            "connect to port 0: invalid-argument",
            "backlog 0: invalid-argument",
            "keep-alive idle time 0: invalid-argument",
            "keep-alive interval 0: invalid-argument",
            "keep-alive count 0: invalid-argument",
            "hop limit 0: invalid-argument",
            "receive buffer 0: invalid-argument",
            "send buffer 0: invalid-argument",
        ]
    );
}

#[tokio::test]
async fn tcp_options_are_kept() {
    assert_eq!(
        list("tcp-options", vec![]).await,
        [
            "keep-alive false",
            "keep-alive true",
            "idle 42000000000",
            "interval 1000000000",
            "count 5",
            "hops 33",
            "receive 65536",
            "send 65536",
            "ipv4 true",
        ]
    );
}

// --- UDP --------------------------------------------------------------------------------

#[tokio::test]
async fn datagrams_go_there_and_back() {
    for connected in [false, true] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut heard = [0; 100];
            let (length, from) = socket.recv_from(&mut heard).await.unwrap();
            let answer = format!("heard {}", String::from_utf8_lossy(&heard[..length]));
            socket.send_to(answer.as_bytes(), from).await.unwrap();
        });
        let args = vec![int(port), text("a datagram"), Value::Bool(connected)];
        let value = call(&Node::new(), granted("sockets", "udp-client"), args).await.unwrap();
        assert_eq!(value, text("heard a datagram"), "connected: {connected}");
    }
}

#[tokio::test]
async fn a_connected_socket_hears_and_tells_its_peer_only() {
    assert_eq!(
        list("udp-stranger", vec![]).await,
        ["from a friend", "back", "invalid-argument", "ok", "invalid-state", "invalid-argument"]
    );
}

#[tokio::test]
async fn udp_calls_in_a_wrong_state_or_with_wrong_arguments() {
    assert_eq!(
        list("udp-errors", vec![]).await,
        [
            "local-address of a new socket: invalid-state",
            "remote-address of a new socket: invalid-state",
            "finish-bind before start-bind: not-in-progress",
            "stream of an unbound socket: invalid-state",
            "bind twice: invalid-state",
            "bind the other family: invalid-argument",
            "bind a foreign address: address-not-bindable",
            "connect to the other family: invalid-argument",
            "connect to 0.0.0.0: invalid-argument",
            "connect to port 0: invalid-argument",
            "hop limit 0: invalid-argument",
            "receive buffer 0: invalid-argument",
            "a datagram of 65,508 bytes: datagram-too-large",
            "a datagram to port 0: invalid-argument",
        ]
    );
}

// --- Names ------------------------------------------------------------------------------

async fn resolve(name: &str) -> Result<Vec<String>, String> {
    let found = call(&Node::new(), granted("sockets", "resolve"), vec![text(name)]).await;
    found.map(|found| strings(&found))
}

#[tokio::test]
async fn names_are_resolved() {
    let found = resolve("localhost").await.unwrap();
    assert!(
        !found.is_empty() && found.iter().all(|ip| ip == "127.0.0.1" || ip == "::1"),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_address_is_its_own_name() {
    assert_eq!(resolve("192.0.2.7").await.unwrap(), ["192.0.2.7"]);
    assert_eq!(resolve("::1").await.unwrap(), ["::1"]);
    assert_eq!(resolve("[2001:db8::1]").await.unwrap(), ["2001:db8::1"]);
}

#[tokio::test]
async fn names_that_are_none_fail() {
    assert_eq!(resolve("").await, Err("invalid-argument".to_owned()));
    assert_eq!(resolve("a b").await, Err("invalid-argument".to_owned()));
    assert_eq!(resolve("127.0.0.1:80").await, Err("invalid-argument".to_owned()));
    // A reserved top-level domain: no resolver knows it.
    assert_eq!(resolve("nobody.invalid").await, Err("name-unresolvable".to_owned()));
}

#[tokio::test]
async fn lookups_that_are_given_up_do_not_pile_up() {
    let args = vec![text("localhost"), int(2_000)];
    let value = call(&Node::new(), granted("sockets", "resolve-churn"), args).await.unwrap();
    assert_eq!(value, int(2_000));
}

// --- Grants and policy ------------------------------------------------------------------

#[tokio::test]
async fn without_the_grant_every_call_is_denied() {
    let node = Node::new();
    let denied = Value::List(vec![int(0), text("access-denied")]);
    let value = call(&node, spec("sockets", Some("open")), vec![int(1)]).await.unwrap();
    assert_eq!(value, denied);
    for method in ["tcp-connect", "tcp-listen"] {
        let args = vec![text("127.0.0.1"), int(9)];
        let value = call(&node, spec("sockets", Some(method)), args).await.unwrap();
        assert_eq!(value, text("access-denied"), "{method}");
    }
    let args = vec![int(9), text("x"), Value::Bool(false)];
    let answer = call(&node, spec("sockets", Some("udp-client")), args).await;
    assert_eq!(answer, Err("access-denied".to_owned()));
    for name in ["localhost", "127.0.0.1", "a b"] {
        let answer = call(&node, spec("sockets", Some("resolve")), vec![text(name)]).await;
        assert_eq!(answer, Err("access-denied".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn the_policy_is_asked_for_each_address_and_name() {
    let policy = Policy::default();
    let node = policy.node();
    let port = free_port().await;
    let address = || vec![text("127.0.0.1"), int(port)];
    call(&node, granted("sockets", "tcp-connect"), address()).await.unwrap();
    let here = format!("127.0.0.1:{port}");
    let private = "socket.private_ip 127.0.0.1".to_owned();
    assert_eq!(policy.asked(), [format!("socket.connect {here}"), private.clone()]);

    call(&node, granted("sockets", "tcp-listen"), address()).await.unwrap();
    let listen = format!("socket.listen {here}");
    // Once for the bind and once for the listen.
    assert_eq!(policy.asked(), [listen.clone(), private.clone(), listen, private]);

    call(&node, granted("sockets", "resolve"), vec![text("LocalHost")]).await.unwrap();
    assert_eq!(policy.asked(), ["socket.resolve localhost"]);
}

#[tokio::test]
async fn what_the_policy_denies_is_access_denied() {
    let (_held, port) = listener().await;
    let here = format!("127.0.0.1:{port}");
    for policy in [
        Policy::default().deny("socket.connect", here),
        Policy::default().deny("socket.private_ip", "127.0.0.1"),
    ] {
        let args = vec![text("127.0.0.1"), int(port)];
        let value = call(&policy.node(), granted("sockets", "tcp-connect"), args).await.unwrap();
        assert_eq!(value, text("access-denied"));
    }
    let port = free_port().await;
    let node = Policy::default().deny("socket.listen", format!("127.0.0.1:{port}")).node();
    let args = vec![text("127.0.0.1"), int(port)];
    let value = call(&node, granted("sockets", "tcp-listen"), args).await.unwrap();
    assert_eq!(value, text("access-denied"));

    let node = Policy::default().deny("socket.resolve", "localhost").node();
    let answer = call(&node, granted("sockets", "resolve"), vec![text("localhost")]).await;
    assert_eq!(answer, Err("access-denied".to_owned()));

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let node = Policy::default().deny("socket.connect", format!("127.0.0.1:{port}")).node();
    for connected in [false, true] {
        let args = vec![int(port), text("x"), Value::Bool(connected)];
        let answer = call(&node, granted("sockets", "udp-client"), args).await;
        assert_eq!(answer, Err("access-denied".to_owned()), "connected: {connected}");
    }
}

// --- Limits and suspension --------------------------------------------------------------

#[tokio::test]
async fn no_more_sockets_than_the_limit() {
    let node = Node::new();
    let mut limited = granted("sockets", "open");
    limited.limits.open_sockets_max = 7;
    let value = call(&node, limited.clone(), vec![int(20)]).await.unwrap();
    assert_eq!(value, Value::List(vec![int(7), text("new-socket-limit")]));
    let value = call(&node, limited.clone(), vec![int(7)]).await.unwrap();
    assert_eq!(value, Value::List(vec![int(7), text("ok")]));
    // Closed ones do not count.
    limited.method = Some("reopen".to_owned());
    let value = call(&node, limited, vec![int(100)]).await.unwrap();
    assert_eq!(value, Value::List(vec![int(100), text("ok")]));
}

#[tokio::test]
async fn accepted_sockets_count() {
    let (reports, report) = listener().await;
    let node = Node::new();
    let mut limited = granted("sockets", "tcp-accept-all");
    // One listens.
    limited.limits.open_sockets_max = 4;
    node.add(limited);
    let (_, watch) = node.spawn(PROCESSES, "sockets", vec![int(report)]).await.unwrap();
    let port = reported(&reports).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let exit = Exit::clone(&*watch.await);
    let expected = Value::List(vec![int(3), text("new-socket-limit")]);
    assert_eq!(outcome(exit).unwrap(), expected);
}

#[tokio::test]
async fn a_guest_that_waits_gives_its_worker_back() {
    for method in ["tcp-wait", "udp-wait"] {
        let node = Node::new();
        node.add(granted("sockets", method));
        let (pid, watch) = node.spawn(PROCESSES, "sockets", vec![]).await.unwrap();
        // The host has one worker.
        let value = call(&node, spec("compute", None), vec![int(6), int(7)]).await.unwrap();
        assert_eq!(value, int(42), "{method}");
        node.kernel.terminate(&pid).unwrap();
        assert_eq!(*watch.await, Exit::Terminated);
    }
}

#[tokio::test]
async fn the_deadline_ends_a_guest_that_waits() {
    let mut limited = granted("sockets", "tcp-wait");
    limited.limits.execution_max = Some(Duration::from_millis(50));
    let exit = run(&Node::new(), limited, vec![]).await;
    assert_eq!(exit.name(), "limit", "{exit:?}");
}

#[tokio::test]
async fn a_process_that_ends_closes_its_connections() {
    let (reports, report) = listener().await;
    let node = Node::new();
    node.add(granted("sockets", "tcp-echo"));
    let (pid, watch) = node.spawn(PROCESSES, "sockets", vec![int(report)]).await.unwrap();
    let port = reported(&reports).await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
    // The end of the stream, or a reset.
    assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
