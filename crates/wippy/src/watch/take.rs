//! What is different between two states of a project, taken into a running node.
//!
//! A program is what its entry says, and the libraries and folders that it names: when one of
//! them is other than what the running version was made of, a new version is loaded. So a change
//! that is taken back is none, and one that did not load is tried again with the next.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use wippy_kernel::{Kernel, Replaced};
use wippy_model::{EntryId, Error, Result};
use wippy_registry::{
    Data, Diagnostic, Diagnostics, Entry, EntryKind, Project, Registry, Severity,
};

use super::look::binary_file;
use crate::node::Programs;
use crate::not_loaded::not_loaded;
use crate::policies;

/// How many mistakes of project files are logged at one time.
const MISTAKES_SHOWN_MAX: usize = 20;

/// What a node runs, and what was said of what it does not.
pub(super) struct Taken {
    /// What the newest version of each program was made of: its entry first.
    made_of: HashMap<EntryId, Vec<Arc<Entry>>>,
    /// The project at the start, which decides on all that is no code.
    first: Project,
    /// Why a program has no newer version, as it was last said.
    said: HashMap<EntryId, String>,
    /// What needs a restart, as it was last said.
    restart_said: BTreeSet<String>,
    /// Whether permissions depend on `meta`, which is that of the start, too.
    meta_decides: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Process,
    Function,
}

fn role(entry: &Entry) -> Option<Role> {
    match entry.kind() {
        EntryKind::ProcessWasm | EntryKind::ProcessLua => Some(Role::Process),
        EntryKind::FunctionWasm | EntryKind::FunctionWat | EntryKind::FunctionLua => {
            Some(Role::Function)
        }
        _ => None,
    }
}

impl Taken {
    /// A node that runs the project as it was loaded.
    pub(super) fn at_start(project: &Project) -> Self {
        let registry = project.registry();
        let programs = registry.entries().filter(|entry| role(entry).is_some());
        Self {
            made_of: programs.map(|it| (it.id.clone(), ingredients(registry, it))).collect(),
            first: project.clone(),
            said: HashMap::new(),
            restart_said: BTreeSet::new(),
            meta_decides: policies::look_at_meta(project),
        }
    }

    /// Takes what is different in the project now.
    pub(super) async fn follow(&mut self, kernel: &Kernel, programs: &Programs) {
        let registry = programs.project().registry();
        self.say_what_needs_a_restart(programs.project());
        self.remove_what_is_gone(kernel, registry);
        for entry in registry.entries() {
            let Some(role) = role(entry) else { continue };
            let ingredients = ingredients(registry, entry);
            if let Some(old) = self.made_of.get_mut(&entry.id)
                && same(old, &ingredients)
            {
                // The old ones hold on to the text of a whole file.
                *old = ingredients;
                if self.said.remove(&entry.id).is_some() {
                    tracing::info!("{}: it is again what runs", entry.id);
                }
                continue;
            }
            let taken = match self.may_take(&entry.id, &ingredients) {
                Ok(()) => self.load(kernel, programs, entry, role, &ingredients).await,
                Err(error) => Err(error),
            };
            match taken {
                Ok(text) => {
                    tracing::info!("{text}");
                    self.said.remove(&entry.id);
                    self.made_of.insert(entry.id.clone(), ingredients);
                }
                Err(error) => {
                    let why = not_loaded(registry, entry, &error);
                    let stays = match self.made_of.contains_key(&entry.id) {
                        true => "the old version stays",
                        false => "it is not taken",
                    };
                    self.say(&entry.id, &why, stays);
                }
            }
        }
    }

    /// Loads a program and gives it to new spawns or calls. Tells what that means.
    async fn load(
        &self,
        kernel: &Kernel,
        programs: &Programs,
        entry: &Arc<Entry>,
        role: Role,
        ingredients: &[Arc<Entry>],
    ) -> Result<String> {
        let (id, loader) = (entry.id.clone(), programs.loader(entry));
        let replaced = match role {
            Role::Process => {
                let replaced = kernel.replace_unit(id, loader).await?;
                match entry.default_host() {
                    Some(host) => kernel.set_default_host(entry.id.clone(), host.clone()),
                    None => kernel.unset_default_host(&entry.id),
                }
                replaced
            }
            Role::Function => {
                let version = kernel.replace_function(id, loader).await?;
                Replaced { version, told: 0, untold: 0 }
            }
        };
        let old = self.made_of.get(&entry.id).map_or(&[][..], Vec::as_slice);
        Ok(news(entry, role, old, ingredients, replaced))
    }

    fn remove_what_is_gone(&mut self, kernel: &Kernel, registry: &Registry) {
        self.made_of.retain(|id, old| {
            let was = old.first().and_then(|entry| role(entry));
            let is = registry.get(id).and_then(|entry| role(entry));
            if was == is {
                return true;
            }
            let removed = match was {
                Some(Role::Function) => kernel.remove_function(id),
                _ => kernel.remove_unit(id),
            };
            if removed {
                tracing::info!("{id}: removed; what runs of it goes on");
            }
            self.said.remove(id);
            false
        });
        self.said.retain(|id, _| registry.get(id).is_some());
    }

    /// Refuses code that permissions would be decided for by a `meta` that is out of date.
    fn may_take(&self, id: &EntryId, ingredients: &[Arc<Entry>]) -> Result<()> {
        if !self.meta_decides {
            return Ok(());
        }
        let first = self.first.registry();
        let other = ingredients
            .iter()
            .find(|entry| first.get(&entry.id).is_none_or(|first| first.meta != entry.meta));
        match other {
            None => Ok(()),
            Some(entry) => Err(Error::invalid(format!(
                "{}: policies of this project look at `meta`, and that of {} is new: it takes \
                 effect at the next start",
                id, entry.id
            ))),
        }
    }

    /// Names what is no code and differs from the start: each once.
    fn say_what_needs_a_restart(&mut self, project: &Project) {
        let difference = project.registry().since(self.first.registry());
        let mut differs = BTreeSet::new();
        let changes = [
            (difference.added, "is new"),
            (difference.changed, "has changed"),
            (difference.removed, "is gone"),
        ];
        for (ids, what) in changes {
            for id in ids {
                let both = [project.registry(), self.first.registry()].map(|it| it.get(&id));
                let Some(entry) = both.into_iter().flatten().next() else { continue };
                // Of an entry that is there the `meta` alone may have changed.
                let same = matches!(both, [Some(new), Some(old)] if new.data == old.data);
                if needs_restart(entry) && !same {
                    differs.insert(format!("{id} ({}) {what}", entry.kind()));
                }
            }
        }
        if project.sections() != self.first.sections() {
            differs.insert(".wippy.yaml has changed".to_owned());
        }
        for what in differs.difference(&self.restart_said) {
            tracing::warn!("{what}: that takes effect at the next start");
        }
        self.restart_said = differs;
    }

    /// Says of binaries that have changed and are not what their entries pin. The runtime takes
    /// no binary that nobody has pinned, under `--watch` as little as at a start.
    /// One that has become what its entry pins is loaded where that has failed before.
    pub(super) async fn check_binaries(
        &mut self,
        kernel: &Kernel,
        programs: &Programs,
        touched: BTreeSet<PathBuf>,
    ) {
        let registry = programs.project().registry();
        let mut touched_entries = Vec::new();
        for entry in registry.entries() {
            let Some(binary) = entry.binary() else { continue };
            let changed = binary_file(registry, binary).is_some_and(|file| touched.contains(&file));
            // Of others a load has just said so.
            let current = self.made_of.get(&entry.id);
            let current = current.is_some_and(|old| same(old, &ingredients(registry, entry)));
            if changed && current {
                touched_entries.push(entry.clone());
            }
        }
        for entry in touched_entries {
            let (reads, of) = (programs.clone(), entry.clone());
            let verified = tokio::task::spawn_blocking(move || {
                of.binary().map_or(Ok(()), |binary| reads.verify(binary))
            });
            match verified.await {
                Ok(Err(error)) => {
                    let message = format!("{}: {}", entry.id, error.message());
                    let why = Diagnostic::warning("load", message).at(entry.place_of("hash"));
                    self.say(&entry.id, &why, "what runs stays");
                }
                Ok(Ok(())) => {
                    self.said.remove(&entry.id);
                    self.load_again(kernel, programs, &entry).await;
                }
                // The program ends.
                Err(_) => return,
            }
        }
    }

    /// Loads a program whose first version does not load. The error of that is kept, which is
    /// right as long as nobody looks at the files.
    async fn load_again(&mut self, kernel: &Kernel, programs: &Programs, entry: &Arc<Entry>) {
        let Some(role) = role(entry) else { return };
        let loaded = match role {
            Role::Process => kernel.unit(&entry.id).await,
            Role::Function => kernel.function(&entry.id).await,
        };
        if loaded.is_ok() {
            return;
        }
        let registry = programs.project().registry();
        let ingredients = ingredients(registry, entry);
        match self.load(kernel, programs, entry, role, &ingredients).await {
            Ok(text) => tracing::info!("{text}"),
            Err(error) => {
                self.say(&entry.id, &not_loaded(registry, entry, &error), "it is not taken");
            }
        }
    }

    /// Says why a program has no newer version, once for each reason.
    fn say(&mut self, id: &EntryId, why: &Diagnostic, stays: &str) {
        let line = format!("{}; {stays}", line(why));
        if self.said.get(id) == Some(&line) {
            return;
        }
        match why.severity {
            Severity::Error => tracing::error!("{line}"),
            _ => tracing::warn!("{line}"),
        }
        self.said.insert(id.clone(), line);
    }
}

/// Logs why the project does not load.
pub(super) fn report(diagnostics: &Diagnostics) {
    let errors: Vec<_> = diagnostics.of(Severity::Error).collect();
    for error in errors.iter().take(MISTAKES_SHOWN_MAX) {
        tracing::error!("{}", line(error));
    }
    let more = match errors.len().saturating_sub(MISTAKES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" ({more} more mistakes; `wippy check` shows all)"),
    };
    tracing::error!("the project files do not load: what runs stays as it is{more}");
}

/// A diagnostic as one line of the log.
fn line(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{place}{}{help}", diagnostic.message).replace('\n', "; ")
}

/// What a program is made of: its entry, and the libraries and filesystems that it names, and
/// those that they name.
fn ingredients(registry: &Registry, entry: &Arc<Entry>) -> Vec<Arc<Entry>> {
    let mut found = vec![entry.clone()];
    let mut place = 0;
    while let Some(entry) = found.get(place).cloned() {
        place += 1;
        let named = entry.requires.iter().filter_map(|id| registry.get(id));
        for other in named {
            let is_part = matches!(other.data, Data::LibraryLua(_) | Data::FsDirectory(_));
            if is_part && !found.iter().any(|known| known.id == other.id) {
                found.push(other.clone());
            }
        }
    }
    found
}

fn same(old: &[Arc<Entry>], new: &[Arc<Entry>]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_entry(old, new))
}

fn same_entry(old: &Arc<Entry>, new: &Arc<Entry>) -> bool {
    Arc::ptr_eq(old, new) || (&old.id, &old.data, &old.root) == (&new.id, &new.data, &new.root)
}

/// Whether a change of such an entry waits for the next start.
fn needs_restart(entry: &Entry) -> bool {
    let kind = entry.kind();
    let code =
        matches!(kind, EntryKind::LibraryLua | EntryKind::FsDirectory | EntryKind::RegistryEntry);
    kind.is_in_effect() && role(entry).is_none() && !code
}

/// What a new version means, in one line.
fn news(
    entry: &Entry,
    role: Role,
    old: &[Arc<Entry>],
    new: &[Arc<Entry>],
    replaced: Replaced,
) -> String {
    let Replaced { version, told, untold } = replaced;
    let mut text = format!("{}: new version {version}", entry.id);
    let own = old.first().is_some_and(|old| new.first().is_some_and(|new| !same_entry(old, new)));
    let parts: Vec<&str> = new
        .iter()
        .skip(1)
        .filter(|part| !old.iter().any(|old| same_entry(old, part)))
        .map(|part| part.id.as_str())
        .collect();
    // Writing to a string cannot fail.
    let _ = match entry.binary().and_then(|binary| binary.hash.sha256()) {
        Some(hash) if own || old.is_empty() => {
            let hash = hash.to_string();
            write!(text, " ({})", hash.get(..19).unwrap_or(&hash))
        }
        _ if !own && !old.is_empty() && !parts.is_empty() => {
            write!(text, " (of {})", parts.join(", "))
        }
        _ => Ok(()),
    };
    text.push_str(match role {
        Role::Process => " for new spawns",
        Role::Function => " for new calls",
    });
    let processes = |number: usize| match number {
        1 => "1 running process".to_owned(),
        number => format!("{number} running processes"),
    };
    let _ = match (told, untold) {
        (0, 0) => Ok(()),
        (told, 0) => write!(text, "; {} told", processes(told)),
        (0, 1) => write!(text, "; 1 running process keeps the old one"),
        (0, untold) => write!(text, "; {} keep the old one", processes(untold)),
        (told, 1) => write!(text, "; {} told, 1 keeps the old one", processes(told)),
        (told, untold) => write!(text, "; {} told, {untold} keep the old one", processes(told)),
    };
    text
}
