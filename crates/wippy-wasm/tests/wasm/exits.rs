//! Every exit of the table that a guest can bring about.

use std::time::{Duration, Instant};

use wippy_model::{Exit, Kind, Limit, Limits, Value};
use wippy_wasm::BinarySource;

use crate::node::{Node, PROCESSES, TERMINAL, spec};

fn ints<const N: usize>(numbers: [i64; N]) -> Vec<Value> {
    numbers.into_iter().map(Value::Int).collect()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

#[tokio::test]
async fn a_result_is_a_normal_exit() {
    let node = Node::new();
    let rows = [
        ("compute", "compute", ints([6, 7]), Value::Int(42)),
        ("compute-core", "compute", ints([6, 7]), Value::Int(42)),
        ("bench-small", "compute", ints([6, 7]), Value::Int(42)),
        ("hello-wat", "greet", vec![text("World")], text("Hello, World!")),
        ("hello-rust", "greet", vec![text("World")], text("Hello, World!")),
        ("hello-c", "greet", vec![text("World")], text("Hello, World!")),
        ("reactor-p1", "add", ints([2, 3]), Value::Int(5)),
        ("reactor-p1", "initialized", vec![], Value::Int(1)),
        ("echo-types", "nested#add", ints([2, 3]), Value::Int(5)),
        ("echo-types", "wippy:test/nested#add", ints([2, 3]), Value::Int(5)),
        ("echo-types", "ok", vec![text("fine")], text("fine")),
        ("sleep", "test-sleep#sleep-ms", ints([1]), Value::Nil),
        ("sleep", "sleep-ms", ints([1]), Value::Nil),
        ("ungranted", "quiet", vec![], Value::Int(42)),
    ];
    for (guest, method, args, expected) in rows {
        for host in [PROCESSES, TERMINAL] {
            let exit = node.run_on(host, spec(guest, Some(method)), args.clone()).await.unwrap();
            assert_eq!(exit, Exit::Normal(expected.clone()), "{guest} {method} on {host}");
        }
    }
}

#[tokio::test]
async fn wit_makes_a_component_of_a_core_module() {
    let node = Node::new();
    let mut spec = spec("greet-core", Some("greet"));
    spec.wit = Some("greet: func(name: string) -> string;".to_owned());
    let exit = node.run(spec, vec![text("World")]).await.unwrap();
    assert_eq!(exit, Exit::Normal(text("Hello, World!")));
}

#[tokio::test]
async fn err_is_a_failed_exit_with_details() {
    let node = Node::new();
    let exit = node.run(spec("echo-types", Some("fail")), vec![text("no luck")]).await.unwrap();
    let Exit::Failed(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:echo-types failed: no luck");
    assert_eq!((error.kind(), error.details()), (Kind::Internal, &text("no luck")));
}

#[tokio::test]
async fn exit_codes_are_kept() {
    let node = Node::new();
    let args = vec![text("exit"), text("42")];
    for guest in ["cli-args", "cli-c"] {
        let exit = node.run_on(TERMINAL, spec(guest, None), args.clone()).await.unwrap();
        assert_eq!(exit, Exit::Code(42), "{guest}");
    }
    let large = vec![text("exit"), text("255")];
    let exit = node.run(spec("cli-c", None), large).await.unwrap();
    assert_eq!(exit, Exit::Code(255));
    let zero = vec![text("exit"), text("0")];
    let exit = node.run(spec("cli-c", None), zero).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Nil));
    // The preview1 adapter knows only success and failure.
    let exit = node.run(spec("cli-component", None), args).await.unwrap();
    assert_eq!(exit, Exit::Code(1));
    let exit = node.run(spec("exit-code", None), ints([0])).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Nil));
}

#[tokio::test]
async fn commands_have_the_terminal() {
    for guest in ["cli-args", "cli-component"] {
        let node = Node::with_stdin("some input\n");
        let args = vec![text("one"), text("two")];
        let exit = node.run_on(TERMINAL, spec(guest, None), args).await.unwrap();
        assert!(exit.is_normal(), "{exit}");
        assert_eq!(node.stdout.text(), "one\ntwo\n", "{guest}");
        let exit = node.run_on(TERMINAL, spec(guest, None), vec![text("stdin")]).await.unwrap();
        assert!(exit.is_normal(), "{exit}");
        assert_eq!(node.stdout.text(), "one\ntwo\nsome input\n", "{guest}");
        let args = vec![text("stderr"), text("oops")];
        node.run_on(TERMINAL, spec(guest, None), args).await.unwrap();
        assert_eq!(node.stderr.text(), "oops\n", "{guest}");
    }
}

#[tokio::test]
async fn a_trap_has_a_backtrace() {
    let node = Node::new();
    let exit = node.run(spec("trap", None), vec![]).await.unwrap();
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:trap trapped: wasm `unreachable` instruction executed");
    let stack = error.stack().unwrap().to_string();
    let names: Vec<&str> = stack.lines().filter_map(|line| line.split(' ').nth(3)).collect();
    assert!(names.len() >= 3, "{stack}");
}

#[tokio::test]
async fn a_backtrace_has_source_lines_where_there_is_dwarf() {
    let node = Node::new();
    let exit = node.run(spec("trap-rust", None), vec![]).await.unwrap();
    let stack = exit.error().unwrap().stack().unwrap().to_string();
    assert!(stack.contains("innermost"), "{stack}");
    assert!(stack.contains("lib.rs:"), "{stack}");
}

#[tokio::test]
async fn a_trap_in_a_start_function_is_an_exit() {
    let node = Node::new();
    let exit = node.run(spec("trap-start", None), vec![]).await.unwrap();
    assert!(matches!(exit, Exit::Trap(_)), "{exit:?}");
}

#[tokio::test]
async fn limits_end_a_guest_with_their_name() {
    let node = Node::new();
    let exit = node.run(spec("recurse", None), vec![]).await.unwrap();
    let Exit::Limit(Limit::Stack, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:recurse: the call stack is exhausted: 524288 bytes (host.stack_bytes)"
    );

    let mut bomb = spec("memory-bomb", None);
    bomb.limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let exit = node.run(bomb, vec![]).await.unwrap();
    let Exit::Limit(Limit::Memory, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:memory-bomb: out of memory: it may use 1048576 bytes (limits.memory_bytes)"
    );
    assert_eq!(error.kind(), Kind::ResourceExhausted);
}

#[tokio::test]
async fn max_execution_ms_stops_busy_and_sleeping_guests_and_start_functions() {
    let node = Node::new();
    let sleeper = vec![Value::Int(60_000)];
    for (guest, method, args) in
        [("loop", "run", vec![]), ("loop-start", "run", vec![]), ("sleep", "sleep-ms", sleeper)]
    {
        let mut spec = spec(guest, Some(method));
        spec.limits.execution_max = Some(Duration::from_millis(30));
        let exit = node.run(spec, args).await.unwrap();
        let Exit::Limit(Limit::Execution, error) = exit else { panic!("{exit:?}") };
        assert_eq!(error.kind(), Kind::Timeout);
        assert_eq!(
            error.message(),
            format!("test:{guest} did not end within 30 ms (limits.max_execution_ms)")
        );
    }
}

#[tokio::test]
async fn terminate_ends_a_busy_guest() {
    let node = Node::new();
    for guest in ["loop", "loop-start"] {
        node.add(spec(guest, None));
        let (pid, watch) = node.spawn(PROCESSES, guest, vec![]).await.unwrap();
        while node.kernel.processes().iter().any(|process| process.steps == 0) {
            tokio::task::yield_now().await;
        }
        node.kernel.terminate(&pid).unwrap();
        assert_eq!(*watch.await, Exit::Terminated);
        assert_eq!(node.kernel.process_count(), 0);
    }
}

#[tokio::test]
async fn terminate_ends_a_guest_within_a_long_slice() {
    let node = Node::with_host(|host| host.slice = Duration::from_millis(400));
    node.add(spec("loop", None));
    let (pid, watch) = node.spawn(PROCESSES, "loop", vec![]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(250)).await;
    let start = Instant::now();
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn more_processes_than_the_pool_has_places() {
    let node = Node::new();
    for guest in ["sleep", "cli-c"] {
        node.add(spec(guest, None));
    }
    let mut sleepers = Vec::new();
    node.add(spec("sleep", Some("sleep-ms")));
    for _ in 0..3_010 {
        sleepers.push(node.spawn(PROCESSES, "sleep", vec![Value::Int(60_000)]).await.unwrap());
    }
    let exit = node.run(spec("hello-rust", None), vec![text("World")]).await.unwrap();
    assert_eq!(exit, Exit::Normal(text("Hello, World!")));
    let exit = node.run(spec("cli-c", None), vec![text("exit"), text("7")]).await.unwrap();
    assert_eq!(exit, Exit::Code(7));
    for (pid, _) in &sleepers {
        node.kernel.terminate(pid).unwrap();
    }
    for (_, watch) in sleepers {
        assert_eq!(*watch.await, Exit::Terminated);
    }
}

#[tokio::test]
async fn cancel_ends_a_guest_at_its_deadline() {
    let node = Node::new();
    node.add(spec("loop", None));
    let (pid, watch) = node.spawn(PROCESSES, "loop", vec![]).await.unwrap();
    node.kernel.cancel(&pid, None, Some(Duration::from_millis(5)), Some("enough")).unwrap();
    assert_eq!(*watch.await, Exit::Canceled(Some("enough".into())));
}

#[tokio::test]
async fn busy_guests_do_not_stop_a_neighbour() {
    let node = Node::new();
    node.add(spec("loop", None));
    let (first, first_watch) = node.spawn(PROCESSES, "loop", vec![]).await.unwrap();
    let (second, second_watch) = node.spawn(PROCESSES, "loop", vec![]).await.unwrap();
    // One worker, two endless loops: a third guest finishes all the same.
    let exit = node.run(spec("compute", None), ints([6, 7])).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(42)));
    let infos = node.kernel.processes();
    assert_eq!(infos.len(), 2);
    for pid in [first, second] {
        node.kernel.terminate(&pid).unwrap();
    }
    assert_eq!(*first_watch.await, Exit::Terminated);
    assert_eq!(*second_watch.await, Exit::Terminated);
}

#[tokio::test]
async fn what_no_grant_names_traps_when_called() {
    let node = Node::new();
    let exit = node.run(spec("ungranted", Some("loud")), vec![]).await.unwrap();
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(
        error.message(),
        "test:ungranted called test:minimal/host#ping, which nothing here provides: \
         `wippy inspect` lists what a binary imports"
    );
}

#[tokio::test]
async fn shutdown_ends_everything() {
    let node = Node::new();
    node.add(spec("loop", None));
    let (_, watch) = node.spawn(PROCESSES, "loop", vec![]).await.unwrap();
    let start = Instant::now();
    node.kernel.shutdown(Duration::from_millis(20)).await;
    assert!(matches!(*watch.await, Exit::Canceled(_)));
    assert!(start.elapsed() < Duration::from_secs(5));
    let error = node.spawn(PROCESSES, "loop", vec![]).await.unwrap_err();
    assert_eq!(error.message(), "cannot spawn test:loop: the node is stopping");
}

/// A guest that was refused memory, went on, and traps for another reason much later.
#[tokio::test]
async fn a_refused_growth_is_forgotten_by_who_goes_on() {
    let text = "(module (memory 1) (func (export \"run\") (local $n i32)
        (drop (memory.grow (i32.const 60000)))
        (loop $on
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $on (i32.lt_u (local.get $n) (i32.const 500000000))))
        unreachable))";
    let mut late = spec("late", Some("run"));
    let bytes = wat::parse_str(text).unwrap();
    late.source = BinarySource::Bytes { name: "late.wat".to_owned(), bytes: bytes.into() };
    let exit = Node::new().run(late, vec![]).await.unwrap();
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:late trapped: wasm `unreachable` instruction executed");
}
