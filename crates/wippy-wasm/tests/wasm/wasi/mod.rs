//! WASI as guests meet it: `wasi-rust` calls its interfaces one by one, as a script says;
//! `posix-c` calls wasi-libc, as a preview1 command and as a component; those for sockets,
//! HTTP and polling are named in their tests.

mod cli;
mod clocks;
mod descriptors;
mod escapes;
mod filesystem;
mod http;
mod http_held;
mod limits;
mod mounts;
mod network;
mod poll;
mod posix;
mod random;
mod server;
mod sockets;
mod sockets_0_3;
mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wippy_host::Volume;
use wippy_model::{Exit, Value};
use wippy_wasm::{Mount, WasmSpec};

use crate::node::{Node, TERMINAL, id, spec};

/// A node, and a folder whose `data` is mounted at `/data`. Beside it, out of reach, stands
/// the file `secret`.
pub(crate) struct Lab {
    pub(crate) node: Node,
    pub(crate) folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        Self { node: Node::with_stdin(""), folder }
    }

    /// A path in `data`.
    pub(crate) fn data(&self, path: &str) -> PathBuf {
        self.folder.path().join("data").join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        std::fs::write(self.data(path), text).unwrap();
        self
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.data(path)).unwrap()
    }

    /// The entry of a guest with `data` mounted.
    pub(crate) fn spec(&self, guest: &str) -> WasmSpec {
        let method = (guest == "wasi-rust").then_some("script");
        let mut spec = spec(guest, method);
        spec.mounts = vec![mount(&self.data(""), "/data")];
        spec
    }

    /// The same, read-only.
    pub(crate) fn read_only(&self, guest: &str) -> WasmSpec {
        let mut spec = self.spec(guest);
        spec.mounts[0].read_only = true;
        spec
    }

    /// What the lines of a script answer on `/data`, which they know as `d`.
    pub(crate) async fn script(&self, lines: &[&str]) -> Vec<String> {
        self.run(self.spec("wasi-rust"), lines).await
    }

    pub(crate) async fn run(&self, spec: WasmSpec, lines: &[&str]) -> Vec<String> {
        let mut all = vec!["dir d /data"];
        all.extend(lines);
        let mut answers = self.run_bare(spec, &all).await;
        assert_eq!(answers.remove(0), "ok");
        answers
    }

    pub(crate) async fn run_bare(&self, spec: WasmSpec, lines: &[&str]) -> Vec<String> {
        match self.exit(spec, lines).await {
            Exit::Normal(Value::List(answers)) => {
                answers.iter().map(|answer| answer.as_str().unwrap().to_owned()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// How a script ends.
    pub(crate) async fn exit(&self, spec: WasmSpec, lines: &[&str]) -> Exit {
        self.exit_on(crate::node::PROCESSES, spec, lines).await
    }

    pub(crate) async fn exit_on(&self, host: &str, spec: WasmSpec, lines: &[&str]) -> Exit {
        let lines = texts(lines);
        self.node.run_on(host, spec, vec![lines]).await.unwrap()
    }

    /// Compares the answers of a script line by line.
    pub(crate) async fn expect(&self, spec: WasmSpec, rows: &[(&str, &str)]) {
        let lines: Vec<&str> = rows.iter().map(|row| row.0).collect();
        let answers = self.run(spec, &lines).await;
        same(rows, &answers, "");
    }

    /// What a command prints, line by line, on the terminal host.
    pub(crate) async fn command(&self, spec: WasmSpec, args: &[&str]) -> (Exit, Vec<String>) {
        let before = self.node.stdout.text().len();
        let args = args.iter().map(|arg| Value::from(*arg)).collect();
        let exit = self.node.run_on(TERMINAL, spec, args).await.unwrap();
        let text = self.node.stdout.text()[before..].to_owned();
        (exit, text.lines().map(str::to_owned).collect())
    }

    /// Compares what the calls of `posix-c` print, as a preview1 command and as a component.
    /// `reset` is called before each.
    pub(crate) async fn posix(
        &self,
        change: impl Fn(&mut WasmSpec),
        reset: impl Fn(&Self),
        rows: &[(&str, &str)],
    ) {
        for guest in ["posix-c", "posix-c-component"] {
            reset(self);
            let mut spec = self.spec(guest);
            change(&mut spec);
            let calls: Vec<&str> = rows.iter().map(|row| row.0).collect();
            let (exit, lines) = self.command(spec, &calls).await;
            let stack = exit.error().and_then(|error| error.stack().map(ToString::to_string));
            assert!(exit.is_normal(), "{guest}: {exit} {lines:?} {stack:?}");
            same(rows, &lines, guest);
        }
    }
}

/// Compares answers with what is expected, and shows every difference.
pub(crate) fn same(rows: &[(&str, &str)], answers: &[String], guest: &str) {
    let differences: Vec<String> = rows
        .iter()
        .zip(answers)
        .filter(|((_, expected), answer)| answer != expected)
        .map(|((line, expected), answer)| format!("{line}: {answer}, and not {expected}"))
        .collect();
    assert!(differences.is_empty(), "{guest}\n{}", differences.join("\n"));
    assert_eq!(answers.len(), rows.len(), "{guest}: {answers:?}");
}

/// A list of texts.
pub(crate) fn texts(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|text| Value::from(*text)).collect())
}

/// A mount that may be written.
pub(crate) fn mount(directory: &Path, guest: &str) -> Mount {
    Mount {
        id: id("test:volume"),
        volume: Arc::new(Volume::open(directory, false, None).unwrap()),
        guest: guest.to_owned(),
        read_only: false,
    }
}
