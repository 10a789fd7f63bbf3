//! Erlang beside ours, where it is installed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The compiled module of `erlang/bench.erl`.
pub struct Erlang(TempDir);

impl Erlang {
    /// Compiles it; nothing where there is no Erlang.
    pub fn compile() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("erlang/bench.erl");
        let compiled = Command::new("erlc").arg("-o").arg(folder.path()).arg(source).status();
        if !compiled.is_ok_and(|status| status.success()) {
            println!("no Erlang: erl and erlc are not installed (Debian: erlang-base)");
            return None;
        }
        Some(Self(folder))
    }

    /// CPU time of one of `count` operations, in microseconds, on so many schedulers that do
    /// not spin while they have nothing to do.
    pub fn run(&self, what: &str, count: i64, schedulers: usize) -> f64 {
        let output = Command::new("erl")
            .args(["-noshell", "+S", &format!("{schedulers}:{schedulers}"), "+sbwt", "none"])
            .args(["+sbwtdcpu", "none", "+sbwtdio", "none", "-pa"])
            .arg(self.0.path())
            .args(["-run", "bench", "main", what, &count.to_string()])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().unwrap_or_else(|_| panic!("erl printed {text:?}"))
    }
}
