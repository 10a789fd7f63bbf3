//! Lua code.

use indexmap::IndexMap;
use wippy_model::{EntryId, Limits};

use super::process::Command;
use super::target::{AnyHost, Library};
use super::wasm::{LimitSettings, Pool, RunOptions, given_once};
use crate::schema::{IdOf, Name, SourceShape, record};
use crate::source_text::SourceText;

record! {
    /// Lua code and what it may require.
    pub struct LuaCode {
        /// The code, or `file://` and a file relative to this one.
        source: SourceText as SourceShape => required,
        /// The modules that `require` finds in this code, not in its libraries, which list their
        /// own; `process` and `time` need no listing.
        modules: Vec<String> as Vec<Name> => or(Vec::new()),
        /// Libraries, under the names that `require` takes.
        imports: IndexMap<String, EntryId> as IndexMap<String, IdOf<Library>> => or(IndexMap::new()),
    }
}

record! {
    /// A process in Lua.
    pub struct ProcessLua {
        ..code: LuaCode,
        /// The function of the module that runs.
        method: String as Name => required,
        /// What it may use.
        limits: LimitSettings => group,
        /// How it is run.
        options: RunOptions => group,
        /// Makes it a command: `wippy run NAME`.
        command: Command => meta,
        /// Where it runs when nobody says.
        default_host: EntryId as IdOf<AnyHost> => meta,
    }
    ignored { worker_class, bytecode }
    refused { pool: "a process has no pool: each spawn is a process of its own" }
    check given_once;
    finish merge_process;
}

record! {
    /// A function in Lua.
    pub struct FunctionLua {
        ..code: LuaCode,
        /// The function of the module that is called.
        method: String as Name => required,
        /// How instances are kept.
        pool: Pool => optional,
        /// What one call may use.
        limits: LimitSettings => group,
        /// How it is run.
        options: RunOptions => group,
    }
    ignored { worker_class, bytecode }
    check given_once;
    finish merge_function;
}

record! {
    /// Lua code that others import.
    pub struct LibraryLua {
        ..code: LuaCode,
    }
    ignored { method, bytecode }
}

fn merge_process(entry: &mut ProcessLua) {
    entry.limits.absorb(&entry.options.limits);
}

fn merge_function(entry: &mut FunctionLua) {
    entry.limits.absorb(&entry.options.limits);
}

impl ProcessLua {
    /// Every limit, with the defaults of what the entry does not say.
    pub fn limits(&self) -> Limits {
        self.limits.resolve(&self.options.mailbox)
    }
}

impl FunctionLua {
    /// Every limit, with the defaults of what the entry does not say.
    pub fn limits(&self) -> Limits {
        self.limits.resolve(&self.options.mailbox)
    }
}
