//! `wasi:http`, outgoing.

use std::time::{Duration, Instant};

use wippy_model::{Exit, Limit, Value};

use super::network::{Policy, call, field, granted, int, run, strings, text};
use super::server::Server;
use crate::node::{Node, PROCESSES, spec};

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

fn request(method: &str, url: &str, body: Option<&str>) -> Vec<Value> {
    vec![text(method), text(url), list([]), body.map_or(Value::Nil, Value::from)]
}

async fn get(url: &str) -> Result<Value, String> {
    call(&Node::new(), granted("http-client", "request"), request("GET", url, None)).await
}

fn status(response: &Value) -> i64 {
    field(response, "status").as_i64().unwrap()
}

fn body(response: &Value) -> &str {
    field(response, "body").as_str().unwrap()
}

/// Header fields or trailers as `name: value`.
fn fields(response: &Value, which: &str) -> Vec<String> {
    let Value::List(pairs) = field(response, which) else { panic!("{response:?}") };
    pairs.iter().map(|pair| strings(pair).join(": ")).collect()
}

#[tokio::test]
async fn a_get() {
    let server = Server::start().await;
    let response = get(&server.url("/hello")).await.unwrap();
    assert_eq!((status(&response), body(&response)), (200, "hello"));
    assert_eq!(fields(&response, "headers"), ["content-length: 5"]);
    assert_eq!(fields(&response, "trailers"), Vec::<String>::new());
    let response = get(&server.url("/404")).await.unwrap();
    assert_eq!((status(&response), body(&response)), (404, "nothing here"));
}

#[tokio::test]
async fn the_server_sees_path_host_and_headers() {
    let server = Server::start().await;
    let url = server.url("/head?x=1&y=%20");
    let header = list([text("x-own"), text("value")]);
    let args = vec![text("PUT"), text(&url), list([header]), Value::Nil];
    let response = call(&Node::new(), granted("http-client", "request"), args).await.unwrap();
    let head =
        format!("PUT /head?x=1&y=%20 HTTP/1.1\nhost: 127.0.0.1:{}\nx-own: value", server.port);
    assert_eq!(body(&response), head);
}

#[tokio::test]
async fn a_body_is_streamed() {
    let server = Server::start().await;
    let sent = "some text ".repeat(5_000);
    let args = request("POST", &server.url("/echo"), Some(&sent));
    let response = call(&Node::new(), granted("http-client", "request"), args).await.unwrap();
    assert_eq!((status(&response), body(&response)), (200, sent.as_str()));
}

#[tokio::test]
async fn a_large_upload_with_a_trailer() {
    let server = Server::start().await;
    let args = vec![text(server.url("/count")), int(10_000_000), text("abc")];
    let response = call(&Node::new(), granted("http-client", "upload"), args).await.unwrap();
    let expected = r#"10000000 bytes, true, trailers [("x-checksum", "abc")]"#;
    assert_eq!(body(&response), expected);
}

#[tokio::test]
async fn chunks_and_bodies_without_a_length() {
    let server = Server::start().await;
    let response = get(&server.url("/chunked")).await.unwrap();
    assert_eq!(body(&response), "onetwothree");
    let response = get(&server.url("/until-close")).await.unwrap();
    assert_eq!(body(&response), "until the end");
}

#[tokio::test]
async fn trailers_arrive() {
    let server = Server::start().await;
    let response = get(&server.url("/trailers")).await.unwrap();
    assert_eq!(body(&response), "body");
    assert_eq!(fields(&response, "trailers"), ["x-other: yes", "x-sum: 42"]);
}

#[tokio::test]
async fn responses_without_a_body() {
    let server = Server::start().await;
    let response = get(&server.url("/204")).await.unwrap();
    assert_eq!((status(&response), body(&response)), (204, ""));
    let args = request("HEAD", &server.url("/hello"), None);
    let response = call(&Node::new(), granted("http-client", "request"), args).await.unwrap();
    assert_eq!((status(&response), body(&response)), (200, ""));
    assert_eq!(fields(&response, "headers"), ["content-length: 5"]);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start().await;
    let response = get(&server.url("/redirect")).await.unwrap();
    assert_eq!(status(&response), 302);
    assert_eq!(fields(&response, "headers"), ["content-length: 0", "location: /hello"]);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_fails() {
    let server = Server::start().await;
    let args = vec![text(server.url("/count")), int(100), int(50)];
    let answer = call(&Node::new(), granted("http-client", "short-body"), args).await.unwrap();
    assert_eq!(answer, text("finish: HttpRequestBodySize(Some(50)), response: HttpProtocolError"));
}

// --- Errors -----------------------------------------------------------------------------

#[tokio::test]
async fn errors_of_the_connection() {
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let server = Server::start().await;
    for (url, expected) in [
        (format!("http://127.0.0.1:{free}/"), "ConnectionRefused"),
        (server.url("/close"), "HttpResponseIncomplete"),
        (server.url("/garbage"), "HttpProtocolError"),
        (server.url("/partial"), "HttpResponseIncomplete"),
        (server.url("/large-header"), "HttpResponseHeaderSectionSize(None)"),
        (server.url("/many-headers"), "HttpResponseHeaderSectionSize(None)"),
        (server.url("/hello").replace("http:", "https:"), "TlsProtocolError"),
    ] {
        assert_eq!(get(&url).await, Err(expected.to_owned()), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows() {
    let error = get("http://nobody.invalid/").await.unwrap_err();
    assert!(error.starts_with("DnsError"), "{error}");
}

#[tokio::test]
async fn urls_that_are_none() {
    for (url, expected) in [
        ("ftp://127.0.0.1/", "HttpProtocolError"),
        ("http://user:secret@127.0.0.1/", "HttpRequestUriInvalid"),
        ("http://a b/", "authority refused"),
        ("http://127.0.0.1:99999/", "HttpRequestUriInvalid"),
        ("http://127.0.0.1/a b", "path refused"),
    ] {
        assert_eq!(get(url).await, Err(expected.to_owned()), "{url}");
    }
}

#[tokio::test]
async fn forbidden_headers() {
    let node = Node::new();
    for (name, value, expected) in [
        ("x-own", "fine", "ok"),
        ("host", "elsewhere", "Forbidden"),
        ("Connection", "close", "Forbidden"),
        ("transfer-encoding", "chunked", "Forbidden"),
        ("upgrade", "h2c", "Forbidden"),
        ("keep-alive", "1", "Forbidden"),
        ("proxy-authorization", "x", "Forbidden"),
        ("a b", "x", "InvalidSyntax"),
        ("x-own", "a\nb", "InvalidSyntax"),
        ("content-length", "+5", "InvalidSyntax"),
    ] {
        let args = vec![text(name), text(value)];
        let answer = call(&node, granted("http-client", "header"), args).await.unwrap();
        assert_eq!(answer, text(expected), "{name}: {value}");
    }
}

fn timed(url: String, name: &str, ms: i64) -> Vec<Value> {
    let timeout = |own: &str| if own == name { int(ms) } else { Value::Nil };
    let names = ["connect-ms", "first-byte-ms", "between-bytes-ms"];
    vec![text(url), Value::map(names.map(|own| (own, timeout(own))))]
}

#[tokio::test]
async fn time_outs() {
    let server = Server::start().await;
    let node = Node::new();
    let rows = [
        ("/silent", "first-byte-ms", Some("ConnectionReadTimeout")),
        ("/stall", "between-bytes-ms", Some("ConnectionReadTimeout")),
        ("/slow?50", "first-byte-ms", None),
        ("/slow?50", "between-bytes-ms", None),
    ];
    for (path, name, expected) in rows {
        let ms = if expected.is_some() { 100 } else { 20_000 };
        let started = Instant::now();
        let args = timed(server.url(path), name, ms);
        let answer = call(&node, granted("http-client", "timed"), args).await;
        match expected {
            Some(error) => assert_eq!(answer, Err(error.to_owned()), "{path} {name}"),
            None => assert_eq!(body(&answer.unwrap()), "at last"),
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{path} {name}");
    }
    server.until_open(0).await;
}

#[tokio::test]
async fn no_time_at_all() {
    let server = Server::start().await;
    let node = Node::new();
    for (name, error) in [
        ("connect-ms", "ConnectionTimeout"),
        ("first-byte-ms", "ConnectionReadTimeout"),
        ("between-bytes-ms", "ConnectionReadTimeout"),
    ] {
        let args = timed(server.url("/stall"), name, 0);
        let answer = call(&node, granted("http-client", "timed"), args).await;
        assert_eq!(answer, Err(error.to_owned()), "{name}");
    }
}

// --- Grants and policy ------------------------------------------------------------------

#[tokio::test]
async fn without_the_grant_a_request_is_denied() {
    let server = Server::start().await;
    let args = request("GET", &server.url("/hello"), None);
    let answer = call(&Node::new(), spec("http-client", Some("request")), args).await;
    assert_eq!(answer, Err("HttpRequestDenied".to_owned()));
    assert_eq!(server.open_most(), 0);
}

#[tokio::test]
async fn the_policy_is_asked_for_the_url_and_each_private_address() {
    let server = Server::start().await;
    let policy = Policy::default();
    let url = server.url("/x/../hello?token=secret");
    let args = request("GET", &url.replace("127.0.0.1", "LocalHost"), None);
    let _ = call(&policy.node(), granted("http-client", "request"), args).await.unwrap();
    let asked = policy.asked();
    assert_eq!(asked[0], format!("http_client.request http://localhost:{}/hello", server.port));
    assert!(asked.contains(&"http_client.private_ip 127.0.0.1".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn what_the_policy_denies_is_not_connected_to() {
    let server = Server::start().await;
    let url = server.url("/hello");
    let denied = Err("HttpRequestDenied".to_owned());
    let node = Policy::default().deny("http_client.request", &url).node();
    let args = request("GET", &url, None);
    assert_eq!(call(&node, granted("http-client", "request"), args).await, denied);

    let policy = Policy::default().deny("http_client.private_ip", "127.0.0.1");
    let node = policy.deny("http_client.private_ip", "::1").node();
    // However the address is written.
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let args = request("GET", &url.replace("127.0.0.1", host), None);
        let answer = call(&node, granted("http-client", "request"), args).await;
        assert_eq!(answer, denied, "{host}");
    }
    assert_eq!(server.open_most(), 0);
}

// --- Limits -----------------------------------------------------------------------------

#[tokio::test]
async fn a_hundred_requests_at_once() {
    let server = Server::start().await;
    let mut wide = granted("http-client", "concurrent");
    wide.limits.http_concurrency = 100;
    let args = vec![text(server.url("/slow?300")), int(100)];
    let value = call(&Node::new(), wide, args).await.unwrap();
    assert_eq!(value, int(100 * "at last".len() as i64));
    assert_eq!(server.open_most(), 100);
}

#[tokio::test]
async fn no_more_requests_than_the_limit() {
    let server = Server::start().await;
    let mut narrow = granted("http-client", "hold");
    narrow.limits.http_concurrency = 3;
    // Responses that are not read are under way; a dropped one is not.
    let args = vec![text(server.url("/hello")), int(5)];
    let value = call(&Node::new(), narrow.clone(), args).await.unwrap();
    let limited = "ConnectionLimitReached";
    assert_eq!(strings(&value), ["200", "200", "200", limited, limited, "200"]);
    // A response without a body is not under way any more.
    let args = vec![text(server.url("/204")), int(5)];
    let value = call(&Node::new(), narrow, args).await.unwrap();
    assert_eq!(strings(&value), ["204"; 6]);
}

#[track_caller]
fn is_limit(exit: &Exit, limit: Limit, message: &str) {
    let Exit::Limit(own, error) = exit else { panic!("{exit:?}") };
    assert_eq!((*own, error.message()), (limit, message));
}

#[tokio::test]
async fn header_fields_are_bounded() {
    let node = Node::new();
    let mut limited = granted("http-client", "field-bomb");
    limited.limits.host_buffer_bytes = 1 << 20;
    let exit = run(&node, limited.clone(), vec![int(100_000), int(60_000)]).await;
    is_limit(
        &exit,
        Limit::HostBuffer,
        "test:http-client: its HTTP headers and bodies would take more than 1048576 bytes \
         (limits.host_buffer_bytes)",
    );
    // One set alone has a bound of its own.
    let exit = run(&node, limited.clone(), vec![int(1), int(200_000)]).await;
    is_limit(
        &exit,
        Limit::HostBuffer,
        "test:http-client: one set of HTTP header fields is larger than the host takes",
    );
    // What is dropped does not count.
    limited.method = Some("field-churn".to_owned());
    let value = call(&node, limited, vec![int(1_000), int(60_000)]).await.unwrap();
    assert_eq!(value, int(1_000));
}

#[tokio::test]
async fn bodies_that_are_not_sent_are_bounded() {
    let mut limited = granted("http-client", "body-bomb");
    limited.limits.host_buffer_bytes = 2 << 20;
    let exit = run(&Node::new(), limited, vec![int(100_000)]).await;
    is_limit(
        &exit,
        Limit::HostBuffer,
        "test:http-client: its HTTP headers and bodies would take more than 2097152 bytes \
         (limits.host_buffer_bytes)",
    );
}

#[tokio::test]
async fn headers_of_kept_responses_are_bounded() {
    let server = Server::start().await;
    let mut limited = granted("http-client", "hold");
    limited.limits.host_buffer_bytes = 1 << 20;
    let args = vec![text(server.url("/headers?60000")), int(100)];
    let exit = run(&Node::new(), limited, args).await;
    is_limit(
        &exit,
        Limit::HostBuffer,
        "test:http-client: its HTTP headers and bodies would take more than 1048576 bytes \
         (limits.host_buffer_bytes)",
    );
}

#[tokio::test]
async fn a_download_larger_than_every_buffer() {
    let server = Server::start().await;
    let mut small = granted("http-client", "download");
    small.limits.memory_bytes = 4 << 20;
    small.limits.host_buffer_bytes = 1 << 20;
    let args = vec![text(server.url("/bytes?67108864"))];
    assert_eq!(call(&Node::new(), small, args).await.unwrap(), int(64 << 20));
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_received() {
    let server = Server::start().await;
    let gib = 1 << 30;
    let args = vec![text(server.url(&format!("/bytes?{gib}"))), int(500)];
    let value = call(&Node::new(), granted("http-client", "unread"), args).await.unwrap();
    assert_eq!(value, int(200));
    // What the system's own buffers took, and no more.
    assert!(server.written() < 32 << 20, "{}", server.written());
    server.until_open(0).await;
}

#[tokio::test]
async fn a_body_that_never_ends_meets_the_deadline() {
    let server = Server::start().await;
    let mut limited = granted("http-client", "download");
    limited.limits.execution_max = Some(Duration::from_millis(200));
    let args = vec![text(server.url(&format!("/bytes?{}", 1_u64 << 60)))];
    let exit = run(&Node::new(), limited, args).await;
    assert!(matches!(exit, Exit::Limit(Limit::Execution, _)), "{exit:?}");
    assert!(server.written() > 0);
    server.until_open(0).await;
}

#[tokio::test]
async fn a_process_that_is_killed_closes_its_connection() {
    let server = Server::start().await;
    let node = Node::new();
    for path in ["/silent".to_owned(), "/stall".to_owned(), format!("/bytes?{}", 1_u64 << 60)] {
        node.add(granted("http-client", "download"));
        let args = vec![text(server.url(&path))];
        let (pid, watch) = node.spawn(PROCESSES, "http-client", args).await.unwrap();
        server.until_open(1).await;
        node.kernel.terminate(&pid).unwrap();
        assert_eq!(*watch.await, Exit::Terminated);
        server.until_open(0).await;
    }
}

#[tokio::test]
async fn a_guest_that_waits_gives_its_worker_back() {
    let server = Server::start().await;
    let node = Node::new();
    node.add(granted("http-client", "download"));
    let args = vec![text(server.url("/silent"))];
    let (pid, watch) = node.spawn(PROCESSES, "http-client", args).await.unwrap();
    server.until_open(1).await;
    // The host has one worker.
    let value = call(&node, spec("compute", None), vec![int(6), int(7)]).await.unwrap();
    assert_eq!(value, int(42));
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}
