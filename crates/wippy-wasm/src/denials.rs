//! What is told of denials: a guest gets an error code of its interface, which says nothing of
//! grants and policies. So the first denial of an entry is a warning in the log, and those
//! after it, which may be many, are for the debug log.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wippy_model::EntryId;

/// The denials of one entry.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    told: AtomicBool,
}

impl Denials {
    /// Tells of one denial.
    pub(crate) fn tell(&self, entry: &EntryId, what: &str, why: &dyn fmt::Display) {
        if self.told.load(Relaxed) || self.told.swap(true, Relaxed) {
            tracing::debug!(parent: None, %entry, "{what} is denied: {why}");
        } else {
            tracing::warn!(parent: None, %entry, "{what} is denied: {why}");
        }
    }
}
