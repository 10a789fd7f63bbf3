//! What waits in the host's memory for one process besides its messages: replies to its calls and
//! results of what it executes. With the results in its events they share one budget, as large
//! as that of its messages (`mailbox.bytes`): a process that starts many others and looks at
//! none of their results must not fill the host.

use std::sync::Arc;

use crate::process::ProcessShared;

/// Room that something takes while it waits; Drop gives it back.
#[derive(Debug)]
pub(crate) struct HeldGuard {
    holder: Arc<ProcessShared>,
    weight: u64,
}

impl HeldGuard {
    /// Takes room at a process; none where it has too little left.
    pub(crate) fn take(holder: &Arc<ProcessShared>, weight: u64) -> Option<Self> {
        let fits = holder.mailbox.hold(weight);
        fits.then(|| Self { holder: holder.clone(), weight })
    }
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        self.holder.mailbox.release_held(self.weight);
    }
}
