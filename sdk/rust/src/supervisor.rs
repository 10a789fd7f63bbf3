//! A supervisor: a process that keeps others running.
//!
//! It links its children with itself, so that none of them outlives its bad end, and monitors
//! them, so that it hears of good ends, too.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use wasip2::clocks::monotonic_clock;

use crate::mailbox::nanoseconds;
use crate::{
    Cancellation, Ended, Error, Event, Kind, Message, Next, Pid, Received, Result, Spawn, cancel,
    next, next_event, trap_links,
};

const NAME_WAIT_MAX: Duration = Duration::from_secs(1);
const NAME_WAIT_STEP: Duration = Duration::from_millis(5);

/// Which children are started anew when one of them has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// That one alone.
    OneForOne,
    /// All of them: the others are stopped first, in reverse order.
    OneForAll,
    /// That one and those after it, which are stopped first, in reverse order.
    RestForOne,
}

/// When a child that has ended is started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// When it ended badly, unless its error says that trying again is of no use.
    OnFailure,
    /// Whenever it has ended.
    Always,
    /// Never, not with others that are started anew either.
    Never,
}

/// A child: how it is started, stopped and started anew.
#[derive(Debug, Clone)]
#[must_use]
pub struct Child {
    spawn: Spawn,
    restart: Restart,
    stop_timeout: Duration,
}

impl Child {
    /// A child that is started anew on failure and has 5 s to stop.
    pub fn new(spawn: Spawn) -> Self {
        Self {
            spawn: spawn.link().monitor(),
            restart: Restart::OnFailure,
            stop_timeout: Duration::from_secs(5),
        }
    }

    /// When it is started anew.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How long it may take to stop.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }
}

impl From<Spawn> for Child {
    fn from(spawn: Spawn) -> Self {
        Self::new(spawn)
    }
}

/// A process that keeps others running.
///
/// ```no_run
/// # fn main() -> wippy::Result<()> {
/// use std::time::Duration;
/// use wippy::{Child, Restart, Spawn, Strategy, Supervisor};
///
/// Supervisor::new(Strategy::RestForOne)
///     .restarts(5, Duration::from_secs(10))
///     .child(Spawn::new("app:store").name("store"))
///     .child(Child::new(Spawn::new("app:cache")).restart(Restart::Always))
///     .run()
/// # }
/// ```
#[must_use = "`run` starts it"]
pub struct Supervisor {
    strategy: Strategy,
    restarts_max: usize,
    window: Duration,
    children: Vec<Slot>,
    report: Box<dyn FnMut(&str)>,
    /// When it restarted within the window, in nanoseconds.
    restarts: VecDeque<u64>,
    /// Events that came while it waited for the end of a child.
    pending: VecDeque<Event>,
    /// Children whose bad exit it has heard of, but not yet as a LINK_DOWN.
    unlinked: Vec<Pid>,
    /// When it is ended itself.
    deadline: Option<SystemTime>,
}

struct Slot {
    child: Child,
    pid: Option<Pid>,
    /// Its LINK_DOWN came before its EXIT.
    link_down: bool,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.children.iter().map(|slot| (slot.child.spawn.entry(), &slot.pid));
        f.debug_map().entries(children).finish()
    }
}

impl Supervisor {
    /// A supervisor without children, which gives up at the fourth restart within 5 s.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            restarts_max: 3,
            window: Duration::from_secs(5),
            children: Vec::new(),
            report: Box::new(|line| eprintln!("{line}")),
            restarts: VecDeque::new(),
            pending: VecDeque::new(),
            unlinked: Vec::new(),
            deadline: None,
        }
    }

    /// How many restarts it makes within any such time. At one more it gives up: it stops its
    /// children and fails, so that its own supervisor can do something about it.
    pub fn restarts(mut self, max: usize, within: Duration) -> Self {
        self.restarts_max = max;
        self.window = within;
        self
    }

    /// A further child. They are started in the order in which they are given and stopped in
    /// reverse.
    pub fn child(mut self, child: impl Into<Child>) -> Self {
        self.children.push(Slot { child: child.into(), pid: None, link_down: false });
        self
    }

    /// Where it says, in a line for each, what failed and what it does about it: stderr, where
    /// nothing else is said.
    pub fn report(mut self, report: impl FnMut(&str) + 'static) -> Self {
        self.report = Box::new(report);
        self
    }

    /// The PID of a child, by its place; none while it does not run.
    pub fn pid(&self, index: usize) -> Option<&Pid> {
        self.children.get(index)?.pid.as_ref()
    }

    /// Starts the children and keeps them running, until somebody asks this process to end. Then
    /// it stops them.
    ///
    /// # Errors
    ///
    /// When a child cannot be started in the beginning, when there were too many restarts, and
    /// when a process that is linked with this one, and is no child, ended badly. The children
    /// are stopped then, too.
    pub fn run(self) -> Result<()> {
        self.run_with(|_, _| Ok(Next::Continue))
    }

    /// [`run`](Self::run), with something to do for messages.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and those of the function.
    pub fn run_with(
        mut self,
        on_message: impl FnMut(&mut Self, Message) -> Result<Next>,
    ) -> Result<()> {
        trap_links(true)?;
        let all = 0..self.children.len();
        let outcome = self.start(all.clone(), true).and_then(|()| self.watch(on_message));
        self.stop(all);
        outcome
    }

    fn watch(
        &mut self,
        mut on_message: impl FnMut(&mut Self, Message) -> Result<Next>,
    ) -> Result<()> {
        loop {
            let received = match self.pending.pop_front() {
                Some(event) => Some(Received::Event(event)),
                None => next(None)?,
            };
            let event = match received {
                Some(Received::Event(event)) => event,
                Some(Received::Message(message)) => match on_message(self, message)? {
                    Next::Continue => continue,
                    Next::Stop => return Ok(()),
                },
                None => continue,
            };
            match event {
                Event::Exit(ended) => {
                    if let Some(index) = self.ended(&ended) {
                        self.restart(index, &ended)?;
                    }
                }
                Event::LinkDown(ended) => self.link_down(ended)?,
                Event::Cancel(Cancellation { deadline, .. }) => {
                    self.deadline = Some(deadline);
                    return Ok(());
                }
                Event::Outdated => {}
            }
        }
    }

    /// Starts those children in a range that do not run. Where one cannot be started, those after
    /// it are not.
    fn start(&mut self, range: Range<usize>, first: bool) -> Result<()> {
        for slot in self.children.iter_mut().skip(range.start).take(range.len()) {
            if slot.pid.is_none() && (first || slot.child.restart != Restart::Never) {
                slot.pid = Some(start(&slot.child.spawn)?);
                slot.link_down = false;
            }
        }
        Ok(())
    }

    /// Stops the children in a range, the last one first, and waits for the end of each. Any of
    /// them may end by itself meanwhile, or have done so while others were stopped.
    fn stop(&mut self, range: Range<usize>) {
        for event in std::mem::take(&mut self.pending) {
            self.stopped(event, &range);
        }
        for index in range.clone().rev() {
            let Some(Slot { child, pid: Some(pid), .. }) = self.children.get(index) else {
                continue;
            };
            let (pid, mut within) = (pid.clone(), child.stop_timeout);
            if let Some(deadline) = self.deadline {
                // The others need some of it, too.
                let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
                within = within.min(left / 2);
            }
            // An error means that it has ended already: its exit is on the way.
            let _ = cancel(&pid, Some(within), Some("its supervisor stops it"));
            while self.pid(index) == Some(&pid) {
                match next_event(None) {
                    Ok(Some(event)) => self.stopped(event, &range),
                    Ok(None) => {}
                    Err(_) => return,
                }
            }
        }
    }

    /// Takes an event while the children in a range are stopped: their ends are what it waits
    /// for, and all else is dealt with later.
    fn stopped(&mut self, event: Event, range: &Range<usize>) {
        let children = self.children.iter().skip(range.start).take(range.len());
        let mut pids = children.filter_map(|slot| slot.pid.as_ref());
        match event {
            Event::Exit(ended) if pids.any(|pid| *pid == ended.from) => {
                self.ended(&ended);
            }
            event => self.pending.push_back(event),
        }
    }

    /// Takes down that a child has ended: which one.
    fn ended(&mut self, ended: &Ended) -> Option<usize> {
        let is_it = |slot: &Slot| slot.pid.as_ref() == Some(&ended.from);
        let index = self.children.iter().position(is_it)?;
        let slot = self.children.get_mut(index)?;
        let pid = slot.pid.take()?;
        if ended.outcome.is_err() && !slot.link_down {
            self.unlinked.push(pid);
        }
        Some(index)
    }

    fn link_down(&mut self, ended: Ended) -> Result<()> {
        let is_it = |slot: &&mut Slot| slot.pid.as_ref() == Some(&ended.from);
        if let Some(slot) = self.children.iter_mut().find(is_it) {
            slot.link_down = true;
            return Ok(());
        }
        if let Some(index) = self.unlinked.iter().position(|pid| *pid == ended.from) {
            self.unlinked.swap_remove(index);
            return Ok(());
        }
        ended.outcome.map(|_| ())
    }

    /// Does what the strategy says about a child that has ended.
    fn restart(&mut self, index: usize, ended: &Ended) -> Result<()> {
        let Some(slot) = self.children.get(index) else { return Ok(()) };
        let name = slot.child.spawn.entry().to_owned();
        let wanted = match (slot.child.restart, &ended.outcome) {
            (Restart::Always, _) => true,
            (Restart::OnFailure, Err(error)) => error.retryable() != Some(false),
            (Restart::OnFailure, Ok(_)) | (Restart::Never, _) => false,
        };
        let mut cause = match &ended.outcome {
            Ok(_) => "it has ended".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        if !wanted {
            if ended.outcome.is_err() {
                (self.report)(&format!("{name} is gone: {cause}"));
            }
            return Ok(());
        }
        let range = match self.strategy {
            Strategy::OneForOne => index..index + 1,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => index..self.children.len(),
        };
        self.stop(range.clone());
        loop {
            self.count_restart(&name, &cause)?;
            (self.report)(&format!("{name} is started anew: {cause}"));
            match self.start(range.clone(), false) {
                Ok(()) => return Ok(()),
                Err(error) => cause = error.message().to_owned(),
            }
        }
    }

    /// Refuses what is more than the restarts of the window.
    fn count_restart(&mut self, name: &str, cause: &str) -> Result<()> {
        let now = monotonic_clock::now();
        let begin = now.saturating_sub(nanoseconds(self.window));
        while self.restarts.front().is_some_and(|restart| *restart < begin) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.restarts_max {
            let (max, window) = (self.restarts_max, self.window);
            return Err(Error::new(
                Kind::Unavailable,
                format!("{name}: {cause}; no restart: there were {max} within {window:?}"),
            ));
        }
        self.restarts.push_back(now);
        Ok(())
    }
}

/// Starts a child. Where its name is taken it waits a while: a supervisor that was terminated leaves
/// linked children behind that are about to end, and may have been started anew before they have.
fn start(spawn: &Spawn) -> Result<Pid> {
    let deadline = monotonic_clock::now() + nanoseconds(NAME_WAIT_MAX);
    loop {
        match spawn.start() {
            Err(error)
                if error.kind() == Some(Kind::AlreadyExists)
                    && monotonic_clock::now() < deadline =>
            {
                monotonic_clock::subscribe_duration(nanoseconds(NAME_WAIT_STEP)).block();
            }
            result => return result,
        }
    }
}
