//! A binary on its way to code: read, checked, encoded, compiled or found in the cache,
//! and loaded into each engine that needs it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};
use wippy_model::{EntryId, Error, Result, Value};

use crate::cache::{Cache, Key, hex};
use crate::encode::{self, Form};
use crate::engine::{Class, EngineKind, Engines};
use crate::spec::{BinarySource, WasmSpec};
use crate::{Progress, ProgressSink, fibers};

/// Code in one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Component),
    Module(Module),
}

/// Compiled code, kept where further engines can load it from.
enum Artifact {
    File(File),
    Bytes(Vec<u8>),
}

/// One compiled binary; all entries with the same bytes and WIT share it.
pub(crate) struct Binary {
    pub(crate) class: Class,
    /// How many a process has in use at the most.
    pub(crate) stacks: u32,
    /// For messages, and to read source lines from when somebody reads a backtrace.
    pub(crate) source: BinarySource,
    pub(crate) sha256: [u8; 32],
    wit: Option<String>,
    module: bool,
    artifact: Artifact,
    /// The same for engines with slabs, compiled when a density host first needs it. Held
    /// while that is under way, so that many spawns compile once.
    for_slabs: Mutex<Option<Arc<Artifact>>>,
    loaded: Mutex<HashMap<EngineKind, Code>>,
    workshop: Arc<Workshop>,
}

/// What it takes to get from a source to an artifact.
struct Workshop {
    cache: Cache,
    bytes_max: u64,
    progress: Option<ProgressSink>,
}

/// A binary that is being loaded or is in use: whoever comes second waits for the first. A
/// failure is not kept, because the next entry has a name of its own to blame.
type Slot = Arc<Mutex<Weak<Binary>>>;

/// Every binary that is in use, by what it was compiled from. The units own them: the code of
/// an old version goes with the last process that runs it.
pub(crate) struct Binaries {
    workshop: Arc<Workshop>,
    known: Mutex<HashMap<Key, Slot>>,
}

impl Binaries {
    pub(crate) fn new(cache: Cache, bytes_max: u64, progress: Option<ProgressSink>) -> Self {
        let workshop = Arc::new(Workshop { cache, bytes_max, progress });
        Self { workshop, known: Mutex::default() }
    }

    /// The binary of an entry. The hash is checked before anything else touches the
    /// bytes; entries with the same bytes wait for one compilation.
    pub(crate) fn load(&self, spec: &WasmSpec, engines: &Engines) -> Result<Arc<Binary>> {
        let id = &spec.id;
        let bytes = self.workshop.read(id, &spec.source)?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        check_hash(id, &spec.source, spec.hash.as_deref(), &sha256)?;
        let compiler = engines.get(EngineKind::compiler(Class::Plain))?;
        let key = key(&sha256, spec.wit.as_deref(), &compiler.engine);
        let slot = self.slot(key);
        let mut slot = slot.lock();
        if let Some(binary) = slot.upgrade() {
            return Ok(binary);
        }
        let binary = self.find_or_compile(spec, &bytes, sha256, key, engines)?;
        *slot = Arc::downgrade(&binary);
        Ok(binary)
    }

    fn slot(&self, key: Key) -> Slot {
        let mut known = self.known.lock();
        if !known.contains_key(&key) {
            // Nobody else comes to a slot while the map is locked, so that one that only the
            // map holds stays so.
            known.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        }
        known.entry(key).or_default().clone()
    }

    fn find_or_compile(
        &self,
        spec: &WasmSpec,
        bytes: &[u8],
        sha256: [u8; 32],
        key: Key,
        engines: &Engines,
    ) -> Result<Arc<Binary>> {
        let binary = |class, module, artifact| {
            Arc::new(Binary {
                class,
                stacks: stacks(class, bytes),
                source: spec.source.clone(),
                sha256,
                wit: spec.wit.clone(),
                module,
                artifact,
                for_slabs: Mutex::new(None),
                loaded: Mutex::default(),
                workshop: self.workshop.clone(),
            })
        };
        if let Some((record, file)) = self.workshop.cache.find(key) {
            let class = if record.concurrent { Class::Concurrent } else { Class::Plain };
            let found = binary(class, record.module, Artifact::File(file));
            // An artifact that this engine does not take was kept by another build.
            if found.code(EngineKind::compiler(class), &spec.id, engines).is_ok() {
                return Ok(found);
            }
        }
        let progress = self.workshop.compiling(&spec.id, bytes.len());
        let (class, module, artifact) = compile(spec, bytes, engines)?;
        drop(progress);
        let artifact = self.workshop.keep(key, module, class, artifact);
        Ok(binary(class, module, artifact))
    }
}

impl Workshop {
    fn read(&self, id: &EntryId, source: &BinarySource) -> Result<Arc<[u8]>> {
        match source {
            BinarySource::Bytes { bytes, .. } => Ok(bytes.clone()),
            BinarySource::File { volume, path } => match volume.read(path, self.bytes_max) {
                Ok(bytes) => Ok(bytes.into()),
                Err(wippy_host::VolumeError::TooLarge { bytes, bytes_max, .. }) => {
                    Err(Error::invalid(format!(
                        "{id}: {path} has {bytes} bytes; a binary may have {bytes_max} \
                         (--set wasm.binary_bytes_max={bytes} allows it)"
                    )))
                }
                Err(error) => Err(Error::not_found(format!("{id}: {error}"))),
            },
        }
    }

    fn compiling<'a>(&'a self, id: &'a EntryId, bytes: usize) -> Compiling<'a> {
        Compiling::new(self.progress.as_ref(), id, bytes)
    }

    /// Keeps an artifact on disk if that is possible, and else in memory.
    fn keep(&self, key: Key, module: bool, class: Class, artifact: Vec<u8>) -> Artifact {
        self.cache.keep(key, module, class == Class::Concurrent, &artifact);
        match self.cache.find(key) {
            Some((_, file)) => Artifact::File(file),
            None => Artifact::Bytes(artifact),
        }
    }
}

impl Binary {
    /// The code in an engine, loaded at the first call: a file is mapped, which takes
    /// less than 0.1 ms. An engine with slabs takes code of its own: its first call compiles,
    /// for as long as the entry's loading took, unless the cache has it.
    pub(crate) fn code(&self, kind: EngineKind, id: &EntryId, engines: &Engines) -> Result<Code> {
        if let Some(code) = self.loaded.lock().get(&kind) {
            return Ok(code.clone());
        }
        let engine = &engines.get(kind)?.engine;
        let code = if kind.is_slab() {
            self.code_for_slabs(engine, id)?
        } else {
            self.deserialize(&self.artifact, engine).map_err(|error| self.unloadable(&error))?
        };
        Ok(self.loaded.lock().entry(kind).or_insert(code).clone())
    }

    /// The code in the engine of a pool; none if the pool's places are too small for it.
    pub(crate) fn code_in_pool(&self, kind: EngineKind, engine: &Engine) -> Result<Option<Code>> {
        if let Some(code) = self.loaded.lock().get(&kind) {
            return Ok(Some(code.clone()));
        }
        match self.deserialize(&self.artifact, engine) {
            Ok(code) => Ok(Some(self.loaded.lock().entry(kind).or_insert(code).clone())),
            Err(error) if is_too_large_for_pool(&error) => Ok(None),
            Err(error) => Err(self.unloadable(&error)),
        }
    }

    fn code_for_slabs(&self, engine: &Engine, id: &EntryId) -> Result<Code> {
        let mut known = self.for_slabs.lock();
        if let Some(artifact) = &*known {
            return self.deserialize(artifact, engine).map_err(|error| self.unloadable(&error));
        }
        let key = key(&self.sha256, self.wit.as_deref(), engine);
        if let Some((_, file)) = self.workshop.cache.find(key) {
            let found = Artifact::File(file);
            if let Ok(code) = self.deserialize(&found, engine) {
                *known = Some(Arc::new(found));
                return Ok(code);
            }
        }
        let bytes = self.workshop.read(id, &self.source)?;
        if Sha256::digest(&bytes)[..] != self.sha256 {
            return Err(Error::unavailable(format!(
                "{id}: {} has changed since it was loaded: start the node again",
                self.name()
            )));
        }
        let progress = self.workshop.compiling(id, bytes.len());
        let wit = self.wit.as_deref();
        let artifact = match (self.module, encode::form(&bytes)) {
            (true, _) => engine.precompile_module(&bytes),
            (false, Ok(Form::Component)) => engine.precompile_component(&bytes),
            (false, _) => encode::component(&bytes, wit)
                .map_err(wasmtime::Error::msg)
                .and_then(|encoded| engine.precompile_component(&encoded)),
        };
        drop(progress);
        let artifact = artifact.map_err(|error| {
            Error::invalid(format!(
                "{id}: {} does not compile for a density host: {}",
                self.name(),
                one_line(&error)
            ))
        })?;
        let artifact = self.workshop.keep(key, self.module, self.class, artifact);
        let code = self.deserialize(&artifact, engine).map_err(|error| self.unloadable(&error))?;
        *known = Some(Arc::new(artifact));
        Ok(code)
    }

    fn unloadable(&self, error: &wasmtime::Error) -> Error {
        Error::internal(format!("{}: its compiled code does not load: {error:#}", self.name()))
    }

    /// What to call the binary in messages.
    pub(crate) fn name(&self) -> &str {
        self.source.name()
    }

    // SAFETY: `deserialize*` run what the artifact holds. Bytes come from this process's
    // own compiler. A file was opened by `Cache::find`, which checked owner, mode, length
    // and hash through this very handle; only this user can change it afterwards.
    #[allow(unsafe_code)]
    fn deserialize(&self, artifact: &Artifact, engine: &Engine) -> wasmtime::Result<Code> {
        Ok(match (artifact, self.module) {
            (Artifact::Bytes(bytes), true) => {
                Code::Module(unsafe { Module::deserialize(engine, bytes) }?)
            }
            (Artifact::Bytes(bytes), false) => {
                Code::Component(unsafe { Component::deserialize(engine, bytes) }?)
            }
            (Artifact::File(file), true) => {
                Code::Module(unsafe { Module::deserialize_open_file(engine, file.try_clone()?) }?)
            }
            (Artifact::File(file), false) => Code::Component(component_of(engine, file)?),
        })
    }
}

/// Maps a component through an open handle, so that what was checked is what is mapped.
// SAFETY: as for `Binary::deserialize`.
#[allow(unsafe_code)]
fn component_of(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Ok(component) = unsafe { Component::deserialize_file(engine, path) } {
            return Ok(component);
        }
    }
    // Where there is no /proc the artifact is read and not mapped.
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0)?;
    unsafe { Component::deserialize(engine, bytes) }
}

/// Whether a pool's engine refused code because its places are smaller; that has no type, and
/// tests pin its texts.
fn is_too_large_for_pool(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("pooling allocator")
}

/// What a core module has, encoded or not, is one instance.
fn stacks(class: Class, bytes: &[u8]) -> u32 {
    match (class, encode::form(bytes)) {
        (Class::Plain, _) => 1,
        (Class::Concurrent, Ok(Form::Component)) => fibers::stacks(bytes),
        (Class::Concurrent, _) => 2,
    }
}

fn check_hash(
    id: &EntryId,
    source: &BinarySource,
    expected: Option<&str>,
    actual: &[u8; 32],
) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    let digits = expected.strip_prefix("sha256:").unwrap_or(expected);
    let actual = hex(actual);
    if digits.eq_ignore_ascii_case(&actual) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{id}: the hash of {} does not match: the entry says sha256:{digits}, the file has \
         sha256:{actual}; if you trust the file, `wippy hash --write` fills it in",
        source.name()
    ))
    .with_details(Value::map([("field", Value::from("hash"))])))
}

fn key(sha256: &[u8; 32], wit: Option<&str>, engine: &Engine) -> Key {
    /// Lets wasmtime's own hash of version and settings flow into a SHA-256.
    struct Into256(Sha256);
    impl Hasher for Into256 {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Into256(Sha256::new());
    hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.write(sha256);
    wit.hash(&mut hasher);
    // The adapter's length tells its versions apart; its crate's version is the engine's.
    encode::adapter().len().hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Key(hasher.0.finalize().into())
}

type Compiled = (Class, bool, Vec<u8>);

fn compile(spec: &WasmSpec, bytes: &[u8], engines: &Engines) -> Result<Compiled> {
    let name = spec.source.name();
    let wrong_wit = |text: String| {
        let field = Value::map([("field", Value::from("wit"))]);
        Error::invalid(format!("{}: {text}", spec.id)).with_details(field)
    };
    let form = encode::form(bytes).map_err(|error| invalid(spec, &error))?;
    let encoded;
    let component = match (form, spec.wit.as_deref()) {
        (Form::Component, Some(_)) => {
            return Err(wrong_wit(format!(
                "{name} is a component and says its own types: remove the entry's wit, which \
                 is for core modules"
            )));
        }
        (Form::Component, None) => bytes,
        (Form::Module, None) => {
            let engine = plain(engines)?;
            let artifact =
                engine.precompile_module(bytes).map_err(|error| invalid(spec, &error))?;
            return Ok((Class::Plain, true, artifact));
        }
        (Form::Typed | Form::Module, wit) => {
            encoded = encode::component(bytes, wit).map_err(|error| {
                let text = one_line(&error);
                wrong_wit(format!("{name} cannot be made a component: {text}"))
            })?;
            &encoded
        }
    };
    // Validation comes before compilation, so the wrong class costs next to nothing.
    let plain = match encode::imports_wasi_0_3(component) {
        true => None,
        false => Some(plain(engines)?.precompile_component(component)),
    };
    if let Some(Ok(artifact)) = plain {
        return Ok((Class::Plain, false, artifact));
    }
    let concurrent = engines.get(EngineKind::compiler(Class::Concurrent))?;
    match (concurrent.engine.precompile_component(component), plain) {
        (Ok(artifact), _) => Ok((Class::Concurrent, false, artifact)),
        (Err(_), Some(Err(error))) | (Err(error), _) => Err(invalid(spec, &error)),
    }
}

fn invalid(spec: &WasmSpec, error: &dyn fmt::Display) -> Error {
    let next = match spec.source {
        BinarySource::File { .. } => "; build it again",
        BinarySource::Bytes { .. } => "",
    };
    Error::invalid(format!(
        "{}: {} is no valid WebAssembly: {}{next}",
        spec.id,
        spec.source.name(),
        one_line(error)
    ))
}

/// The tools' errors lay out bytes and sources over several lines.
fn one_line(error: &dyn fmt::Display) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(engines: &Engines) -> Result<Engine> {
    Ok(engines.get(EngineKind::compiler(Class::Plain))?.engine.clone())
}

/// Reports a compilation from its start to its drop.
struct Compiling<'a> {
    sink: Option<&'a ProgressSink>,
    id: &'a EntryId,
}

impl<'a> Compiling<'a> {
    fn new(sink: Option<&'a ProgressSink>, id: &'a EntryId, bytes: usize) -> Self {
        if let Some(sink) = sink {
            sink(Progress::Compiling { entry: id.clone(), bytes: bytes as u64 });
        }
        Self { sink, id }
    }
}

impl Drop for Compiling<'_> {
    fn drop(&mut self) {
        if let Some(sink) = self.sink {
            sink(Progress::Compiled { entry: self.id.clone() });
        }
    }
}
