//! WebAssembly units: load, cache, instantiate, map values.
//!
//! The way of a binary: [`WasmRuntime::load`] reads it, checks its hash, finds its code in
//! the cache or compiles it (`binary`, `cache`, `encode`), finds the method (`method`), and
//! gives a unit to the kernel (`unit`). The way of a process: the kernel asks the unit to
//! prepare one, which lowers the arguments (`value`), and runs it on its own task
//! (`process`), where it ends in exactly one exit (`trap`).
//!
//! Where its memories and stacks come from is settled in `engine`: from pools that grow on
//! spawn hosts (`pools`), from slabs on density hosts (`slab`); what the kernel allows of
//! both is counted in `budget`.
//!
//! What a guest may do is settled in `interfaces` and `link` (what is there) and `guest`
//! (what its entry grants), and for the network in `http` and `sockets`. What it may use is
//! settled in `limiter` and `files`.

mod actor;
mod binary;
mod budget;
mod cache;
mod denials;
mod encode;
mod engine;
mod fibers;
mod files;
mod funcs;
mod guest;
mod http;
mod http_0_3;
mod inspect;
mod interfaces;
mod limiter;
mod lines;
mod link;
mod method;
mod pools;
mod process;
mod slab;
mod sockets;
mod spec;
mod stdio;
mod ticker;
mod trap;
mod unit;
pub mod value;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use wippy_host::{HttpClient, Terminal, Variables};
use wippy_model::{EntryId, Result};

use crate::binary::Binaries;
use crate::cache::Cache;
use crate::engine::Engines;
use crate::unit::WasmUnit;

pub use engine::density_config;
pub use inspect::{Export, Import, Inspection, inspect};
pub use interfaces::Need;
pub use spec::{BinarySource, EnvVar, Grants, Mount, WasmSpec};
pub use unit::SharedUnit;

/// What is told of long work.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A compilation began.
    Compiling {
        /// The entry it is for.
        entry: EntryId,
        /// The binary's size.
        bytes: u64,
    },
    /// It ended.
    Compiled {
        /// The entry it was for.
        entry: EntryId,
    },
}

/// Who is told.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// How the WebAssembly side of a node is made.
pub struct WasmOptions {
    /// Where compiled code is kept; `None` keeps none.
    pub cache_dir: Option<PathBuf>,
    /// The largest binary that is loaded.
    pub binary_bytes_max: u64,
    /// What processes of a terminal host read and write.
    pub terminal: Arc<Terminal>,
    /// What guests' environments are made of.
    pub variables: Arc<Variables>,
    /// Who is told of long work.
    pub progress: Option<ProgressSink>,
}

impl WasmOptions {
    /// The largest binary by default.
    pub const BINARY_BYTES_MAX: u64 = 64 << 20;

    /// No cache, no variables, no progress, and the default size.
    pub fn new(terminal: Arc<Terminal>) -> Self {
        Self {
            cache_dir: None,
            binary_bytes_max: Self::BINARY_BYTES_MAX,
            terminal,
            variables: Arc::default(),
            progress: None,
        }
    }
}

/// The WebAssembly side of a node.
pub struct WasmRuntime {
    engines: Arc<Engines>,
    binaries: Binaries,
    terminal: Arc<Terminal>,
    variables: Arc<Variables>,
    http: Arc<HttpClient>,
}

impl WasmRuntime {
    /// Makes a runtime. Engines are made when they are first needed.
    pub fn new(options: WasmOptions) -> Self {
        let cache = Cache::open(options.cache_dir);
        Self {
            engines: Arc::default(),
            binaries: Binaries::new(cache, options.binary_bytes_max, options.progress),
            terminal: options.terminal,
            variables: options.variables,
            http: Arc::new(HttpClient::new()),
        }
    }

    /// Loads an entry: checks its hash, compiles it or finds its code in the cache, and
    /// checks its method. Blocks, for a large binary for seconds.
    ///
    /// # Errors
    ///
    /// What is wrong with the binary or the entry, naming the entry and the next step.
    pub fn load(&self, spec: WasmSpec) -> Result<SharedUnit> {
        let binary = self.binaries.load(&spec, &self.engines)?;
        let (engines, terminal) = (self.engines.clone(), self.terminal.clone());
        let (variables, http) = (self.variables.clone(), self.http.clone());
        WasmUnit::new(spec, binary, engines, terminal, variables, http).map(SharedUnit)
    }
}

impl fmt::Debug for WasmRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmRuntime").finish_non_exhaustive()
    }
}
