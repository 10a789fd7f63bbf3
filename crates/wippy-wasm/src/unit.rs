//! A loaded entry: what the kernel makes processes of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wasmtime::component::{ComponentExportIndex, InstancePre};
use wippy_host::{HttpClient, Terminal, Variables};
use wippy_kernel::{HostSpec, Prepare, Process, Unit};
use wippy_model::{EntryId, Error, Limits, Result, Value};

use crate::binary::{Binary, Code};
use crate::denials::Denials;
use crate::engine::{Allocation, EngineKind, Engines, GuestEngine};
use crate::guest::Guest;
use crate::interfaces::PREVIEW1;
use crate::pools::{Place, Size};
use crate::process::{Call, WasmProcess};
use crate::spec::{EnvVar, Grants, Mount, WasmSpec};
use crate::value::{CoreSignature, Method, Signature, Type, wave};
use crate::{link, method};

/// What each process of a unit is made with.
pub(crate) struct Config {
    pub(crate) id: EntryId,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) variables: Arc<Variables>,
    pub(crate) cwd: Option<String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) terminal: Arc<Terminal>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) http: Arc<HttpClient>,
}

/// Which function runs, and how it takes its arguments.
pub(crate) enum Target {
    /// `wasi:cli/run#run`: arguments as text.
    Command { interface: String, method: Method },
    /// Any other function of a component.
    Function { interface: Option<String>, method: Method },
    /// `_start` of a preview1 command: arguments as text.
    CoreCommand,
    /// A function of numbers of a core module.
    CoreFunction { name: String, signature: CoreSignature },
}

/// A unit in one engine: linked, with its export found.
pub(crate) struct Ready {
    pub(crate) engine: Arc<GuestEngine>,
    pub(crate) code: ReadyCode,
    /// Whether a guest has its WASI context from the start: where memory counts more than
    /// time, and it imports what needs one.
    pub(crate) early_context: bool,
}

pub(crate) enum ReadyCode {
    Component { pre: InstancePre<Guest>, export: ComponentExportIndex },
    Module { pre: wasmtime::InstancePre<Guest> },
}

/// A loaded and checked WebAssembly entry.
pub struct WasmUnit {
    pub(crate) config: Arc<Config>,
    pub(crate) binary: Arc<Binary>,
    pub(crate) target: Target,
    /// What a process has.
    size: Size,
    /// It does not fit a pool's places.
    unpooled: AtomicBool,
    engines: Arc<Engines>,
    /// By engine: a host's profile decides which one. Readers take no lock.
    ready: ArcSwap<Vec<(EngineKind, Arc<Ready>)>>,
    preparing: Mutex<()>,
}

/// The values of [`Config::env`], in its order, as one process sees them.
pub(crate) type EnvValues = Box<[Option<Arc<str>>]>;

impl Config {
    /// What a spawn may not do or does not have: permissions on mounts and variables, and
    /// the values of variables at this moment.
    fn settle(&self, spawn: &Prepare<'_>) -> Result<EnvValues> {
        for mount in &self.mounts {
            spawn.authorize("fs.get", mount.id.as_str())?;
        }
        let value = |variable: &EnvVar| {
            let EnvVar { name, id, required } = variable;
            // A denial is no missing value, whether one is required or not.
            spawn.authorize("env.get", id.as_str())?;
            match self.variables.get(id)? {
                None if *required => Err(Error::not_found(format!(
                    "the required variable {name} ({id}) has no value: set it, or give its \
                     env.variable a default"
                ))
                .with_details(Value::map([("field", Value::from("wasi.env"))]))),
                value => Ok(value),
            }
        };
        self.env.iter().map(value).collect()
    }
}

impl WasmUnit {
    pub(crate) fn new(
        spec: WasmSpec,
        binary: Arc<Binary>,
        engines: Arc<Engines>,
        terminal: Arc<Terminal>,
        variables: Arc<Variables>,
        http: Arc<HttpClient>,
    ) -> Result<Arc<Self>> {
        let code = binary.code(EngineKind::compiler(binary.class), &spec.id, &engines)?;
        let target = target(&spec, &binary, &code)?;
        let size = size(&binary, &code);
        let config = Config {
            id: spec.id,
            limits: spec.limits,
            grants: spec.grants,
            program: spec.program,
            args: spec.args,
            env: spec.env,
            variables,
            cwd: spec.cwd,
            mounts: spec.mounts,
            terminal,
            denials: Arc::default(),
            http,
        };
        let unit = Self {
            config: Arc::new(config),
            binary,
            target,
            size,
            unpooled: AtomicBool::new(false),
            engines,
            ready: ArcSwap::default(),
            preparing: Mutex::new(()),
        };
        // What cannot be linked is refused now and not by the first process.
        unit.ready(EngineKind::compiler(unit.binary.class))?;
        Ok(Arc::new(unit))
    }

    /// The signature of the method; a command has none.
    pub fn signature(&self) -> Option<&Signature> {
        match &self.target {
            Target::Function { method, .. } => Some(method.signature()),
            Target::CoreFunction { signature, .. } => Some(signature.signature()),
            Target::Command { .. } | Target::CoreCommand => None,
        }
    }

    /// The engine a host's processes of this unit use.
    pub(crate) fn engine_kind(&self, host: &HostSpec) -> EngineKind {
        EngineKind::for_host(self.binary.class, host, &self.config.limits)
    }

    fn find(&self, kind: EngineKind) -> Option<Arc<Ready>> {
        let ready = self.ready.load();
        ready.iter().find(|(own, _)| *own == kind).map(|(_, ready)| ready.clone())
    }

    /// The unit in an engine: linked at the first call.
    pub(crate) fn ready(&self, kind: EngineKind) -> Result<Arc<Ready>> {
        if let Some(ready) = self.find(kind) {
            return Ok(ready);
        }
        let _preparing = self.preparing.lock();
        if let Some(ready) = self.find(kind) {
            return Ok(ready);
        }
        let engine = self.engines.get(kind)?;
        let code = self.binary.code(kind, &self.config.id, &self.engines)?;
        self.keep(kind, self.link(kind, engine, code)?)
    }

    /// The same in the engine of a pool; none if it does not fit the pool's places, or if
    /// there is no such pool.
    fn ready_in_pool(&self, kind: EngineKind) -> Result<Option<Arc<Ready>>> {
        if let Some(ready) = self.find(kind) {
            return Ok(Some(ready));
        }
        let _preparing = self.preparing.lock();
        if let Some(ready) = self.find(kind) {
            return Ok(Some(ready));
        }
        let Some(engine) = self.engines.get_pool(kind) else { return Ok(None) };
        let Some(code) = self.binary.code_in_pool(kind, &engine.engine)? else {
            self.unpooled.store(true, Relaxed);
            return Ok(None);
        };
        self.keep(kind, self.link(kind, engine, code)?).map(Some)
    }

    fn keep(&self, kind: EngineKind, made: Ready) -> Result<Arc<Ready>> {
        let made = Arc::new(made);
        let mut all = Vec::clone(&self.ready.load());
        all.push((kind, made.clone()));
        self.ready.store(Arc::new(all));
        Ok(made)
    }

    fn link(&self, kind: EngineKind, engine: Arc<GuestEngine>, code: Code) -> Result<Ready> {
        let id = &self.config.id;
        let failed = |error: wasmtime::Error| {
            Error::invalid(format!("{id}: {} cannot be linked: {error:#}", self.binary.name()))
        };
        let wasi;
        let code = match code {
            Code::Component(component) => {
                let ty = component.component_type();
                wasi = ty.imports(&engine.engine).any(|(name, _)| name.starts_with("wasi:"));
                let interface = match &self.target {
                    Target::Command { interface, .. } => Some(interface.as_str()),
                    Target::Function { interface, .. } => interface.as_deref(),
                    _ => None,
                };
                let parent = interface.and_then(|name| component.get_export_index(None, name));
                let function = self.function_name();
                let export = component
                    .get_export_index(parent.as_ref(), function)
                    .ok_or_else(|| Error::internal(format!("{id}: lost its export {function}")))?;
                let linker =
                    link::with_traps(&engine.components, &component, id).map_err(failed)?;
                let pre = linker.instantiate_pre(&component).map_err(failed)?;
                ReadyCode::Component { pre, export }
            }
            Code::Module(module) => {
                wasi = module.imports().any(|import| import.module() == PREVIEW1);
                let linker =
                    link::module_with_traps(&engine.modules, &module, id).map_err(failed)?;
                ReadyCode::Module { pre: linker.instantiate_pre(&module).map_err(failed)? }
            }
        };
        Ok(Ready { engine, code, early_context: kind.is_slab() && wasi })
    }

    /// The unit in the engine that a process on this host uses, and the process's place
    /// there; only spawn hosts have places.
    fn place(&self, host: &HostSpec) -> Result<(Arc<Ready>, Option<Place>)> {
        let kind = self.engine_kind(host);
        if !matches!(kind.allocation, Allocation::Pool { .. }) {
            return Ok((self.ready(kind)?, None));
        }
        let blame = |error: Error| error.context(&self.config.id);
        if !self.unpooled.load(Relaxed) {
            let place = self.engines.place(kind, self.size).map_err(blame)?;
            let ready = match place.kind().allocation {
                Allocation::Pool { .. } => self.ready_in_pool(place.kind())?,
                _ => Some(self.ready(place.kind())?),
            };
            if let Some(ready) = ready {
                return Ok((ready, Some(place)));
            }
        }
        let place = self.engines.place_on_demand(kind, self.size).map_err(blame)?;
        Ok((self.ready(place.kind())?, Some(place)))
    }

    /// The same for a process that found no room in its place: a guest with a heap of
    /// garbage-collected objects, which is one more memory, needs more than its binary says.
    pub(crate) fn overflow(&self, host: &HostSpec) -> Result<(Arc<Ready>, Place)> {
        let size = Size { memories: self.size.memories.saturating_add(1), ..self.size };
        let place = self.engines.place_on_demand(self.engine_kind(host), size);
        let place = place.map_err(|error| error.context(&self.config.id))?;
        Ok((self.ready(place.kind())?, place))
    }

    fn function_name(&self) -> &str {
        match &self.target {
            Target::Command { .. } => "run",
            Target::Function { method, .. } => {
                let name = method.signature().name.as_str();
                name.rsplit_once('#').map_or(name, |(_, function)| function)
            }
            Target::CoreCommand => "_start",
            Target::CoreFunction { name, .. } => name,
        }
    }
}

/// A unit that the kernel can hold; processes keep it alive.
pub struct SharedUnit(pub(crate) Arc<WasmUnit>);

impl SharedUnit {
    /// What it is a handle of.
    pub fn unit(&self) -> &WasmUnit {
        &self.0
    }
}

impl Unit for SharedUnit {
    fn limits(&self) -> &Limits {
        &self.0.config.limits
    }

    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        let unit = &self.0;
        let blame = |error: Error| error.context(&unit.config.id);
        let env = unit.config.settle(&spawn).map_err(blame)?;
        let (call, arguments) = match &unit.target {
            Target::Command { method, .. } => {
                let none = method.prepare(Vec::new()).map_err(blame)?;
                (Call::Component(none), words(spawn.args))
            }
            Target::Function { method, .. } => {
                (Call::Component(method.prepare(spawn.args).map_err(blame)?), Vec::new())
            }
            Target::CoreCommand => (Call::Core(Vec::new()), words(spawn.args)),
            Target::CoreFunction { signature, .. } => {
                (Call::Core(signature.lower(spawn.args).map_err(blame)?), Vec::new())
            }
        };
        let (ready, place) = unit.place(spawn.host)?;
        let (unit, role) = (unit.clone(), spawn.role);
        Ok(Box::new(WasmProcess { unit, ready, place, call, arguments, role, env }))
    }

    /// Events come by `wippy:process` alone.
    fn hears_events(&self) -> bool {
        self.0.config.grants.process
    }

    fn is_ready(&self, host: &HostSpec) -> bool {
        let kind = self.0.engine_kind(host);
        !kind.is_slab() || self.0.find(kind).is_some()
    }

    fn make_ready(&self, host: &HostSpec) -> Result<()> {
        self.0.ready(self.0.engine_kind(host)).map(drop)
    }

    fn parse_args(&self, args: &[String]) -> Result<Vec<Value>> {
        match self.0.signature() {
            Some(signature) => {
                wave::parse_args(signature, args).map_err(|error| error.context(&self.0.config.id))
            }
            None => Ok(args.iter().map(|arg| Value::from(arg.as_str())).collect()),
        }
    }

    fn render(&self, value: &Value) -> Option<String> {
        let ty = self.0.signature().and_then(Signature::exit_type);
        match (value, ty) {
            (Value::Nil, None) => None,
            (Value::String(text), Some(Type::String) | None) => Some(text.clone()),
            (value, ty) => Some(wave::print(value, ty)),
        }
    }
}

/// The arguments of a command, as text.
fn words(args: Vec<Value>) -> Vec<String> {
    args.into_iter()
        .map(|arg| match arg {
            Value::String(text) => text,
            other => other.to_json().to_string(),
        })
        .collect()
}

/// What a process of this code has.
fn size(binary: &Binary, code: &Code) -> Size {
    let needed = match code {
        Code::Component(component) => component.resources_required(),
        Code::Module(module) => Some(module.resources_required()),
    };
    let (memories, tables) =
        needed.map_or((1, 1), |needed| (needed.num_memories, needed.num_tables));
    Size { memories, tables, stacks: binary.stacks }
}

fn target(spec: &WasmSpec, binary: &Binary, code: &Code) -> Result<Target> {
    let (id, name, wanted) = (&spec.id, binary.name(), spec.method.as_deref());
    match code {
        Code::Component(component) => {
            let export = method::find(id, name, wanted, component)?;
            let signature = Signature::new(export.function.clone(), &export.ty)
                .and_then(|signature| signature.check_supported().map(|()| signature))
                .map_err(|error| error.context(id))?;
            let is_command = export.is_command();
            let method = Method::new(signature);
            Ok(match export.interface {
                Some(interface) if is_command => Target::Command { interface, method },
                interface => Target::Function { interface, method },
            })
        }
        Code::Module(module) => {
            let (name, ty) = method::find_core(id, name, wanted, module)?;
            if name == "_start" {
                return Ok(Target::CoreCommand);
            }
            let signature =
                CoreSignature::new(name.clone(), &ty).map_err(|error| error.context(id))?;
            Ok(Target::CoreFunction { name, signature })
        }
    }
}
