//! The runtime's side of the control socket.
//!
//! It has a thread and a scheduler of its own: whoever asks, however often, and does not read the
//! answer, holds up no process and no signal. Limits: 16 connections, requests of 4 KiB, 1,000
//! processes and some 4 MiB in an answer, 10 s to take an answer, 5 minutes between two requests.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use wippy_kernel::{Kernel, Order, ProcessInfo, ServiceInfo};
use wippy_model::Pid;

use super::folder::{self, Socket};
use super::protocol::{
    ANSWER_BYTES, Figures, Host, Node, PROCESSES_MAX, Process, REQUEST_BYTES_MAX, Request,
    Response, Runtime, SERVICES_MAX, Service, VERSION,
};

const CONNECTIONS_MAX: usize = 16;
const IDLE_MAX: Duration = Duration::from_secs(300);
const WRITE_MAX: Duration = Duration::from_secs(10);

/// How long a command runs before it listens: most have ended by then.
const COMMAND_DELAY: Duration = Duration::from_millis(200);

/// Between two looks that CPU time is measured from.
const LOOK_MIN: Duration = Duration::from_millis(90);

/// What services leave to processes of the bytes of an answer, so that there is always a next
/// page.
const PROCESSES_BYTES: usize = ANSWER_BYTES / 4;

/// The order that only somebody who looks more than once can have.
const CPU_PERCENT: &str = "cpu_percent";

/// What runs.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The folder of the project.
    pub(crate) project: PathBuf,
    /// The command, where it is not the runtime alone.
    pub(crate) command: Option<String>,
}

/// A control socket that is open. Drop takes it away.
pub(crate) struct Control {
    path: PathBuf,
    bound: File,
}

impl Control {
    /// Opens the socket. A runtime works without one: where it cannot be opened, a warning says
    /// why.
    pub(crate) fn open(kernel: &Kernel, mut subject: Subject) -> Option<Self> {
        subject.project = subject.project.canonicalize().unwrap_or(subject.project);
        match listen(&subject.project) {
            Ok((listener, path, bound)) => {
                let server = Server { kernel: kernel.clone(), subject };
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                // From here on the file is taken away, whatever happens.
                let control = Self { path, bound };
                let thread = std::thread::Builder::new().name("wippy-control".to_owned());
                match thread.spawn(move || server.run(listener, &folder)) {
                    Ok(_) => Some(control),
                    Err(error) => refused(&error),
                }
            }
            Err(why) => refused(&why),
        }
    }

    /// Waits for work that may be short, and opens the socket where it is not.
    pub(crate) async fn beside<T>(
        kernel: &Kernel,
        subject: Subject,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let _control = tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(COMMAND_DELAY) => Self::open(kernel, subject),
        };
        work.await
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // If it stays, whoever looks next finds nobody there and removes it. One that somebody
        // else has put there is not ours.
        if File::of(&self.path).is_ok_and(|found| found == self.bound) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What tells a file from another one of the same name: its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File(u64, u64);

impl File {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self(found.dev(), found.ino()))
    }
}

/// A socket that is listened on.
type Bound = (StdListener, PathBuf, File);

fn refused(why: &dyn Display) -> Option<Control> {
    tracing::warn!("`wippy ps` and `wippy top` cannot look at this runtime: {why}");
    None
}

/// Listens in the first folder that can be made ours.
fn listen(project: &Path) -> Result<Bound, String> {
    let mut failed = Vec::new();
    for folder in folder::candidates() {
        match folder::make(&folder).and_then(|()| bind(&folder, project)) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed.push(format!("{}: {error}", folder.display())),
        }
    }
    Err(format!("no folder for its socket; {}", failed.join("; ")))
}

/// The socket gets its name when somebody listens: one that nobody listens on is stale, and
/// others may remove it.
fn bind(folder: &Path, project: &Path) -> io::Result<Bound> {
    let name = folder::name(&folder::project(project));
    let (path, unnamed) = (folder.join(&name), folder.join(folder::unnamed(&name)));
    let listener = StdListener::bind(&unnamed)?;
    let named = fs::set_permissions(&unnamed, fs::Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| File::of(&unnamed))
        .and_then(|bound| fs::rename(&unnamed, &path).map(|()| bound));
    match named {
        Ok(bound) => Ok((listener, path, bound)),
        Err(error) => {
            let _ = fs::remove_file(&unnamed);
            Err(error)
        }
    }
}

/// Connects to a runtime. One that nobody listens to is removed.
pub(super) async fn connect(socket: &Socket) -> io::Result<UnixStream> {
    let connected = UnixStream::connect(&socket.path).await;
    if let Err(error) = &connected
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        let _ = fs::remove_file(&socket.path);
    }
    connected
}

struct Server {
    kernel: Kernel,
    subject: Subject,
}

impl Server {
    fn run(self, listener: StdListener, folder: &Path) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                // Needs the scheduler.
                match UnixListener::from_std(listener) {
                    Ok(listener) => {
                        sweep(folder).await;
                        Arc::new(self).accept(listener).await;
                    }
                    Err(error) => drop(refused(&error)),
                }
            }),
            Err(error) => drop(refused(&error)),
        }
    }

    async fn accept(self: Arc<Self>, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of file descriptors, say: that may pass.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !may_look(&stream) {
                continue;
            }
            match places.clone().try_acquire_owned() {
                Ok(place) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        Connection { server, stream, read: Vec::new(), last: None }.serve().await;
                    });
                }
                Err(_) => {
                    let why = format!("{CONNECTIONS_MAX} others look at this runtime already");
                    // A new connection has room for a line.
                    let _ = stream.try_write(&line(&refusal(why)));
                }
            }
        }
    }
}

/// The folder lets nobody else in; this does not rely on it.
fn may_look(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == folder::user() || peer.uid() == 0)
}

/// Removes sockets of runtimes that were killed.
async fn sweep(folder: &Path) {
    folder::remove_unnamed(folder);
    for socket in folder::sockets(folder) {
        if socket.process_id != std::process::id() {
            drop(timeout(Duration::from_secs(1), connect(&socket)).await);
        }
    }
}

/// Somebody who looks.
struct Connection {
    server: Arc<Server>,
    stream: UnixStream,
    /// What was read and not asked yet.
    read: Vec<u8>,
    last: Option<Look>,
}

/// What processes had used when somebody looked.
struct Look {
    at: Instant,
    cpu: HashMap<u64, Duration>,
}

impl Connection {
    async fn serve(mut self) {
        while let Ok(Some(request)) = timeout(IDLE_MAX, self.request()).await {
            let (response, last) = match request {
                Ok(request) => (self.answer(&request), false),
                Err(why) => (refusal(why), true),
            };
            let line = line(&response);
            let written = timeout(WRITE_MAX, self.stream.write_all(&line)).await;
            if last || !matches!(written, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// The next request; nothing when nobody asks any more.
    async fn request(&mut self) -> Option<Result<Request, String>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(parse(&line));
            }
            if self.read.len() >= REQUEST_BYTES_MAX {
                return Some(Err(format!("a request has at most {REQUEST_BYTES_MAX} bytes")));
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.read.extend_from_slice(chunk.get(..len)?),
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        let kernel = &self.server.kernel;
        let (node, all) = kernel.node_info();
        let services = kernel.services();
        let now = Instant::now();
        let mut left = ANSWER_BYTES - PROCESSES_BYTES;
        let listed = services.iter().take(SERVICES_MAX).map(Service::of);
        let listed = filling(&mut left, listed);
        left += PROCESSES_BYTES;
        let mut figures = Figures {
            version: VERSION,
            runtime: self.server.runtime(),
            node: Node::of(&node),
            hosts: kernel.hosts().iter().map(Host::of).collect(),
            services: listed,
            matching: 0,
            processes: Vec::new(),
        };
        if request.processes {
            let percent = |info: &ProcessInfo| {
                let last = self.last.as_ref()?;
                let used = info.cpu.saturating_sub(last.cpu(info));
                let passed = now.duration_since(last.at).as_secs_f64();
                (passed > 0.0).then(|| used.as_secs_f64() / passed * 100.0)
            };
            match select(request, &all, &services, percent, &mut left) {
                Ok((matching, processes)) => {
                    figures.matching = matching;
                    figures.processes = processes;
                }
                Err(why) => return refusal(why),
            }
            // Measured over a shorter time, a slice of 5 ms would make a process look busy.
            if self.last.as_ref().is_none_or(|last| now.duration_since(last.at) >= LOOK_MIN) {
                let cpu = all.iter().map(|info| (info.pid.serial(), info.cpu)).collect();
                self.last = Some(Look { at: now, cpu });
            }
        }
        Response::Figures(Box::new(figures))
    }
}

impl Look {
    /// What a process had used by then.
    fn cpu(&self, info: &ProcessInfo) -> Duration {
        self.cpu.get(&info.pid.serial()).copied().unwrap_or_default()
    }
}

impl Server {
    fn runtime(&self) -> Runtime {
        Runtime {
            process_id: std::process::id(),
            project: self.subject.project.display().to_string(),
            command: self.subject.command.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            resident_bytes: wippy_host::resident_bytes().unwrap_or_default(),
            cores: wippy_host::cores(),
        }
    }
}

/// How many processes fit, and those that are asked for.
fn select(
    request: &Request,
    all: &[ProcessInfo],
    services: &[ServiceInfo],
    percent: impl Fn(&ProcessInfo) -> Option<f64>,
    left: &mut usize,
) -> Result<(usize, Vec<Process>), String> {
    let (order, by_percent) = match request.sort.as_deref() {
        None => (Order::Pid, false),
        Some(CPU_PERCENT) => (Order::Cpu, true),
        Some(name) => (Order::parse(name).ok_or_else(|| unknown_order(name))?, false),
    };
    let filter = request.filter.as_deref().unwrap_or_default();
    let fits = |info: &&ProcessInfo| {
        request.after.is_none_or(|serial| info.pid.serial() > serial)
            && (filter.is_empty() || info.mentions(filter))
    };
    let rated = |info| (percent(info), info);
    let mut rows: Vec<(Option<f64>, &ProcessInfo)> = all.iter().filter(fits).map(rated).collect();
    rows.sort_by(|(a_percent, a), (b_percent, b)| {
        let by = match (a_percent, b_percent) {
            (Some(a), Some(b)) if by_percent => b.total_cmp(a),
            _ => std::cmp::Ordering::Equal,
        };
        by.then_with(|| order.compare(a, b))
    });
    if request.reverse {
        rows.reverse();
    }
    let limit = request.limit.unwrap_or(PROCESSES_MAX).min(PROCESSES_MAX);
    let shown = rows.iter().skip(request.offset).take(limit);
    let by_pid: HashMap<&Pid, &ServiceInfo> =
        services.iter().filter_map(|service| Some((service.pid.as_ref()?, service))).collect();
    let service = |info: &ProcessInfo| by_pid.get(&info.pid).copied();
    let shown = shown.map(|(percent, info)| Process::of(info, service(info), *percent));
    Ok((rows.len(), filling(left, shown)))
}

/// As many of these as fit the bytes that are left of an answer.
fn filling<T: Serialize>(left: &mut usize, all: impl Iterator<Item = T>) -> Vec<T> {
    all.map_while(|each| {
        let bytes = serde_json::to_vec(&each).map_or(0, |json| json.len() + 1);
        *left = left.checked_sub(bytes)?;
        Some(each)
    })
    .collect()
}

fn unknown_order(name: &str) -> String {
    let known: Vec<&str> = Order::ALL.iter().map(|order| order.name()).collect();
    format!("there is no order {name:?}; orders: {}, {CPU_PERCENT}", known.join(", "))
}

fn parse(line: &[u8]) -> Result<Request, String> {
    let request: Request =
        serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    if request.version != VERSION {
        let version = request.version;
        return Err(format!(
            "this runtime speaks version {VERSION} of the control protocol, not {version}"
        ));
    }
    Ok(request)
}

fn refusal(error: impl Into<String>) -> Response {
    Response::Error { version: VERSION, error: error.into() }
}

fn line(response: &Response) -> Vec<u8> {
    // Nothing here has a form that JSON has not.
    let mut line = serde_json::to_vec(response).unwrap_or_default();
    line.push(b'\n');
    line
}
