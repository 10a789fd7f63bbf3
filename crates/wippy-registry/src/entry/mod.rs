//! Entries: what each kind holds, typed.
//!
//! One file for each family of kinds. A field is declared once, and its Rust type, its
//! decoder and its row in `docs/entries.md` come from there.

mod env;
mod fs;
mod http;
mod kind;
mod lifecycle;
mod lua;
mod process;
mod security;
mod store;
mod target;
mod wasm;

use std::path::Path;
use std::sync::Arc;

use wippy_model::{EntryId, Value};

use crate::source_text::SourceText;
use crate::yaml::{Node, Place, Source, Span};

pub use env::{EnvStorageFile, EnvStorageMemory, EnvStorageOs, EnvStorageRouter, EnvVariable};
pub use fs::FsDirectory;
pub use http::{HttpEndpoint, HttpMethod, HttpRouter, HttpService, HttpStatic, HttpTimeouts};
pub use kind::{Data, EntryKind};
pub use lifecycle::{Actor, Lifecycle, Restart, RestartBudget, ServiceSecurity, Startup};
pub use lua::{FunctionLua, LibraryLua, LuaCode, ProcessLua};
pub use process::{Command, HostProfile, HostSettings, ProcessHost, ProcessService, TerminalHost};
pub use security::{
    Condition, ConditionOperator, Effect, PolicyRules, SecurityPolicy, SecurityTokenStore,
};
pub use store::{DbSqlSqlite, RegistryEntry, SqlPool, StoreMemory};
pub use wasm::{
    Binary, FunctionWasm, FunctionWat, LimitSettings, MailboxSettings, Pool, PoolPlan, PoolType,
    ProcessWasm, RunOptions, Transport, Wasi, WasiEnv, WasiMount, WasmRun,
};

/// One entry of a project, checked.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it holds, by kind.
    pub data: Data,
    /// Its `meta`, with the index's own merged under it.
    pub meta: Value,
    /// The folder that `directory:` is relative to.
    pub root: Arc<Path>,
    /// The entries that it names and that are loaded before it, each once.
    pub requires: Vec<EntryId>,
    /// What was written, for places of fields and for comparing.
    pub(crate) node: Arc<Node>,
    pub(crate) source: Arc<Source>,
    pub(crate) span: Span,
}

impl Entry {
    /// The kind.
    pub fn kind(&self) -> EntryKind {
        self.data.kind()
    }

    /// The file it is written in; none for an entry made in memory.
    pub fn file(&self) -> Option<&Path> {
        self.source.path().map(AsRef::as_ref)
    }

    /// Where it is written: its name.
    pub fn place(&self) -> Place {
        self.source.place(self.span.start, self.span.end)
    }

    /// Where a field is written, such as `wasi.mounts.0.guest`; the entry's own place where
    /// it is not.
    pub fn place_of(&self, path: &str) -> Place {
        let data = self.node.get("data").unwrap_or(&self.node);
        match data.at(path.split('.')).or_else(|| self.node.at(path.split('.'))) {
            // What an override put there has a place in its flag, not in this file.
            Some(node) if node.span.source == self.node.span.source => {
                self.source.place(node.span.start, node.span.end)
            }
            _ => self.place(),
        }
    }

    /// `meta.command`, of a process.
    pub fn command(&self) -> Option<&Command> {
        match &self.data {
            Data::ProcessWasm(process) => process.command.as_ref(),
            Data::ProcessLua(process) => process.command.as_ref(),
            _ => None,
        }
    }

    /// On whose behalf a command or a service runs, and the path of that field.
    pub fn security(&self) -> Option<(&ServiceSecurity, &'static str)> {
        let of_command = self.command().and_then(|command| command.security.as_ref());
        let of_service = || self.lifecycle().and_then(|lifecycle| lifecycle.security.as_ref());
        match of_command {
            Some(security) => Some((security, "meta.command.security")),
            None => of_service().map(|security| (security, "lifecycle.security")),
        }
    }

    /// `meta.default_host`, of a process.
    pub fn default_host(&self) -> Option<&EntryId> {
        match &self.data {
            Data::ProcessWasm(process) => process.default_host.as_ref(),
            Data::ProcessLua(process) => process.default_host.as_ref(),
            _ => None,
        }
    }

    /// How a WebAssembly entry runs.
    pub fn wasm(&self) -> Option<&WasmRun> {
        match &self.data {
            Data::ProcessWasm(entry) => Some(&entry.run),
            Data::FunctionWasm(entry) => Some(&entry.run),
            Data::FunctionWat(entry) => Some(&entry.run),
            _ => None,
        }
    }

    /// The binary of a WebAssembly entry that is in a file.
    pub fn binary(&self) -> Option<&Binary> {
        match &self.data {
            Data::ProcessWasm(entry) => Some(&entry.binary),
            Data::FunctionWasm(entry) => Some(&entry.binary),
            _ => None,
        }
    }

    /// The code of a Lua entry.
    pub fn lua(&self) -> Option<&LuaCode> {
        match &self.data {
            Data::ProcessLua(entry) => Some(&entry.code),
            Data::FunctionLua(entry) => Some(&entry.code),
            Data::LibraryLua(entry) => Some(&entry.code),
            _ => None,
        }
    }

    /// The text of the program, of an entry that has one.
    pub fn source_text(&self) -> Option<&SourceText> {
        match &self.data {
            Data::FunctionWat(entry) => Some(&entry.source),
            _ => self.lua().map(|code| &code.source),
        }
    }

    /// How a function is pooled.
    pub fn pool(&self) -> Option<&Pool> {
        match &self.data {
            Data::FunctionWasm(entry) => entry.pool.as_ref(),
            Data::FunctionWat(entry) => entry.pool.as_ref(),
            Data::FunctionLua(entry) => entry.pool.as_ref(),
            _ => None,
        }
    }

    /// How it starts and stops, of an entry that does.
    pub fn lifecycle(&self) -> Option<&Lifecycle> {
        match &self.data {
            Data::ProcessHost(entry) => Some(&entry.lifecycle),
            Data::TerminalHost(entry) => Some(&entry.lifecycle),
            Data::ProcessService(entry) => Some(&entry.lifecycle),
            Data::HttpService(entry) => Some(&entry.lifecycle),
            Data::StoreMemory(entry) => Some(&entry.lifecycle),
            Data::DbSqlSqlite(entry) => Some(&entry.lifecycle),
            _ => None,
        }
    }

    /// The folder of an `fs.directory` or another path of this entry, resolved against the
    /// folder it is relative to. Nothing is opened.
    pub fn resolve(&self, path: &str) -> std::path::PathBuf {
        let mut whole = self.root.to_path_buf();
        for part in Path::new(path).components() {
            match part {
                std::path::Component::CurDir => {}
                part => whole.push(part),
            }
        }
        whole
    }
}
