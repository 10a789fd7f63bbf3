//! What an entry says of a WebAssembly unit, in the words of this crate.

use std::sync::Arc;

use wippy_host::Volume;
use wippy_model::{EntryId, Limits};

/// A `process.wasm` entry, resolved: its IDs are volumes, values and directories.
#[derive(Debug, Clone)]
pub struct WasmSpec {
    /// The entry.
    pub id: EntryId,
    /// Where the binary is.
    pub source: BinarySource,
    /// `sha256:` and 64 hexadecimal digits. Without one nothing is checked: `run FILE`.
    pub hash: Option<String>,
    /// The function to run; without one the only export, or `run`.
    pub method: Option<String>,
    /// The exports of a core module's world, in WIT.
    pub wit: Option<String>,
    /// What it may use beyond computing.
    pub grants: Grants,
    /// The first argument that a command sees.
    pub program: String,
    /// The arguments after it.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<EnvVar>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// Its directories.
    pub mounts: Vec<Mount>,
    /// What it may use at the most.
    pub limits: Limits,
}

/// Where a binary is.
#[derive(Debug, Clone)]
pub enum BinarySource {
    /// A file in a volume.
    File {
        /// The volume.
        volume: Arc<Volume>,
        /// The path inside it.
        path: String,
    },
    /// The bytes themselves, and what to call them in messages.
    Bytes {
        /// A name for messages.
        name: String,
        /// The binary.
        bytes: Arc<[u8]>,
    },
}

/// What has power and needs a grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    /// `wasi:sockets`.
    pub sockets: bool,
    /// `wasi:http`.
    pub http: bool,
    /// `funcs`.
    pub funcs: bool,
    /// `wippy:actor`.
    pub actor: bool,
    /// `wippy:process`.
    pub process: bool,
}

/// A variable of a guest's environment.
#[derive(Debug, Clone)]
pub struct EnvVar {
    /// Its name in the guest.
    pub name: String,
    /// The entry that holds its value, which each spawn looks up.
    pub id: EntryId,
    /// Whether a spawn fails without a value.
    pub required: bool,
}

/// A directory that a guest sees.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The entry, for permissions and messages.
    pub id: EntryId,
    /// The directory on the host.
    pub volume: Arc<Volume>,
    /// Where the guest sees it.
    pub guest: String,
    /// Whether every write is refused.
    pub read_only: bool,
}

impl BinarySource {
    /// What to call the binary in messages.
    pub fn name(&self) -> &str {
        match self {
            Self::File { path, .. } => path,
            Self::Bytes { name, .. } => name,
        }
    }
}
