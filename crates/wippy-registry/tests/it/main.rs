//! Tests of the crate from outside: messages, files, documentation, robustness.

// Helpers of tests fail as tests do; clippy only knows functions marked as tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod docs;
mod files;
mod kinds;
mod messages;
mod robust;
mod seeds;

use std::path::Path;

use wippy_registry::{Diagnostics, LoadOptions, Project};

/// Loads entries of the namespace `app`.
fn load(entries: &str) -> Result<Project, Diagnostics> {
    load_with(entries, &LoadOptions::default())
}

fn load_with(entries: &str, options: &LoadOptions) -> Result<Project, Diagnostics> {
    let text = format!("namespace: app\nentries:\n{entries}");
    Project::from_text("app.yaml", &text, Path::new("/project"), options)
}
