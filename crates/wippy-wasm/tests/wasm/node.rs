//! A node with one process host and one terminal host, and the built guests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use wippy_host::{Captured, Storage, Terminal, Variable, Variables, Volume};
use wippy_kernel::{Authorizer, HostSpec, Kernel, KernelOptions, Scheduler, SpawnRequest, Unit};
use wippy_model::{EntryId, Exit, Limits, Result, Value};
use wippy_wasm::{BinarySource, Grants, WasmOptions, WasmRuntime, WasmSpec};

/// A node that runs guests.
pub(crate) struct Node {
    pub(crate) kernel: Kernel,
    pub(crate) runtime: Arc<WasmRuntime>,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
}

pub(crate) const PROCESSES: &str = "test:processes";
pub(crate) const TERMINAL: &str = "test:terminal";

/// The variables of a node, each an entry `test:NAME`.
pub(crate) const VARIABLES: [(&str, &str); 5] =
    [("ONE", "1"), ("EMPTY", ""), ("TWO", "a=b c"), ("PWD", "/own"), ("NAME", "Ada")];

pub(crate) fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

/// The folder of built guests.
pub(crate) fn guests() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/built"))
}

/// An entry on a built guest, with every default.
pub(crate) fn spec(guest: &str, method: Option<&str>) -> WasmSpec {
    let volume = Arc::new(Volume::open(&guests(), false, None).unwrap());
    WasmSpec {
        id: id(&format!("test:{guest}")),
        source: BinarySource::File { volume, path: format!("/{guest}.wasm") },
        hash: None,
        method: method.map(Into::into),
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

/// [`VARIABLES`], each by its default.
fn variables() -> Arc<Variables> {
    let mut variables = Variables::default();
    let storage = id("test:store");
    variables.add_storage(storage.clone(), Storage::Memory(HashMap::new()));
    for (name, value) in VARIABLES {
        let (name, default) = (name.to_owned(), Some(value.into()));
        let at = id(&format!("test:{name}"));
        variables.add(at, Variable { name, storage: storage.clone(), default, readonly: true });
    }
    Arc::new(variables)
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with_stdin("")
    }

    pub(crate) fn with_stdin(stdin: &str) -> Self {
        Self::make(stdin, |_| {})
    }

    pub(crate) fn with_host(change: impl FnOnce(&mut HostSpec)) -> Self {
        Self::make("", change)
    }

    /// A node whose policy is this.
    pub(crate) fn with_authorizer(authorizer: Box<dyn Authorizer>) -> Self {
        let kernel = KernelOptions { authorizer: Some(authorizer), ..KernelOptions::default() };
        Self::put_together("", kernel, |_| {}, |_| {})
    }

    pub(crate) fn with_variables(variables: Arc<Variables>) -> Self {
        Self::with_options("", |_| {}, |options| options.variables = variables)
    }

    /// A node whose process host is of the density profile.
    pub(crate) fn density() -> Self {
        Self::with_host(|host| *host = HostSpec::density(host.id.clone()))
    }

    fn make(stdin: &str, change: impl FnOnce(&mut HostSpec)) -> Self {
        Self::with_options(stdin, change, |_| {})
    }

    pub(crate) fn with_options(
        stdin: &str,
        change: impl FnOnce(&mut HostSpec),
        options: impl FnOnce(&mut WasmOptions),
    ) -> Self {
        Self::put_together(stdin, KernelOptions::default(), change, options)
    }

    fn put_together(
        stdin: &str,
        kernel: KernelOptions,
        change: impl FnOnce(&mut HostSpec),
        options: impl FnOnce(&mut WasmOptions),
    ) -> Self {
        let (terminal, stdout, stderr) = Terminal::memory(stdin);
        let mut wasm = WasmOptions::new(Arc::new(terminal));
        wasm.variables = variables();
        // Compiling is most of what these tests do.
        wasm.cache_dir = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled").into());
        options(&mut wasm);
        let kernel = Kernel::new(kernel);
        let mut host = HostSpec::new(id(PROCESSES));
        host.scheduler = Scheduler::Own { workers: 1 };
        change(&mut host);
        kernel.add_host(host);
        kernel.add_host(HostSpec::terminal(id(TERMINAL)));
        let runtime = Arc::new(WasmRuntime::new(wasm));
        Self { kernel, runtime, stdout, stderr }
    }

    pub(crate) fn add(&self, spec: WasmSpec) {
        let runtime = self.runtime.clone();
        let id = spec.id.clone();
        self.kernel.add_unit(id, Box::new(move || Ok(Arc::new(runtime.load(spec.clone())?))));
    }

    /// Registers a function `test:NAME`.
    pub(crate) fn add_function(&self, name: &str, mut spec: WasmSpec) {
        let runtime = self.runtime.clone();
        spec.id = id(&format!("test:{name}"));
        let load = move || Ok(Arc::new(runtime.load(spec.clone())?) as Arc<dyn Unit>);
        self.kernel.add_function(id(&format!("test:{name}")), Box::new(load));
    }

    pub(crate) async fn spawn(
        &self,
        host: &str,
        guest: &str,
        args: Vec<Value>,
    ) -> Result<(wippy_model::Pid, wippy_kernel::ExitWatch)> {
        let request = SpawnRequest::new(id(&format!("test:{guest}")), id(host), args);
        self.kernel.spawn_watched(request).await
    }

    /// Loads a guest, runs it on the process host, and gives its exit.
    pub(crate) async fn run(&self, spec: WasmSpec, args: Vec<Value>) -> Result<Exit> {
        self.run_on(PROCESSES, spec, args).await
    }

    pub(crate) async fn run_on(
        &self,
        host: &str,
        spec: WasmSpec,
        args: Vec<Value>,
    ) -> Result<Exit> {
        let guest = spec.id.name().to_owned();
        self.add(spec);
        let (_, watch) = self.spawn(host, &guest, args).await?;
        Ok(Exit::clone(&*watch.await))
    }
}
