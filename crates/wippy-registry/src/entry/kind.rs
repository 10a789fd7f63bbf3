//! The kinds of entries.

use std::fmt;

use super::*;
use crate::schema::{Decoder, Fields, Table};
use crate::yaml::{Node, Span};

macro_rules! kinds {
    ($( $variant:ident = $name:literal, )*) => {
        /// The kind of an entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EntryKind {
            $( #[doc = concat!("`", $name, "`")] $variant, )*
            /// `registry.entry`
            RegistryEntry,
        }

        /// What an entry holds, by kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Data {
            $( #[doc = concat!("Of `", $name, "`.")] $variant($variant), )*
            /// Of `registry.entry`.
            RegistryEntry(RegistryEntry),
        }

        impl EntryKind {
    /// Whether entries of this kind do anything in this version. The others are read and
    /// checked, so that a project can hold them already.
    pub fn is_in_effect(self) -> bool {
        matches!(
            self,
            Self::FsDirectory
                | Self::EnvStorageMemory
                | Self::EnvStorageFile
                | Self::EnvStorageOs
                | Self::EnvStorageRouter
                | Self::EnvVariable
                | Self::ProcessHost
                | Self::TerminalHost
                | Self::ProcessWasm
                | Self::ProcessLua
                | Self::ProcessService
                | Self::FunctionWasm
                | Self::FunctionWat
                | Self::FunctionLua
                | Self::LibraryLua
                | Self::SecurityPolicy
                | Self::RegistryEntry
        )
    }

            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::RegistryEntry];

            /// The name in project files.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )*
                    Self::RegistryEntry => "registry.entry",
                }
            }

            /// The kind of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$variant), )*
                    "registry.entry" => Some(Self::RegistryEntry),
                    _ => None,
                }
            }

            /// The fields, for the documentation.
            pub(crate) fn table(self) -> Table {
                match self {
                    $( Self::$variant => $variant::table(), )*
                    Self::RegistryEntry => RegistryEntry::table(),
                }
            }
        }

        impl Data {
            /// The kind.
            pub fn kind(&self) -> EntryKind {
                match self {
                    $( Self::$variant(_) => EntryKind::$variant, )*
                    Self::RegistryEntry(_) => EntryKind::RegistryEntry,
                }
            }

            /// Reads the data of an entry of a kind. Missing fields are reported at `at`.
            pub(crate) fn read(
                kind: EntryKind,
                data: &Node,
                skip: &[&str],
                at: Span,
                cx: &mut Decoder<'_>,
            ) -> Option<Self> {
                match kind {
                    $( EntryKind::$variant => {
                        let mut fields = Fields::new(data.pairs(), skip, at);
                        let record = $variant::take(&mut fields, cx);
                        fields.close(cx, $variant::table);
                        record.map(Self::$variant)
                    } )*
                    EntryKind::RegistryEntry => {
                        Some(Self::RegistryEntry(RegistryEntry::read(data, skip)))
                    }
                }
            }
        }
    };
}

kinds! {
    FsDirectory = "fs.directory",
    EnvStorageMemory = "env.storage.memory",
    EnvStorageFile = "env.storage.file",
    EnvStorageOs = "env.storage.os",
    EnvStorageRouter = "env.storage.router",
    EnvVariable = "env.variable",
    ProcessHost = "process.host",
    TerminalHost = "terminal.host",
    ProcessWasm = "process.wasm",
    ProcessLua = "process.lua",
    ProcessService = "process.service",
    FunctionWasm = "function.wasm",
    FunctionWat = "function.wat",
    FunctionLua = "function.lua",
    LibraryLua = "library.lua",
    HttpService = "http.service",
    HttpRouter = "http.router",
    HttpEndpoint = "http.endpoint",
    HttpStatic = "http.static",
    StoreMemory = "store.memory",
    DbSqlSqlite = "db.sql.sqlite",
    SecurityPolicy = "security.policy",
    SecurityTokenStore = "security.token_store",
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
