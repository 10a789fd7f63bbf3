//! A project: its folder, its settings, and the registry of its entries.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wippy_model::Value;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::discover::{self, shown};
use crate::index::{self, IndexFile, RawEntry};
use crate::load::Loader;
use crate::lock::Lock;
use crate::overrides::Override;
use crate::registry::Registry;
use crate::schema::Scope;
use crate::settings::Settings;
use crate::yaml::{self, Content, Node, Place, Source, SourceId, Sources};

/// The files of a project beside its entries.
const LOCK: &str = "wippy.lock";
const SETTINGS: &str = ".wippy.yaml";

/// How large one project file may be.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// How a project is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-o namespace:name:field.path=value`, laid over entries before they are checked.
    pub overrides: Vec<String>,
    /// `--set section.path=value`, laid over the settings.
    pub settings: Vec<String>,
    /// The file of settings, relative to the project's folder, instead of its `.wippy.yaml`.
    /// It must exist.
    pub config: Option<PathBuf>,
    /// Takes hashes that are missing, placeholders or malformed: `wippy hash` fills them in.
    pub unfilled_hashes: bool,
}

/// A project that is loaded: every entry is checked, and named entries exist.
#[derive(Debug, Clone)]
pub struct Project {
    root: Arc<Path>,
    source_roots: Vec<PathBuf>,
    files: Vec<PathBuf>,
    settings: Settings,
    sections: Value,
    registry: Registry,
    warnings: Diagnostics,
}

impl Project {
    /// Loads the project of a folder: `wippy.lock` and `.wippy.yaml` where they are, and
    /// every index file below the source root.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once, with warnings and notices; there is at least one
    /// error among them.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self, Diagnostics> {
        let mut reading = Reading::new(folder)?;
        let lock = reading.lock();
        let source_roots = reading.source_roots(&lock);
        if let [(folder, _)] = source_roots.as_slice()
            && **folder == *reading.root
            && !reading.root.join(LOCK).is_file()
        {
            several_projects(folder)?;
        }
        for (folder, root) in &source_roots {
            reading.folder(folder, root);
        }
        let (settings, sections) = reading.settings(options);
        let source_roots = source_roots.into_iter().map(|(folder, _)| folder).collect();
        reading.finish(options, source_roots, settings, sections)
    }

    /// Loads entries from a text, as if a file of that name stood in the folder. Nothing is
    /// read from disk: `file://` is refused.
    ///
    /// # Errors
    ///
    /// As [`Project::load`].
    pub fn from_text(
        name: &str,
        text: &str,
        folder: &Path,
        options: &LoadOptions,
    ) -> Result<Self, Diagnostics> {
        let mut reading = Reading::in_memory(folder);
        let source = reading.sources.add(Source::new(name, None, text));
        let root = Arc::clone(&reading.root);
        let file = IndexFile { source, folder: None, source_root: None, root };
        reading.text(&file, text);
        let (settings, sections) = reading.settings_of(None, options);
        reading.finish(options, Vec::new(), settings, sections)
    }

    /// The folder of `wippy.lock`, else the one that was named.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders whose index files were read.
    pub fn source_roots(&self) -> &[PathBuf] {
        &self.source_roots
    }

    /// The files that were read, settings too.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Looks for the files that a load of this folder would read by now: index files, and those
    /// of the project itself, whether they are there or not. With them the folders that were
    /// looked into.
    pub fn look(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
        files.extend([LOCK, SETTINGS].map(|name| self.root.join(name)));
        for root in &self.source_roots {
            // What cannot be read is reported by the load that follows.
            let mut unreported = Diagnostics::default();
            let (found, seen) = discover::files_and_folders(root, &self.root, &mut unreported);
            files.extend(found);
            folders.extend(seen);
        }
        (files, folders)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All sections of the settings as they are written, unknown ones too.
    pub fn sections(&self) -> &Value {
        &self.sections
    }

    /// The entries.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Warnings and notices.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }
}

/// What is known while files are read.
struct Reading {
    root: Arc<Path>,
    sources: Sources,
    found: Diagnostics,
    raw: Vec<RawEntry>,
    files: Vec<PathBuf>,
    /// Files that were read, symlinks resolved.
    seen: HashSet<PathBuf>,
}

impl Reading {
    fn in_memory(folder: &Path) -> Self {
        Self {
            root: folder.into(),
            sources: Sources::default(),
            found: Diagnostics::default(),
            raw: Vec::new(),
            files: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn new(folder: &Path) -> Result<Self, Diagnostics> {
        let folder_error = |why: String| {
            let message = format!("the project folder {} {why}", folder.display());
            Diagnostics::from(
                Diagnostic::error("unreadable", message).help("name a folder with -C DIR"),
            )
        };
        match folder.canonicalize() {
            Ok(root) if root.is_dir() => Ok(Self::in_memory(&root)),
            Ok(_) => Err(folder_error("is not a folder".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(folder_error("does not exist".to_owned()))
            }
            Err(error) => Err(folder_error(format!("cannot be read: {error}"))),
        }
    }

    /// Reads `wippy.lock`; without one, everything has its default.
    fn lock(&mut self) -> Lock {
        let root = Arc::clone(&self.root);
        self.lock_of(&root)
    }

    fn lock_of(&mut self, folder: &Path) -> Lock {
        let path = folder.join(LOCK);
        let node = if path.is_file() { self.tree(&path) } else { None };
        let node = node.unwrap_or_else(empty);
        let lock = Lock::read(
            &node,
            Scope::of_file("wippy.lock", &self.sources, &self.root),
            &mut self.found,
        );
        lock.unwrap_or_default()
    }

    /// The folders that hold index files, each with the folder that `directory:` is
    /// relative to.
    fn source_roots(&mut self, lock: &Lock) -> Vec<(PathBuf, Arc<Path>)> {
        let root = Arc::clone(&self.root);
        let mut roots = Vec::new();
        if let Some(src) = self.source_root(&root, lock.directories.src.as_deref()) {
            roots.push((src, Arc::clone(&root)));
        }
        for replacement in &lock.replacements {
            let folder = root.join(&replacement.to);
            match folder.canonicalize() {
                Ok(folder) if folder.is_dir() => roots.extend(self.module(&folder)),
                _ => {
                    let message = format!(
                        "wippy.lock: the folder {:?}, which replaces the module {}, does not exist",
                        replacement.to, replacement.from
                    );
                    let help = "correct `to`, which is relative to the folder of wippy.lock";
                    let place = self.place_in_lock(&replacement.to);
                    self.found.push(Diagnostic::error("no-folder", message).at(place).help(help));
                }
            }
        }
        for module in &lock.modules {
            if lock.replacements.iter().any(|replacement| replacement.from == module.name) {
                continue;
            }
            let folder = root.join(&lock.directories.modules).join(&module.name);
            match folder.canonicalize() {
                Ok(folder) if folder.is_dir() => roots.extend(self.module(&folder)),
                _ => {
                    let message = format!(
                        "wippy.lock: the module {} is not installed: there is no folder {}",
                        module.name,
                        shown(&folder, &root)
                    );
                    let help = "put the module there, or name its folder in `replacements`";
                    let place = self.place_in_lock(&module.name);
                    self.found.push(Diagnostic::warning("no-module", message).at(place).help(help));
                }
            }
        }
        roots
    }

    /// The source root of a module's folder. A module with a `wippy.lock` is a project of
    /// its own, and its directories are relative to it.
    fn module(&mut self, folder: &Path) -> Option<(PathBuf, Arc<Path>)> {
        let own = folder.join(LOCK).is_file();
        let lock = if own { self.lock_of(folder) } else { Lock::default() };
        let root = if own { folder.into() } else { Arc::clone(&self.root) };
        let src = self.source_root(folder, lock.directories.src.as_deref())?;
        Some((src, root))
    }

    fn source_root(&mut self, folder: &Path, named: Option<&str>) -> Option<PathBuf> {
        let Some(name) = named else {
            let src = folder.join("src");
            return Some(if src.is_dir() { src } else { folder.to_path_buf() });
        };
        match folder.join(name).canonicalize() {
            Ok(src) if src.is_dir() => Some(src),
            _ => {
                let message = format!("wippy.lock: the source folder {name:?} does not exist");
                let help = "create it, or correct `directories.src`";
                let place = self.place_in_lock(name);
                self.found.push(Diagnostic::error("no-folder", message).at(place).help(help));
                None
            }
        }
    }

    /// The first place of a text in the lock file.
    fn place_in_lock(&self, text: &str) -> Place {
        let lock = self.sources.iter().find(|source| source.name().ends_with("wippy.lock"));
        let Some(lock) = lock else { return Place::of_file("wippy.lock") };
        match lock.text().find(text) {
            Some(at) => {
                let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
                lock.place(number(at), number(at + text.len()))
            }
            None => Place::of_file(lock.name()),
        }
    }

    /// Reads every index file below a source root.
    fn folder(&mut self, folder: &Path, root: &Arc<Path>) {
        let source_root: Option<Arc<Path>> = folder.canonicalize().ok().map(Into::into);
        for path in discover::files(folder, &self.root, &mut self.found) {
            let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !self.seen.insert(whole) {
                continue;
            }
            let Some((source, text)) = self.read(&path) else { continue };
            let file = IndexFile {
                source,
                folder: path.parent().map(Into::into),
                source_root: source_root.clone(),
                root: Arc::clone(root),
            };
            self.text(&file, &text);
        }
    }

    /// Takes the entries of one text.
    fn text(&mut self, file: &IndexFile, text: &str) {
        match yaml::parse(file.source, text) {
            Ok(documents) => {
                for document in documents {
                    index::entries(document, file, &self.sources, &mut self.found, &mut self.raw);
                }
            }
            Err(error) => self.syntax(&error),
        }
    }

    /// Reads a file as text. Files that cannot be read are reported.
    fn read(&mut self, path: &Path) -> Option<(SourceId, String)> {
        let name = shown(path, &self.root);
        let fail = |found: &mut Diagnostics, why: String, help: &str| {
            let message = format!("{name}: {why}");
            let place = Place::of_file(&name);
            found.push(Diagnostic::error("unreadable", message).at(place).help(help));
            None
        };
        let size = std::fs::metadata(path).map_or(0, |data| data.len());
        if size > FILE_BYTES_MAX {
            let why = format!("the file has {size} bytes, and {FILE_BYTES_MAX} are allowed");
            return fail(&mut self.found, why, "split it, or move data out of the source folder");
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let why = format!("the file cannot be read: {error}");
                return fail(&mut self.found, why, "check its permissions");
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return fail(
                &mut self.found,
                "the file is not UTF-8 text".to_owned(),
                "save it as UTF-8",
            );
        };
        self.files.push(path.to_path_buf());
        let source = Source::new(&name, Some(path.to_path_buf()), &text);
        Some((self.sources.add(source), text))
    }

    /// The tree of a file with one document.
    fn tree(&mut self, path: &Path) -> Option<Node> {
        let (source, text) = self.read(path)?;
        match yaml::parse(source, &text) {
            Ok(documents) => documents.into_iter().next(),
            Err(error) => {
                self.syntax(&error);
                None
            }
        }
    }

    fn syntax(&mut self, error: &yaml::SyntaxError) {
        let place = self.sources.place(error.span);
        let mut diagnostic =
            Diagnostic::error("syntax", format!("{}: {}", place.file, error.message)).at(place);
        if let Some((label, span)) = error.related {
            diagnostic = diagnostic.related(label, self.sources.place(span));
        }
        if let Some(help) = error.help {
            diagnostic = diagnostic.help(help);
        }
        self.found.push(diagnostic);
    }

    fn settings(&mut self, options: &LoadOptions) -> (Option<Settings>, Value) {
        let path = match &options.config {
            // As if started in that folder; an absolute path stays.
            Some(path) => self.root.join(path),
            None => self.root.join(SETTINGS),
        };
        let exists = path.is_file();
        if !exists && options.config.is_some() {
            let name = shown(&path, &self.root);
            let message = format!("the settings file {name} does not exist");
            let help = "correct --config FILE";
            self.found.push(Diagnostic::error("unreadable", message).help(help));
        }
        let node = if exists { self.tree(&path) } else { None };
        self.settings_of(node, options)
    }

    fn settings_of(
        &mut self,
        node: Option<Node>,
        options: &LoadOptions,
    ) -> (Option<Settings>, Value) {
        let mut node = match node {
            Some(Node { content: Content::Null, .. }) | None => empty(),
            Some(node) => node,
        };
        for flag in &options.settings {
            match Override::of_setting(flag, &mut self.sources) {
                Ok(over) => {
                    if let Err(why) = over.apply(&mut node) {
                        let message = format!("settings: the option cannot be applied: {why}");
                        let place = self.sources.place(over.span);
                        let help = "correct the path";
                        self.found
                            .push(Diagnostic::error("bad-option", message).at(place).help(help));
                    }
                }
                Err(diagnostic) => self.found.push(*diagnostic),
            }
        }
        let scope = Scope::of_file("settings", &self.sources, &self.root);
        match Settings::read(&node, scope, &mut self.found) {
            Some((settings, sections)) => (Some(settings), sections),
            None => (None, Value::Nil),
        }
    }

    fn finish(
        mut self,
        options: &LoadOptions,
        source_roots: Vec<PathBuf>,
        settings: Option<Settings>,
        sections: Value,
    ) -> Result<Project, Diagnostics> {
        let mut overrides = Vec::new();
        for flag in &options.overrides {
            match Override::of_entry(flag, &mut self.sources) {
                Ok(over) => overrides.push(over),
                Err(diagnostic) => self.found.push(*diagnostic),
            }
        }
        let loader = Loader {
            sources: &self.sources,
            project_root: &self.root,
            unfilled_hashes: options.unfilled_hashes,
        };
        let registry = loader.load(self.raw, &overrides, &mut self.found);
        self.found.sort();
        match settings {
            Some(settings) if !self.found.has_errors() => Ok(Project {
                root: self.root,
                source_roots,
                files: self.files,
                settings,
                sections,
                registry,
                warnings: self.found,
            }),
            _ => Err(self.found),
        }
    }
}

/// How many projects a message names.
const PROJECTS_SHOWN_MAX: usize = 20;

/// Refuses a folder that is none itself and holds projects: their entries are not those of
/// one project.
fn several_projects(folder: &Path) -> Result<(), Diagnostics> {
    let projects = discover::projects(folder);
    if projects.len() < 2 {
        return Ok(());
    }
    let shown = projects.iter().take(PROJECTS_SHOWN_MAX).map(String::as_str);
    let mut list = shown.collect::<Vec<_>>().join(", ");
    if projects.len() > PROJECTS_SHOWN_MAX {
        list.push_str(", ...");
    }
    let message = format!("this folder is no project: there are projects in {list}");
    let first = projects.first().map_or("DIR", String::as_str);
    let help = format!("use -C DIR, such as `wippy -C {first} check`");
    Err(Diagnostic::error("several-projects", message).help(help).into())
}

/// A map without a text.
fn empty() -> Node {
    let span = yaml::Span { source: SourceId::NONE, start: 0, end: 0 };
    Node { content: Content::Map(Vec::new()), span, flow: false }
}
