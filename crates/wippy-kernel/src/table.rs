//! The process table: serial number to process, in shards so that spawns on different
//! workers rarely meet at a lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Authorizer;
use crate::figures::{Ended, Left};
use crate::names::Names;
use crate::process::ProcessShared;

const SHARDS: usize = 64;

/// Serial numbers are unique and come in order: spreading them needs one multiplication,
/// and nobody outside chooses them.
#[derive(Default)]
struct SerialHasher(u64);

impl Hasher for SerialHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Alive = HashMap<u64, Arc<ProcessShared>, BuildHasherDefault<SerialHasher>>;

#[derive(Default)]
struct Shard(Mutex<(Alive, Ended)>);

pub(crate) struct Table {
    shards: [Shard; SHARDS],
    /// Told at removals, for those who wait until all is quiet.
    removed: Notify,
    /// Whether anyone waits: a removal need not touch `removed` otherwise.
    awaited: AtomicBool,
    /// Events of monitors and links that are promised or wait, on the whole node.
    pub(crate) bonds: AtomicUsize,
    /// The names of processes.
    pub(crate) names: Names,
    /// Who decides on permissions.
    pub(crate) authorizer: Option<Box<dyn Authorizer>>,
}

impl Table {
    pub(crate) fn new(authorizer: Option<Box<dyn Authorizer>>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            removed: Notify::new(),
            awaited: AtomicBool::new(false),
            bonds: AtomicUsize::new(0),
            names: Names::default(),
            authorizer,
        }
    }

    fn shard(&self, serial: u64) -> &Shard {
        // The remainder is below SHARDS, so the first shard never stands in for another.
        self.shards.get(serial as usize % SHARDS).unwrap_or(&self.shards[0])
    }

    pub(crate) fn insert(&self, process: Arc<ProcessShared>) {
        let serial = process.pid.serial();
        self.shard(serial).0.lock().0.insert(serial, process);
    }

    pub(crate) fn get(&self, serial: u64) -> Option<Arc<ProcessShared>> {
        self.shard(serial).0.lock().0.get(&serial).cloned()
    }

    /// Takes out a process that has ended; its figures stay.
    pub(crate) fn remove(&self, serial: u64, left: &Left) {
        let removed = {
            let mut shard = self.shard(serial).0.lock();
            let (alive, ended) = &mut *shard;
            let removed = alive.remove(&serial);
            if removed.is_some() {
                ended.add(left);
            }
            removed
        };
        drop(removed);
        if self.awaited.load(SeqCst) {
            self.removed.notify_waiters();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().0.len()).sum()
    }

    pub(crate) fn all(&self) -> Vec<Arc<ProcessShared>> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| shard.0.lock().0.values().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_by_key(|process| process.pid.serial());
        all
    }

    /// What is alive in each shard, and what ended processes left there: nobody is in both, and
    /// nobody in none.
    pub(crate) fn each_shard(&self, mut look: impl FnMut(Vec<Arc<ProcessShared>>, &Ended)) {
        for shard in &self.shards {
            let (alive, ended) = {
                let shard = shard.0.lock();
                (shard.0.values().cloned().collect(), shard.1.clone())
            };
            look(alive, &ended);
        }
    }

    /// Resolves once no process is left.
    pub(crate) async fn empty(&self) {
        // Never taken back: who waits once is the node's end.
        self.awaited.store(true, SeqCst);
        loop {
            let removed = self.removed.notified();
            if self.len() == 0 {
                return;
            }
            removed.await;
        }
    }
}
