//! Project files to checked, ordered entries.
//!
//! [`Project::load`] reads a folder: `wippy.lock`, `.wippy.yaml` and every index file. What
//! comes back is a [`Registry`] in which each [`Entry`] has typed [`Data`], every ID names
//! an entry of the right kind, and the order is that of loading; or else [`Diagnostics`],
//! which hold everything that is wrong at once, each with its place and the next step.
//!
//! ```
//! use wippy_registry::{Data, LoadOptions, Project};
//!
//! let text = "
//! namespace: app
//! entries:
//!   - name: files
//!     kind: fs.directory
//!     directory: ./wasm
//!   - name: worker
//!     kind: process.wasm
//!     fs: files
//!     path: /worker.wasm
//!     mehtod: run
//! ";
//! // `Project::load(folder, &options)` reads a folder in the same way.
//! let folder = std::path::Path::new(".");
//! let options = LoadOptions { unfilled_hashes: true, ..LoadOptions::default() };
//! let found = Project::from_text("app.yaml", text, folder, &options).unwrap_err();
//! assert!(found.to_string().contains("did you mean `method`?"));
//!
//! let text = text.replace("mehtod", "method");
//! let project = Project::from_text("app.yaml", &text, folder, &options)?;
//! let worker = project.registry().get(&"app:worker".parse()?).unwrap();
//! let Data::ProcessWasm(process) = &worker.data else { panic!() };
//! assert_eq!(process.binary.fs.as_str(), "app:files");
//! assert_eq!(worker.place().to_string(), "app.yaml:7:11");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a project: [`Project`] finds and reads files; `index` takes their entries;
//! `overrides` are laid over them; `schema` and [the entry types](Entry) check them; `graph`
//! checks what they name and puts them in order. A mistake on the way is kept, and the rest
//! goes on.
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
