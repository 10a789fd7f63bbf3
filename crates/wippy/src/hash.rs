//! `wippy hash`: the hash of each binary, printed or written into the entries.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use wippy_host::Volume;
use wippy_model::Error;
use wippy_registry::{Binary, Diagnostic, Diagnostics, Entry, Hash, LoadOptions, Project, edit};

use crate::cli::HashArgs;
use crate::failure::{Outcome, status};
use crate::not_loaded::not_loaded;
use crate::volumes::Volumes;
use crate::{output, project};

/// How an entry's hash stands to its binary.
enum State {
    Same,
    /// The entry says none yet.
    Missing,
    /// The entry says another one.
    Other,
}

/// Prints `hash  entry` for each binary; with `--write` fills in what is missing or wrong.
pub(crate) fn hash(args: &HashArgs) -> Outcome {
    let options = LoadOptions { unfilled_hashes: true, ..project::options(&args.project) };
    let project = Project::load(Path::new("."), &options)?;
    let volumes = Volumes::of(project.registry());
    let bytes_max = project.settings().wasm.binary_bytes_max;
    let mut wrong = Diagnostics::default();
    let mut found: Vec<(&Entry, Hash, State)> = Vec::new();
    let registry = project.registry();
    for entry in registry.entries() {
        let Some(binary) = entry.binary() else { continue };
        match hash_of(&volumes, binary, bytes_max) {
            Ok(hash) => {
                let state = match binary.hash.sha256() {
                    Some(written) if *written == hash => State::Same,
                    Some(_) => State::Other,
                    None => State::Missing,
                };
                found.push((entry, hash, state));
            }
            Err(error) => {
                wrong.push(not_loaded(registry, entry, &error.context(&entry.id)));
            }
        }
    }
    let written = args.write && write(&found, &mut wrong);
    let mut table = String::new();
    for (entry, hash, state) in &found {
        let mark = match (state, written) {
            (State::Same, _) => "",
            (_, true) => "  written",
            (State::Missing, false) => "  not filled in",
            (State::Other, false) => "  does not match the entry",
        };
        table.push_str(&format!("{hash}  {}{mark}\n", entry.id));
    }
    output::print(&table)?;
    let same = found.iter().all(|(_, _, state)| matches!(state, State::Same));
    match wrong.is_empty() {
        true if same || written => Ok(status::OK),
        true => Ok(status::FAILED),
        false => Err(wrong.into()),
    }
}

fn hash_of(volumes: &Volumes, binary: &Binary, bytes_max: u64) -> Result<Hash, Error> {
    let volume: std::sync::Arc<Volume> = volumes.get(&binary.fs)?;
    let bytes = volume
        .read(&binary.path, bytes_max)
        .map_err(|error| Error::not_found(error.to_string()))?;
    Ok(Hash::of(&bytes))
}

/// Changes each file once, however many of its entries change. Tells whether all of them
/// were written.
fn write(found: &[(&Entry, Hash, State)], wrong: &mut Diagnostics) -> bool {
    let before = wrong.iter().count();
    let mut files: IndexMap<PathBuf, String> = IndexMap::new();
    for (entry, hash, state) in found {
        if matches!(state, State::Same) {
            continue;
        }
        // An entry that stands in no file was made by this program, which pins it itself.
        let Some(path) = entry.file() else { continue };
        let text = match files.get(path) {
            Some(text) => Ok(text.clone()),
            None => fs::read_to_string(path),
        };
        let edited = text
            .map_err(|error| Error::not_found(format!("cannot read {}: {error}", path.display())))
            .and_then(|text| edit::set_hash(&text, &entry.id, hash));
        match edited {
            Ok(text) => _ = files.insert(path.to_owned(), text),
            Err(error) => {
                wrong.push(Diagnostic::error("write", error.message()).at(entry.place().clone()));
            }
        }
    }
    for (path, text) in files {
        if let Err(error) = replace(&path, &text) {
            // The error names the file that would have taken its place.
            let why = error.kind();
            let message = format!("cannot write {}: {why}", path.display());
            wrong.push(Diagnostic::error("write", message));
        }
    }
    wrong.iter().count() == before
}

/// Replaces a file in one step, so that nobody reads half of it and a full disk loses
/// nothing. It keeps its permissions.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".wippy-").tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.persist(&path)?;
    Ok(())
}
