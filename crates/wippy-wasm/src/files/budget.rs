//! What all listings of one guest may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes a guest's listings may have, and have.
pub(crate) struct Budget {
    max: u64,
    held: AtomicU64,
    /// One place, for the folder of WASI 0.3 that is being read.
    turn: Arc<Semaphore>,
}

/// What one listing has of it, until it is dropped.
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(max: u64) -> Arc<Self> {
        let (held, turn) = (AtomicU64::new(0), Arc::new(Semaphore::new(1)));
        Arc::new(Self { max, held, turn })
    }

    pub(super) fn room(&self) -> u64 {
        self.max.saturating_sub(self.held.load(Ordering::Relaxed))
    }

    /// Waits until no folder is being read. `None` would be a semaphore that was closed, which
    /// this one never is.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turn.clone().acquire_owned().await.ok()
    }
}

impl Charge {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Adds to it what there is room for, or nothing.
    pub(super) fn add(&mut self, bytes: u64) -> bool {
        let sum = |held: u64| held.checked_add(bytes).filter(|held| *held <= self.budget.max);
        let held = &self.budget.held;
        let added = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok();
        if added {
            self.bytes += bytes;
        }
        added
    }

    /// Gives back what it has.
    pub(super) fn clear(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_comes_back() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (Charge::new(&budget), Charge::new(&budget));
        assert!(one.add(6) && !two.add(5) && two.add(4) && !one.add(1));
        assert!(!one.add(u64::MAX), "no sum may overflow");
        assert_eq!(budget.room(), 0);
        drop(one);
        assert_eq!(budget.room(), 6);
        two.clear();
        assert!(two.add(10));
        drop(two);
        assert_eq!(budget.room(), 10);
    }
}
