//! Guests that a spawn host's pools do not hold: what they need is counted, they are
//! preempted and limited as all others, and a lack of room is no trap.

use std::fmt::Write;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wippy_kernel::ExitWatch;
use wippy_model::{Exit, Kind, Limit, Pid, Value};
use wippy_wasm::{BinarySource, WasmSpec};

use crate::density::alone;
use crate::node::{Node, PROCESSES, TERMINAL, spec};

fn from_text(name: &str, method: &str, text: &str) -> WasmSpec {
    let mut spec = spec(name, Some(method));
    let bytes = wat::parse_str(text).unwrap();
    spec.source = BinarySource::Bytes { name: format!("{name}.wat"), bytes: bytes.into() };
    spec
}

/// A module that sleeps in `hold(ms)` and spins in `spin()`, with what else it has.
fn sleeper(more: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          {more}
          (func (export "hold") (param $ms i32) (result i32)
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24)
              (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))
            (drop (call $poll (i32.const 0) (i32.const 104) (i32.const 1) (i32.const 200)))
            (i32.const 7))
          (func (export "spin") (loop $again (br $again))))"#
    )
}

async fn hold(node: &Node, name: &str, guests: usize) -> Vec<(Pid, ExitWatch)> {
    let mut held = Vec::new();
    for _ in 0..guests {
        held.push(node.spawn(PROCESSES, name, vec![Value::Int(600_000)]).await.unwrap());
    }
    held
}

/// Ends guests that sleep: each must have come so far.
async fn end(node: &Node, held: Vec<(Pid, ExitWatch)>) {
    // Whoever has ended already is found by its exit.
    for (pid, _) in &held {
        let _ = node.kernel.terminate(pid);
    }
    for (at, (_, watch)) in held.into_iter().enumerate() {
        assert_eq!(*watch.await, Exit::Terminated, "guest {at}");
    }
}

async fn soon(watch: ExitWatch) -> Exit {
    let exit = timeout(Duration::from_secs(20), watch).await;
    Exit::clone(&*exit.unwrap())
}

/// A heap of garbage-collected objects takes a memory that the binary does not say.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_overflows_its_pool_is_limited_and_ended() {
    let node = Node::new();
    let text = sleeper(
        "(type $s (struct (field i32)))
         (global (ref $s) (struct.new $s (i32.const 7)))",
    );
    node.add(from_text("hold", "hold", &text));
    let mut limited = from_text("limited", "spin", &text);
    limited.limits.execution_max = Some(Duration::from_millis(300));
    node.add(limited);
    node.add(from_text("spin", "spin", &text));
    // 256 memories are there, and each takes two.
    let held = hold(&node, "hold", 130).await;
    // The clock of an engine parks when nothing has run in it for a while.
    sleep(Duration::from_millis(500)).await;
    let (_, watch) = node.spawn(PROCESSES, "limited", vec![]).await.unwrap();
    let exit = soon(watch).await;
    assert!(matches!(exit, Exit::Limit(Limit::Execution, _)), "{exit:?}");
    sleep(Duration::from_millis(500)).await;
    let (pid, watch) = node.spawn(PROCESSES, "spin", vec![]).await.unwrap();
    // It gives way to others, too: the host has one worker.
    let (_, other) = node.spawn(PROCESSES, "hold", vec![Value::Int(1)]).await.unwrap();
    assert_eq!(soon(other).await, Exit::Normal(Value::Int(7)));
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(soon(watch).await, Exit::Terminated);
    end(&node, held).await;
}

/// A component of WASI 0.3 whose `hold` calls so many instances, each of which waits.
fn many_calls(instances: usize) -> String {
    let each = |write: &dyn Fn(&mut String, usize)| {
        let mut text = String::new();
        (0..instances).for_each(|at| write(&mut text, at));
        text
    };
    let imports = each(&|text, at| {
        write!(text, r#"(import "f{at}" (func $a{at} async))"#).unwrap();
        writeln!(text, "(core func $f{at} (canon lower (func $a{at}) async))").unwrap();
    });
    let core_imports = each(&|text, at| {
        writeln!(text, r#"(import "" "f{at}" (func $f{at} (result i32)))"#).unwrap();
    });
    let calls = each(&|text, at| writeln!(text, "(drop (call $f{at}))").unwrap());
    let core_args = each(&|text, at| writeln!(text, r#"(export "f{at}" (func $f{at}))"#).unwrap());
    let inner = each(&|text, at| {
        writeln!(text, r#"(instance $a{at} (instantiate $inner (with "wait" (func $wait))))"#)
            .unwrap();
    });
    let args = each(&|text, at| writeln!(text, r#"(with "f{at}" (func $a{at} "f"))"#).unwrap());
    let nap = "(call $w (i64.mul (i64.extend_i32_u (local.get 0)) (i64.const 1000000)))";
    format!(
        r#"(component
          (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
            (export "wait-for" (func async (param "how-long" u64)))))
          (alias export $clock "wait-for" (func $wait))
          (component $inner
            (import "wait" (func $wait async (param "how-long" u64)))
            (core func $w (canon lower (func $wait)))
            (core module $m
              (import "" "w" (func $w (param i64)))
              (func (export "f") (call $w (i64.const 600000000000))))
            (core instance $i (instantiate $m (with "" (instance (export "w" (func $w))))))
            (func (export "f") async (canon lift (core func $i "f"))))
          (component $main
            (import "wait" (func $wait async (param "how-long" u64)))
            {imports}
            (core func $w (canon lower (func $wait)))
            (core module $m
              (import "" "w" (func $w (param i64)))
              {core_imports}
              (func (export "hold") (param i32) (result i32) {calls} {nap} (i32.const 7))
              (func (export "nap") (param i32) (result i32) {nap} (i32.const 7)))
            (core instance $i (instantiate $m (with "" (instance
              (export "w" (func $w)) {core_args}))))
            (func (export "hold") async (param "ms" u32) (result u32)
              (canon lift (core func $i "hold")))
            (func (export "nap") async (param "ms" u32) (result u32)
              (canon lift (core func $i "nap"))))
          {inner}
          (instance $main (instantiate $main (with "wait" (func $wait)) {args}))
          (export "hold" (func $main "hold"))
          (export "nap" (func $main "nap")))"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_guest_take_no_stacks_of_others() {
    let node = Node::new();
    let text = many_calls(40);
    node.add(from_text("hold", "hold", &text));
    node.add(from_text("nap", "nap", &text));
    // The first pool has 512 stacks, and each takes 42.
    let held = hold(&node, "hold", 20).await;
    sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        let (_, watch) = node.spawn(PROCESSES, "nap", vec![Value::Int(10)]).await.unwrap();
        assert_eq!(soon(watch).await, Exit::Normal(Value::Int(7)));
    }
    end(&node, held).await;
}

#[tokio::test]
async fn a_guest_that_fits_no_pool_runs() {
    let node = Node::new();
    let rows = [
        ("memories", "(memory 1) (memory 1) (memory 1) (memory 1)"),
        ("tables", &"(table 1 funcref)".repeat(5)),
        ("elements", "(table 20001 funcref)"),
    ];
    for (name, more) in rows {
        let exit = node.run(from_text(name, "hold", &sleeper(more)), vec![Value::Int(1)]).await;
        assert_eq!(exit.unwrap(), Exit::Normal(Value::Int(7)), "{name}");
        // In a component, too.
        let text = format!(
            r#"(component (core module $m {more} (func (export "run") (result i32) i32.const 7))
              (core instance $i (instantiate $m))
              (func (export "run") (result u32) (canon lift (core func $i "run"))))"#
        );
        let exit = node.run(from_text(&format!("c-{name}"), "run", &text), vec![]).await;
        assert_eq!(exit.unwrap(), Exit::Normal(Value::Int(7)), "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn guests_of_many_memories_are_refused_in_time() {
    if !alone("pools::guests_of_many_memories_are_refused_in_time") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let node = Node::new();
        node.add(from_text("hold", "hold", &sleeper(&"(memory 1)".repeat(59))));
        let (mut held, mut refused) = (Vec::new(), None);
        while refused.is_none() && held.len() < 700 {
            match node.spawn(PROCESSES, "hold", vec![Value::Int(600_000)]).await {
                Ok(guest) => held.push(guest),
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.unwrap();
        assert_eq!((refused.kind(), refused.retryable()), (Kind::Unavailable, Some(true)));
        assert!(held.len() > 100, "{} have room", held.len());
        while node.kernel.processes().iter().any(|process| process.memory_bytes == 0) {
            sleep(Duration::from_millis(10)).await;
        }
        end(&node, held).await;
        let (_, watch) = node.spawn(PROCESSES, "hold", vec![Value::Int(1)]).await.unwrap();
        assert_eq!(soon(watch).await, Exit::Normal(Value::Int(7)));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn without_address_space_a_guest_is_unavailable() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    if !alone("pools::without_address_space_a_guest_is_unavailable") {
        return;
    }
    let run = async |node: &Node, host| {
        let (_, watch) = node.spawn(host, "hold", vec![Value::Int(1)]).await.unwrap();
        soon(watch).await
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (node, dense) = (Node::new(), Node::density());
        for node in [&node, &dense] {
            node.add(from_text("hold", "hold", &sleeper("")));
            assert_eq!(run(node, TERMINAL).await, Exit::Normal(Value::Int(7)));
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let size: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
        let before = getrlimit(Resource::As);
        let limit = Rlimit { current: Some((size << 10) + (256 << 20)), ..before };
        setrlimit(Resource::As, limit).unwrap();
        let mut exits = Vec::new();
        for node in [&node, &node, &dense] {
            exits.push(run(node, PROCESSES).await);
        }
        setrlimit(Resource::As, before).unwrap();
        for exit in exits {
            let Exit::Failed(error) = &exit else { panic!("{exit:?}") };
            assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, Some(true)));
        }
        for node in [&node, &dense] {
            assert_eq!(run(node, PROCESSES).await, Exit::Normal(Value::Int(7)));
        }
    });
}
