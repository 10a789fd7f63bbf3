//! One operation at a time, and after each of them everything that can be seen is compared with
//! what the model says: results, starts, exits, figures, names, and what is received.

mod check;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wippy_kernel::{
    Address, ExitWatch, Kernel, Options, ProcessContext, Received, SpawnRequest, Watcher,
};
use wippy_model::{Error, Event, EventKind, Exit, Message, Pid, Value};

use crate::model::{Actor, Item, Lane, Model, Result, Spawn, Want, is_name};
use crate::rng::Rng;
use crate::world::{
    Act, END_FAILED, END_NORMAL, Got, HOSTS, Nature, Outcome, Outcomes, STOP_MS, Tag, World, id,
    node,
};

/// Steps of one run, and how long one takes. Deadlines lie between two of them.
const STEPS: u64 = 300;
const STEP_MS: u64 = 10;
const HALF_MS: u64 = 5;

/// Processes that are alive at the most.
const LIVING_MAX: usize = 40;

const NAMES: [&str; 6] = ["anna", "ben", "carl", "dora", "emil", "fritz"];
const ENTRIES: [&str; 2] = ["sim:plain", "sim:small"];

/// How a target is written.
#[derive(Debug, Clone)]
enum To {
    Pid(Pid),
    Text(String),
}

impl To {
    fn address(&self) -> Address<'_> {
        match self {
            Self::Pid(pid) => pid.into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

pub(crate) struct Run {
    rng: Rng,
    kernel: Kernel,
    world: Arc<World>,
    model: Model,
    start: Instant,
    token: u64,
    number: i64,
    /// Who asked for what comes later: calls and `exec`.
    later: BTreeMap<u64, Actor>,
    /// The call that a message belongs to.
    calls: BTreeMap<i64, u64>,
    addresses: Vec<Pid>,
    watches: Vec<Option<ExitWatch>>,
    log: Vec<String>,
    pub(crate) spawned: usize,
}

pub(crate) fn message(number: i64, padding: usize) -> Message {
    let payloads = vec![Value::Int(number), Value::from("x".repeat(padding).as_str())];
    Message { from: None, topic: "t".into(), payloads, context: Default::default() }
}

fn done(result: wippy_model::Result<()>) -> Act {
    Act::Now(match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Refused(error.kind()),
    })
}

fn got(received: Received) -> Got {
    match received {
        Received::Event(event) => Got::Event(event),
        Received::Message(message) => Got::Message {
            number: match message.payloads.first() {
                Some(Value::Int(number)) => *number,
                _ => -1,
            },
            from: message.from,
        },
    }
}

impl Want {
    fn fits(&self, exit: &Exit) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == exit,
            Self::Named(name) => exit.name() == *name,
            Self::Linked(from, error) => match exit {
                Exit::Linked(pid, why) => {
                    pid == from && error.as_ref().is_none_or(|error| error == why)
                }
                _ => false,
            },
        }
    }
}

fn fits(got: &Got, item: &Item) -> bool {
    let about = |event: &Event, pid: &Pid, want: &Want| {
        event.from == *pid && event.exit.as_ref().is_some_and(|exit| want.fits(exit))
    };
    match (got, item) {
        (Got::Message { number, from }, Item::Message(wanted, sender, _)) => {
            number == wanted
                && match (from, sender) {
                    (None, None) => true,
                    (Some(from), Some(sender)) => {
                        from.is_same_process(sender) && (from.call() > 0) == (sender.call() > 0)
                    }
                    _ => false,
                }
        }
        (Got::Event(event), item) => match (event.kind, item) {
            (EventKind::Exit, Item::Exit(pid, want))
            | (EventKind::LinkDown, Item::LinkDown(pid, want)) => about(event, pid, want),
            (EventKind::Cancel, Item::Cancel(reason)) => event.reason == *reason,
            (EventKind::Outdated, Item::Outdated) => true,
            _ => false,
        },
        _ => false,
    }
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let (kernel, world) = (node(), Arc::new(World::default()));
        let mut model = Model::default();
        for entry in ENTRIES {
            kernel.add_unit(id(entry), world.loader(Tag { entry, version: 1 }, Nature::Fine));
            model.versions.insert(entry, 1);
        }
        for (entry, nature) in [("sim:refuses", Nature::Refuses), ("sim:panics", Nature::Panics)] {
            kernel.add_unit(id(entry), world.loader(Tag { entry, version: 1 }, nature));
        }
        kernel.add_unit(id("sim:broken"), Box::new(|| Err(Error::invalid("it is broken"))));
        Self {
            rng: Rng::new(seed),
            kernel,
            world,
            model,
            start: Instant::now(),
            token: 0,
            number: 0,
            later: BTreeMap::new(),
            calls: BTreeMap::new(),
            addresses: Vec::new(),
            watches: Vec::new(),
            log: Vec::new(),
            spawned: 0,
        }
    }

    pub(crate) async fn run(&mut self) {
        // Loading takes a thread and real time: it is over before the first step.
        for entry in ENTRIES.into_iter().chain(["sim:refuses", "sim:panics", "sim:broken"]) {
            assert_eq!(self.kernel.unit(&id(entry)).await.is_err(), entry == "sim:broken");
        }
        while self.model.step < STEPS {
            self.operate().await;
            self.model.tick();
            let (results, started) = self.settle().await;
            self.check_results(results);
            self.check_started(started);
            self.check_ended();
            self.check_figures();
        }
        self.stop().await;
    }

    /// Lets everything run that can, and the time of one step pass.
    async fn settle(&mut self) -> (Outcomes, Vec<(Actor, Tag)>) {
        sleep_until(self.start + Duration::from_millis(self.model.step * STEP_MS)).await;
        self.world.take_seen()
    }

    fn fail(&self, what: String) -> ! {
        let from = self.log.len().saturating_sub(40);
        panic!(
            "step {}: {what}\nlast operations:\n{}",
            self.model.step,
            self.log[from..].join("\n")
        )
    }

    fn note(&mut self, text: String) {
        self.log.push(format!("{:4}: {text}", self.model.step));
    }

    fn tell(
        &mut self,
        actor: Actor,
        job: impl FnOnce(&ProcessContext) -> Act + Send + 'static,
    ) -> u64 {
        self.token += 1;
        self.world.tell(actor, self.token, job);
        self.token
    }

    fn expect(&mut self, token: u64, result: Result) {
        self.model.results.push((token, result));
    }

    fn pid(&self, actor: Actor) -> Pid {
        self.model.proc(actor).pid.clone()
    }

    fn living(&mut self) -> Option<Actor> {
        self.rng.pick(&self.model.living())
    }

    /// Somebody, by whatever address: alive or gone, or a name that nobody has.
    fn target(&mut self) -> (To, Option<Actor>) {
        let all: Vec<Actor> =
            (0..self.model.procs.len()).filter(|at| self.model.procs[*at].is_some()).collect();
        let living = self.model.living();
        let chance = self.rng.below(100);
        if chance < 15 || all.is_empty() {
            let name = self.rng.pick(&NAMES).unwrap_or("anna");
            return (To::Text(name.to_owned()), self.model.holder(name));
        }
        let actor = match self.rng.pick(&living) {
            Some(actor) if chance < 85 => actor,
            _ => self.rng.pick(&all).unwrap_or_default(),
        };
        let pid = self.pid(actor);
        match chance {
            15..25 => (To::Text(pid.to_string()), Some(actor)),
            _ => (To::Pid(pid), Some(actor)),
        }
    }

    /// Of a target that is no send's: a reply address means the process.
    fn process_target(&mut self) -> (To, Option<Actor>) {
        let (to, actor) = self.target();
        match (to, actor) {
            (To::Pid(pid), actor) if self.rng.percent(10) => (To::Pid(pid.for_call(3)), actor),
            (To::Text(_), Some(actor)) if self.rng.percent(10) => {
                (To::Text(self.pid(actor).for_call(4).to_string()), Some(actor))
            }
            other => other,
        }
    }

    /// A step at whose end no other deadline lies.
    fn deadline(&mut self) -> u64 {
        let taken = self.model.deadlines();
        let mut step = self.model.step + self.rng.below(25) as u64;
        while taken.contains(&step) || step == self.model.step + STOP_MS / STEP_MS {
            step += 1;
        }
        step
    }

    fn until(&self, step: u64) -> Duration {
        Duration::from_millis((step - self.model.step) * STEP_MS + HALF_MS)
    }

    async fn operate(&mut self) {
        self.model.next_moment();
        let living = self.model.living().len();
        let chance = self.rng.below(100);
        match chance {
            _ if living < 3 => self.spawn().await,
            0..16 if living < LIVING_MAX => self.spawn().await,
            16..30 => self.send(),
            30..41 => self.bond(),
            41..47 => self.unbond(),
            47..52 => self.end_other(),
            52..57 => self.end_self(),
            57..64 => self.names(),
            64..69 => self.set_options(),
            69..79 => self.receive().await,
            79..84 => self.upgrade(),
            84..86 => self.replace().await,
            86..91 => self.call(),
            91..95 => self.reply(),
            95..97 if living < LIVING_MAX => self.exec().await,
            _ => self.note("nothing".into()),
        }
    }

    async fn spawn(&mut self) {
        let child = self.world.add_desk();
        self.watches.push(None);
        self.model.procs.push(None);
        let parent = self.living().filter(|_| self.rng.percent(80));
        let chance = self.rng.below(100);
        let entry = match chance {
            0..3 => "sim:absent",
            3..6 => "sim:refuses",
            6..9 => "sim:broken",
            9..40 => "sim:small",
            _ => "sim:plain",
        };
        let host = match self.rng.below(100) {
            0..3 => HOSTS.len(),
            3..25 => 2,
            25..50 => 1,
            _ => 0,
        };
        let bonded = parent.filter(|parent| !self.model.is_exec(*parent));
        let (code, ends) = match self.rng.below(100) {
            0..7 => (END_NORMAL, Some(Exit::Normal(Value::Int(1)))),
            7..14 => (END_FAILED, Some(Exit::Failed(Error::internal("at once")))),
            _ => (0, None),
        };
        let mut messages = Vec::new();
        for _ in 0..self.rng.below(8).saturating_sub(3) {
            self.number += 1;
            messages.push(message(self.number, 100));
        }
        let name = match self.rng.below(100) {
            0..30 => self.rng.pick(&NAMES).map(str::to_owned),
            30..33 => Some("{no name".to_owned()),
            _ => None,
        };
        let spawn = Spawn {
            child,
            entry,
            host,
            monitor: parent.filter(|_| self.rng.percent(40)),
            link: bonded.filter(|_| self.rng.percent(35)),
            name,
            messages: messages
                .iter()
                .map(|message| (number_of(message), message.size_bytes() as u64))
                .collect(),
            exec: None,
            ends,
        };
        self.note(format!(
            "{parent:?} spawns {child} of {entry} on {host}, monitored {:?}, linked {:?}, as {:?}, \
             {} messages, ends {code}",
            spawn.monitor,
            spawn.link,
            spawn.name,
            messages.len()
        ));
        let host = HOSTS.get(host).map_or("sim:nowhere", |(host, _)| *host);
        let args = vec![Value::Int(child as i64), Value::Int(code)];
        let mut request = SpawnRequest::new(id(entry), id(host), args);
        request.name = spawn.name.as_deref().map(Into::into);
        request.messages = messages;
        let outcome = |result: wippy_model::Result<Pid>| match result {
            Ok(pid) => Outcome::Spawned(pid),
            Err(error) => Outcome::Refused(error.kind()),
        };
        let (token, outcome) = match parent {
            Some(parent) => {
                let (monitor, link) = (spawn.monitor.is_some(), spawn.link.is_some());
                let token = self.tell(parent, move |context| {
                    let context = context.clone();
                    request.watcher = monitor.then(|| Watcher::Process(context.clone()));
                    request.link = link.then(|| context.clone());
                    Act::Later(Box::pin(async move { outcome(context.spawn(request).await) }))
                });
                // The model needs its PID; what else happens is seen at the end of the step.
                (token, self.await_result(token).await)
            }
            None => {
                self.token += 1;
                (self.token, Some(outcome(self.kernel.spawn(request).await)))
            }
        };
        let fails = self.model.spawn_fails(&spawn);
        match outcome {
            Some(Outcome::Spawned(pid)) if fails.is_empty() => {
                self.spawned += 1;
                let lives = spawn.ends.is_none();
                self.model.spawn(spawn, pid.clone());
                self.watches[child] = lives.then(|| self.kernel.watch(&pid));
            }
            Some(Outcome::Refused(kind)) if fails.contains(&kind) => {}
            other => self.fail(format!("spawn {token} gave {other:?}; the model: {fails:?}")),
        }
    }

    /// The result of a spawn, as soon as it is there; a parent that its child takes along has
    /// none to give.
    async fn await_result(&mut self, token: u64) -> Option<Outcome> {
        for _ in 0..10_000 {
            if let Some(outcome) = self.world.take_result(token) {
                return Some(outcome);
            }
            tokio::task::yield_now().await;
        }
        None
    }

    async fn exec(&mut self) {
        let Some(parent) = self.living() else { return };
        let child = self.world.add_desk();
        self.watches.push(None);
        self.model.procs.push(None);
        self.note(format!("{parent} executes {child}"));
        let args = vec![Value::Int(child as i64), Value::Int(0)];
        let request = SpawnRequest::new(id("sim:plain"), id(HOSTS[0].0), args);
        let before: Vec<Pid> = self.kernel.processes().into_iter().map(|info| info.pid).collect();
        let token = self.tell(parent, move |context| {
            let context = context.clone();
            Act::Later(Box::pin(async move {
                match context.exec(request).await {
                    Ok(value) => Outcome::Value(value),
                    Err(error) => Outcome::Refused(error.kind()),
                }
            }))
        });
        self.later.insert(token, parent);
        let mut pid = None;
        for _ in 0..10_000 {
            let now = self.kernel.processes().into_iter().map(|info| info.pid);
            pid = now.into_iter().find(|pid| !before.contains(pid));
            if pid.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let Some(pid) = pid else { self.fail("nothing is executed".into()) };
        let spawn = Spawn {
            child,
            entry: "sim:plain",
            host: 0,
            monitor: None,
            link: None,
            name: None,
            messages: Vec::new(),
            exec: Some((parent, token)),
            ends: None,
        };
        self.spawned += 1;
        self.watches[child] = Some(self.kernel.watch(&pid));
        self.model.spawn(spawn, pid);
    }

    fn send(&mut self) {
        let (to, target) = self.target();
        let from = self.living().filter(|_| self.rng.percent(80));
        self.number += 1;
        // One that is too large fits none of the units, and one for nobody is small: so there
        // is one reason to refuse it.
        let alive = target.is_some_and(|target| self.model.is_alive(target));
        let padding = match self.rng.below(100) {
            0..5 if alive => 2000,
            5..50 => 300,
            _ => 10,
        };
        let number = self.number;
        let size = message(number, padding).size_bytes() as u64;
        self.note(format!("{from:?} sends {number} ({size} bytes) to {target:?} by {to:?}"));
        let sender = from.map(|from| self.pid(from));
        let result = self.model.send(target, number, sender, size);
        let token = match from {
            Some(from) => self.tell(from, move |context| {
                let Message { topic, payloads, .. } = message(number, padding);
                done(context.send(to.address(), topic, payloads))
            }),
            None => {
                let sent = self.kernel.send(to.address(), message(number, padding));
                self.outside(sent)
            }
        };
        self.expect(token, result);
    }

    /// Records what was done from outside of any process.
    fn outside(&mut self, result: wippy_model::Result<()>) -> u64 {
        self.token += 1;
        self.world.record(
            self.token,
            match result {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Refused(error.kind()),
            },
        );
        self.token
    }

    fn bond(&mut self) {
        let Some(actor) = self.living() else { return };
        let (to, target) = self.process_target();
        let link = self.rng.percent(50);
        if link && target.into_iter().chain([actor]).any(|one| self.model.is_exec(one)) {
            return;
        }
        self.note(format!("{actor} {} {target:?}", if link { "links" } else { "monitors" }));
        let token = self.tell(actor, move |context| match link {
            true => done(context.link(to.address())),
            false => done(context.monitor(to.address())),
        });
        let Some(target) = target else {
            return self.expect(token, Result::Refused(vec![wippy_model::Kind::NotFound]));
        };
        self.expect(token, Result::Done);
        match link {
            true => self.model.link(actor, target),
            false => self.model.monitor(actor, target),
        }
    }

    fn unbond(&mut self) {
        let Some(actor) = self.living() else { return };
        let (to, target) = self.process_target();
        let link = self.rng.percent(50);
        self.note(format!("{actor} {} {target:?}", if link { "unlinks" } else { "unmonitors" }));
        let token = self.tell(actor, move |context| match link {
            true => done(context.unlink(to.address())),
            false => done(context.unmonitor(to.address())),
        });
        let Some(target) = target else {
            return self.expect(token, Result::Refused(vec![wippy_model::Kind::NotFound]));
        };
        self.expect(token, Result::Done);
        match link {
            true => self.model.unlink(actor, target),
            false => self.model.unmonitor(actor, target),
        }
    }

    fn end_other(&mut self) {
        let (to, target) = self.process_target();
        let by = self.living().filter(|_| self.rng.percent(50));
        let terminate = self.rng.percent(50);
        let within = self.rng.percent(70).then(|| self.deadline());
        let default = self.model.step + STOP_MS / STEP_MS;
        if !terminate && within.is_none() && self.model.deadlines().contains(&default) {
            return;
        }
        let reason = self.rng.percent(50).then(|| format!("reason {}", self.model.step));
        self.note(format!(
            "{by:?} {} {target:?} by {within:?}",
            if terminate { "terminates" } else { "cancels" }
        ));
        let (deadline, duration) = (within.unwrap_or(default), within.map(|step| self.until(step)));
        let why = reason.clone();
        let token = match by {
            Some(by) => self.tell(by, move |context| match terminate {
                true => done(context.terminate(to.address())),
                false => done(context.cancel(to.address(), duration, why.as_deref())),
            }),
            None => {
                let result = match terminate {
                    true => self.kernel.terminate(to.address()),
                    false => self.kernel.cancel(to.address(), None, duration, why.as_deref()),
                };
                self.outside(result)
            }
        };
        let Some(target) = target.filter(|target| self.model.is_alive(*target)) else {
            return self.expect(token, Result::Refused(vec![wippy_model::Kind::NotFound]));
        };
        self.expect(token, Result::Done);
        match terminate {
            true => self.model.end(target, Want::Exactly(Exit::Terminated)),
            false => self.model.cancel(target, deadline, reason.map(Into::into)),
        }
    }

    fn end_self(&mut self) {
        let Some(actor) = self.living() else { return };
        let number = self.model.step as i32;
        let exit = match self.rng.below(7) {
            0 | 1 => Exit::Normal(Value::Int(number.into())),
            2 => Exit::Failed(Error::internal(format!("failed {number}"))),
            3 => Exit::Trap(Error::internal("trapped")),
            4 => Exit::Code(number),
            5 => Exit::Canceled(None),
            _ => Exit::HostPanic(format!("on purpose, {number}").into()),
        };
        self.note(format!("{actor} ends: {exit}"));
        self.model.end(actor, Want::Exactly(exit.clone()));
        self.tell(actor, move |_| match exit {
            Exit::HostPanic(text) => std::panic::panic_any(text.into_string()),
            exit => Act::End(exit),
        });
    }

    fn names(&mut self) {
        let Some(actor) = self.living() else { return };
        let name = match self.rng.percent(5) {
            true => ["", "{x", "a\nb"][self.rng.below(3)].to_owned(),
            false => self.rng.pick(&NAMES).map(str::to_owned).unwrap_or_default(),
        };
        let other = self.rng.percent(30).then(|| self.process_target());
        match self.rng.below(100) {
            0..60 => {
                let holder = other.as_ref().map_or(Some(actor), |(_, holder)| *holder);
                self.note(format!("{actor} registers {name:?} for {holder:?}"));
                let result = self.model.register(&name, holder);
                let token = self.tell(actor, move |context| {
                    done(context.register(&name, other.as_ref().map(|(to, _)| to.address())))
                });
                self.expect(token, result);
            }
            60..90 if is_name(&name) => {
                self.note(format!("{actor} unregisters {name:?}"));
                let result = self.model.unregister(&name, actor);
                let token = self.tell(actor, move |context| done(context.unregister(&name)));
                self.expect(token, result);
            }
            _ => {
                self.note(format!("{actor} looks {name:?} up"));
                let result = match self.model.holder(&name) {
                    Some(holder) => Result::Spawned(holder),
                    None if name.starts_with('{') => {
                        Result::Refused(vec![wippy_model::Kind::Invalid])
                    }
                    None => Result::Refused(vec![wippy_model::Kind::NotFound]),
                };
                let token = self.tell(actor, move |context| {
                    Act::Now(match context.lookup(&name) {
                        Ok(pid) => Outcome::Spawned(pid),
                        Err(error) => Outcome::Refused(error.kind()),
                    })
                });
                self.expect(token, result);
            }
        }
    }

    fn set_options(&mut self) {
        let Some(actor) = self.living() else { return };
        let options =
            Options { trap_links: self.rng.percent(60), upgradable: self.rng.percent(50) };
        self.note(format!("{actor} sets {options:?}"));
        self.model.set_options(actor, options.trap_links, options.upgradable);
        let token = self.tell(actor, move |context| done(context.set_options(options)));
        self.expect(token, Result::Done);
    }

    async fn receive(&mut self) {
        let Some(actor) = self.living() else { return };
        let lane = [Lane::Both, Lane::Messages, Lane::Events][self.rng.below(3)];
        let most = 1 + self.rng.below(6);
        self.note(format!("{actor} receives {most} of {lane:?}"));
        let token = self.tell(actor, move |context| {
            let mut all = Vec::new();
            let mut poller = Poller::from_waker(Waker::noop());
            while all.len() < most {
                let received = match lane {
                    Lane::Both => context.try_receive(),
                    Lane::Messages => context.try_receive_message().map(Received::Message),
                    Lane::Events => match context.poll_event(&mut poller) {
                        Poll::Ready(event) => Some(Received::Event(event)),
                        Poll::Pending => None,
                    },
                };
                let Some(received) = received else { break };
                all.push(got(received));
            }
            Act::Now(Outcome::Received(all))
        });
        // What arrives by the end of the step is not part of it.
        let Some(Outcome::Received(all)) = self.await_result(token).await else {
            self.fail(format!("{actor} does not receive"))
        };
        for got in &all {
            let taken = self.model.take(actor, lane, |item| fits(got, item));
            if let Err(why) = taken {
                self.fail(format!("{actor} received {got:?}; {why}"));
            }
            let Got::Message { number, from: Some(from) } = got else { continue };
            if let Some(call) = self.calls.get(number) {
                self.model.bind(*call, from);
                self.addresses.push(from.clone());
            }
        }
        if all.len() < most && self.model.waits(actor, lane) {
            self.fail(format!("{actor} received {all:?} of {lane:?}, and there is more"));
        }
    }

    fn upgrade(&mut self) {
        let Some(actor) = self.living() else { return };
        let own = self.model.proc(actor).tag.entry;
        let entry = match self.rng.below(100) {
            0..4 => "sim:absent",
            4..8 => "sim:refuses",
            8..12 => "sim:broken",
            12..16 => "sim:panics",
            16..50 => self.rng.pick(&ENTRIES).unwrap_or(own),
            _ => own,
        };
        let unread = self.rng.below(5);
        let named = entry != own || self.rng.percent(50);
        self.note(format!("{actor} of {own} upgrades to {entry} with {unread} unread"));
        self.tell(actor, move |context| {
            let context = context.clone();
            Act::Later(Box::pin(async move {
                let unread: Vec<_> = (0..unread)
                    .map_while(|_| context.try_receive_numbered(wippy_kernel::Lane::Both))
                    .collect();
                let args = vec![Value::Int(actor as i64), Value::Int(0)];
                let entry = named.then(|| id(entry));
                match context.upgrade(entry, args, || unread).await {
                    Err(error) => Outcome::Refused(error.kind()),
                    Ok(never) => match never {},
                }
            }))
        });
        self.model.upgrade(actor, entry);
    }

    async fn replace(&mut self) {
        let entry = self.rng.pick(&ENTRIES).unwrap_or("sim:plain");
        self.model.replace(entry);
        let tag = Tag { entry, version: self.model.versions[entry] };
        self.note(format!("{tag:?} is there"));
        let loader = self.world.loader(tag, Nature::Fine);
        let replaced = self.kernel.replace_unit(id(entry), loader).await;
        assert!(replaced.is_ok(), "{replaced:?}");
    }

    fn call(&mut self) {
        let Some(caller) = self.living() else { return };
        let (to, target) = self.target();
        self.number += 1;
        let number = self.number;
        let deadline = self.deadline();
        let timeout = Some(self.until(deadline));
        self.note(format!("{caller} calls {target:?} with {number} until {deadline}"));
        let size = message(number, 50).size_bytes() as u64;
        let token = self.tell(caller, move |context| {
            let context = context.clone();
            Act::Later(Box::pin(async move {
                let Message { topic, payloads, .. } = message(number, 50);
                match context.request(to.address(), topic, payloads, timeout).await {
                    Ok(mut reply) => Outcome::Value(reply.payloads.swap_remove(0)),
                    Err(error) => Outcome::Refused(error.kind()),
                }
            }))
        });
        self.later.insert(token, caller);
        self.calls.insert(number, token);
        self.model.call(caller, target, number, size, (token, deadline));
    }

    fn reply(&mut self) {
        let Some(address) = self.rng.pick(&self.addresses) else { return };
        let from = self.living().filter(|_| self.rng.percent(80));
        self.number += 1;
        let number = self.number;
        let large = self.rng.percent(10) && self.alive_pid(&address);
        self.note(format!("{from:?} replies {number} to {address}, too large: {large}"));
        let result = match large {
            true => Result::Refused(vec![wippy_model::Kind::ResourceExhausted]),
            false => self.model.reply(&address, Value::Int(number)),
        };
        let padding = if large { 2000 } else { 20 };
        let token = match from {
            Some(from) => self.tell(from, move |context| {
                let Message { topic, payloads, .. } = message(number, padding);
                done(context.send(&address, topic, payloads))
            }),
            None => {
                let sent = self.kernel.send(&address, message(number, padding));
                self.outside(sent)
            }
        };
        self.expect(token, result);
    }

    fn alive_pid(&self, pid: &Pid) -> bool {
        let living = self.model.living();
        living.into_iter().any(|actor| self.model.proc(actor).pid.is_same_process(pid))
    }
}

fn number_of(message: &Message) -> i64 {
    match message.payloads.first() {
        Some(Value::Int(number)) => *number,
        _ => 0,
    }
}
