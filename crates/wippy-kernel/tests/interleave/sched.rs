//! One thread at a time, and who goes on is drawn by lot wherever a lock is taken or given back:
//! a seed is one interleaving. The kernel's sources are compiled here with these locks in the
//! place of `parking_lot`'s. A crate that does this would change features of crates that
//! everything is built with.
//!
//! What is drawn are sections under locks; atomics between them are not torn apart.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{
    Arc, Condvar, Mutex as StdMutex, MutexGuard as StdGuard, RwLock as StdRwLock, RwLockReadGuard,
    RwLockWriteGuard, TryLockError,
};
use std::task::{Context as Poller, Poll, Wake, Waker};
use std::thread;

/// Draws of one run; more of them mean that nobody gets on.
const DRAWS_MAX: u64 = 200_000;

struct Draw {
    random: u64,
    draws: u64,
    /// Threads that have not ended, by number.
    going: Vec<bool>,
    /// Threads that go on only when another one wakes them.
    waiting: Vec<Option<Arc<Flag>>>,
    turn: usize,
    broken: bool,
}

/// Whether a thread that waits was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Table {
    draw: StdMutex<Draw>,
    turn: Condvar,
}

thread_local! {
    static SEAT: std::cell::RefCell<Option<(Arc<Table>, usize)>> =
        const { std::cell::RefCell::new(None) };
}

fn seat() -> Option<(Arc<Table>, usize)> {
    SEAT.with(|seat| seat.borrow().clone())
}

impl Table {
    fn lock(&self) -> StdGuard<'_, Draw> {
        self.draw.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Draws who goes on, and waits until it is this one's turn.
    fn draw(&self, own: usize) {
        let mut draw = self.lock();
        draw.next();
        self.turn.notify_all();
        while draw.turn != own && draw.going[own] {
            draw = self.turn.wait(draw).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let broken = draw.broken;
        drop(draw);
        assert!(!broken || thread::panicking(), "nobody gets on: a lock is held for ever");
    }
}

impl Draw {
    fn next(&mut self) {
        self.draws += 1;
        self.broken |= self.draws > DRAWS_MAX;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let going: Vec<usize> = (0..self.going.len()).filter(|one| self.going[*one]).collect();
        if !going.is_empty() {
            self.turn = going[(self.random >> 16) as usize % going.len()];
        }
    }
}

/// A place where another thread may go on.
pub(crate) fn point() {
    if let Some((table, own)) = seat() {
        table.draw(own);
    }
}

/// Runs these at once, interleaved as the seed says, each to its end.
pub(crate) fn race<'a>(seed: u64, threads: Vec<Box<dyn FnOnce() + Send + 'a>>) {
    let random = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let count = threads.len();
    let draw = Draw {
        random,
        draws: 0,
        going: vec![true; count],
        waiting: vec![None; count],
        turn: seed as usize % count,
        broken: false,
    };
    let table = Arc::new(Table { draw: StdMutex::new(draw), turn: Condvar::new() });
    let failed = thread::scope(|scope| {
        let handles: Vec<_> = threads
            .into_iter()
            .enumerate()
            .map(|(own, work)| {
                let table = table.clone();
                scope.spawn(move || {
                    SEAT.with(|seat| *seat.borrow_mut() = Some((table.clone(), own)));
                    let mut draw = table.lock();
                    while draw.turn != own {
                        draw = table.turn.wait(draw).unwrap();
                    }
                    drop(draw);
                    let worked = catch_unwind(AssertUnwindSafe(work));
                    SEAT.with(|seat| *seat.borrow_mut() = None);
                    let mut draw = table.lock();
                    draw.going[own] = false;
                    draw.next();
                    table.turn.notify_all();
                    worked
                })
            })
            .collect();
        handles.into_iter().filter_map(|handle| handle.join().unwrap().err()).next()
    });
    if let Some(panic) = failed {
        resume_unwind(panic);
    }
}

/// Polls to the end. Fails when all others have ended or wait, too, and nobody has woken it.
pub(crate) fn block_on<R>(mut poll: impl FnMut(&mut Poller<'_>) -> Poll<R>) -> R {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    let (table, own) = seat().unwrap();
    loop {
        flag.0.store(false, SeqCst);
        if let Poll::Ready(result) = poll(&mut Poller::from_waker(&waker)) {
            return result;
        }
        while !flag.0.load(SeqCst) {
            let stuck = {
                let mut draw = table.lock();
                draw.waiting[own] = Some(flag.clone());
                (0..draw.going.len()).all(|one| {
                    let flag = draw.waiting[one].as_ref();
                    !draw.going[one] || flag.is_some_and(|flag| !flag.0.load(SeqCst))
                })
            };
            assert!(!stuck, "a wake-up is lost");
            point();
        }
        table.lock().waiting[own] = None;
    }
}

/// As `parking_lot::Mutex`.
#[derive(Default)]
pub(crate) struct Mutex<T>(StdMutex<T>);

pub(crate) struct MutexGuard<'a, T>(Option<StdGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(StdMutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        loop {
            point();
            match self.0.try_lock() {
                Ok(guard) => return MutexGuard(Some(guard)),
                Err(TryLockError::Poisoned(guard)) => return MutexGuard(Some(guard.into_inner())),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.0.take());
        point();
    }
}

/// As `parking_lot::RwLock`.
#[derive(Default)]
pub(crate) struct RwLock<T>(StdRwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        loop {
            point();
            match self.0.try_read() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(guard)) => return guard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        loop {
            point();
            match self.0.try_write() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(guard)) => return guard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }
}
