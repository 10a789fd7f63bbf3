//! The clock of preemption: advances an engine's epoch every millisecond while guests run.
//!
//! It is an OS thread and not a task, because a task can be starved by the very guests it
//! must preempt. It holds the engine weakly and ends with it. When no guest has run for
//! [`IDLE_TICKS`] ticks it parks, so that an idle node sleeps; the next guest wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

const TICK: Duration = Duration::from_millis(1);
const IDLE_TICKS: u32 = 100;

/// Keeps an engine's epoch advancing while guests run. Drop ends its thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// A guest ran since the last tick.
    active: AtomicBool,
    /// Guests inside a poll: one that runs long must not outlive the clock.
    running: AtomicUsize,
    parked: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (own, engine) = (shared.clone(), engine.weak());
        let handle = thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            let mut idle = 0;
            while !own.ended.load(SeqCst) {
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
                let active = own.active.swap(false, SeqCst) || own.running.load(SeqCst) > 0;
                idle = if active { 0 } else { idle + 1 };
                if idle < IDLE_TICKS {
                    thread::sleep(TICK);
                } else {
                    own.park();
                    idle = 0;
                }
            }
        })?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// A guest is about to run, until the guard is dropped.
    pub(crate) fn guest_runs(&self) -> RunningGuard<'_> {
        let shared = &*self.shared;
        shared.running.fetch_add(1, SeqCst);
        // Written at most once a tick, so that workers do not fight over the line.
        if !shared.active.load(SeqCst) {
            shared.active.store(true, SeqCst);
        }
        if shared.parked.load(SeqCst) {
            shared.parked.store(false, SeqCst);
            self.thread.unpark();
        }
        RunningGuard(shared)
    }
}

/// A guest is inside a poll. Drop says that it is not any more.
pub(crate) struct RunningGuard<'a>(&'a Shared);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    /// Sleeps until a guest runs. `parked` is set before `running` is looked at, and a guest
    /// sets `running` before it looks at `parked`, so one of the two sees the other.
    fn park(&self) {
        self.parked.store(true, SeqCst);
        while self.parked.load(SeqCst) && self.running.load(SeqCst) == 0 && !self.ended.load(SeqCst)
        {
            thread::park();
        }
        self.parked.store(false, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.thread.unpark();
    }
}
