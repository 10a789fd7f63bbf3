//! Project files to checked, ordered entries.
//!
//! [`Project::load`] reads a folder: `wippy.lock`, `.wippy.yaml` and every index file. What
//! comes back is a [`Registry`] in which each [`Entry`] has typed [`Data`], every ID names
//! an entry of the right kind, and the order is that of loading; or else [`Diagnostics`],
//! which hold everything that is wrong at once, each with its place and the next step.
//!
//! This crate reads project files alone: it opens no binary and no directory of an entry.

mod diagnostic;
mod diff;
mod discover;
mod docs;
pub mod edit;
mod entry;
mod grant;
mod graph;
mod hash;
mod index;
mod load;
mod lock;
mod overrides;
mod project;
mod registry;
mod schema;
mod settings;
mod source_text;
mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Related, Severity};
pub use diff::Difference;
pub use docs::entries_markdown;
pub use entry::*;
pub use grant::{Grant, Grants, UnknownImport};
pub use hash::{Hash, HashPin};
pub use project::{LoadOptions, Project};
pub use registry::Registry;
pub use settings::{
    HttpSettings, LogFormat, LogLevel, LoggerSettings, RuntimeSettings, SecuritySettings, Settings,
    WasmSettings,
};
pub use source_text::SourceText;
pub use yaml::Place;
