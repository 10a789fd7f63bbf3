//! A node with one worker, where a hostile guest meets its neighbour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::timeout;
use wippy_host::{Terminal, Volume};
use wippy_kernel::{HostSpec, Kernel, KernelOptions, Profile, Scheduler, SpawnRequest, Unit};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{EntryId, Exit, Limits, MailboxLimits, Value};
use wippy_testkit::guests;
use wippy_wasm::{BinarySource, Grants, Mount, WasmOptions, WasmRuntime, WasmSpec};

use crate::server::Server;
use crate::table::{Argument, Case, Code};

/// What a hostile guest may use: enough for an ordinary one.
pub(crate) fn limits() -> Limits {
    Limits {
        execution_max: Some(Duration::from_millis(400)),
        memory_bytes: 32 << 20,
        table_elements: 10_000,
        instances: 64,
        host_buffer_bytes: 2 << 20,
        open_files_max: 64,
        open_sockets_max: 32,
        http_concurrency: 8,
        output_bytes: 1 << 20,
        mailbox: MailboxLimits::default(),
    }
}

/// Works, waits and asks others, as an ordinary process does.
const NEIGHBOUR: &str = r#"
local time = require("time")
function main()
  for i = 1, 8 do
    time.sleep("5ms")
    local product, err = process.exec("test:compute", "test:processes", i, 7)
    if product ~= 7 * i then error("product " .. tostring(product) .. tostring(err)) end
  end
  return "done"
end
"#;

/// How long a meeting may take: the time a hostile guest has, and a loaded machine.
const MEETING_MAX: Duration = Duration::from_secs(15);

pub(crate) struct Node {
    pub(crate) kernel: Kernel,
    pub(crate) runtime: Runtime,
    wasm: Arc<WasmRuntime>,
    server: Server,
    binaries: Arc<Volume>,
    folder: tempfile::TempDir,
}

/// How a hostile guest and its neighbour fared.
pub(crate) struct Meeting {
    pub(crate) exit: Option<Exit>,
    pub(crate) neighbour: Result<(), String>,
    pub(crate) took: Duration,
    /// The most memory the whole program had meanwhile.
    pub(crate) peak_bytes: u64,
}

pub(crate) fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

impl Node {
    pub(crate) fn new(profile: Profile) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kernel = Kernel::new(KernelOptions::default());
        let mut host = match profile {
            Profile::Spawn => HostSpec::new(id("test:processes")),
            Profile::Density => HostSpec::density(id("test:processes")),
        };
        host.scheduler = Scheduler::Own { workers: 1 };
        kernel.add_host(host);
        let (terminal, _, _) = Terminal::memory("");
        let mut options = WasmOptions::new(Arc::new(terminal));
        options.cache_dir = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled").into());
        let wasm = Arc::new(WasmRuntime::new(options));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "content").unwrap();
        let built = guests::workspace().join("guests/built");
        let binaries = Arc::new(Volume::open(&built, false, None).unwrap());
        let node = Self { kernel, runtime, wasm, server: Server::start(), binaries, folder };
        let neighbour = LuaSpec::new(id("test:neighbour"), NEIGHBOUR);
        node.add("test:neighbour", LuaUnit::load(neighbour).unwrap());
        node.add_wasm("test:compute", "compute", "compute", Limits::default(), false);
        node
    }

    pub(crate) fn add(&self, name: &str, unit: Arc<dyn Unit>) {
        self.kernel.add_unit(id(name), Box::new(move || Ok(unit.clone())));
    }

    pub(crate) fn add_wasm(
        &self,
        name: &str,
        guest: &str,
        method: &str,
        limits: Limits,
        powerful: bool,
    ) {
        let grants = Grants { sockets: powerful, http: powerful, ..Grants::default() };
        let unit = self.load_wasm(name, guest, method, limits, grants);
        self.add(name, unit);
    }

    pub(crate) fn load_wasm(
        &self,
        name: &str,
        guest: &str,
        method: &str,
        limits: Limits,
        grants: Grants,
    ) -> Arc<dyn Unit> {
        let powerful = grants.sockets;
        let volume = self.binaries.clone();
        let own = Arc::new(Volume::open(self.folder.path(), false, None).unwrap());
        let mount =
            Mount { id: id("test:own"), volume: own, guest: "/own".into(), read_only: false };
        let spec = WasmSpec {
            id: id(name),
            source: BinarySource::File { volume, path: format!("/{guest}.wasm") },
            hash: None,
            method: Some(method.to_owned()),
            wit: None,
            grants,
            program: method.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            mounts: if powerful { vec![mount] } else { Vec::new() },
            limits,
        };
        Arc::new(self.wasm.load(spec).unwrap())
    }

    /// Lets a hostile guest and the neighbour run side by side, the hostile one first.
    pub(crate) fn meet(&self, case: &Case) -> Meeting {
        let mut args = Vec::new();
        match case.code {
            Code::Wat(guest) | Code::WatOfText(guest) => {
                self.add_wasm("test:hostile", &format!("hostile/{guest}"), "run", limits(), false);
                if matches!(case.code, Code::WatOfText(_)) {
                    args.push(Value::from("a text"));
                }
            }
            Code::Wasi(method, argument) => {
                self.add_wasm("test:hostile", "hostile/wasi", method, limits(), true);
                args.extend(match argument {
                    Argument::None => None,
                    Argument::Number(number) => Some(Value::Int(number.into())),
                    Argument::File => Some(Value::from("file")),
                    Argument::Server => Some(Value::from(self.server.address.to_string())),
                });
            }
            Code::Lua(file) => {
                let path = guests::workspace().join(format!("guests/hostile/{file}.lua"));
                let mut spec =
                    LuaSpec::new(id("test:hostile"), std::fs::read_to_string(path).unwrap());
                spec.limits = limits();
                self.add("test:hostile", LuaUnit::load(spec).unwrap());
            }
            Code::Actor(_) | Code::Guest(_) => panic!("{} is one of the actors", case.name),
        }
        let peak = Peak::watch();
        let start = Instant::now();
        let (exit, neighbour) = self.runtime.block_on(async {
            let hostile = SpawnRequest::new(id("test:hostile"), id("test:processes"), args);
            let (_, hostile) = self.kernel.spawn_watched(hostile).await.unwrap();
            let beside = SpawnRequest::new(id("test:neighbour"), id("test:processes"), Vec::new());
            let (_, beside) = self.kernel.spawn_watched(beside).await.unwrap();
            let neighbour = match timeout(MEETING_MAX, beside).await.as_deref() {
                Err(_) => Err("it is still at it".to_owned()),
                Ok(Exit::Normal(_)) => Ok(()),
                Ok(other) => Err(other.to_string()),
            };
            let exit = timeout(MEETING_MAX, hostile).await.ok();
            (exit.map(|exit| Exit::clone(&exit)), neighbour)
        });
        let took = start.elapsed();
        // Its connections end with it.
        let patience = Instant::now();
        while self.server.connections.load(SeqCst) > 0
            && patience.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let neighbour = match self.server.connections.load(SeqCst) {
            0 => neighbour,
            open => Err(format!("{open} connections are left open")),
        };
        Meeting { exit, neighbour, took, peak_bytes: peak.stop() }
    }
}

/// What this program holds of the system.
pub(crate) struct Footprint {
    pub(crate) resident_bytes: u64,
    pub(crate) open_files: usize,
}

impl Footprint {
    pub(crate) fn now() -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 =
            statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        Self { resident_bytes: pages * 4096, open_files: Self::files().len() }
    }

    /// What is open, but for compiled code, which stays.
    pub(crate) fn files() -> Vec<std::path::PathBuf> {
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        open.filter(|path| path.extension().is_none_or(|kind| kind != "cwasm")).collect()
    }

    /// As soon as it is near what it was, or when patience ends.
    pub(crate) fn settled(before: &Self, grown_max: u64, patience: Duration) -> Self {
        let start = Instant::now();
        loop {
            let now = Self::now();
            let is_near = now.resident_bytes <= before.resident_bytes + grown_max
                && now.open_files <= before.open_files + 4;
            if is_near || start.elapsed() > patience {
                return now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Looks at the memory of this program every few milliseconds.
pub(crate) struct Peak {
    bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Peak {
    pub(crate) fn watch() -> Self {
        let (bytes, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (own_bytes, own_over) = (bytes.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            while !own_over.load(SeqCst) {
                own_bytes.fetch_max(Footprint::now().resident_bytes, SeqCst);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { bytes, over, thread }
    }

    pub(crate) fn stop(self) -> u64 {
        self.over.store(true, SeqCst);
        self.thread.join().unwrap();
        self.bytes.load(SeqCst)
    }
}
