//! Guests of WASI 0.3: asynchronous exports and commands as processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wippy_host::Volume;
use wippy_model::{Exit, Kind, Limit, Limits, Value};
use wippy_wasm::{BinarySource, EnvVar, Grants, Mount, WasmSpec};

use crate::node::{Node, PROCESSES, TERMINAL, id, spec};

fn text(text: &str) -> Value {
    Value::from(text)
}

fn ints<const N: usize>(numbers: [i64; N]) -> Vec<Value> {
    numbers.into_iter().map(Value::Int).collect()
}

fn words<const N: usize>(words: [&str; N]) -> Vec<Value> {
    words.into_iter().map(Value::from).collect()
}

fn functions(method: &str) -> WasmSpec {
    spec("async-functions", Some(method))
}

fn command() -> WasmSpec {
    spec("async-command", None)
}

fn granted(grants: Grants) -> WasmSpec {
    WasmSpec { grants, ..command() }
}

/// Runs the command on a terminal of its own: its exit, stdout and stderr.
async fn ran<const N: usize>(spec: WasmSpec, args: [&str; N]) -> (Exit, String, String) {
    let node = Node::new();
    let exit = node.run_on(TERMINAL, spec, words(args)).await.unwrap();
    (exit, node.stdout.text(), node.stderr.text())
}

fn went_well(stdout: &str) -> (Exit, String, String) {
    (Exit::Normal(Value::Nil), stdout.to_owned(), String::new())
}

fn went_wrong(stderr: &str) -> (Exit, String, String) {
    (Exit::Code(1), String::new(), stderr.to_owned())
}

#[tokio::test]
async fn exports_return_what_they_say() {
    let node = Node::new();
    let rows = [
        ("sleep-then-add", ints([2, 3, 5]), Value::Int(5)),
        ("add", ints([2, 3]), Value::Int(5)),
        ("greet", words(["World"]), text("Hello, World!")),
        ("nothing", vec![], Value::Nil),
        ("pump", ints([1_000_000]), Value::Int(7_000_000)),
        ("many-subtasks", ints([500, 3]), Value::Int(500)),
    ];
    for (method, args, expected) in rows {
        for host in [PROCESSES, TERMINAL] {
            let exit = node.run_on(host, functions(method), args.clone()).await.unwrap();
            assert_eq!(exit, Exit::Normal(expected.clone()), "{method} on {host}");
        }
    }
    assert_eq!(node.kernel.process_count(), 0);
}

#[tokio::test]
async fn subtasks_sleep_at_the_same_time() {
    let node = Node::new();
    let ms = Value::List(vec![Value::Int(200); 8]);
    let exit = node.run(functions("sleep-together"), vec![ms]).await.unwrap();
    let Exit::Normal(Value::List(times)) = exit else { panic!("{exit:?}") };
    let [Value::Int(slept), Value::Int(passed)] = times[..] else { panic!("{times:?}") };
    assert!(slept >= 8 * 200, "{slept}");
    assert!((200..8 * 200).contains(&passed), "{passed}");
}

#[tokio::test]
async fn err_is_a_failed_exit() {
    let node = Node::new();
    let exit = node.run(functions("greet"), words([""])).await.unwrap();
    let Exit::Failed(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:async-functions failed: nobody to greet");
    assert_eq!((error.kind(), error.details()), (Kind::Internal, &text("nobody to greet")));
}

#[tokio::test]
async fn a_trap_in_a_subtask_has_a_backtrace() {
    let node = Node::new();
    let exit = node.run(functions("trap-in-subtask"), ints([2])).await.unwrap();
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:async-functions trapped: wasm `unreachable` instruction executed"
    );
    let stack = error.stack().unwrap().to_string();
    assert!(stack.starts_with("  0: async_functions::trap_here (offset "), "{stack}");
}

#[tokio::test]
async fn what_can_never_go_on_traps() {
    let node = Node::new();
    let rows = [
        ("deadlock", vec![], "deadlock detected: event loop cannot make further progress"),
        ("add-late", ints([1, 2, 1]), "cannot block a synchronous task before returning"),
    ];
    for (method, args, expected) in rows {
        let exit = node.run(functions(method), args).await.unwrap();
        let Exit::Trap(error) = exit else { panic!("{exit:?}") };
        assert_eq!(error.message(), format!("test:async-functions trapped: {expected}"));
    }
}

#[tokio::test]
async fn a_process_ends_with_its_last_task() {
    let node = Node::new();
    let exit = node.run_on(TERMINAL, functions("print-late"), ints([30])).await.unwrap();
    assert_eq!((exit, node.stdout.text()), (Exit::Normal(text("early")), "late\n".to_owned()));
    let mut endless = functions("return-then-sleep");
    endless.limits.execution_max = Some(Duration::from_millis(30));
    let exit = node.run(endless, vec![]).await.unwrap();
    assert!(matches!(exit, Exit::Limit(Limit::Execution, _)), "{exit:?}");
}

#[tokio::test]
async fn streams_and_futures_cannot_be_passed_from_outside() {
    let node = Node::new();
    let rows = [
        ("count", "stream<u8>", "count: async func(to: u8) -> stream<u8>"),
        ("collect", "stream<u8>", "collect: async func(bytes: stream<u8>) -> list<u8>"),
        ("ticket", "future<u32>", "ticket: func() -> future<u32>"),
    ];
    for (method, ty, signature) in rows {
        let error = node.run(functions(method), vec![]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.message(),
            format!(
                "test:async-functions: a call from outside cannot pass {ty}; the signature is \
                 {signature}"
            )
        );
    }
}

#[tokio::test]
async fn wrong_arguments_fail_the_spawn() {
    let node = Node::new();
    let error = node.run(functions("sleep-then-add"), ints([1, 2])).await.unwrap_err();
    let signature = "sleep-then-add: async func(a: u32, b: u32, ms: u64) -> u32";
    assert!(error.message().contains(signature), "{error}");
    let error = node.run(functions("nothing-like-it"), vec![]).await.unwrap_err();
    assert!(error.message().contains(signature), "{error}");
}

#[tokio::test]
async fn deadlines_end_whatever_it_does() {
    let node = Node::new();
    for method in ["spin", "yield-for-ever", "sleep-for-ever"] {
        let mut spec = functions(method);
        spec.limits.execution_max = Some(Duration::from_millis(30));
        let start = Instant::now();
        let exit = node.run(spec, vec![]).await.unwrap();
        let Exit::Limit(Limit::Execution, error) = exit else { panic!("{exit:?}") };
        assert_eq!(error.kind(), Kind::Timeout);
        assert_eq!(
            error.message(),
            "test:async-functions did not end within 30 ms (limits.max_execution_ms)"
        );
        assert!(start.elapsed() < Duration::from_secs(20), "{method}");
    }
}

#[tokio::test]
async fn terminate_ends_whatever_it_does() {
    let node = Node::new();
    let rows = [
        ("spin", vec![]),
        ("yield-for-ever", vec![]),
        ("sleep-for-ever", vec![]),
        ("pump", ints([1 << 50])),
        ("many-subtasks", ints([200, 3_600_000])),
        ("return-then-sleep", vec![]),
    ];
    // At whatever point a guest is dropped, with what it waits for, nothing panics.
    for delay_us in [0, 200, 1_000, 5_000, 30_000] {
        for (method, args) in &rows {
            node.add(functions(method));
            let (pid, watch) =
                node.spawn(PROCESSES, "async-functions", args.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_micros(delay_us)).await;
            node.kernel.terminate(&pid).unwrap();
            assert_eq!(*watch.await, Exit::Terminated, "{method} after {delay_us} us");
        }
    }
    assert_eq!(node.kernel.process_count(), 0);
}

#[tokio::test]
async fn a_neighbour_on_the_only_worker_finishes() {
    let node = Node::new();
    let mut endless = Vec::new();
    for method in ["spin", "yield-for-ever", "sleep-for-ever", "spin"] {
        node.add(functions(method));
        endless.push(node.spawn(PROCESSES, "async-functions", vec![]).await.unwrap());
    }
    let exit = node.run(functions("sleep-then-add"), ints([2, 3, 20])).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(5)));
    let exit = node.run(spec("compute", None), ints([6, 7])).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(42)));
    for (pid, watch) in endless {
        node.kernel.terminate(&pid).unwrap();
        assert_eq!(*watch.await, Exit::Terminated);
    }
}

#[tokio::test]
async fn two_thousand_sleep_on_one_worker() {
    let node = Node::new();
    node.add(functions("sleep-then-add"));
    let mut sleepers = Vec::new();
    for number in 0..2_000 {
        let args = ints([number, 1, 300]);
        sleepers.push(node.spawn(PROCESSES, "async-functions", args).await.unwrap());
    }
    for (number, (_, watch)) in sleepers.into_iter().enumerate() {
        assert_eq!(*watch.await, Exit::Normal(Value::Int(number as i64 + 1)));
    }
    assert_eq!(node.kernel.process_count(), 0);
}

#[tokio::test]
async fn limits_hold_between_waits() {
    let node = Node::new();
    let mut hoard = functions("hoard");
    hoard.limits.memory_bytes = 8 << 20;
    let exit = node.run(hoard, vec![]).await.unwrap();
    let Exit::Limit(Limit::Memory, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:async-functions: out of memory: it may use 8388608 bytes (limits.memory_bytes)"
    );
}

#[tokio::test]
async fn subtasks_count_as_what_the_host_holds() {
    let node = Node::new();
    let mut many = functions("many-subtasks");
    many.limits.host_buffer_bytes = 1 << 20;
    let exit = node.run(many.clone(), ints([1_000_000, 3_600_000])).await.unwrap();
    let Exit::Limit(Limit::HostBuffer, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:async-functions: it makes the host hold more than 1048576 bytes \
         (limits.host_buffer_bytes): more than 2048 tasks, streams and futures at once"
    );
    assert_eq!(error.kind(), Kind::ResourceExhausted);
    let exit = node.run(many, ints([1_000, 1])).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(1_000)));
}

#[tokio::test]
async fn a_command_has_arguments_environment_and_directory() {
    let mut entry = command();
    entry.args = vec!["first".to_owned()];
    entry.env = vec![EnvVar { name: "NAME".to_owned(), id: id("test:NAME"), required: true }];
    entry.cwd = Some("/work".to_owned());
    assert_eq!(ran(entry.clone(), ["second"]).await, went_well("first\nsecond\nNAME=Ada\n"));
    entry.args.clear();
    assert_eq!(ran(entry.clone(), ["cwd"]).await, went_well("/work\n"));
    assert_eq!(ran(entry, ["program"]).await, went_well("async-command\n"));
}

#[tokio::test]
async fn a_command_has_the_terminal() {
    let node = Node::with_stdin("some input\nand more");
    let exit = node.run_on(TERMINAL, command(), words(["stdin"])).await.unwrap();
    assert_eq!(
        (exit, node.stdout.text().as_str()),
        (Exit::Normal(Value::Nil), "some input\nand more")
    );
    let (exit, stdout, stderr) = ran(command(), ["stderr", "oops"]).await;
    assert_eq!((exit, stdout.as_str(), stderr.as_str()), (Exit::Normal(Value::Nil), "", "oops\n"));
    let (exit, stdout, _) = ran(command(), ["flood", "3000000"]).await;
    assert_eq!((exit, stdout.len()), (Exit::Normal(Value::Nil), 3_000_000));
}

#[tokio::test]
async fn on_a_process_host_stdin_is_empty() {
    let node = Node::with_stdin("not for it");
    let exit = node.run(command(), words(["stdin"])).await.unwrap();
    assert_eq!((exit, node.stdout.text().as_str()), (Exit::Normal(Value::Nil), ""));
}

#[tokio::test]
async fn a_command_ends_as_it_says() {
    let rows = [("42", Exit::Code(42)), ("255", Exit::Code(255)), ("0", Exit::Normal(Value::Nil))];
    for (code, expected) in rows {
        let (exit, stdout, _) = ran(command(), ["exit", code]).await;
        assert_eq!((exit, stdout.as_str()), (expected, "leaving\n"));
    }
    assert_eq!(ran(command(), ["fail"]).await, went_wrong("as asked\n"));
    let (exit, ..) = ran(command(), ["panic"]).await;
    assert!(matches!(exit, Exit::Trap(_)), "{exit:?}");
}

/// The command with a folder that holds `a.txt`, at `/data`.
fn mounted(read_only: bool) -> (TempDir, WasmSpec) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.txt"), "content\n").unwrap();
    let volume = Arc::new(Volume::open(folder.path(), false, None).unwrap());
    let mounts =
        vec![Mount { id: id("test:volume"), volume, guest: "/data".to_owned(), read_only }];
    (folder, WasmSpec { mounts, ..command() })
}

#[tokio::test]
async fn files_are_read_and_written_through_streams() {
    let (folder, entry) = mounted(false);
    assert_eq!(ran(entry.clone(), ["read", "a.txt"]).await, went_well("content\n"));
    assert_eq!(ran(entry.clone(), ["write", "b.txt", "new"]).await, went_well(""));
    assert_eq!(ran(entry.clone(), ["append", "b.txt", " and more"]).await, went_well(""));
    let written = std::fs::read_to_string(folder.path().join("b.txt")).unwrap();
    assert_eq!(written, "new and more");
    assert_eq!(ran(entry.clone(), ["list", "."]).await, went_well("a.txt b.txt\n"));
    assert_eq!(ran(entry.clone(), ["remove", "a.txt"]).await, went_well(""));
    assert_eq!(ran(entry, ["read", "a.txt"]).await, went_wrong("ErrorCode::NoEntry\n"));
    assert_eq!(ran(command(), ["list", "."]).await, went_wrong("nothing is mounted\n"));
}

/// The command with a writable folder that holds `a.txt` and so many files more.
fn crowded(files: usize, limits: Limits) -> (TempDir, WasmSpec) {
    let (folder, entry) = mounted(false);
    for number in 0..files {
        std::fs::write(folder.path().join(format!("f{number:03}")), "").unwrap();
    }
    (folder, WasmSpec { limits, ..entry })
}

#[tokio::test]
async fn a_listing_has_every_entry() {
    let (_folder, entry) = crowded(700, Limits::default());
    let mut names: Vec<_> = (0..700).map(|number| format!("f{number:03}")).collect();
    names.insert(0, "a.txt".to_owned());
    assert_eq!(ran(entry.clone(), ["list", "."]).await, went_well(&(names.join(" ") + "\n")));
    // With `holding`, in pieces that are larger than those of the host.
    assert_eq!(ran(entry, ["hold", ".", "2", "0"]).await, went_well("2 times 702 entries\n"));
}

/// More of them than a host has threads for what blocks.
#[tokio::test]
async fn unread_listings_take_no_threads_from_others() {
    let node = Node::new();
    let limits = Limits { open_files_max: 1000, ..Limits::default() };
    let (folder, holder) = crowded(1, limits);
    let (others, mut neighbour) = mounted(false);
    neighbour.id = id("test:neighbour");
    node.add(holder);
    let args = words(["hold", ".", "600", "600000"]);
    let (holder, held) = node.spawn(PROCESSES, "async-command", args).await.unwrap();
    let work = async {
        while !folder.path().join("holding").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let exit = node.run(neighbour, words(["append", "a.txt", "more"])).await.unwrap();
        assert_eq!(exit, Exit::Normal(Value::Nil));
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
    assert_eq!(std::fs::read_to_string(others.path().join("a.txt")).unwrap(), "content\nmore");
    node.kernel.terminate(&holder).unwrap();
    assert_eq!(*held.await, Exit::Terminated);
}

#[tokio::test]
async fn open_listings_count_as_files() {
    // The folder is the fourth: its listings keep it open.
    let limits = Limits { open_files_max: 4, ..Limits::default() };
    let (_folder, entry) = crowded(1, limits);
    let expected = "3 times 2 entries\n3 times ErrorCode::Quota after 0 entries\n";
    assert_eq!(ran(entry, ["hold", ".", "6", "0"]).await, went_well(expected));
}

#[tokio::test]
async fn listings_together_hold_what_the_host_may() {
    // 400 entries of 100 bytes.
    let limits = Limits { host_buffer_bytes: 64 << 10, ..Limits::default() };
    let (_folder, mut entry) = crowded(400, limits);
    let expected = "1 times 402 entries\n2 times ErrorCode::InsufficientMemory after 0 entries\n";
    assert_eq!(ran(entry.clone(), ["hold", ".", "3", "0"]).await, went_well(expected));
    entry.limits.host_buffer_bytes = 32 << 10;
    let expected = went_wrong("ErrorCode::InsufficientMemory\n");
    assert_eq!(ran(entry, ["list", "."]).await, expected);
}

#[tokio::test]
async fn streams_of_files_are_counted() {
    // Six references: the descriptor, three streams to read, two to append.
    let limits = Limits { open_files_max: 2, ..Limits::default() };
    let (_folder, entry) = crowded(0, limits);
    let expected = "2 times 0 bytes left\n\
        3 times 8 bytes read\n\
        3 times ErrorCode::Quota after 0 bytes read\n\
        4 times ErrorCode::Quota with 1 bytes left\n";
    assert_eq!(ran(entry, ["hold-files", "a.txt", "6"]).await, went_well(expected));
}

#[tokio::test]
async fn a_large_file_goes_through() {
    let (folder, entry) = mounted(true);
    std::fs::write(folder.path().join("large"), vec![b'y'; 4 << 20]).unwrap();
    let (exit, stdout, _) = ran(entry, ["read", "large"]).await;
    assert_eq!((exit, stdout.len()), (Exit::Normal(Value::Nil), 4 << 20));
}

#[tokio::test]
async fn a_read_only_mount_refuses_writes() {
    let (folder, entry) = mounted(true);
    assert_eq!(ran(entry.clone(), ["read", "a.txt"]).await, went_well("content\n"));
    for args in [
        &["write", "b.txt", "new"][..],
        &["write", "a.txt", "new"],
        &["append", "a.txt", "new"],
        &["remove", "a.txt"],
    ] {
        let node = Node::new();
        let args = args.iter().copied().map(Value::from).collect();
        let exit = node.run_on(TERMINAL, entry.clone(), args).await.unwrap();
        let outcome = (exit, node.stdout.text(), node.stderr.text());
        assert!(
            outcome == went_wrong("ErrorCode::NotPermitted\n")
                || outcome == went_wrong("ErrorCode::ReadOnly\n"),
            "{outcome:?}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "content\n");
}

#[tokio::test]
async fn no_path_leaves_a_mount() {
    let (folder, entry) = mounted(false);
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("out")).unwrap();
    for path in ["../a.txt", "/etc/hostname", "out"] {
        let (exit, stdout, _) = ran(entry.clone(), ["read", path]).await;
        assert_eq!((exit, stdout.as_str()), (Exit::Code(1), ""), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    assert_eq!(
        ran(command(), ["connect", "1", "x"]).await,
        went_wrong("ErrorCode::AccessDenied\n")
    );
    assert_eq!(ran(command(), ["listen"]).await, went_wrong("ErrorCode::AccessDenied\n"));
    let (exit, stdout, _) = ran(command(), ["resolve", "localhost"]).await;
    assert_eq!((exit, stdout.as_str()), (Exit::Code(1), ""));
    assert_eq!(
        ran(command(), ["get", "127.0.0.1:1", "/"]).await,
        went_wrong("ErrorCode::HttpRequestDenied\n")
    );
    // One grant is not another.
    let sockets = granted(Grants { sockets: true, ..Grants::default() });
    let (exit, _, stderr) = ran(sockets, ["get", "127.0.0.1:1", "/"]).await;
    assert_eq!((exit, stderr.as_str()), (Exit::Code(1), "ErrorCode::HttpRequestDenied\n"));
    let http = granted(Grants { http: true, ..Grants::default() });
    assert_eq!(ran(http, ["listen"]).await, went_wrong("ErrorCode::AccessDenied\n"));
}

#[tokio::test]
async fn http_requests_go_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(client.read_u8().await.unwrap());
        }
        client
            .write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\nthe body\n")
            .await
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    let entry = granted(Grants { http: true, ..Grants::default() });
    assert_eq!(ran(entry, ["get", &authority, "/path?q=1"]).await, went_well("201\nthe body\n\n"));
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{request}");
}

fn written_here(name: &str, text: &str) -> WasmSpec {
    let mut spec = spec(name, Some("run"));
    let bytes = wat::parse_str(text).unwrap();
    spec.source = BinarySource::Bytes { name: format!("{name}.wat"), bytes: bytes.into() };
    spec
}

/// Preempted where one component calls another, which wasmtime tracks lazily.
#[tokio::test]
async fn a_call_between_components_is_preempted() {
    let node = Node::new();
    let composed = r#"
        (component
          (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64)))))
          (component $counts
            (core module $m
              (func (export "count") (param $n i64) (result i64) (local $i i64)
                (loop $again
                  (local.set $i (i64.add (local.get $i) (i64.const 1)))
                  (br_if $again (i64.lt_u (local.get $i) (local.get $n))))
                (local.get $i)))
            (core instance $i (instantiate $m))
            (func (export "count") (param "n" u64) (result u64)
              (canon lift (core func $i "count"))))
          (component $calls
            (import "count" (func $count (param "n" u64) (result u64)))
            (core func $count (canon lower (func $count)))
            (core module $m
              (import "" "count" (func $count (param i64) (result i64)))
              (func (export "run") (result i64) (local $i i64) (local $sum i64)
                (loop $again
                  (local.set $sum (i64.add (local.get $sum) (call $count (i64.const 300000))))
                  (local.set $i (i64.add (local.get $i) (i64.const 1)))
                  (br_if $again (i64.lt_u (local.get $i) (i64.const 300))))
                (local.get $sum)))
            (core instance $i (instantiate $m
              (with "" (instance (export "count" (func $count))))))
            (func (export "run") (result u64) (canon lift (core func $i "run"))))
          (instance $counts (instantiate $counts))
          (instance $calls (instantiate $calls (with "count" (func $counts "count"))))
          (export "run" (func $calls "run")))
    "#;
    node.add(functions("spin"));
    let (neighbour, watch) = node.spawn(PROCESSES, "async-functions", vec![]).await.unwrap();
    let exit = node.run(written_here("composed", composed), vec![]).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(90_000_000)));
    node.kernel.terminate(&neighbour).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}

#[tokio::test]
async fn what_of_0_3_is_not_there_links_and_traps_when_called() {
    let node = Node::new();
    for import in ["wasi:keyvalue/store@0.3.0", "wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16"] {
        let guest = format!(
            r#"(component
                 (import "{import}" (instance $i (export "wait" (func async (param "n" u64)))))
                 (core func $wait (canon lower (func $i "wait")))
                 (core module $m
                   (import "" "wait" (func $wait (param i64)))
                   (func (export "run") (call $wait (i64.const 1))))
                 (core instance $m (instantiate $m
                   (with "" (instance (export "wait" (func $wait))))))
                 (func (export "run") async (canon lift (core func $m "run"))))"#
        );
        let exit = node.run(written_here("draft", &guest), vec![]).await.unwrap();
        let Exit::Trap(error) = exit else { panic!("{exit:?}") };
        assert_eq!(error.kind(), Kind::PermissionDenied);
        let expected = format!("test:draft called {import}#wait, which nothing here provides");
        assert!(error.message().starts_with(&expected), "{error}");
    }
}
