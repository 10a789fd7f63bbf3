//! One look at the files of a project: which there are, and a stamp of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wippy_registry::{Binary, Data, Entry, Project, Registry};

/// What tells one state of a file from another without reading it. Editors and builds replace
/// files by renaming, and keep times or sizes: so the inode and its own time count, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self {
            inode: data.ino(),
            // The size of a folder says nothing that its times do not.
            bytes: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// The files of a project at one moment; those that are not there count, too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look(BTreeMap<PathBuf, Option<Stamp>>);

impl Look {
    /// Looks at all that a project is made of: its own files, the sources of its programs, and
    /// their binaries. Where the project does not load, what is missing may come by any name: the
    /// folders of its files count, too.
    pub(super) fn at(project: &Project, broken: bool) -> Self {
        let (mut paths, folders) = project.look();
        paths.extend(project.files().iter().cloned());
        if broken {
            paths.extend(folders);
        }
        for entry in project.registry().entries() {
            paths.extend(code_files(project.registry(), entry));
        }
        let stamp = |path: &Path| path.metadata().ok().map(|data| Stamp::of(&data));
        Self(paths.into_iter().map(|path| (stamp(&path), path)).map(|(s, p)| (p, s)).collect())
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.0.values().flatten().count()
    }

    /// The files that are other ones than in an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> BTreeSet<PathBuf> {
        let changed = self.0.iter().filter(|(path, stamp)| earlier.0.get(*path) != Some(stamp));
        changed.map(|(path, _)| path.clone()).collect()
    }
}

/// The files that hold an entry's code.
fn code_files(registry: &Registry, entry: &Entry) -> impl Iterator<Item = PathBuf> {
    let source = entry.source_text().and_then(|text| text.path.as_deref());
    let binary = entry.binary().and_then(|binary| binary_file(registry, binary));
    source.map(Path::to_owned).into_iter().chain(binary)
}

/// Where a binary is. Nobody reads it there: it is read through its filesystem alone.
pub(super) fn binary_file(registry: &Registry, binary: &Binary) -> Option<PathBuf> {
    let volume = registry.get(&binary.fs)?;
    let Data::FsDirectory(fs) = &volume.data else { return None };
    Some(volume.resolve(&fs.directory).join(binary.path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use wippy_registry::LoadOptions;

    const INDEX: &str = "
namespace: app
entries:
  - { name: bin, kind: fs.directory, directory: ./wasm }
  - { name: main, kind: process.lua, source: file://main.lua, method: main }
  - { name: worker, kind: process.wasm, fs: bin, path: /worker.wasm, hash: 'sha256:...', method: run }
";

    fn project(folder: &Path) -> Project {
        fs::create_dir_all(folder.join("src/below")).unwrap();
        fs::create_dir_all(folder.join("wasm")).unwrap();
        fs::write(folder.join("src/_index.yaml"), INDEX).unwrap();
        fs::write(folder.join("src/main.lua"), "return {}").unwrap();
        let options = LoadOptions { unfilled_hashes: true, ..LoadOptions::default() };
        Project::load(folder, &options).unwrap()
    }

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let project = project(root);
        let mut before = Look::at(&project, false);
        assert_eq!(before, Look::at(&project, false));
        let mut changes = |what: &str, name: &str, change: &dyn Fn()| {
            change();
            let now = Look::at(&project, false);
            let changed: Vec<_> = now.since(&before).into_iter().collect();
            assert_eq!(changed, [project.root().join(name)], "{what}");
            before = now;
        };
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        changes("written", "src/main.lua", &|| write("src/main.lua", "return { 1 }"));
        changes("replaced", "src/main.lua", &|| {
            // Of the same size and, as `cp -p` leaves it, with the same time.
            let time = root.join("src/main.lua").metadata().unwrap().modified().unwrap();
            write("src/.main.lua.new", "return { 2 }");
            let new = fs::File::options().write(true).open(root.join("src/.main.lua.new"));
            new.unwrap().set_modified(time).unwrap();
            fs::rename(root.join("src/.main.lua.new"), root.join("src/main.lua")).unwrap();
        });
        changes("built", "wasm/worker.wasm", &|| write("wasm/worker.wasm", "x"));
        changes("gone", "wasm/worker.wasm", &|| {
            fs::remove_file(root.join("wasm/worker.wasm")).unwrap();
        });
        changes("a new index", "src/below/_index.yaml", &|| {
            write("src/below/_index.yaml", "namespace: more\nentries: []\n");
        });
        changes("settings", ".wippy.yaml", &|| write(".wippy.yaml", "version: '1.0'\n"));
    }

    #[test]
    fn what_a_broken_project_lacks_is_seen_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let looks = || [false, true].map(|broken| Look::at(&project, broken));
        let [whole, broken] = looks();
        fs::write(folder.path().join("src/below/new.lua"), "return {}").unwrap();
        let [whole_now, broken_now] = looks();
        assert_eq!(whole, whole_now);
        assert_ne!(broken, broken_now);
    }

    #[test]
    fn a_symlink_that_means_another_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("src/main.lua");
        let _ = project(folder.path());
        fs::write(folder.path().join("src/one.lua"), "return {}").unwrap();
        fs::write(folder.path().join("src/two.lua"), "return {}").unwrap();
        let link = |name: &str| {
            fs::remove_file(&source).unwrap();
            std::os::unix::fs::symlink(name, &source).unwrap();
        };
        link("one.lua");
        let options = LoadOptions { unfilled_hashes: true, ..LoadOptions::default() };
        let project = Project::load(folder.path(), &options).unwrap();
        let before = Look::at(&project, false);
        link("two.lua");
        assert_ne!(before, Look::at(&project, false));
    }
}
