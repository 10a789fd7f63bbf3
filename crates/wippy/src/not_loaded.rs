//! What does not load, at the place that is at fault, with the next step.

use std::path::Path;

use wippy_model::{EntryId, Error, Value};
use wippy_registry::{Binary, Data, Diagnostic, Entry, EntryKind, Registry};

use crate::suggest;

/// How many binaries are named in place of one that is missing.
const BINARIES_SHOWN_MAX: usize = 20;

/// How deep binaries are looked for, and in how many files and folders.
const FOLDER_DEPTH_MAX: usize = 4;
const FILES_SEEN_MAX: usize = 10_000;

/// What does not load, with the place of its entry. An entry that was made of options has
/// no place that anybody wrote.
pub(crate) fn not_loaded(registry: &Registry, entry: &Entry, error: &Error) -> Diagnostic {
    // What follows on lines of its own is the next step.
    let mut diagnostic = match error.message().split_once('\n') {
        Some((what, next)) => Diagnostic::error("load", what).help(next.trim_end()),
        None => Diagnostic::error("load", error.message()),
    };
    // Whoever finds the mistake knows the field, and the entry where it is another one.
    let detail = |name: &str| match error.details() {
        Value::Map(details) => details.get(name).and_then(Value::as_str),
        _ => None,
    };
    let named = detail("entry").and_then(|id| EntryId::parse(id).ok());
    let named = named.and_then(|id| registry.get(&id));
    let entry = named.map_or(entry, AsRef::as_ref);
    if let Some(help) = entry.binary().and_then(|binary| other_binaries(registry, binary)) {
        diagnostic = diagnostic.help(help);
    }
    if entry.file().is_none() {
        return diagnostic;
    }
    let field = detail("field").unwrap_or_else(|| match entry.kind() {
        EntryKind::FsDirectory => "directory",
        EntryKind::EnvStorageFile => "file_path",
        EntryKind::ProcessWasm | EntryKind::FunctionWasm => "path",
        _ => "source",
    });
    diagnostic.at(entry.place_of(field))
}

/// The next step for a binary that is not there: the nearest that is, else all of them.
pub(crate) fn other_binaries(registry: &Registry, binary: &Binary) -> Option<String> {
    let volume = registry.get(&binary.fs)?;
    let Data::FsDirectory(fs) = &volume.data else { return None };
    let folder = volume.resolve(&fs.directory);
    if !folder.is_dir() || folder.join(binary.path.trim_start_matches('/')).exists() {
        return None;
    }
    let mut found = Vec::new();
    let mut seen = 0;
    find(&folder, "", 0, &mut seen, &mut found);
    found.sort_unstable();
    if let Some(near) = suggest::nearest(&binary.path, found.iter().map(String::as_str)) {
        return Some(format!("did you mean `{near}`?"));
    }
    let more = found.len().saturating_sub(BINARIES_SHOWN_MAX);
    found.truncate(BINARIES_SHOWN_MAX);
    let list = found.join(", ");
    Some(match (found.is_empty(), more) {
        (true, _) => "build it, or correct `path`: there is no .wasm file yet".to_owned(),
        (false, 0) => format!("binaries there are: {list}"),
        (false, more) => format!("binaries there are: {list} and {more} more"),
    })
}

/// The binaries in a folder and those below it, as paths of the volume. What cannot be read
/// is left out: this is for a message alone.
fn find(folder: &Path, path: &str, depth: usize, seen: &mut usize, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        *seen += 1;
        if *seen > FILES_SEEN_MAX {
            return;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let whole = format!("{path}/{name}");
        // A symlink is none of either.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < FOLDER_DEPTH_MAX && !name.starts_with('.') => {
                find(&entry.path(), &whole, depth + 1, seen, found);
            }
            Ok(_) if name.ends_with(".wasm") => found.push(whole),
            _ => {}
        }
    }
}
