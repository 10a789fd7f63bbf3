//! `wippy run --watch`: changed code is taken without a restart.
//!
//! The files are looked at four times a second, their stamps and not their content: that works
//! on every file system, and needs no handle for each file. What changed is taken once it has
//! been quiet for a look, so that half a file and half of a change are not. Then the project is
//! loaded anew, and each program that is made of other code than before is loaded, checked and,
//! where that succeeds, given to new spawns (`take.rs`). What fails leaves the old version where
//! it is, and the next change is the next try.
//!
//! The content of a binary is pinned by its entry: a new one is taken when the entry has its
//! hash. Hosts, services, variables, policies and settings are those of the start.
//!
//! Limits: looking takes a twentieth of one core at the most, whatever the number of files,
//! which is that of the project; one change is taken at a time.

mod look;
mod take;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wippy_kernel::Kernel;
use wippy_registry::{LoadOptions, Project};

use self::look::Look;
use self::take::Taken;
use crate::node::{Node, Programs};

/// How long it waits between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Between two looks it waits this many times as long as one takes.
const LOOK_PAUSE_TIMES: u32 = 20;

/// A project that is looked at.
pub(crate) struct Watch {
    kernel: Kernel,
    /// What makes the programs of the project as it was last loaded.
    programs: Programs,
    options: LoadOptions,
    taken: Taken,
    /// The files when they were last taken.
    seen: Arc<Look>,
    /// Whether the project, as it is now, does not load.
    broken: bool,
}

impl Watch {
    /// Watches the project that a node was made of, which was loaded with these options.
    pub(crate) fn new(node: &Node, options: LoadOptions) -> Self {
        let programs = node.programs();
        Self {
            kernel: node.kernel.clone(),
            options,
            taken: Taken::at_start(programs.project()),
            seen: Arc::new(Look::at(programs.project(), false)),
            broken: false,
            programs,
        }
    }

    /// How many files it looks at.
    pub(crate) fn files(&self) -> usize {
        self.seen.files()
    }

    /// Takes what changes, until it is dropped.
    pub(crate) async fn run(mut self) -> Infallible {
        // What changed before the first look was taken for what was there.
        let mut changed = true;
        let mut last: Option<Arc<Look>> = None;
        let mut pause = LOOK_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let look = self.look_at(self.broken).await;
            pause = LOOK_INTERVAL.max(began.elapsed() * LOOK_PAUSE_TIMES);
            let quiet = look == self.seen || last.as_ref() == Some(&look);
            changed |= look != self.seen;
            if changed && quiet {
                // Where the project does not load its folders count, too: as they were before.
                let with_folders = self.look_at(true).await;
                self.take(&look).await;
                self.seen = if self.broken { with_folders } else { look.clone() };
                changed = false;
            }
            last = Some(look);
        }
    }

    async fn look_at(&self, broken: bool) -> Arc<Look> {
        let programs = self.programs.clone();
        let look = move || Look::at(programs.project(), broken);
        // It fails only where the program ends.
        tokio::task::spawn_blocking(look).await.map_or_else(|_| self.seen.clone(), Arc::new)
    }

    /// Loads the project anew and takes what is different.
    async fn take(&mut self, look: &Look) {
        let options = self.options.clone();
        let load = move || Project::load(Path::new("."), &options);
        let project = match tokio::task::spawn_blocking(load).await {
            Ok(Ok(project)) => project,
            Ok(Err(diagnostics)) => {
                take::report(&diagnostics);
                self.broken = true;
                return;
            }
            Err(failure) => {
                return tracing::error!("watching: the project was not read: {failure}");
            }
        };
        if std::mem::take(&mut self.broken) {
            tracing::info!("the project files are in order again");
        }
        self.programs = self.programs.next(project);
        self.taken.follow(&self.kernel, &self.programs).await;
        let touched = look.since(&self.seen);
        self.taken.check_binaries(&self.kernel, &self.programs, touched).await;
    }
}
