//! Which files are read: every `*.yaml`, `*.yml` and `*.json` below a source root.
//!
//! Hidden files and folders, `target` and `node_modules` are skipped. A folder is entered
//! once, by whatever symlinks it is reached. Limits: [`FILES_MAX`], [`FOLDER_DEPTH_MAX`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::Place;

/// How many files one project has at the most.
pub(crate) const FILES_MAX: usize = 10_000;

/// How deep folders nest at the most.
pub(crate) const FOLDER_DEPTH_MAX: usize = 64;

/// Folders of built and fetched files.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// Finds the files below a root, in the order of their names.
pub(crate) fn files(root: &Path, project_root: &Path, found: &mut Diagnostics) -> Vec<PathBuf> {
    files_and_folders(root, project_root, found).0
}

/// The same, with the folders that were looked into, symlinks resolved.
pub(crate) fn files_and_folders(
    root: &Path,
    project_root: &Path,
    found: &mut Diagnostics,
) -> (Vec<PathBuf>, HashSet<PathBuf>) {
    let mut walk = Walk { project_root, found, seen: HashSet::new(), files: Vec::new() };
    walk.folder(root, 0);
    (walk.files, walk.seen)
}

/// The projects below a folder, relative to it, in the order of their names: folders with a
/// `wippy.lock` or a `src/_index.yaml`, and none inside of another. None where the folder
/// has an index of its own. What cannot be read is reported elsewhere.
pub(crate) fn projects(root: &Path) -> Vec<String> {
    let mut unreported = Diagnostics::default();
    let files = files(root, root, &mut unreported);
    if files.iter().any(|file| file.parent() == Some(root) && is_index(file)) {
        return Vec::new();
    }
    let looks_like_one =
        |folder: &Path| folder.join("wippy.lock").is_file() || folder.join(INDEX_BELOW).is_file();
    let mut known: HashMap<PathBuf, bool> = HashMap::new();
    let mut projects = BTreeSet::new();
    for file in &files {
        let above: Vec<&Path> =
            file.ancestors().skip(1).take_while(|folder| *folder != root).collect();
        let outermost = above.into_iter().rev().find(|folder| {
            *known.entry(folder.to_path_buf()).or_insert_with(|| looks_like_one(folder))
        });
        projects.extend(outermost.map(|folder| shown(folder, root)));
    }
    projects.into_iter().collect()
}

/// The index of a project without a `wippy.lock`.
const INDEX_BELOW: &str = "src/_index.yaml";

fn is_index(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "_index")
}

struct Walk<'a> {
    project_root: &'a Path,
    found: &'a mut Diagnostics,
    /// Folders that were entered, symlinks resolved.
    seen: HashSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        if depth > FOLDER_DEPTH_MAX {
            self.report(folder, format!("folders nest deeper than {FOLDER_DEPTH_MAX} levels here"));
            return;
        }
        let listing = folder.canonicalize().and_then(|whole| {
            if !self.seen.insert(whole) {
                return Ok(Vec::new());
            }
            let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            Ok(entries)
        });
        let entries = match listing {
            Ok(entries) => entries,
            Err(error) => {
                return self.report(folder, format!("this folder cannot be read: {error}"));
            }
        };
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let file_type = entry.file_type().ok();
            let kind = match file_type {
                // A symlink that leads nowhere is nothing to read.
                Some(kind) if kind.is_symlink() => {
                    path.metadata().ok().map(|data| data.file_type())
                }
                kind => kind,
            };
            match kind {
                Some(kind) if kind.is_dir() && !SKIPPED.contains(&&*name) => {
                    self.folder(&path, depth + 1);
                }
                Some(kind) if kind.is_file() && is_index_name(&path) => {
                    if self.files.len() >= FILES_MAX {
                        if self.files.len() == FILES_MAX {
                            self.report(&path, format!("there are more than {FILES_MAX} files"));
                            self.files.push(path);
                        }
                        return;
                    }
                    self.files.push(path);
                }
                _ => {}
            }
        }
    }

    fn report(&mut self, path: &Path, message: String) {
        let help = "name a smaller folder in `directories.src` of wippy.lock";
        let place = Place::of_file(&shown(path, self.project_root));
        self.found.push(Diagnostic::error("unreadable", message).at(place).help(help));
    }
}

fn is_index_name(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

/// A path relative to the project root where it is below it, with `/` on every system.
pub(crate) fn shown(path: &Path, project_root: &Path) -> String {
    let relative = path.strip_prefix(project_root).unwrap_or(path);
    let text = relative.to_string_lossy();
    match std::path::MAIN_SEPARATOR {
        '/' => text.into_owned(),
        separator => text.replace(separator, "/"),
    }
}
