//! The values of `env.variable` entries, read from their storages once, when the node is
//! made.
//!
//! A variable that its storage does not have takes its default; an empty text is a value.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use wippy_host::Variables;
use wippy_model::EntryId;
use wippy_registry::{Data, Diagnostic, Diagnostics, Entry, EnvStorageFile, Registry};

/// What one storage holds.
enum Storage {
    Values(HashMap<String, String>),
    /// The environment of this program, under a prefix.
    Os(String),
    /// Several, asked in order.
    Router(Vec<EntryId>),
}

/// Reads the variables of these entries.
///
/// # Errors
///
/// When a file storage cannot be read or made.
pub(crate) fn variables(registry: &Registry) -> Result<Variables, Diagnostics> {
    let mut storages = HashMap::new();
    let mut wrong = Diagnostics::default();
    for entry in registry.entries() {
        let storage = match &entry.data {
            Data::EnvStorageMemory(memory) => Storage::Values(
                memory.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            ),
            Data::EnvStorageOs(os) => Storage::Os(os.prefix.clone()),
            Data::EnvStorageRouter(router) => Storage::Router(router.storages.clone()),
            Data::EnvStorageFile(file) => match read(&entry.resolve(&file.file_path), file) {
                Ok(values) => Storage::Values(values),
                Err(error) => {
                    wrong.push(unreadable(entry, &file.file_path, &error));
                    continue;
                }
            },
            _ => continue,
        };
        storages.insert(entry.id.clone(), storage);
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    let variables = Variables::default();
    for entry in registry.entries() {
        if let Data::EnvVariable(variable) = &entry.data {
            let value = look_up(&storages, &variable.storage, &variable.variable, 0)
                .or_else(|| variable.default.clone());
            if let Some(value) = value {
                variables.set(entry.id.clone(), value);
            }
        }
    }
    Ok(variables)
}

/// How deep routers nest: the registry refuses cycles, so this is never met.
const ROUTERS_MAX: usize = 32;

fn look_up(
    storages: &HashMap<EntryId, Storage>,
    storage: &EntryId,
    name: &str,
    depth: usize,
) -> Option<String> {
    match storages.get(storage)? {
        Storage::Values(values) => values.get(name).cloned(),
        Storage::Os(prefix) => {
            name.starts_with(prefix.as_str()).then(|| std::env::var(name).ok()).flatten()
        }
        Storage::Router(_) if depth >= ROUTERS_MAX => None,
        Storage::Router(asked) => {
            asked.iter().find_map(|storage| look_up(storages, storage, name, depth + 1))
        }
    }
}

fn read(path: &Path, file: &EnvStorageFile) -> io::Result<HashMap<String, String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.auto_create => {
            if let Some(parent) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(file.dir_mode).create(parent)?;
            }
            fs::OpenOptions::new().create(true).append(true).mode(file.file_mode).open(path)?;
            Ok(HashMap::new())
        }
        Err(error) => Err(error),
    }
}

/// `NAME=value` lines. Empty lines and `#` comments are skipped, `export` and quotes around
/// a value are dropped.
fn parse(text: &str) -> HashMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let unquoted = ['"', '\''].into_iter().find_map(|quote| {
                value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            });
            (name.trim().to_owned(), unquoted.unwrap_or(value).to_owned())
        })
        .collect()
}

fn unreadable(entry: &Entry, path: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::error("unreadable", format!("entry {}: cannot read {path}: {error}", entry.id))
        .at(entry.place_of("file_path"))
        .help("make the file, or set `auto_create: true`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file() {
        let values = parse("# c\nA=1\n\nexport B = \"x y\"\nC=''\nD=a=b\nnothing\n");
        let expected = [("A", "1"), ("B", "x y"), ("C", ""), ("D", "a=b")];
        assert_eq!(values.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(values.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
}
