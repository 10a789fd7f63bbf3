//! `io` on a terminal host, and its absence elsewhere.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::runtime::Handle;
use wippy_host::Terminal;
use wippy_kernel::{HostSpec, Scheduler, SpawnRequest};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Exit, Limits, Value};

use crate::support::{Node, failure, id, list, spec, text, virtual_time};

/// Runs a script on a terminal host; its exit, stdout and stderr.
fn run(input: &str, source: &str) -> (Exit, String, String) {
    let (terminal, stdout, stderr) = Terminal::memory(input);
    let limits = Limits { host_buffer_bytes: 1 << 20, ..Limits::default() };
    let spec =
        LuaSpec { terminal: Some(Arc::new(terminal)), limits, ..spec("myns:script", source) };
    let exit = virtual_time(|| async {
        let node = Node::new();
        node.kernel.add_host(HostSpec {
            scheduler: Scheduler::Shared(Handle::current()),
            ..HostSpec::terminal(id("myns:terminal"))
        });
        node.add("myns:script", LuaUnit::load(spec).unwrap());
        let request = SpawnRequest::new(id("myns:script"), id("myns:terminal"), vec![]);
        let (_, watch) = node.kernel.spawn_watched(request).await.unwrap();
        Exit::clone(&*watch.await)
    });
    (exit, stdout.text(), stderr.text())
}

fn check(input: &str, source: &str, expected: Value) {
    assert_eq!(run(input, source).0, Exit::Normal(expected), "{source}");
}

#[test]
fn reads() {
    check(
        "a\nb",
        "return { io.read(), io.read(), io.read() == nil }",
        list([text("a"), text("b"), true.into()]),
    );
    check("a\nb", "return { io.read('L'), io.read('*l') }", list([text("a\n"), text("b")]));
    check(
        " 12 -3.5 x",
        "return { io.read('n'), io.read('n'), io.read('n') == nil }",
        list([Value::Int(12), Value::Float(-3.5), true.into()]),
    );
    check(
        "hello",
        "return { io.read(2), io.read(0), io.read(10), io.read(1) == nil }",
        list([text("he"), text(""), text("llo"), true.into()]),
    );
    check("a\nb\n", "return { io.read('a'), io.read('a') }", list([text("a\nb\n"), text("")]));
    check(
        "1\n2\n3",
        "local n = 0 for line in io.lines() do n = n + line end return n",
        Value::Int(6),
    );
    check(
        "1\n2",
        "return { io.stdin:read('n'), io.stdin:lines()(), io.stdin:lines()() }",
        list([Value::Int(1), text(""), text("2")]),
    );
    check("x", "return (pcall(io.read, 'q'))", false.into());
    // A line that never ends is not held without bound.
    let source = "local v, e = io.read() return { v == nil, e:kind() }";
    check(&"x".repeat(3 << 20), source, list([true.into(), text("ResourceExhausted")]));
}

#[test]
fn writes() {
    let source = "print('a', 1, nil, 2.0) io.write('b', 2, '\\n') io.stdout:write('c'):write('d') io.stderr:write('e') return io.write()";
    let (exit, stdout, stderr) = run("", source);
    assert_eq!(exit, Exit::Normal(true.into()));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("a\t1\tnil\t2.0\nb2\ncd", "e"));
    check("", "return (pcall(io.write, {}))", false.into());
}

#[test]
fn elsewhere_it_says_why_not() {
    let error = failure("io.write('x')");
    assert_eq!(
        error.message(),
        "script.lua:1: `io` needs a terminal, and myns:script runs on the process host \
         myns:processes: spawn it on a terminal.host, or use print, which writes to the log"
    );
}

/// Says that this test program runs as the child of the test below.
const CHILD: &str = "WIPPY_LUA_TEST_FULL_PIPE";

const OUTPUT_BYTES: usize = 1 << 20;

#[test]
fn a_full_pipe_holds_no_worker() {
    if std::env::var_os(CHILD).is_some() {
        return write_to_a_pipe();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "io::a_full_pipe_holds_no_worker", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody reads its stdout until its neighbour has run on the only worker.
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let told = lines.find(|line| line == "the neighbour has run" || line.contains("panicked"));
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    drop(lines);
    assert!(child.wait().unwrap().success());
    assert_eq!(told.as_deref(), Some("the neighbour has run"));
    assert_eq!(output.iter().filter(|byte| **byte == b'#').count(), 3 * OUTPUT_BYTES);
    assert!(String::from_utf8_lossy(&output).contains("the end"));
}

/// One thread for all; a process that writes more than a pipe holds, and another one.
#[allow(clippy::print_stderr, reason = "its parent reads it")]
fn write_to_a_pipe() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let terminal = Arc::new(Terminal::stdio());
    let writer = format!(
        "local much = ('#'):rep({OUTPUT_BYTES}) io.write(much) print(much) io.stdout:write(much):write('the end')"
    );
    runtime.block_on(async {
        let node = Node::new();
        node.kernel.add_host(HostSpec {
            scheduler: Scheduler::Shared(Handle::current()),
            ..HostSpec::terminal(id("myns:terminal"))
        });
        let spec = LuaSpec { terminal: Some(terminal), ..spec("myns:writer", &writer) };
        node.add("myns:writer", LuaUnit::load(spec).unwrap());
        node.script("myns:neighbour", "require('time').sleep('20ms')");
        let request = |name, host| SpawnRequest::new(id(name), id(host), vec![]);
        let writer = request("myns:writer", "myns:terminal");
        let (_, writer) = node.kernel.spawn_watched(writer).await.unwrap();
        let neighbour = request("myns:neighbour", "myns:processes");
        let (_, neighbour) = node.kernel.spawn_watched(neighbour).await.unwrap();
        assert!(neighbour.await.is_normal());
        eprintln!("the neighbour has run");
        assert!(writer.await.is_normal());
    });
}
