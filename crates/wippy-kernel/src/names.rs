//! Names of processes: each belongs to at most one living process.
//!
//! The holder keeps a list of its names, so that they are free before its exit is announced.
//! Whoever gives or takes a name holds the list of its holder and then, for a moment, the map:
//! never the other way round.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::RwLock;
use wippy_model::{Error, Kind, Result};

use crate::address::gone;
use crate::process::ProcessShared;

/// How long a name may be, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Names that one process may have.
pub const NAMES_MAX: usize = 1 << 10;
/// Names of one node.
const NODE_NAMES_MAX: usize = 1 << 20;

/// The names of a node.
#[derive(Default)]
pub(crate) struct Names(RwLock<HashMap<Arc<str>, Arc<ProcessShared>>>);

/// The names of one process, until it ends.
pub(crate) struct OwnNames(Option<Vec<Arc<str>>>);

impl Default for OwnNames {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

/// Checks what may be a name.
pub(crate) fn check(name: &str) -> Result<()> {
    let wrong = match name {
        "" => "is empty".to_owned(),
        name if name.len() > NAME_BYTES_MAX => {
            format!("has {} bytes; at most {NAME_BYTES_MAX} are allowed", name.len())
        }
        name if name.starts_with('{') => "begins with \"{\", as a PID does".to_owned(),
        name if name.contains(char::is_control) => "has control characters".to_owned(),
        _ => return Ok(()),
    };
    // A name that is too long would make an error that is too long.
    let shown: String = name.chars().take(40).collect();
    Err(Error::invalid(format!("{shown:?} is no name for a process: it {wrong}")))
}

impl Names {
    /// Gives a process a name; its own one changes nothing.
    pub(crate) fn register(&self, name: &str, holder: &Arc<ProcessShared>) -> Result<()> {
        check(name)?;
        let mut own = holder.names.lock();
        let Some(own) = &mut own.0 else { return Err(gone()) };
        let name: Arc<str> = name.into();
        let mut names = self.0.write();
        let full = names.len() >= NODE_NAMES_MAX;
        match names.entry(name.clone()) {
            Entry::Occupied(taken) if Arc::ptr_eq(taken.get(), holder) => Ok(()),
            Entry::Occupied(taken) => Err(Error::new(
                Kind::AlreadyExists,
                format!("the name {name:?} is taken by {}", taken.get().pid),
            )),
            Entry::Vacant(_) if own.len() >= NAMES_MAX => Err(Error::new(
                Kind::ResourceExhausted,
                format!("cannot register {name:?}: a process has at most {NAMES_MAX} names"),
            )),
            Entry::Vacant(_) if full => Err(Error::unavailable(format!(
                "cannot register {name:?}: the node has {NODE_NAMES_MAX} names"
            ))),
            Entry::Vacant(free) => {
                free.insert(holder.clone());
                own.push(name);
                Ok(())
            }
        }
    }

    /// Takes a name from its holder.
    pub(crate) fn unregister(&self, name: &str, holder: &Arc<ProcessShared>) -> Result<()> {
        let mut own = holder.names.lock();
        let other = {
            let mut names = self.0.write();
            match names.get(name) {
                Some(found) if Arc::ptr_eq(found, holder) => {
                    // Never the last reference: the holder's list is held.
                    drop(names.remove(name));
                    None
                }
                found => Some(found.map(|other| other.pid.clone())),
            }
        };
        match other {
            None => {
                if let Some(own) = &mut own.0 {
                    own.retain(|one| &**one != name);
                }
                Ok(())
            }
            Some(None) => Err(Error::not_found(format!("no process is registered as {name:?}"))),
            Some(Some(other)) => Err(Error::new(
                Kind::PermissionDenied,
                format!("the name {name:?} belongs to {other}"),
            )),
        }
    }

    /// Whose name it is.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<ProcessShared>> {
        self.0.read().get(name).cloned()
    }

    /// Frees names of a process that ends.
    pub(crate) fn free(&self, own: &[Arc<str>], holder: &Arc<ProcessShared>) {
        for name in own {
            self.remove(name, holder);
        }
    }

    fn remove(&self, name: &str, holder: &Arc<ProcessShared>) -> bool {
        let mut names = self.0.write();
        let own = names.get(name).is_some_and(|found| Arc::ptr_eq(found, holder));
        let removed = if own { names.remove_entry(name) } else { None };
        drop(names);
        removed.is_some()
    }
}

impl OwnNames {
    /// The names, in the order in which they were taken.
    pub(crate) fn list(&self) -> Vec<Arc<str>> {
        self.0.clone().unwrap_or_default()
    }

    /// No further names: the process ends. Gives those that it had.
    pub(crate) fn close(&mut self) -> Vec<Arc<str>> {
        self.0.take().unwrap_or_default()
    }
}
