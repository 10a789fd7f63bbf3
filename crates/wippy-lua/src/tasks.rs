//! The Lua threads that the driver runs inside one process: the main function and what
//! `coroutine.spawn` started. Plain data: who is ready, who waits, and for what.
//!
//! A thread that waits names lanes of the mailbox, a deadline and at most one operation of
//! the host. Channels inside the process need none of them: whoever feeds a channel wakes
//! the thread by its ID. A wake that comes before the thread waits is kept as a token, so
//! none is lost when a time slice ends between the two.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use mlua::ffi::lua_State;
use tokio::time::Instant;

use crate::host_fn::Outcome;
use crate::state::State;

/// The lane of messages.
pub(crate) const MESSAGES: u8 = 1;
/// The lane of lifecycle events.
pub(crate) const EVENTS: u8 = 2;

/// Gives an operation's results to the function that waited for them.
pub(crate) type Deliver = Box<dyn FnOnce(State<'_>) -> Outcome + Send>;

/// Work of the host that a thread waits for.
pub(crate) type Operation = Pin<Box<dyn Future<Output = Deliver> + Send>>;

/// What a thread waits for beside wakes.
#[derive(Default)]
pub(crate) struct Want {
    pub(crate) lanes: u8,
    pub(crate) deadline: Option<Instant>,
    pub(crate) operation: Option<Operation>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ready,
    Running,
    Waiting,
}

struct Task {
    thread: *mut lua_State,
    generation: u32,
    stage: Stage,
    token: bool,
    want: Want,
    delivery: Option<Deliver>,
}

/// The name of a thread in this process: index and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId(i64);

impl TaskId {
    /// The thread of the main function.
    pub(crate) const MAIN: Self = Self(0);

    pub(crate) fn from_integer(number: i64) -> Self {
        Self(number)
    }

    pub(crate) fn to_integer(self) -> i64 {
        self.0
    }

    fn new(index: u32, generation: u32) -> Self {
        Self(i64::from(index) | i64::from(generation & 0x7fff_ffff) << 32)
    }

    fn index(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

/// All threads of a process.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
    generation: u32,
    ready: VecDeque<TaskId>,
    running: Option<TaskId>,
    deadlines: BTreeSet<(Instant, u32)>,
    messages_wanted: usize,
    events_wanted: usize,
    operations: Vec<u32>,
}

impl Tasks {
    /// Adds a thread, ready to run.
    pub(crate) fn add(&mut self, thread: *mut lua_State) -> TaskId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let id = TaskId::new(index, self.generation);
        let task = Task {
            thread,
            generation: self.generation,
            stage: Stage::Ready,
            token: false,
            want: Want::default(),
            delivery: None,
        };
        self.generation = self.generation.wrapping_add(1) & 0x7fff_ffff;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = Some(task);
        }
        self.ready.push_back(id);
        id
    }

    fn get(&mut self, id: TaskId) -> Option<&mut Task> {
        let task = self.slots.get_mut(id.index() as usize)?.as_mut()?;
        (TaskId::new(id.index(), task.generation) == id).then_some(task)
    }

    /// Takes the next thread that is ready, and makes it the running one.
    pub(crate) fn start_next(&mut self) -> Option<(TaskId, *mut lua_State)> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(task) = self.get(id) {
                task.stage = Stage::Running;
                let thread = task.thread;
                self.running = Some(id);
                return Some((id, thread));
            }
        }
    }

    /// Whether a thread is ready.
    pub(crate) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The thread that runs, while one does.
    pub(crate) fn running(&self) -> Option<TaskId> {
        self.running
    }

    /// The Lua thread of an ID.
    pub(crate) fn thread(&mut self, id: TaskId) -> Option<*mut lua_State> {
        self.get(id).map(|task| task.thread)
    }

    /// Removes a thread that has ended.
    pub(crate) fn remove(&mut self, id: TaskId) {
        if self.get(id).is_some()
            && let Some(slot) = self.slots.get_mut(id.index() as usize)
        {
            *slot = None;
            self.free.push(id.index());
        }
        self.running = None;
    }

    /// The running thread's slice is over: it runs again after the others.
    pub(crate) fn give_way(&mut self) {
        if let Some(id) = self.running.take()
            && let Some(task) = self.get(id)
        {
            task.stage = Stage::Ready;
            self.ready.push_back(id);
        }
    }

    /// Says what the running thread waits for, before it yields.
    pub(crate) fn want(&mut self, want: Want) {
        if let Some(id) = self.running
            && let Some(task) = self.get(id)
        {
            task.want = want;
        }
    }

    /// The running thread has yielded in order to wait.
    pub(crate) fn wait(&mut self) {
        let Some(id) = self.running.take() else { return };
        let Some(task) = self.get(id) else { return };
        // A thread with an operation keeps its token for the wait after.
        if task.want.operation.is_none() && std::mem::take(&mut task.token) {
            task.stage = Stage::Ready;
            task.want = Want::default();
            self.ready.push_back(id);
            return;
        }
        task.stage = Stage::Waiting;
        let Want { lanes, deadline, ref operation } = task.want;
        let has_operation = operation.is_some();
        self.messages_wanted += usize::from(lanes & MESSAGES != 0);
        self.events_wanted += usize::from(lanes & EVENTS != 0);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id.index()));
        }
        if has_operation {
            self.operations.push(id.index());
        }
    }

    /// Wakes a thread; tells whether there is one of that ID.
    pub(crate) fn wake(&mut self, id: TaskId) -> bool {
        let Some(task) = self.get(id) else { return false };
        // An operation runs to its end; only its result makes its thread ready.
        if task.stage == Stage::Waiting && task.want.operation.is_none() {
            self.make_ready(id.index());
        } else {
            task.token = true;
        }
        true
    }

    /// Takes the running thread's token, if somebody woke it before it waited.
    pub(crate) fn take_token(&mut self) -> bool {
        self.running.and_then(|id| self.get(id)).is_some_and(|task| std::mem::take(&mut task.token))
    }

    /// Takes what the running thread's operation gave.
    pub(crate) fn take_delivery(&mut self) -> Option<Deliver> {
        let id = self.running?;
        self.get(id)?.delivery.take()
    }

    fn make_ready(&mut self, index: u32) {
        let Some(Some(task)) = self.slots.get_mut(index as usize) else { return };
        if task.stage != Stage::Waiting {
            return;
        }
        task.stage = Stage::Ready;
        let Want { lanes, deadline, operation } = std::mem::take(&mut task.want);
        let id = TaskId::new(index, task.generation);
        self.messages_wanted -= usize::from(lanes & MESSAGES != 0);
        self.events_wanted -= usize::from(lanes & EVENTS != 0);
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, index));
        }
        if operation.is_some() {
            self.operations.retain(|waiting| *waiting != index);
        }
        self.ready.push_back(id);
    }

    /// The lanes that somebody waits for.
    pub(crate) fn lanes(&self) -> u8 {
        u8::from(self.messages_wanted > 0) * MESSAGES + u8::from(self.events_wanted > 0) * EVENTS
    }

    /// Wakes whoever waits for one of the lanes.
    pub(crate) fn wake_lanes(&mut self, lanes: u8) {
        let waiting = |slot: &Option<Task>| {
            slot.as_ref()
                .is_some_and(|task| task.stage == Stage::Waiting && task.want.lanes & lanes != 0)
        };
        let indices: Vec<usize> = (0..self.slots.len())
            .filter(|index| self.slots.get(*index).is_some_and(waiting))
            .collect();
        for index in indices {
            self.make_ready(u32::try_from(index).unwrap_or(u32::MAX));
        }
    }

    /// The next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Wakes whoever's deadline has come.
    pub(crate) fn wake_due(&mut self, now: Instant) {
        while let Some((deadline, index)) = self.deadlines.first().copied() {
            if deadline > now {
                return;
            }
            self.make_ready(index);
        }
    }

    /// Polls the operations, and wakes whoever's is done.
    pub(crate) fn poll_operations(&mut self, poller: &mut Poller<'_>) {
        let mut position = 0;
        while let Some(index) = self.operations.get(position).copied() {
            let task = self.slots.get_mut(index as usize).and_then(Option::as_mut);
            let done = task.and_then(|task| {
                let operation = task.want.operation.as_mut()?;
                match operation.as_mut().poll(poller) {
                    Poll::Pending => None,
                    Poll::Ready(deliver) => {
                        task.delivery = Some(deliver);
                        Some(())
                    }
                }
            });
            match done {
                // This removes it from the list, so that the position is of the next.
                Some(()) => self.make_ready(index),
                None => position += 1,
            }
        }
    }

    /// Whether something from outside can make a thread ready.
    pub(crate) fn awaits_outside(&self) -> bool {
        self.lanes() != 0 || !self.deadlines.is_empty() || !self.operations.is_empty()
    }

    /// Threads alive.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
