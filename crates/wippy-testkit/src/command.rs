//! One run of the real `wippy`: bounded in time, its output captured.
//!
//! Limits: a run that takes longer than a minute is killed and fails its test.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::OnTerminal;

const RUN_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// A run that has not begun.
#[derive(Debug)]
pub struct TestCommand {
    binary: PathBuf,
    directory: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    /// What is shown in place of paths that differ at each run.
    shown: Vec<(String, String)>,
}

/// A run that has begun.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    started: Instant,
    command: String,
    shown: Vec<(String, String)>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Outcome {
    /// The command line, for messages and golden files.
    pub command: String,
    /// The exit status; none when a signal killed it.
    pub status: Option<i32>,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl TestCommand {
    pub(crate) fn new(binary: &Path, directory: &Path, shown: Vec<(String, String)>) -> Self {
        Self {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            shown,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// What the run reads from stdin; nothing by default.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs in a folder below the project.
    #[must_use]
    pub fn below(mut self, folder: &str) -> Self {
        self.directory = self.directory.join(folder);
        self
    }

    /// Starts the run.
    #[must_use]
    pub fn start(self) -> Running {
        let mut command = String::from("wippy");
        for arg in &self.args {
            let _ = write!(command, " {}", quoted(&arg.to_string_lossy()));
        }
        let mut child = Command::new(&self.binary)
            .args(&self.args)
            .current_dir(&self.directory)
            .env_remove("NO_COLOR")
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.binary.display()));
        let mut stdin = child.stdin.take().unwrap();
        let bytes = self.stdin;
        // A child that does not read must not block the test; it may also be gone.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let stdout = Captured::of(child.stdout.take().unwrap());
        let stderr = Captured::of(child.stderr.take().unwrap());
        Running { child, stdout, stderr, started: Instant::now(), command, shown: self.shown }
    }

    /// Starts the run on a terminal of this size.
    #[must_use]
    pub fn on_terminal(self, rows: u16, columns: u16) -> OnTerminal {
        let mut command = pty_process::blocking::Command::new(&self.binary);
        command.args(&self.args).current_dir(&self.directory).env_remove("NO_COLOR");
        command.envs(self.env);
        OnTerminal::start(command, rows, columns)
    }

    /// Runs to the end.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        self.start().wait()
    }

    /// Runs to the end, which must be status 0.
    pub fn succeeds(self) -> Outcome {
        self.exits(0)
    }

    /// Runs to the end, which must be this status.
    pub fn exits(self, status: i32) -> Outcome {
        let outcome = self.outcome();
        assert_eq!(outcome.status, Some(status), "{outcome}");
        outcome
    }
}

impl Running {
    /// Waits until stderr holds this text.
    pub fn stderr_has(&self, text: &str) -> &Self {
        self.stderr.wait_for(text, &self.command);
        self
    }

    /// Waits until stdout holds this text.
    pub fn stdout_has(&self, text: &str) -> &Self {
        self.stdout.wait_for(text, &self.command);
        self
    }

    /// Waits until a condition of the test holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> &Self {
        while !holds() {
            assert!(self.started.elapsed() < RUN_MAX, "{}: never: {what}", self.command);
            std::thread::sleep(POLL);
        }
        self
    }

    /// The process ID of the run.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time that the run has used, all threads together.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: u64 =
            after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> &Self {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        self
    }

    /// Waits for the end.
    #[must_use]
    pub fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > RUN_MAX {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "{} did not end\n--- stdout\n{}\n--- stderr\n{}",
                    self.command,
                    self.stdout.text(),
                    self.stderr.text()
                );
            }
            std::thread::sleep(POLL);
        };
        let took = self.started.elapsed();
        let show = |mut text: String| {
            for (path, name) in &self.shown {
                text = text.replace(path.as_str(), name);
            }
            text
        };
        Outcome {
            command: show(self.command.clone()),
            status: status.code(),
            stdout: show(self.stdout.to_end()),
            stderr: show(self.stderr.to_end()),
            took,
        }
    }
}

impl Drop for Running {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Outcome {
    /// Stdout must be exactly this.
    pub fn prints(self, stdout: &str) -> Self {
        assert_eq!(self.stdout, stdout, "{self}");
        self
    }

    /// Stderr must be exactly this.
    pub fn complains(self, stderr: &str) -> Self {
        assert_eq!(self.stderr, stderr, "{self}");
        self
    }

    /// Nothing may be on stderr.
    pub fn quietly(self) -> Self {
        self.complains("")
    }

    /// Stderr must hold this.
    pub fn mentions(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    /// The form of golden files: command, status and both streams.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.command)?;
        match self.status {
            Some(status) => writeln!(f, "[status {status}]")?,
            None => writeln!(f, "[killed by a signal]")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{text}")?;
                if !text.ends_with('\n') {
                    writeln!(f, "[no line break]")?;
                }
            }
        }
        Ok(())
    }
}

fn quoted(arg: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_=./:#,@[]".contains(char);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("'{arg}'") }
}

/// One stream of a child, read by a thread as it comes.
#[derive(Debug, Clone)]
struct Captured(Arc<(Mutex<Stream>, Condvar)>);

#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let captured = Self(Arc::default());
        let reader = captured.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let len = source.read(&mut buffer).unwrap_or(0);
                let (stream, changed) = &*reader.0;
                let mut stream = stream.lock().unwrap();
                stream.bytes.extend_from_slice(&buffer[..len]);
                stream.ended = len == 0;
                changed.notify_all();
                if len == 0 {
                    return;
                }
            }
        });
        captured
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits until the stream ends. A grandchild could keep it open: not for ever.
    fn to_end(&self) -> String {
        let (stream, changed) = &*self.0;
        let ended = changed.wait_timeout_while(stream.lock().unwrap(), RUN_MAX, |it| !it.ended);
        drop(ended);
        self.text()
    }

    fn wait_for(&self, text: &str, command: &str) {
        let (stream, changed) = &*self.0;
        let has = |stream: &Stream| String::from_utf8_lossy(&stream.bytes).contains(text);
        let stream = stream.lock().unwrap();
        let (stream, _) = changed
            .wait_timeout_while(stream, RUN_MAX, |stream| !stream.ended && !has(stream))
            .unwrap();
        let found = has(&stream);
        let all = String::from_utf8_lossy(&stream.bytes).into_owned();
        drop(stream);
        assert!(found, "{command}: no {text:?} in\n{all}");
    }
}
