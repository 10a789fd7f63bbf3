//! Hosts of the density profile: their guests behave as on any other host, cost no map of
//! the kernel each, and leave nothing behind. And the pools of spawn hosts, which grow.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wippy_kernel::HostSpec;
use wippy_model::{Exit, Limit, Limits, Value};
use wippy_wasm::{BinarySource, Progress, WasmSpec};

use crate::node::{Node, PROCESSES, TERMINAL, id, spec};

/// A component around one core module, whose `run` returns a number.
fn guest(name: &str, module: &str, function: &str) -> WasmSpec {
    let text = format!(
        r#"(component
          (core module $m {module})
          (core instance $i (instantiate $m))
          (func (export "run") {function} (canon lift (core func $i "run"))))"#
    );
    from_text(name, &text)
}

fn from_text(name: &str, text: &str) -> WasmSpec {
    let mut spec = spec(name, Some("run"));
    let bytes = wat::parse_str(text).unwrap();
    spec.source = BinarySource::Bytes { name: format!("{name}.wat"), bytes: bytes.into() };
    spec
}

/// A guest that writes to its memory and then sleeps in WASI.
fn sleeper() -> WasmSpec {
    from_text(
        "sleeper",
        r#"(component
          (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type $pollable (sub resource)))
            (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
          (alias export $poll "pollable" (type $pollable))
          (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $imported))
            (export "pollable" (type $pollable (eq $imported)))
            (type $u64 u64)
            (export "duration" (type $duration (eq $u64)))
            (export "subscribe-duration"
              (func (param "when" $duration) (result (own $pollable))))))
          (core func $subscribe (canon lower (func $clock "subscribe-duration")))
          (core func $block (canon lower (func $poll "[method]pollable.block")))
          (core module $m
            (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
            (import "wasi" "block" (func $block (param i32)))
            (memory 17)
            (func (export "run") (param $ms i32) (result i32)
              (i32.store (i32.const 1048576) (i32.const 1))
              (call $block (call $subscribe
                (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000))))
              (i32.load (i32.const 1048576))))
          (core instance $i (instantiate $m (with "wasi" (instance
            (export "subscribe" (func $subscribe))
            (export "block" (func $block))))))
          (func (export "run") (param "ms" u32) (result u32)
            (canon lift (core func $i "run"))))"#,
    )
}

fn normal(value: i64) -> Exit {
    Exit::Normal(Value::Int(value))
}

#[tokio::test]
async fn guests_of_every_form_run() {
    let node = Node::density();
    let ints = |numbers: [i64; 2]| numbers.map(Value::Int).to_vec();
    let rows = [
        ("compute", "compute", ints([6, 7]), Value::Int(42)),
        ("compute-core", "compute", ints([6, 7]), Value::Int(42)),
        ("hello-rust", "greet", vec![Value::from("World")], Value::from("Hello, World!")),
        ("reactor-p1", "add", ints([2, 3]), Value::Int(5)),
        ("sleep", "sleep-ms", vec![Value::Int(1)], Value::Nil),
    ];
    for (guest, method, args, expected) in rows {
        let exit = node.run(spec(guest, Some(method)), args).await.unwrap();
        assert_eq!(exit, Exit::Normal(expected), "{guest}");
    }
    let exit = node.run(spec("cli-c", None), vec!["exit".into(), "7".into()]).await.unwrap();
    assert_eq!(exit, Exit::Code(7));
    let mut greet = spec("greet-core", Some("greet"));
    greet.wit = Some("greet: func(name: string) -> string;".to_owned());
    let exit = node.run(greet, vec![Value::from("World")]).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::from("Hello, World!")));
}

/// All of a slot is accessible to the host, so that only compiled code stands between a
/// guest and what is behind its memory.
#[tokio::test]
async fn an_access_past_the_end_of_a_memory_traps() {
    let node = Node::density();
    for (name, code) in [
        ("last", "(i32.load8_u (i32.const 65535))"),
        ("grown", "(drop (memory.grow (i32.const 1))) (i32.load8_u (i32.const 131071))"),
    ] {
        let module = format!(r#"(memory 1) (func (export "run") (result i32) {code})"#);
        let exit = node.run(guest(name, &module, "(result u32)"), vec![]).await.unwrap();
        assert_eq!(exit, normal(0), "{name}");
    }
    for (name, code) in [
        ("next", "(i32.load8_u (i32.const 65536))"),
        ("across", "(i32.load (i32.const 65533))"),
        ("offset", "(i32.load8_u offset=65536 (i32.const 0))"),
        ("far-offset", "(i32.load offset=4294967295 (i32.const -1))"),
        ("far", "(i32.load8_u (i32.const 200000000))"),
        ("variable", "(i32.load8_u (i32.mul (memory.size) (i32.const 65536)))"),
        ("not-grown", "(drop (memory.grow (i32.const 1))) (i32.load8_u (i32.const 131072))"),
        ("store", "(i32.store8 (i32.const 65536) (i32.const 1)) (i32.const 0)"),
        ("fill", "(memory.fill (i32.const 65535) (i32.const 1) (i32.const 2)) (i32.const 0)"),
        ("copy", "(memory.copy (i32.const 0) (i32.const 65535) (i32.const 2)) (i32.const 0)"),
    ] {
        let module = format!(r#"(memory 1) (func (export "run") (result i32) {code})"#);
        let exit = node.run(guest(name, &module, "(result u32)"), vec![]).await.unwrap();
        let Exit::Trap(error) = exit else { panic!("{name}: {exit:?}") };
        assert!(error.message().contains("out of bounds memory access"), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_memory_is_zero_for_the_next_guest() {
    let node = Node::density();
    // Counts what is not zero in 64 KiB and in the 64 KiB it grows by, then fills all of it.
    let module = r#"(memory 1)
      (func (export "run") (result i32) (local $at i32) (local $found i32)
        (drop (memory.grow (i32.const 1)))
        (loop $next
          (local.set $found (i32.add (local.get $found)
            (i32.ne (i32.load8_u (local.get $at)) (i32.const 0))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const 131072))))
        (memory.fill (i32.const 0) (i32.const 0xab) (i32.const 131072))
        (local.get $found))"#;
    node.add(guest("dirty", module, "(result u32)"));
    for round in 0..50 {
        let (_, watch) = node.spawn(PROCESSES, "dirty", vec![]).await.unwrap();
        assert_eq!(*watch.await, normal(0), "round {round}");
    }
}

#[tokio::test]
async fn limits_end_a_guest_and_not_the_host() {
    let node = Node::density();
    node.add(spec("recurse", None));
    for _ in 0..20 {
        let (_, watch) = node.spawn(PROCESSES, "recurse", vec![]).await.unwrap();
        let exit = watch.await;
        let Exit::Limit(Limit::Stack, error) = &*exit else { panic!("{exit:?}") };
        assert_eq!(
            error.message(),
            "test:recurse: the call stack is exhausted: 524288 bytes (host.stack_bytes)"
        );
    }
    for memory_bytes in [100_000, 1 << 20, (256 << 20) + 1] {
        let mut bomb = spec("memory-bomb", None);
        bomb.id = id(&format!("test:bomb-{memory_bytes}"));
        bomb.limits = Limits { memory_bytes, ..Limits::default() };
        let exit = node.run(bomb, vec![]).await.unwrap();
        assert!(matches!(exit, Exit::Limit(Limit::Memory, _)), "{memory_bytes}: {exit:?}");
    }
    let exit = node.run(spec("compute", None), vec![Value::Int(6), Value::Int(7)]).await.unwrap();
    assert_eq!(exit, normal(42));
}

#[tokio::test]
async fn a_guest_has_several_memories() {
    let node = Node::density();
    let module = r#"(memory $a 1) (memory $b 1 20) (memory $c 0)
      (func (export "run") (result i32)
        (drop (memory.grow $b (i32.const 9)))
        (drop (memory.grow $c (i32.const 1)))
        (i32.store $a (i32.const 0) (i32.const 100))
        (i32.store $b (i32.const 655356) (i32.const 20))
        (i32.store $c (i32.const 0) (i32.const 3))
        (i32.add (i32.load $a (i32.const 0))
          (i32.add (i32.load $b (i32.const 655356)) (i32.load $c (i32.const 0)))))"#;
    let exit = node.run(guest("memories", module, "(result u32)"), vec![]).await.unwrap();
    assert_eq!(exit, normal(123));
    // All of them count against one limit.
    let module = r#"(memory $a 12) (memory $b 1)
      (func (export "run") (result i32) (memory.grow $b (i32.const 5)))"#;
    let mut shared = guest("shared-limit", module, "(result s32)");
    shared.limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(node.run(shared, vec![]).await.unwrap(), normal(-1));
}

#[tokio::test]
async fn a_guest_with_asynchronous_types_runs() {
    let node = Node::density();
    let module = r#"(memory 1) (func (export "run") (result i32)
      (i32.store (i32.const 0) (i32.const 7)) (i32.load (i32.const 0)))"#;
    let exit = node.run(guest("concurrent", module, "async (result u32)"), vec![]).await.unwrap();
    assert_eq!(exit, normal(7));
}

/// Code for density hosts is compiled when the first of them needs it, and then kept.
#[tokio::test]
async fn each_kind_of_code_is_compiled_once_and_kept_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = Arc::new(AtomicUsize::new(0));
    let node = || {
        let compiled = compiled.clone();
        let cache = folder.path().join("cache");
        Node::with_options(
            "",
            |host| *host = HostSpec::density(host.id.clone()),
            move |options| {
                options.cache_dir = Some(cache);
                options.progress = Some(Arc::new(move |progress| {
                    if matches!(progress, Progress::Compiling { .. }) {
                        compiled.fetch_add(1, Ordering::SeqCst);
                    }
                }));
            },
        )
    };
    let args = || vec![Value::Int(6), Value::Int(7)];
    for (expected, host) in [(1, TERMINAL), (2, PROCESSES), (2, PROCESSES), (2, TERMINAL)] {
        let exit = node().run_on(host, spec("compute", None), args()).await.unwrap();
        assert_eq!(exit, normal(42));
        assert_eq!(compiled.load(Ordering::SeqCst), expected, "on {host}");
    }
    let first = Arc::new(node());
    first.add(spec("bench-small", None));
    let spawns: Vec<_> = (0..20)
        .map(|_| {
            let (node, args) = (first.clone(), args());
            tokio::spawn(async move { node.spawn(PROCESSES, "bench-small", args).await })
        })
        .collect();
    for spawn in spawns {
        assert_eq!(*spawn.await.unwrap().unwrap().1.await, normal(42));
    }
    assert_eq!(compiled.load(Ordering::SeqCst), 4, "twenty spawns at once compile once");
}

/// What the kernel says of this process: its number of maps, and sizes in KiB.
struct Kernel {
    maps: usize,
    resident: usize,
    address_space: usize,
}

impl Kernel {
    fn of_this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| -> usize {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            maps: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            resident: field("VmRSS:"),
            address_space: field("VmSize:"),
        }
    }

    /// Linux 6.13 and newer marks guard pages; before, each stack has maps of its own.
    fn has_marks() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 13)
    }
}

/// Other tests of this program make maps too, so some run in a process of their own: starts
/// it with this test alone, or says that this is it.
pub(crate) fn alone(test: &str) -> bool {
    const ALONE: &str = "WIPPY_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    write!(text, "{}", String::from_utf8_lossy(&output.stderr)).unwrap();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

#[test]
#[cfg(target_os = "linux")]
fn thousands_of_sleepers_cost_no_map_each_and_leave_nothing() {
    if !alone("density::thousands_of_sleepers_cost_no_map_each_and_leave_nothing") {
        return;
    }
    const SLEEPERS: usize = 3_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = Node::density();
        node.add(sleeper());
        let (_, watch) = node.spawn(PROCESSES, "sleeper", vec![Value::Int(1)]).await.unwrap();
        assert_eq!(*watch.await, normal(1));
        let before = Kernel::of_this_process();
        let mut rounds = Vec::new();
        for _ in 0..3 {
            let mut started = Vec::new();
            for _ in 0..SLEEPERS {
                let asleep = vec![Value::Int(600_000)];
                started.push(node.spawn(PROCESSES, "sleeper", asleep).await.unwrap());
            }
            while node.kernel.processes().iter().any(|process| process.memory_bytes == 0) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let asleep = Kernel::of_this_process();
            if Kernel::has_marks() {
                let maps = asleep.maps - before.maps;
                assert!(maps < SLEEPERS / 10, "{maps} more maps");
            }
            for (pid, _) in &started {
                node.kernel.terminate(pid).unwrap();
            }
            for (_, watch) in started {
                assert_eq!(*watch.await, Exit::Terminated);
            }
            rounds.push((asleep, Kernel::of_this_process()));
        }
        let (asleep, ended) = rounds.last().unwrap();
        assert_eq!(asleep.address_space, rounds[0].0.address_space, "slots are used again");
        let (held, left) = (asleep.resident - before.resident, ended.resident - before.resident);
        assert!(held / SLEEPERS < 64, "{} KiB each", held / SLEEPERS);
        // The allocator keeps what was in its heap, up to half of all; slots keep nothing.
        assert!(left < held / 4 * 3, "of {held} KiB, {left} are left");
        let grown = ended.resident.saturating_sub(rounds[0].1.resident);
        assert!(grown < held / 4, "{grown} KiB more after two more rounds");
    });
}

/// A spawn host grows beyond its first pool, and what the kernel allows is not exceeded.
#[test]
#[cfg(target_os = "linux")]
fn a_spawn_host_grows_its_pools_by_need() {
    if !alone("density::a_spawn_host_grows_its_pools_by_need") {
        return;
    }
    const SLEEPERS: usize = 1_500;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = Node::new();
        node.add(sleeper());
        let (_, watch) = node.spawn(PROCESSES, "sleeper", vec![Value::Int(1)]).await.unwrap();
        assert_eq!(*watch.await, normal(1));
        let first = Kernel::of_this_process();
        let mut started = Vec::new();
        for count in 0..SLEEPERS {
            let args = vec![Value::Int(600_000)];
            started.push(node.spawn(PROCESSES, "sleeper", args).await.unwrap());
            // What is spawned while a pool is being made goes elsewhere; some time for it.
            if count % 100 == 99 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        while node.kernel.processes().iter().any(|process| process.memory_bytes == 0) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let asleep = Kernel::of_this_process();
        // 1,280 places in two pools, and a third one that was wanted at three quarters.
        let maps = asleep.maps - first.maps;
        assert!(maps > 2 * 1_280 && maps < 5 * (256 + 1_024 + 4_096) + 8 * 300, "{maps} maps");
        for (pid, _) in &started {
            node.kernel.terminate(pid).unwrap();
        }
        for (_, watch) in started {
            assert_eq!(*watch.await, Exit::Terminated);
        }
        let (_, watch) = node.spawn(PROCESSES, "sleeper", vec![Value::Int(1)]).await.unwrap();
        assert_eq!(*watch.await, normal(1));
    });
}
