//! A node for each run: the behaviour in one language, what it meets in the same or another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wippy_host::{Terminal, Volume};
use wippy_kernel::{HostSpec, Kernel, KernelOptions, Profile, Scheduler, SpawnRequest, Unit};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{EntryId, Exit, Limits, MailboxLimits};
use wippy_testkit::guests;
use wippy_wasm::{BinarySource, Grants, WasmOptions, WasmRuntime, WasmSpec};

use crate::table::{Behaviour, PEERS};

/// What a process is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    Lua,
    Wasm,
}

/// How long one behaviour may take on a loaded machine.
const RUN_MAX: Duration = Duration::from_secs(20);

const LUA: &str = include_str!("lua/behaviours.lua");

/// What is made once for all runs.
struct Shared {
    wasm: WasmRuntime,
    binaries: Arc<Volume>,
    units: Mutex<HashMap<(Language, String), Arc<dyn Unit>>>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (terminal, _, _) = Terminal::memory("");
        let mut options = WasmOptions::new(Arc::new(terminal));
        options.cache_dir = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled").into());
        let built = guests::workspace().join("guests/built");
        Shared {
            wasm: WasmRuntime::new(options),
            binaries: Arc::new(Volume::open(&built, false, None).unwrap()),
            units: Mutex::default(),
        }
    })
}

fn id(name: &str) -> EntryId {
    EntryId::parse(&format!("test:{name}")).unwrap()
}

/// A small mailbox, which is soon full.
fn limits() -> Limits {
    let mailbox = MailboxLimits { capacity: 64, bytes: 8 << 20, message_bytes: 1 << 20 };
    Limits { mailbox, ..Limits::default() }
}

impl Shared {
    /// The function of that name as an entry.
    fn unit(&self, language: Language, name: &str) -> Arc<dyn Unit> {
        let mut units = self.units.lock().unwrap();
        let unit = units.entry((language, name.to_owned()));
        unit.or_insert_with(|| self.load(language, name)).clone()
    }

    fn load(&self, language: Language, name: &str) -> Arc<dyn Unit> {
        match language {
            Language::Lua => {
                let mut spec = LuaSpec::new(id(name), LUA);
                spec.method = Some(name.to_owned());
                spec.modules = vec!["funcs".to_owned()];
                spec.limits = limits();
                LuaUnit::load(spec).unwrap()
            }
            Language::Wasm => {
                let grants =
                    Grants { actor: true, process: true, funcs: true, ..Grants::default() };
                self.load_guest(name, "actor-behaviours", &name.replace('_', "-"), grants)
            }
        }
    }

    fn load_guest(&self, name: &str, guest: &str, method: &str, grants: Grants) -> Arc<dyn Unit> {
        let spec = WasmSpec {
            id: id(name),
            source: BinarySource::File {
                volume: self.binaries.clone(),
                path: format!("/{guest}.wasm"),
            },
            hash: None,
            method: Some(method.to_owned()),
            wit: None,
            grants,
            program: name.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            limits: limits(),
        };
        Arc::new(self.wasm.load(spec).unwrap())
    }
}

/// Runs one behaviour on a node of its own: what is wrong with it.
pub(crate) async fn run(
    behaviour: &Behaviour,
    profile: Profile,
    own: Language,
    peers: Language,
) -> Result<(), String> {
    let kernel = Kernel::new(KernelOptions::default());
    for (name, profile) in [("processes", profile), ("others", Profile::Spawn)] {
        let mut host = match profile {
            Profile::Spawn => HostSpec::new(id(name)),
            Profile::Density => HostSpec::density(id(name)),
        };
        host.scheduler = Scheduler::Own { workers: 1 };
        kernel.add_host(host);
    }
    let shared = shared();
    let unit = |unit: Arc<dyn Unit>| Box::new(move || Ok(unit.clone()));
    for name in PEERS {
        kernel.add_unit(id(name), unit(shared.unit(peers, name)));
    }
    // Lua has no traps.
    let traps = shared.load_guest("traps", "trap", "run", Grants::default());
    kernel.add_unit(id("traps"), unit(traps));
    kernel.add_function(id("tries_upgrade"), unit(shared.unit(peers, "tries_upgrade")));
    kernel.add_unit(id(behaviour.name), unit(shared.unit(own, behaviour.name)));
    let request = SpawnRequest::new(id(behaviour.name), id("processes"), Vec::new());
    let ended = async {
        let (_, watch) = kernel.spawn_watched(request).await.map_err(|e| e.to_string())?;
        tokio::pin!(watch);
        loop {
            tokio::select! {
                exit = &mut watch => return Ok::<_, String>(Exit::clone(&exit)),
                () = sleep(Duration::from_millis(1)) => {
                    if kernel.lookup("replace_me").is_ok()
                        && kernel.version(&id(behaviour.name)) == Some(1)
                    {
                        let newer = unit(shared.unit(own, "value"));
                        let replaced = kernel.replace_unit(id(behaviour.name), newer).await;
                        replaced.map_err(|error| error.to_string())?;
                    }
                }
            }
        }
    };
    let exit = timeout(RUN_MAX, ended).await.unwrap_or_else(|_| Err("it does not end".to_owned()));
    let checked = exit.and_then(|exit| behaviour.check(&exit));
    kernel.kill().await;
    let left = kernel.process_count();
    checked.and(if left == 0 { Ok(()) } else { Err(format!("{left} processes are left")) })
}
