//! The composition root: a project becomes a kernel with its hosts and units, and the
//! engines, volumes and variables behind them.
//!
//! Nothing is opened, read or compiled here but variables: a unit is loaded when it is
//! first spawned, or when [`Node::load_all`] asks for all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wippy_host::{Terminal, Variables};
use wippy_kernel::{HostSpec, Kernel, KernelOptions, Loader, Scheduler, Unit};
use wippy_lua::{LuaImport, LuaSpec, LuaUnit};
use wippy_model::{EntryId, Error, Limits, Result, Value};
use wippy_registry::{
    Binary, Data, Diagnostic, Diagnostics, Entry, EntryKind, Grant, HostProfile, HostSettings,
    LuaCode, Project, Registry, SourceText, WasmRun,
};
use wippy_wasm::{
    BinarySource, EnvVar, Grants, Mount, SharedUnit, WasmOptions, WasmRuntime, WasmSpec,
};

use crate::not_loaded::not_loaded;
use crate::volumes::Volumes;
use crate::{environment, policies, progress, suggest, warnings};

/// Names the folder of compiled code; it wins over the project's settings.
const CACHE_DIR_VARIABLE: &str = "WIPPY_CACHE_DIR";

/// What a node leaves open in its entries: those made of a command line do not pin what
/// nobody wrote down.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeOptions {
    /// The method is the only export, or `run`, whatever the entry says.
    pub(crate) any_method: bool,
    /// What the text in the entry's file amounts to, where that is text.
    pub(crate) text: Option<Arc<[u8]>>,
}

/// A project, put together and ready to spawn.
pub(crate) struct Node {
    /// Its kernel.
    pub(crate) kernel: Kernel,
    parts: Arc<Parts>,
}

/// What loaders share.
struct Parts {
    project: Project,
    options: NodeOptions,
    volumes: Volumes,
    variables: Arc<Variables>,
    wasm: Arc<WasmRuntime>,
    terminal: Arc<Terminal>,
}

/// What makes the programs of a project: of the one that a node was made of, or of the same
/// project as its files are now.
#[derive(Clone)]
pub(crate) struct Programs(Arc<Parts>);

impl Node {
    /// Puts a project together. Opens no binary.
    ///
    /// # Errors
    ///
    /// When a policy cannot be compiled.
    pub(crate) fn new(project: Project, options: NodeOptions) -> Result<Self, Diagnostics> {
        let settings = project.settings();
        let terminal = Arc::new(Terminal::stdio());
        let variables = Arc::new(environment::variables(project.registry()));
        let wasm = Arc::new(WasmRuntime::new(WasmOptions {
            cache_dir: cache_dir(&project),
            binary_bytes_max: settings.wasm.binary_bytes_max,
            terminal: terminal.clone(),
            variables: variables.clone(),
            progress: progress::sink(),
        }));
        let kernel = Kernel::new(KernelOptions {
            node: settings.runtime.node.as_str().into(),
            authorizer: Some(Box::new(policies::policies(&project)?)),
            ..KernelOptions::default()
        });
        let parts = Arc::new(Parts {
            volumes: Volumes::of(project.registry()),
            variables,
            terminal,
            wasm,
            options,
            project,
        });
        for entry in parts.registry().entries() {
            match &entry.data {
                Data::ProcessHost(host) => kernel.add_host(process_host(&entry.id, &host.host)),
                Data::TerminalHost(_) => kernel.add_host(HostSpec::terminal(entry.id.clone())),
                Data::ProcessWasm(_) | Data::ProcessLua(_) => {
                    if let Some(host) = entry.default_host() {
                        kernel.set_default_host(entry.id.clone(), host.clone());
                    }
                    let (parts, entry) = (parts.clone(), entry.clone());
                    kernel.add_unit(entry.id.clone(), Box::new(move || parts.unit(&entry)));
                }
                Data::FunctionWasm(_) | Data::FunctionWat(_) | Data::FunctionLua(_) => {
                    let (parts, entry) = (parts.clone(), entry.clone());
                    kernel.add_function(entry.id.clone(), Box::new(move || parts.unit(&entry)));
                }
                _ => {}
            }
        }
        Ok(Self { kernel, parts })
    }

    /// The folder of the project.
    pub(crate) fn root(&self) -> &Path {
        self.parts.project.root()
    }

    /// The entries.
    pub(crate) fn registry(&self) -> &Registry {
        self.parts.registry()
    }

    /// What makes its programs.
    pub(crate) fn programs(&self) -> Programs {
        Programs(self.parts.clone())
    }

    /// Opens every volume and loads every unit and function, as many at one time as there
    /// are cores. Runs nothing.
    ///
    /// # Errors
    ///
    /// Everything that does not load, in the order of the entries.
    pub(crate) async fn load_all(&self) -> Result<(), Diagnostics> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores));
        let mut loads = JoinSet::new();
        for (place, entry) in self.registry().entries().enumerate() {
            let (kernel, parts, entry) = (self.kernel.clone(), self.parts.clone(), entry.clone());
            let turns = turns.clone();
            loads.spawn(async move {
                // The semaphore is never closed.
                let _turn = turns.acquire_owned().await;
                let loaded = parts.load(&kernel, &entry).await;
                (place, loaded.map_err(|error| not_loaded(parts.registry(), &entry, &error)))
            });
        }
        let mut wrong: Vec<(usize, Diagnostic)> = Vec::new();
        while let Some(load) = loads.join_next().await {
            match load {
                Ok((place, Err(diagnostic))) => wrong.push((place, diagnostic)),
                Ok((_, Ok(()))) => {}
                Err(failure) => {
                    let text = format!("loading failed: {failure}");
                    wrong.push((usize::MAX, Diagnostic::error("load", text)));
                }
            }
        }
        wrong.sort_by_key(|(place, _)| *place);
        let mut diagnostics = Diagnostics::default();
        for (_, diagnostic) in wrong {
            // A library is loaded by each entry that imports it, too.
            if !diagnostics.iter().any(|other| *other == diagnostic) {
                diagnostics.push(diagnostic);
            }
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }

    /// Warnings about what loads.
    pub(crate) fn warnings(&self) -> Diagnostics {
        let Parts { project, volumes, variables, .. } = &*self.parts;
        warnings::of(project, volumes, variables)
    }
}

impl Programs {
    /// The project they are of.
    pub(crate) fn project(&self) -> &Project {
        &self.0.project
    }

    /// The programs of the project as it is now. Engines, variables and the terminal stay;
    /// filesystems are opened anew, because a build may have put another folder in the place of
    /// one.
    pub(crate) fn next(&self, project: Project) -> Self {
        let Parts { options, variables, wasm, terminal, .. } = &*self.0;
        Self(Arc::new(Parts {
            volumes: Volumes::of(project.registry()),
            options: options.clone(),
            variables: variables.clone(),
            wasm: wasm.clone(),
            terminal: terminal.clone(),
            project,
        }))
    }

    /// What loads an entry.
    pub(crate) fn loader(&self, entry: &Arc<Entry>) -> Loader {
        let (parts, entry) = (self.0.clone(), entry.clone());
        Box::new(move || parts.unit(&entry))
    }

    /// Whether the binary is still the one that its entry pins. One that cannot be read is no
    /// other one.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, naming both hashes.
    pub(crate) fn verify(&self, binary: &Binary) -> Result<()> {
        let bytes_max = self.project().settings().wasm.binary_bytes_max;
        let volume = self.0.volumes.get(&binary.fs);
        match volume.ok().and_then(|volume| volume.read(&binary.path, bytes_max).ok()) {
            Some(bytes) => binary.hash.verify(&bytes),
            None => Ok(()),
        }
    }
}

impl Parts {
    fn registry(&self) -> &Registry {
        self.project.registry()
    }

    async fn load(self: &Arc<Self>, kernel: &Kernel, entry: &Arc<Entry>) -> Result<()> {
        // A filesystem or a file of variables that does not open is reported once, as an
        // entry of its own.
        let needed = self.volumes_open(entry) && self.variables_open(entry);
        if !needed && entry.kind() != EntryKind::FsDirectory {
            return Ok(());
        }
        match entry.kind() {
            EntryKind::ProcessWasm | EntryKind::ProcessLua => {
                kernel.unit(&entry.id).await.map(drop)
            }
            EntryKind::FsDirectory => self.volumes.get(&entry.id).map(drop),
            EntryKind::EnvStorageFile => {
                let (parts, id) = (self.clone(), entry.id.clone());
                blocking(move || parts.variables.open(&id)).await
            }
            EntryKind::FunctionWasm | EntryKind::FunctionWat | EntryKind::FunctionLua => {
                kernel.function(&entry.id).await.map(drop)
            }
            EntryKind::LibraryLua => self.lua_unit(entry).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether the filesystems open that a WebAssembly entry names.
    fn volumes_open(&self, entry: &Entry) -> bool {
        let binary = entry.binary().map(|binary| &binary.fs);
        let mounts = entry.wasm().map_or(&[][..], |run| &run.wasi.mounts);
        let mut named = binary.into_iter().chain(mounts.iter().map(|mount| &mount.fs));
        named.all(|id| self.volumes.get(id).is_ok())
    }

    /// Whether the variables can be looked up that a WebAssembly entry names.
    fn variables_open(&self, entry: &Entry) -> bool {
        let env = entry.wasm().map_or(&[][..], |run| &run.wasi.env);
        env.iter().all(|variable| self.variables.open(&variable.id).is_ok())
    }

    fn unit(&self, entry: &Entry) -> Result<Arc<dyn Unit>> {
        match entry.kind() {
            EntryKind::ProcessLua | EntryKind::FunctionLua => {
                let unit: Arc<dyn Unit> = self.lua_unit(entry)?;
                Ok(unit)
            }
            _ => {
                let unit: Arc<dyn Unit> = Arc::new(self.wasm_unit(entry)?);
                Ok(unit)
            }
        }
    }

    fn wasm_unit(&self, entry: &Entry) -> Result<SharedUnit> {
        let run = entry
            .wasm()
            .ok_or_else(|| Error::internal(format!("{} is no WebAssembly entry", entry.id)))?;
        self.wasm.load(self.wasm_spec(entry, run)?)
    }

    fn wasm_spec(&self, entry: &Entry, run: &WasmRun) -> Result<WasmSpec> {
        let source = match (entry.binary(), entry.source_text()) {
            (Some(binary), _) if self.options.text.is_some() => BinarySource::Bytes {
                name: binary.path.trim_start_matches('/').to_owned(),
                bytes: self.options.text.clone().unwrap_or_default(),
            },
            (Some(binary), _) => BinarySource::File {
                volume: self.volumes.get(&binary.fs).map_err(|error| error.context(&entry.id))?,
                path: binary.path.clone(),
            },
            (None, Some(text)) => BinarySource::Bytes {
                name: format!("the text in {}", text.file),
                bytes: assembled(&entry.id, text)?.into(),
            },
            (None, None) => {
                return Err(Error::internal(format!("{} has no binary", entry.id)));
            }
        };
        let env = run.wasi.env.iter().map(|env| {
            // Files are read here, where it may take time, and not by a spawn.
            self.variables.open(&env.id).map_err(|error| {
                let field = Value::map([("field", Value::from("wasi.env"))]);
                error.context(&entry.id).with_details(field)
            })?;
            Ok(EnvVar { name: env.name.clone(), id: env.id.clone(), required: env.required })
        });
        let mounts = run.wasi.mounts.iter().map(|mount| {
            let volume = self.volumes.get(&mount.fs).map_err(|error| error.context(&entry.id))?;
            let (id, guest) = (mount.fs.clone(), mount.guest.clone());
            Ok(Mount { id, volume, guest, read_only: mount.read_only })
        });
        Ok(WasmSpec {
            id: entry.id.clone(),
            source,
            hash: entry.binary().and_then(|binary| binary.hash.sha256()).map(ToString::to_string),
            method: (!self.options.any_method).then(|| run.method.clone()),
            wit: run.wit.clone(),
            grants: Grants {
                sockets: run.imports.contains(Grant::Sockets),
                http: run.imports.contains(Grant::Http),
                funcs: run.imports.contains(Grant::Funcs),
                actor: run.imports.contains(Grant::Actor),
                process: run.imports.contains(Grant::Process),
            },
            program: entry.id.name().to_owned(),
            args: run.wasi.args.clone(),
            env: env.collect::<Result<_>>()?,
            cwd: run.wasi.cwd.clone(),
            mounts: mounts.collect::<Result<_>>()?,
            limits: run.limits(),
        })
    }

    fn lua_unit(&self, entry: &Entry) -> Result<Arc<LuaUnit>> {
        let code =
            entry.lua().ok_or_else(|| Error::internal(format!("{} is no Lua entry", entry.id)))?;
        known_modules(&entry.id, &code.modules)?;
        let imports = self.lua_imports(code);
        for import in &imports {
            known_modules(&import.id, &import.modules)?;
        }
        let (method, limits) = match &entry.data {
            Data::ProcessLua(process) => {
                (Some(process.method.clone()), process.limits.resolve(&process.options.mailbox))
            }
            Data::FunctionLua(function) => {
                (Some(function.method.clone()), function.limits.resolve(&function.options.mailbox))
            }
            _ => (None, Limits::default()),
        };
        let spec = LuaSpec {
            id: entry.id.clone(),
            file: code.source.file.to_string(),
            source: text_in_place(&code.source),
            method,
            modules: code.modules.clone(),
            imports,
            limits,
            terminal: Some(self.terminal.clone()),
        };
        LuaUnit::load(spec).map_err(|error| self.without_column(error, entry))
    }

    /// An error of a program without the column, where that is written in a project file:
    /// columns of the text are not those of the file.
    fn without_column(&self, error: Error, entry: &Entry) -> Error {
        let named = match error.details() {
            Value::Map(details) => details.get("entry").and_then(Value::as_str),
            _ => None,
        };
        let named = named.and_then(|id| EntryId::parse(id).ok());
        let named = named.and_then(|id| self.registry().get(&id));
        let source = named.map_or(entry, AsRef::as_ref).lua().map(|code| &code.source);
        let Some(source) = source.filter(|source| source.path.is_none()) else { return error };
        let place = format!(": {}:", source.file);
        let Some((before, (line, rest))) = error
            .message()
            .split_once(&place)
            .and_then(|(before, after)| Some((before, after.split_once(':')?)))
        else {
            return error;
        };
        match rest.split_once(": ") {
            Some((column, what)) if column.parse::<u32>().is_ok() => {
                let message = format!("{before}{place}{line}: {what}");
                Error::new(error.kind(), message).with_details(error.details().clone())
            }
            _ => error,
        }
    }

    /// The libraries of an entry, and those that they import in their turn. An alias means
    /// what the nearest one to the entry says.
    fn lua_imports(&self, code: &LuaCode) -> Vec<LuaImport> {
        let mut found: IndexMap<&str, (&EntryId, &LuaCode)> = IndexMap::new();
        let mut open = vec![code];
        while let Some(code) = open.pop() {
            for (alias, id) in &code.imports {
                let library = self.registry().get(id).and_then(|entry| entry.lua());
                if let Some(library) = library
                    && !found.contains_key(alias.as_str())
                {
                    found.insert(alias, (id, library));
                    open.insert(0, library);
                }
            }
        }
        let import = |(alias, (id, code)): (&str, (&EntryId, &LuaCode))| LuaImport {
            alias: alias.to_owned(),
            id: id.clone(),
            file: code.source.file.to_string(),
            source: text_in_place(&code.source),
            modules: code.modules.clone(),
        };
        found.into_iter().map(import).collect()
    }
}

/// Runs what may take time on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failure| Err(Error::internal(failure.to_string())))
}

/// The binary of WebAssembly text.
fn assembled(id: &EntryId, source: &SourceText) -> Result<Vec<u8>> {
    wat::parse_str(text_in_place(source)).map_err(|mut error| {
        error.set_path(Path::new(&*source.file));
        // What is wrong, and below it the place and the line.
        let shown = error.to_string();
        let mut lines = shown.lines();
        let what = lines.next().unwrap_or_default();
        let place = lines.find_map(|line| line.trim_start().strip_prefix("--> "));
        // Columns of text in a project file are not those of that file.
        let line = place.and_then(|place| place.rsplit_once(':')).map_or("", |(line, _)| line);
        Error::invalid(format!("{id} does not compile: {line}: {what}"))
    })
}

/// Refuses names in `modules` that no module has.
fn known_modules(id: &EntryId, listed: &[String]) -> Result<()> {
    let known = wippy_lua::module_names();
    let Some(name) = listed.iter().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let near = suggest::nearest(name, known.iter().copied());
    let near = near.map(|near| format!("did you mean `{near}`?\n")).unwrap_or_default();
    let known = known.join(", ");
    // The code may be a library of the entry that is loaded.
    let place = [("entry", id.as_str()), ("field", "modules")];
    let place = Value::map(place.map(|(name, value)| (name, Value::from(value))));
    let message = format!("entry {id}: there is no module {name:?}\n{near}modules are: {known}");
    Err(Error::invalid(message).with_details(place))
}

/// The text of a program; one that is written in a project file has that file's lines.
fn text_in_place(source: &SourceText) -> String {
    let lines_before = match source.path {
        Some(_) => 0,
        None => source.line.saturating_sub(1) as usize,
    };
    format!("{}{}", "\n".repeat(lines_before), source.text)
}

fn process_host(id: &EntryId, settings: &HostSettings) -> HostSpec {
    let default = match settings.profile {
        HostProfile::Spawn => HostSpec::new(id.clone()),
        HostProfile::Density => HostSpec::density(id.clone()),
    };
    let count = |written: Option<u32>, default: usize| written.map_or(default, |n| n as usize);
    HostSpec {
        scheduler: match settings.workers {
            Some(workers) => Scheduler::Own { workers: workers as usize },
            None => default.scheduler,
        },
        queue_size: count(settings.queue_size, default.queue_size),
        processes_max: count(settings.max_processes, default.processes_max),
        slice: Duration::from_millis(settings.slice_ms.into()),
        stop_timeout: settings.stop_timeout,
        stack_bytes: settings
            .stack_bytes
            .map_or(default.stack_bytes, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        ..default
    }
}

/// Where compiled code is kept: `WIPPY_CACHE_DIR`, else as the project says, else the
/// user's cache folder.
fn cache_dir(project: &Project) -> Option<PathBuf> {
    let settings = &project.settings().wasm;
    if !settings.cache {
        return None;
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = variable(CACHE_DIR_VARIABLE).map(PathBuf::from);
    let written = || settings.cache_dir.as_ref().map(|written| project.root().join(written));
    let users = || {
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let folder = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(folder.join("wippy"))
    };
    named.or_else(written).or_else(users)
}
