//! What binds one process to others: who watches it, and whom it is linked to.
//!
//! Few processes have many, and those that have must not become slow: a supervisor of a
//! hundred thousand drops one link without looking at the others.

use std::collections::HashMap;
use std::sync::Arc;

use wippy_model::Pid;

use crate::ProcessContext;
use crate::process::ProcessShared;
use crate::watch::{NativeWatcher, Watcher};

/// Entries that are searched one by one.
const FEW: usize = 8;

/// The bonds of one process.
#[derive(Default)]
pub(crate) struct Bonds {
    /// Whoever watches from outside of any process.
    natives: Vec<NativeWatcher>,
    /// Those of requests; most processes never have one.
    requests: Option<Box<Requests>>,
    /// The processes that monitor it.
    watchers: BySerial<ProcessContext>,
    /// The processes that it monitors, and how often: an exit counts only where it is found
    /// here, so that a monitor that was taken back is never heard of.
    monitors: BySerial<(Pid, u32)>,
    /// The processes it is linked to.
    links: BySerial<Arc<ProcessShared>>,
}

impl Bonds {
    /// Attaches a watcher.
    pub(crate) fn watch(&mut self, watcher: Watcher) {
        match watcher {
            Watcher::Native(watcher) => {
                // Those that went away are swept when the list would grow, so that one long
                // life watched by many short ones stays small. It grows where that frees less
                // than half: else each further one would look at all the others.
                let room = self.natives.capacity();
                if self.natives.len() == room {
                    self.natives.retain(|watcher| !watcher.is_gone());
                    if self.natives.len() > room / 2 {
                        self.natives.reserve(room);
                    }
                }
                self.natives.push(watcher);
            }
            Watcher::Process(watcher) => {
                let serial = watcher.shared().pid.serial();
                if self.watchers.get(serial).is_none() {
                    self.watchers.insert(serial, watcher);
                }
            }
        }
    }

    /// Attaches the watcher of a request; its number takes it back.
    pub(crate) fn watch_request(&mut self, watcher: NativeWatcher) -> u64 {
        let requests = self.requests.get_or_insert_default();
        requests.last += 1;
        requests.open.insert(requests.last, watcher);
        requests.last
    }

    /// Detaches the watcher of a request.
    pub(crate) fn unwatch_request(&mut self, number: u64) {
        drop(self.requests.as_mut().and_then(|requests| requests.open.remove(number)));
    }

    /// Tells whoever wants to know that the first step begins.
    pub(crate) fn tell_begin(&mut self) {
        self.natives.iter_mut().for_each(NativeWatcher::tell_begin);
    }

    /// Detaches a process that monitors it.
    pub(crate) fn unwatch(&mut self, watcher: &ProcessShared) {
        drop(self.watchers.remove(watcher.pid.serial()));
    }

    /// Counts a monitor of its own on another process.
    pub(crate) fn add_monitor(&mut self, target: &Pid) {
        match self.monitors.get_mut(target.serial()) {
            Some((_, times)) => *times += 1,
            None => self.monitors.insert(target.serial(), (target.clone(), 1)),
        }
    }

    /// Takes its monitors on another process off the list; tells how many there were.
    pub(crate) fn take_monitors(&mut self, target: &Pid) -> u32 {
        match self.monitors.get(target.serial()) {
            Some((pid, _)) if pid.is_same_process(target) => {}
            _ => return 0,
        }
        self.monitors.remove(target.serial()).map_or(0, |(_, times)| times)
    }

    /// Whether it is linked to a process.
    pub(crate) fn is_linked(&self, other: &Pid) -> bool {
        self.links.get(other.serial()).is_some_and(|linked| linked.pid.is_same_process(other))
    }

    /// Links it; on this side.
    pub(crate) fn link(&mut self, other: &Arc<ProcessShared>) {
        self.links.insert(other.pid.serial(), other.clone());
    }

    /// Takes a link back, on this side; false when there was none.
    pub(crate) fn unlink(&mut self, other: &Pid) -> bool {
        self.is_linked(other) && self.links.remove(other.serial()).is_some()
    }

    /// Links, and those who monitor it. A request that waits for a reply monitors nothing.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let natives = self.natives.iter().filter(|watcher| !watcher.is_gone()).count();
        (self.links.len(), self.watchers.len() + natives)
    }

    /// Everyone who is to be told of the end, and those whom it no longer monitors.
    pub(crate) fn into_parts(self) -> Parts {
        let requests = self.requests.unwrap_or_default().open;
        let natives = self.natives.into_iter().chain(requests.into_values());
        Parts {
            natives: natives.collect(),
            watchers: self.watchers.into_values().collect(),
            links: self.links.into_values().collect(),
            monitors: self.monitors.into_values().map(|(pid, _)| pid).collect(),
        }
    }

    /// Whether somebody will hear of the end: a monitor, or a link that is trapped.
    pub(crate) fn any_listener(&self) -> bool {
        self.natives.iter().any(|watcher| !watcher.is_gone())
            || self.watchers.values().any(|watcher| !watcher.shared().mailbox.is_closed())
            || self.links.any(|linked| linked.traps_links())
    }
}

/// Watchers that are often many and short, each by a number of its own.
#[derive(Default)]
struct Requests {
    last: u64,
    open: BySerial<NativeWatcher>,
}

/// The bonds of one that has ended.
pub(crate) struct Parts {
    pub(crate) natives: Vec<NativeWatcher>,
    pub(crate) watchers: Vec<ProcessContext>,
    pub(crate) links: Vec<Arc<ProcessShared>>,
    pub(crate) monitors: Vec<Pid>,
}

/// A map by serial number: a list while it is short.
enum BySerial<T> {
    Few(Vec<(u64, T)>),
    Many(HashMap<u64, T>),
}

impl<T> Default for BySerial<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T> BySerial<T> {
    fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    fn any(&self, holds: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Few(few) => few.iter().any(|(_, value)| holds(value)),
            Self::Many(many) => many.values().any(holds),
        }
    }

    fn get(&self, serial: u64) -> Option<&T> {
        match self {
            Self::Few(few) => {
                few.iter().find(|(number, _)| *number == serial).map(|(_, value)| value)
            }
            Self::Many(many) => many.get(&serial),
        }
    }

    fn get_mut(&mut self, serial: u64) -> Option<&mut T> {
        match self {
            Self::Few(few) => {
                few.iter_mut().find(|(number, _)| *number == serial).map(|(_, value)| value)
            }
            Self::Many(many) => many.get_mut(&serial),
        }
    }

    fn insert(&mut self, serial: u64, value: T) {
        if let Self::Few(few) = self
            && few.len() >= FEW
        {
            *self = Self::Many(std::mem::take(few).into_iter().collect());
        }
        match self {
            Self::Few(few) => few.push((serial, value)),
            Self::Many(many) => drop(many.insert(serial, value)),
        }
    }

    fn remove(&mut self, serial: u64) -> Option<T> {
        match self {
            Self::Few(few) => {
                let position = few.iter().position(|(number, _)| *number == serial)?;
                // In the order in which they came, so that a run can be replayed.
                Some(few.remove(position).1)
            }
            Self::Many(many) => {
                let removed = many.remove(&serial);
                // Room that a crowd has left is given back.
                if many.len() * 4 < many.capacity() && many.capacity() > 4 * FEW {
                    many.shrink_to(many.len() * 2);
                }
                removed
            }
        }
    }

    /// The values, in any order.
    fn values(&self) -> impl Iterator<Item = &T> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(_, value)| value);
        few.chain(many.into_iter().flat_map(HashMap::values))
    }

    /// The values, by serial number: the order in which the others were spawned.
    fn into_values(self) -> impl Iterator<Item = T> {
        let mut all = match self {
            Self::Few(few) => few,
            Self::Many(many) => many.into_iter().collect(),
        };
        all.sort_by_key(|(serial, _)| *serial);
        all.into_iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Bonds {
        pub(crate) fn all_watchers(&self) -> usize {
            let requests = self.requests.as_ref().map_or(0, |requests| requests.open.len());
            self.natives.len() + self.watchers.len() + requests
        }
    }

    #[test]
    fn a_list_that_a_sweep_leaves_nearly_full_grows() {
        let mut bonds = Bonds::default();
        let mut watches = Vec::new();
        let mut sweeps = 0;
        for number in 0..4000 {
            if bonds.natives.len() == bonds.natives.capacity() {
                sweeps += 1;
            }
            let (watcher, watch) = NativeWatcher::new(None);
            bonds.watch(Watcher::Native(watcher));
            watches.push(watch);
            // One that is gone for each that comes: the list is never quite full of the living.
            if number % 2 == 0 {
                watches.swap_remove(0);
            }
        }
        assert!(sweeps < 20, "{sweeps}");
        assert!(bonds.natives.len() < 2 * watches.len() + 8);
    }

    #[test]
    fn the_dead_are_no_watchers_and_neither_are_requests() {
        let mut bonds = Bonds::default();
        let (watcher, watch) = NativeWatcher::new(None);
        bonds.watch(Watcher::Native(watcher));
        assert!(bonds.any_listener());
        assert_eq!(bonds.counts(), (0, 1));
        drop(watch);
        let (watcher, _watch) = NativeWatcher::new(None);
        let number = bonds.watch_request(watcher);
        assert!(!bonds.any_listener());
        assert_eq!((bonds.counts(), bonds.all_watchers()), ((0, 0), 2));
        bonds.unwatch_request(number);
        assert_eq!(bonds.all_watchers(), 1);
    }
}
