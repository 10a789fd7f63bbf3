//! The real side: a kernel with virtual time, and processes that do what the driver tells them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use wippy_kernel::{
    HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Scheduler, Unit,
};
use wippy_model::{EntryId, Error, Exit, Kind, Limits, MailboxLimits, Pid, Result, Value};

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done,
    Refused(Kind),
    Spawned(Pid),
    /// A reply, or what `exec` gave.
    Value(Value),
    Received(Vec<Got>),
}

/// What a process took out of its mailbox.
#[derive(Debug, Clone)]
pub(crate) enum Got {
    Message { number: i64, from: Option<Pid> },
    Event(wippy_model::Event),
}

/// What was asked, by its number, and what came of it.
pub(crate) type Outcomes = Vec<(u64, Outcome)>;

type Later = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a process does of a command.
pub(crate) enum Act {
    Now(Outcome),
    Later(Later),
    End(Exit),
}

type Job = Box<dyn FnOnce(&ProcessContext) -> Act + Send>;

/// Where one actor finds its commands, in each of its instances.
#[derive(Default)]
struct Desk {
    jobs: VecDeque<(u64, Job)>,
    waker: Option<Waker>,
}

/// What one version of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) entry: &'static str,
    pub(crate) version: u64,
}

#[derive(Default)]
struct Seen {
    results: Outcomes,
    started: Vec<(usize, Tag)>,
}

#[derive(Default)]
pub(crate) struct World {
    desks: Mutex<Vec<Desk>>,
    seen: Mutex<Seen>,
}

/// How units of the simulation behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Fine,
    /// Its preparing fails.
    Refuses,
    /// Its preparing panics.
    Panics,
}

struct SimUnit {
    world: Arc<World>,
    tag: Tag,
    limits: Limits,
    nature: Nature,
}

struct SimProcess {
    world: Arc<World>,
    tag: Tag,
    args: Vec<Value>,
}

/// Ends at once, where the second argument says so.
pub(crate) const END_NORMAL: i64 = 1;
pub(crate) const END_FAILED: i64 = 2;

pub(crate) const HOSTS: [(&str, usize); 3] = [("sim:one", 1000), ("sim:two", 1000), ("sim:few", 4)];

/// The default time of a cancel, between two steps.
pub(crate) const STOP_MS: u64 = 205;

pub(crate) fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

pub(crate) fn mailbox(entry: &str) -> MailboxLimits {
    match entry {
        "sim:small" => MailboxLimits { capacity: 3, bytes: 2000, message_bytes: 700 },
        _ => MailboxLimits { capacity: 8, bytes: 4000, message_bytes: 1500 },
    }
}

/// A kernel with three hosts on the scheduler of the test.
pub(crate) fn node() -> Kernel {
    let options = KernelOptions { incarnation: 7, ..KernelOptions::default() };
    let kernel = Kernel::new(options);
    for (host, processes_max) in HOSTS {
        let mut spec = HostSpec::new(id(host));
        spec.scheduler = Scheduler::Shared(Handle::current());
        spec.processes_max = processes_max;
        spec.stop_timeout = Duration::from_millis(STOP_MS);
        kernel.add_host(spec);
    }
    kernel
}

impl World {
    pub(crate) fn loader(self: &Arc<Self>, tag: Tag, nature: Nature) -> wippy_kernel::Loader {
        let world = self.clone();
        let limits = Limits { mailbox: mailbox(tag.entry), ..Limits::default() };
        Box::new(move || {
            Ok(Arc::new(SimUnit { world: world.clone(), tag, limits: limits.clone(), nature }))
        })
    }

    /// A place for one more actor.
    pub(crate) fn add_desk(&self) -> usize {
        let mut desks = self.desks.lock().unwrap();
        desks.push(Desk::default());
        desks.len() - 1
    }

    /// Leaves a command for an actor.
    pub(crate) fn tell(
        &self,
        actor: usize,
        token: u64,
        job: impl FnOnce(&ProcessContext) -> Act + Send + 'static,
    ) {
        let waker = {
            let desk = &mut self.desks.lock().unwrap()[actor];
            desk.jobs.push_back((token, Box::new(job)));
            desk.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has happened since the last look.
    pub(crate) fn take_seen(&self) -> (Outcomes, Vec<(usize, Tag)>) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        (seen.results, seen.started)
    }

    fn next_job(&self, actor: usize, waker: &Waker) -> Option<(u64, Job)> {
        let desk = &mut self.desks.lock().unwrap()[actor];
        desk.waker = Some(waker.clone());
        desk.jobs.pop_front()
    }

    /// The result of a command, if it is there.
    pub(crate) fn take_result(&self, token: u64) -> Option<Outcome> {
        let results = &mut self.seen.lock().unwrap().results;
        let position = results.iter().position(|(number, _)| *number == token)?;
        Some(results.remove(position).1)
    }

    pub(crate) fn record(&self, token: u64, outcome: Outcome) {
        self.seen.lock().unwrap().results.push((token, outcome));
    }
}

impl Unit for SimUnit {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        match self.nature {
            Nature::Refuses => return Err(Error::invalid("refused")),
            Nature::Panics => panic!("on purpose, in prepare"),
            Nature::Fine => {}
        }
        let (world, tag) = (self.world.clone(), self.tag);
        Ok(Box::new(SimProcess { world, tag, args: spawn.args }))
    }
}

fn number(args: &[Value], at: usize) -> i64 {
    match args.get(at) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    }
}

impl Process for SimProcess {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            let Self { world, tag, args } = *self;
            let actor = number(&args, 0) as usize;
            world.seen.lock().unwrap().started.push((actor, tag));
            match number(&args, 1) {
                END_NORMAL => return Exit::Normal(Value::Int(1)),
                END_FAILED => return Exit::Failed(Error::internal("at once")),
                _ => {}
            }
            let mut later: Vec<(u64, Later)> = Vec::new();
            poll_fn(move |poller| {
                while let Some((token, job)) = world.next_job(actor, poller.waker()) {
                    match job(&context) {
                        Act::Now(outcome) => world.record(token, outcome),
                        Act::Later(job) => later.push((token, job)),
                        Act::End(exit) => return Poll::Ready(exit),
                    }
                }
                later.retain_mut(|(token, job)| match job.as_mut().poll(poller) {
                    Poll::Ready(outcome) => {
                        world.record(*token, outcome);
                        false
                    }
                    Poll::Pending => true,
                });
                Poll::Pending
            })
            .await
        })
    }
}
