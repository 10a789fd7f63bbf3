//! The project folder of one test.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{TestCommand, guests};

/// A folder that goes with its test: a project in it, and beside that the compile cache
/// that the runs of this test share.
#[derive(Debug)]
pub struct Dir {
    binary: PathBuf,
    root: TempDir,
}

impl Dir {
    /// An empty folder; `binary` is the `wippy` to run, `env!("CARGO_BIN_EXE_wippy")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let root = tempfile::Builder::new().prefix("wippy-test-").tempdir().unwrap();
        fs::create_dir(root.path().join("project")).unwrap();
        Self { binary: binary.into(), root }
    }

    /// The project folder.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// A path in the project folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// The compile cache of this test.
    pub fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// The folder of the control sockets of this test.
    pub fn sockets(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// Writes a file of the project, with the folders on its way.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Reads a text file of the project.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Copies a guest into the project.
    pub fn guest(&self, guest: &str, name: &str) -> &Self {
        self.write(name, guests::bytes(guest))
    }

    /// Writes `src/_index.yaml` of the namespace `app` from its entries. `{hash:NAME}` in
    /// it becomes the hash of that guest, which is copied to `wasm/NAME.wasm`.
    pub fn entries(&self, entries: &str) -> &Self {
        let mut text = format!("version: \"1.0\"\nnamespace: app\nentries:\n{entries}");
        while let Some(start) = text.find("{hash:") {
            let end = start + text[start..].find('}').expect("{hash:NAME} is closed");
            let guest = text[start + "{hash:".len()..end].to_owned();
            self.guest(&guest, &format!("wasm/{guest}.wasm"));
            text.replace_range(start..=end, &guests::hash(&guest));
        }
        self.write("src/_index.yaml", text)
    }

    /// Copies an example of the workspace into the project folder.
    pub fn example(&self, name: &str) -> &Self {
        copy_tree(&guests::workspace().join("examples").join(name), &self.path());
        self
    }

    /// A run of `wippy` in the project folder.
    pub fn wippy<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> TestCommand {
        let shown = vec![
            (self.path().display().to_string(), "[DIR]".to_owned()),
            (self.cache().display().to_string(), "[CACHE]".to_owned()),
        ];
        TestCommand::new(&self.binary, &self.path(), shown)
            .args(args)
            .env("WIPPY_CACHE_DIR", self.cache())
            .env("WIPPY_RUNTIME_DIR", self.sockets())
    }

    /// Every file below the project folder, sorted, as relative paths.
    pub fn files(&self) -> Vec<String> {
        files_below(&self.path())
    }

    /// Every file below the compile cache, sorted, as relative paths.
    pub fn cached_files(&self) -> Vec<String> {
        files_below(&self.cache())
    }
}

/// Copies a folder with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) {
    for name in files_below(from) {
        let target = to.join(&name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&name), target).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let path = entry.path();
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
    }
    found.sort();
    found
}
