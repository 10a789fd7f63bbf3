//! Guests of WASI 0.3: asynchronous exports and commands as processes.

use std::time::{Duration, Instant};

use wippy_model::{Exit, Kind, Limit, Value};
use wippy_wasm::WasmSpec;

use crate::node::{Node, PROCESSES, TERMINAL, spec};

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
async fn misc() {
    let node = Node::new();
    for (method, args) in [
        ("greet", words([""])),
        ("print-late", ints([5])),
        ("add-late", ints([1, 2, 5])),
        ("trap-in-subtask", ints([2])),
        ("deadlock", vec![]),
    ] {
        let exit = node.run_on(TERMINAL, functions(method), args).await.unwrap();
        println!("{method}: {exit:?}");
        if let Some(error) = exit.error() {
            println!("{:?}", error.stack().map(|s| s.to_string()));
        }
        println!("out {:?} err {:?}", node.stdout.text(), node.stderr.text());
    }
    for args in [
        words(["a", "b"]),
        words(["program"]),
        words(["cwd"]),
        words(["exit", "42"]),
        words(["fail"]),
        words(["panic"]),
        words(["stdin"]),
        words(["list", "."]),
        words(["connect", "1", "x"]),
        words(["listen"]),
        words(["resolve", "localhost"]),
        words(["get", "127.0.0.1:1", "/"]),
        words(["flood", "1000000"]),
    ] {
        let exit = node.run_on(TERMINAL, command(), args.clone()).await.unwrap();
        println!("{args:?}: {exit:?}");
        println!("out {:?} err {:?}", node.stdout.text().chars().take(400).collect::<String>(), node.stderr.text());
    }
    for (method, args) in [("count", ints([3])), ("collect", vec![text("x")]), ("ticket", vec![])] {
        println!("{:?}", node.run_on(TERMINAL, functions(method), args).await);
    }
    for method in ["spin", "yield-for-ever", "sleep-for-ever", "hoard", "return-then-sleep"] {
        let mut spec = functions(method);
        spec.limits.execution_max = Some(Duration::from_millis(200));
        spec.limits.memory_bytes = 8 << 20;
        let start = Instant::now();
        println!("{:?} {:?}", node.run_on(TERMINAL, spec, vec![]).await, start.elapsed());
    }
}

fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn scratch() {
    let node = Node::new();
    node.run(functions("many-subtasks"), ints([10, 2])).await.unwrap();
    for n in [20_000, 60_000] {
        let t = Instant::now();
        println!("{:?} {:?}", node.run(functions("many-subtasks"), ints([n, 10])).await, t.elapsed());
    }
    // plain sleepers
    let before = rss();
    let t = Instant::now();
    node.add(functions("sleep-then-add"));
    let mut all = Vec::new();
    for _ in 0..2000 {
        all.push(node.spawn(PROCESSES, "async-functions", ints([1, 2, 3000])).await.unwrap());
    }
    println!("spawned 2000 {:?} {} KiB each", t.elapsed(), (rss() - before) / 2000);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    println!("{} KiB each; alive {}", (rss() - before) / 2000, node.kernel.process_count());
    for (_, watch) in all {
        assert_eq!(*watch.await, Exit::Normal(Value::Int(3)));
    }
    println!("done {:?}", t.elapsed());
}
