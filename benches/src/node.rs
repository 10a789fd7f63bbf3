//! A node with one process host, the small guest, and a native process that spawns it.

use std::pin::Pin;
use std::sync::Arc;

use wippy_host::{Terminal, Volume};
use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Scheduler, SpawnRequest,
    Unit, Watcher,
};
use wippy_model::{EntryId, Exit, Limits, Result, Value};
use wippy_wasm::{BinarySource, Grants, WasmOptions, WasmRuntime, WasmSpec};

/// `bench:processes`, `bench:small` and `bench:driver`.
pub struct Node {
    /// The node's kernel.
    pub kernel: Kernel,
}

/// An entry ID.
pub fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

/// `bench:NAME`: an entry on a built guest, with every default.
pub fn spec(guest: &str, method: &str) -> WasmSpec {
    let path = crate::guest(guest);
    let volume = Arc::new(Volume::open(path.parent().unwrap(), false, None).unwrap());
    WasmSpec {
        id: id(&format!("bench:{guest}")),
        source: BinarySource::File { volume, path: format!("{guest}.wasm") },
        hash: None,
        method: Some(method.to_owned()),
        wit: None,
        grants: Grants::default(),
        program: guest.to_owned(),
        args: Vec::new(),
        env: Vec::new(),
        cwd: None,
        mounts: Vec::new(),
        limits: Limits::default(),
    }
}

impl Node {
    /// A node whose host has this many workers.
    pub fn new(workers: usize) -> Self {
        let kernel = Kernel::new(KernelOptions::default());
        kernel.add_host(HostSpec {
            scheduler: Scheduler::Own { workers },
            ..HostSpec::new(id("bench:processes"))
        });
        let (terminal, _, _) = Terminal::memory("");
        let wasm = Arc::new(WasmRuntime::new(WasmOptions::new(Arc::new(terminal))));
        let spec = WasmSpec { id: id("bench:small"), ..spec("bench-small", "compute") };
        kernel
            .add_unit(id("bench:small"), Box::new(move || Ok(Arc::new(wasm.load(spec.clone())?))));
        kernel.add_unit(id("bench:driver"), Box::new(|| Ok(Arc::new(Driver(Limits::default())))));
        Self { kernel }
    }
}

/// A native process that spawns guests on its own host and monitors them. Its arguments:
/// how many, and how many of them at once.
struct Driver(Limits);

impl Unit for Driver {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        let number = |at: usize| spawn.args[at].as_i64().unwrap() as usize;
        Ok(Box::new(Driving { spawns: number(0), window: number(1) }))
    }
}

struct Driving {
    spawns: usize,
    window: usize,
}

impl Process for Driving {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            let kernel = context.kernel().unwrap();
            let (unit, host) = (id("bench:small"), id("bench:processes"));
            for _ in 0..self.spawns / self.window {
                for _ in 0..self.window {
                    kernel
                        .spawn(SpawnRequest {
                            watcher: Some(Watcher::Process(context.clone())),
                            ..SpawnRequest::new(
                                unit.clone(),
                                host.clone(),
                                vec![Value::Int(6), Value::Int(7)],
                            )
                        })
                        .await
                        .unwrap();
                }
                for _ in 0..self.window {
                    let event = context.receive_event().await;
                    assert_eq!(event.exit.unwrap().value(), Some(&Value::Int(42)));
                }
            }
            Exit::Normal(Value::Nil)
        })
    }
}
