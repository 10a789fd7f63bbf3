//! The environment that entries hand to guests: what `env.variable` entries resolve to.
//!
//! A variable has the value that its storage holds for its name at the moment somebody
//! asks, else its default. An empty text is a value. A file is read once, when it is first
//! needed; one that cannot be read is tried again by whoever asks next; the operating system's environment is that of this program, which nobody
//! changes; memory may change at run time.

use std::collections::HashMap;
use std::env::{self, VarError};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use wippy_model::{EntryId, Error, Kind, Result};

use crate::env_file::{EnvFile, Values};

/// How deep routers nest: the registry refuses circles, so this is never met.
const ROUTERS_MAX: usize = 32;

/// The variables of a node and where they are kept.
#[derive(Debug, Default)]
pub struct Variables {
    storages: HashMap<EntryId, Kept>,
    variables: HashMap<EntryId, Variable>,
}

/// Where variables are kept.
#[derive(Debug)]
pub enum Storage {
    /// In memory, with what is there from the start.
    Memory(HashMap<String, String>),
    /// In a file.
    File(EnvFile),
    /// In the environment of this program: names that start with this.
    Os(String),
    /// In several storages, asked in this order; what is set goes to the first.
    Router(Vec<EntryId>),
}

/// One variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name in its storage.
    pub name: String,
    /// Where it is kept.
    pub storage: EntryId,
    /// Its value where the storage has none.
    pub default: Option<Arc<str>>,
    /// Whether it cannot be set.
    pub readonly: bool,
}

#[derive(Debug)]
enum Kept {
    Memory(RwLock<Values>),
    File(EnvFile, OnceLock<Result<Values>>),
    Os(String),
    Router(Vec<EntryId>),
}

impl Variables {
    /// Adds a storage.
    pub fn add_storage(&mut self, id: EntryId, storage: Storage) {
        let kept = match storage {
            Storage::Memory(values) => {
                let values = values.into_iter().map(|(name, value)| (name.into(), value.into()));
                Kept::Memory(RwLock::new(values.collect()))
            }
            Storage::File(file) => Kept::File(file, OnceLock::new()),
            Storage::Os(prefix) => Kept::Os(prefix),
            Storage::Router(storages) => Kept::Router(storages),
        };
        self.storages.insert(id, kept);
    }

    /// Adds a variable.
    pub fn add(&mut self, id: EntryId, variable: Variable) {
        self.variables.insert(id, variable);
    }

    /// Makes ready the storage of that name, or that of a variable: reads its files. Blocks.
    ///
    /// # Errors
    ///
    /// What is wrong with a file: `NotFound`, `Unavailable`, or `Invalid` with its line.
    pub fn open(&self, id: &EntryId) -> Result<()> {
        match self.variables.get(id) {
            Some(variable) => self.open_storage(&variable.storage, 0),
            None => self.open_storage(id, 0),
        }
    }

    fn open_storage(&self, id: &EntryId, depth: usize) -> Result<()> {
        match self.storages.get(id) {
            Some(Kept::File(file, values)) => read(id, file, values).map(drop),
            Some(Kept::Router(storages)) if depth < ROUTERS_MAX => {
                storages.iter().try_for_each(|storage| self.open_storage(storage, depth + 1))
            }
            _ => Ok(()),
        }
    }

    /// The value of a variable, if it has one. Blocks where a file was not opened yet.
    ///
    /// # Errors
    ///
    /// As [`Variables::open`]; `Invalid` where the operating system has a value that is no
    /// text.
    pub fn get(&self, id: &EntryId) -> Result<Option<Arc<str>>> {
        let Some(variable) = self.variables.get(id) else { return Ok(None) };
        let held = self.look_up(&variable.storage, &variable.name, 0)?;
        Ok(held.or_else(|| variable.default.clone()))
    }

    fn look_up(&self, storage: &EntryId, name: &str, depth: usize) -> Result<Option<Arc<str>>> {
        match self.storages.get(storage) {
            Some(Kept::Memory(values)) => Ok(values.read().get(name).cloned()),
            Some(Kept::File(file, values)) => Ok(read(storage, file, values)?.get(name).cloned()),
            Some(Kept::Os(prefix)) if name.starts_with(prefix.as_str()) => match env::var(name) {
                Ok(value) => Ok(Some(value.into())),
                Err(VarError::NotPresent) => Ok(None),
                Err(VarError::NotUnicode(_)) => Err(Error::invalid(format!(
                    "{storage}: the value of {name} in the environment is no UTF-8"
                ))),
            },
            Some(Kept::Router(storages)) if depth < ROUTERS_MAX => {
                for storage in storages {
                    if let Some(value) = self.look_up(storage, name, depth + 1)? {
                        return Ok(Some(value));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Sets a variable: those that ask from now on see the value.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such variable, `PermissionDenied` where it is read-only
    /// or is kept where nothing is set: in a file or in the operating system.
    pub fn set(&self, id: &EntryId, value: &str) -> Result<()> {
        let variable = self.variables.get(id).ok_or_else(|| {
            Error::not_found(format!("there is no variable {id}: declare an env.variable"))
        })?;
        let refused =
            |why: String| Error::new(Kind::PermissionDenied, format!("{id} cannot be set: {why}"));
        if variable.readonly {
            return Err(refused("it is `readonly`".to_owned()));
        }
        let mut storage = &variable.storage;
        for _ in 0..=ROUTERS_MAX {
            let what = match self.storages.get(storage) {
                Some(Kept::Memory(values)) => {
                    values.write().insert(variable.name.as_str().into(), value.into());
                    return Ok(());
                }
                Some(Kept::Router(storages)) => match storages.first() {
                    Some(first) => {
                        storage = first;
                        continue;
                    }
                    None => "names no storage",
                },
                Some(Kept::File(..)) => "is a file, which is only read",
                Some(Kept::Os(_)) => "is the environment of the system, which is only read",
                None => "does not exist",
            };
            return Err(refused(format!("its storage {storage} {what}")));
        }
        Err(refused("its routers nest too deep".to_owned()))
    }
}

fn read<'v>(
    id: &EntryId,
    file: &EnvFile,
    values: &'v OnceLock<Result<Values>>,
) -> Result<&'v Values> {
    if let Some(values) = values.get() {
        return values.as_ref().map_err(Clone::clone);
    }
    match file.read().map_err(|error| error.context(id)) {
        // It may be there, or be readable, the next time.
        Err(error) if error.kind() != Kind::Invalid => Err(error),
        // Where somebody else was first, that counts.
        read => values.get_or_init(|| read).as_ref().map_err(Clone::clone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EntryId {
        EntryId::parse(text).unwrap()
    }

    fn memory(values: &[(&str, &str)]) -> Storage {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Storage::Memory(values.iter().map(own).collect())
    }

    fn variable(name: &str, storage: &str, default: Option<&str>) -> Variable {
        Variable {
            name: name.to_owned(),
            storage: id(storage),
            default: default.map(Into::into),
            readonly: false,
        }
    }

    /// The storages `app:first`, `app:second`, a router over both, a router over that, the
    /// operating system and a file.
    fn variables(file: &str) -> (tempfile::TempDir, Variables) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), file).unwrap();
        let mut all = Variables::default();
        all.add_storage(id("app:first"), memory(&[("A", "1"), ("EMPTY", "")]));
        all.add_storage(id("app:second"), memory(&[("A", "2"), ("B", "2"), ("EMPTY", "x")]));
        all.add_storage(id("app:both"), Storage::Router(vec![id("app:first"), id("app:second")]));
        all.add_storage(id("app:outer"), Storage::Router(vec![id("app:both"), id("app:file")]));
        all.add_storage(id("app:os"), Storage::Os("CARGO_PKG_".to_owned()));
        let path = folder.path().join(".env");
        let file = EnvFile { path, name: ".env".to_owned(), create: None };
        all.add_storage(id("app:file"), Storage::File(file));
        (folder, all)
    }

    #[test]
    fn values_defaults_and_order() {
        let (_folder, mut all) = variables("C=3\nA=file\n");
        for (name, storage, default, expected) in [
            ("A", "app:first", None, Some("1")),
            ("B", "app:first", None, None),
            ("B", "app:first", Some("d"), Some("d")),
            ("B", "app:first", Some(""), Some("")),
            ("EMPTY", "app:first", Some("d"), Some("")),
            ("A", "app:both", None, Some("1")),
            ("B", "app:both", Some("d"), Some("2")),
            ("EMPTY", "app:both", None, Some("")),
            ("C", "app:both", None, None),
            ("A", "app:outer", None, Some("1")),
            ("C", "app:outer", None, Some("3")),
            ("A", "app:file", None, Some("file")),
            ("CARGO_PKG_NAME", "app:os", None, Some("wippy-host")),
            ("CARGO_PKG_NOT_THERE", "app:os", Some("d"), Some("d")),
            ("PATH", "app:os", None, None),
        ] {
            all.add(id("app:v"), variable(name, storage, default));
            let value = all.get(&id("app:v")).unwrap();
            assert_eq!(value.as_deref(), expected, "{name} in {storage}, default {default:?}");
        }
        assert_eq!(all.get(&id("app:nothing")).unwrap(), None);
    }

    #[test]
    fn what_is_set_is_seen_from_then_on() {
        let (_folder, mut all) = variables("");
        for (name, storage) in [("a", "app:first"), ("router", "app:outer"), ("b", "app:second")] {
            all.add(id(&format!("app:{name}")), variable("A", storage, Some("d")));
        }
        all.set(&id("app:a"), "new").unwrap();
        let value = |name: &str| all.get(&id(name)).unwrap().unwrap().to_string();
        assert_eq!((value("app:a"), value("app:b")), ("new".to_owned(), "2".to_owned()));
        all.set(&id("app:router"), "").unwrap();
        assert_eq!((value("app:a"), value("app:router")), (String::new(), String::new()));
    }

    #[test]
    fn what_cannot_be_set() {
        let (_folder, mut all) = variables("A=1\n");
        all.add(id("app:file_a"), variable("A", "app:file", None));
        all.add(id("app:os_a"), variable("CARGO_PKG_NAME", "app:os", None));
        all.add(id("app:fixed"), Variable { readonly: true, ..variable("A", "app:first", None) });
        for (name, expected) in [
            (
                "app:file_a",
                "app:file_a cannot be set: its storage app:file is a file, which is only read",
            ),
            (
                "app:os_a",
                "app:os_a cannot be set: its storage app:os is the environment of the system, \
                 which is only read",
            ),
            ("app:fixed", "app:fixed cannot be set: it is `readonly`"),
        ] {
            let error = all.set(&id(name), "x").unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::PermissionDenied, expected));
        }
        assert_eq!(all.get(&id("app:fixed")).unwrap().as_deref(), Some("1"));
        assert_eq!(all.set(&id("app:x"), "x").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn a_file_that_was_missing_is_read_once_it_is_there() {
        let (folder, mut all) = variables("");
        let path = folder.path().join(".env");
        std::fs::remove_file(&path).unwrap();
        all.add(id("app:a"), variable("A", "app:file", None));
        assert_eq!(all.get(&id("app:a")).unwrap_err().kind(), Kind::NotFound);
        std::fs::write(&path, "A=1\n").unwrap();
        assert_eq!(all.get(&id("app:a")).unwrap().as_deref(), Some("1"));
        // What was read is kept.
        std::fs::write(&path, "A=2\n").unwrap();
        assert_eq!(all.get(&id("app:a")).unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn a_file_that_is_wrong_is_an_error_of_those_who_need_it() {
        let (_folder, mut all) = variables("A=1\nB\n");
        all.add(id("app:fine"), variable("A", "app:outer", None));
        all.add(id("app:wrong"), variable("X", "app:outer", Some("d")));
        assert_eq!(all.get(&id("app:fine")).unwrap().as_deref(), Some("1"), "found before it");
        let error = all.get(&id("app:wrong")).unwrap_err();
        assert!(error.message().starts_with("app:file: .env:2: expected NAME=value"), "{error}");
        assert_eq!(all.open(&id("app:wrong")).unwrap_err(), error);
        assert_eq!(all.open(&id("app:file")).unwrap_err(), error);
        all.open(&id("app:both")).unwrap();
    }
}
