//! Lua entries as units of the kernel.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wippy_host::Terminal;
use wippy_kernel::{Prepare, Process, ProcessContext, Unit};
use wippy_model::{EntryId, Error, Exit, Limits, Result, Value};

use crate::base;
use crate::driver;
use crate::output::Output;
use crate::program::{Chunk, Import, Program};
use crate::vm::Vm;

/// A library that an entry imports.
#[derive(Debug, Clone)]
pub struct LuaImport {
    /// The name for `require`.
    pub alias: String,
    /// The library's own entry.
    pub id: EntryId,
    /// The library's file, or another name for positions in it.
    pub file: String,
    /// The library's source text.
    pub source: String,
    /// Modules that the library itself may require.
    pub modules: Vec<String>,
}

/// What a Lua entry is made of.
#[derive(Debug)]
pub struct LuaSpec {
    /// The entry.
    pub id: EntryId,
    /// The source's file, or another name for positions in it.
    pub file: String,
    /// The source text.
    pub source: String,
    /// The function to run; without one the source itself is the body.
    pub method: Option<String>,
    /// Modules that it may require.
    pub modules: Vec<String>,
    /// Libraries that it may require.
    pub imports: Vec<LuaImport>,
    /// What one process of it may use.
    pub limits: Limits,
    /// The terminal of processes on a terminal host.
    pub terminal: Option<Arc<Terminal>>,
}

impl LuaSpec {
    /// An entry of this source with every default and the method `main`.
    pub fn new(id: EntryId, source: impl Into<String>) -> Self {
        Self {
            file: format!("{}.lua", id.name()),
            id,
            source: source.into(),
            method: Some("main".to_owned()),
            modules: Vec::new(),
            imports: Vec::new(),
            limits: Limits::default(),
            terminal: None,
        }
    }
}

/// A Lua entry, compiled. Each of its processes has a VM of its own.
pub struct LuaUnit(Arc<Program>);

impl LuaUnit {
    /// Compiles an entry.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, with entry, file and line, when the source or an import does not
    /// compile.
    pub fn load(spec: LuaSpec) -> Result<Arc<Self>> {
        let LuaSpec { id, file, source, method, modules, imports, limits, terminal } = spec;
        let main = Chunk::compile(&id, &file, &source)?;
        let texts = || std::iter::once(&source).chain(imports.iter().map(|import| &import.source));
        let globals = base::ON_DEMAND
            .into_iter()
            .filter(|name| texts().any(|text| text.contains(name)))
            .collect();
        let imports = imports
            .into_iter()
            .map(|LuaImport { alias, id, file, source, modules }| {
                // Whose mistake it is: the library may be an entry that is looked at too.
                let place = Value::map([("entry", Value::from(id.as_str()))]);
                let place = |error: Error| error.with_details(place);
                let chunk = Chunk::compile_library(&id, &file, &source).map_err(place)?;
                Ok(Import { alias, id, chunk, modules })
            })
            .collect::<Result<_>>()?;
        let method = method.unwrap_or_default().into();
        Ok(Arc::new(Self(Arc::new(Program {
            id,
            main,
            method,
            modules,
            imports,
            globals,
            limits,
            terminal,
        }))))
    }

    /// The entry.
    pub fn id(&self) -> &EntryId {
        &self.0.id
    }
}

impl fmt::Debug for LuaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LuaUnit({})", self.0.id)
    }
}

impl Unit for LuaUnit {
    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Lua takes any arguments.
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        let terminal = if spawn.host.terminal { self.0.terminal.clone() } else { None };
        Ok(Box::new(LuaProcess { program: self.0.clone(), args: spawn.args, terminal }))
    }

    fn hears_events(&self) -> bool {
        true
    }
}

struct LuaProcess {
    program: Arc<Program>,
    args: Vec<Value>,
    terminal: Option<Arc<Terminal>>,
}

impl Process for LuaProcess {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        let Self { program, args, terminal } = *self;
        let output = match terminal {
            Some(terminal) => Output::Terminal(terminal),
            None => Output::log(program.id.clone(), &program.limits),
        };
        let vm = Vm::new(program, context.clone(), output, &args);
        driver::drive(vm, &context)
    }
}
