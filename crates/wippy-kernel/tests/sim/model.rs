//! What processes may rely on, as a model: sequential, without tasks and locks, written from
//! `docs/semantics.md`. Each operation says what it gives and whom it ends.

use std::collections::{BTreeMap, BTreeSet};

use wippy_model::{Exit, Kind, Pid, Value};

use crate::world::{HOSTS, Tag, mailbox};

pub(crate) type Actor = usize;

/// How a process is expected to end.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    Exactly(Exit),
    /// An exit whose text is not promised.
    Named(&'static str),
    /// Through a link, with where it began.
    Linked(Pid, Option<wippy_model::Error>),
}

/// What waits in a mailbox.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Its number, its sender, and its size.
    Message(i64, Option<Pid>, u64),
    Exit(Pid, Want),
    LinkDown(Pid, Want),
    Cancel(Option<Box<str>>),
    Outdated,
}

impl Item {
    fn is_message(&self) -> bool {
        matches!(self, Self::Message(..))
    }

    pub(crate) fn is_bond(&self) -> bool {
        matches!(self, Self::Exit(..) | Self::LinkDown(..))
    }
}

/// An expected result.
#[derive(Debug, Clone)]
pub(crate) enum Result {
    Done,
    /// One of these: which of several reasons is named is not promised.
    Refused(Vec<Kind>),
    Spawned(Actor),
    Value(Value),
    /// The result of `exec`, and of calls: an error of this kind.
    Failed(Kind),
    /// The same, of any kind.
    FailedSomehow,
}

pub(crate) struct Proc {
    pub(crate) pid: Pid,
    pub(crate) alive: bool,
    host: usize,
    pub(crate) tag: Tag,
    pub(crate) trap_links: bool,
    upgradable: bool,
    /// Items by the moment in which they arrived: within one the order is open, but that of
    /// messages.
    waiting: Vec<(u64, Item)>,
    links: BTreeSet<Actor>,
    monitors: BTreeMap<Actor, usize>,
    /// When it ends that does not obey, and the reason.
    cancel: Option<(u64, Option<Box<str>>)>,
    /// Who waits for its end.
    exec: Option<(Actor, u64)>,
}

/// A call under way.
struct Call {
    caller: Actor,
    target: Actor,
    token: u64,
    deadline: u64,
    address: Option<Pid>,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) procs: Vec<Option<Proc>>,
    names: BTreeMap<String, Actor>,
    pub(crate) versions: BTreeMap<&'static str, u64>,
    calls: Vec<Call>,
    /// Counts moments.
    moment: u64,
    pub(crate) step: u64,
    /// What this step gives.
    pub(crate) results: Vec<(u64, Result)>,
    pub(crate) started: Vec<(Actor, Tag)>,
    pub(crate) ended: Vec<(Actor, Want)>,
}

pub(crate) struct Spawn {
    pub(crate) child: Actor,
    pub(crate) entry: &'static str,
    pub(crate) host: usize,
    pub(crate) monitor: Option<Actor>,
    pub(crate) link: Option<Actor>,
    pub(crate) name: Option<String>,
    pub(crate) messages: Vec<(i64, u64)>,
    pub(crate) exec: Option<(Actor, u64)>,
    pub(crate) ends: Option<Exit>,
}

pub(crate) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.starts_with('{') && !name.chars().any(char::is_control)
}

impl Model {
    pub(crate) fn proc(&self, actor: Actor) -> &Proc {
        self.procs[actor].as_ref().unwrap()
    }

    fn proc_mut(&mut self, actor: Actor) -> &mut Proc {
        self.procs[actor].as_mut().unwrap()
    }

    pub(crate) fn living(&self) -> Vec<Actor> {
        (0..self.procs.len()).filter(|actor| self.is_alive(*actor)).collect()
    }

    pub(crate) fn is_alive(&self, actor: Actor) -> bool {
        self.procs[actor].as_ref().is_some_and(|proc| proc.alive)
    }

    pub(crate) fn is_exec(&self, actor: Actor) -> bool {
        self.proc(actor).exec.is_some()
    }

    pub(crate) fn holder(&self, name: &str) -> Option<Actor> {
        self.names.get(name).copied()
    }

    /// Begins a moment: what arrives later arrives after all that waits.
    pub(crate) fn next_moment(&mut self) {
        self.moment += 1;
    }

    fn deliver(&mut self, actor: Actor, item: Item) {
        let moment = self.moment;
        let proc = self.proc_mut(actor);
        if proc.alive {
            proc.waiting.push((moment, item));
        }
    }

    fn on_host(&self, host: usize) -> usize {
        self.procs.iter().flatten().filter(|proc| proc.alive && proc.host == host).count()
    }

    /// Why a spawn fails, if it does.
    pub(crate) fn spawn_fails(&self, spawn: &Spawn) -> Vec<Kind> {
        let mut kinds = Vec::new();
        match spawn.entry {
            "sim:absent" => kinds.push(Kind::NotFound),
            "sim:refuses" | "sim:broken" => kinds.push(Kind::Invalid),
            _ => {}
        }
        match HOSTS.get(spawn.host) {
            None => kinds.push(Kind::NotFound),
            Some((_, most)) if self.on_host(spawn.host) >= *most => kinds.push(Kind::Unavailable),
            Some(_) => {}
        }
        if let Some(name) = &spawn.name {
            match is_name(name) {
                false => kinds.push(Kind::Invalid),
                true if self.names.contains_key(name) => kinds.push(Kind::AlreadyExists),
                true => {}
            }
        }
        let limits = mailbox(spawn.entry);
        let bytes: u64 = spawn.messages.iter().map(|(_, size)| size).sum();
        if spawn.messages.len() > limits.capacity as usize || bytes > limits.bytes {
            kinds.push(Kind::Unavailable);
        }
        kinds
    }

    /// A spawn that succeeds.
    pub(crate) fn spawn(&mut self, spawn: Spawn, pid: Pid) {
        let version = self.versions[spawn.entry];
        let tag = Tag { entry: spawn.entry, version };
        let child = spawn.child;
        self.procs.resize_with(self.procs.len().max(child + 1), || None);
        let (waiting, links, monitors) = Default::default();
        self.procs[child] = Some(Proc {
            pid,
            alive: true,
            host: spawn.host,
            tag,
            trap_links: false,
            upgradable: false,
            waiting,
            links,
            monitors,
            cancel: None,
            exec: spawn.exec,
        });
        for (number, size) in spawn.messages {
            self.deliver(child, Item::Message(number, None, size));
        }
        if let Some(name) = spawn.name {
            self.names.insert(name, child);
        }
        if let Some(watcher) = spawn.monitor {
            *self.proc_mut(watcher).monitors.entry(child).or_default() += 1;
        }
        if let Some(linked) = spawn.link {
            self.proc_mut(linked).links.insert(child);
            self.proc_mut(child).links.insert(linked);
        }
        self.started.push((child, tag));
        if let Some(exit) = spawn.ends {
            self.end(child, Want::Exactly(exit));
        }
    }

    pub(crate) fn send(
        &mut self,
        target: Option<Actor>,
        number: i64,
        from: Option<Pid>,
        size: u64,
    ) -> Result {
        let Some(target) = target.filter(|target| self.is_alive(*target)) else {
            return Result::Refused(vec![Kind::NotFound]);
        };
        let proc = self.proc(target);
        let limits = mailbox(proc.tag.entry);
        if size > limits.message_bytes {
            return Result::Refused(vec![Kind::ResourceExhausted]);
        }
        let sizes = proc.waiting.iter().filter_map(|(_, item)| match item {
            Item::Message(_, _, size) => Some(*size),
            _ => None,
        });
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
        if count >= limits.capacity || bytes + size > limits.bytes {
            return Result::Refused(vec![Kind::Unavailable]);
        }
        self.deliver(target, Item::Message(number, from, size));
        Result::Done
    }

    pub(crate) fn monitor(&mut self, actor: Actor, target: Actor) {
        match self.is_alive(target) {
            true => *self.proc_mut(actor).monitors.entry(target).or_default() += 1,
            false => {
                let pid = self.proc(target).pid.clone();
                self.deliver(actor, Item::Exit(pid, Want::Exactly(Exit::NoProcess)));
            }
        }
    }

    pub(crate) fn unmonitor(&mut self, actor: Actor, target: Actor) {
        self.proc_mut(actor).monitors.remove(&target);
    }

    pub(crate) fn link(&mut self, actor: Actor, target: Actor) {
        if actor == target {
            return;
        }
        if self.is_alive(target) {
            self.proc_mut(actor).links.insert(target);
            self.proc_mut(target).links.insert(actor);
            return;
        }
        let pid = self.proc(target).pid.clone();
        match self.proc(actor).trap_links {
            true => self.deliver(actor, Item::LinkDown(pid, Want::Exactly(Exit::NoProcess))),
            false => self.end(actor, Want::Linked(pid, Exit::NoProcess.error())),
        }
    }

    pub(crate) fn unlink(&mut self, actor: Actor, target: Actor) {
        self.proc_mut(actor).links.remove(&target);
        self.proc_mut(target).links.remove(&actor);
    }

    /// A process ends, and with it those whom its end reaches.
    pub(crate) fn end(&mut self, actor: Actor, want: Want) {
        if !self.is_alive(actor) {
            return;
        }
        let pid = self.proc(actor).pid.clone();
        self.proc_mut(actor).alive = false;
        self.names.retain(|_, holder| *holder != actor);
        let links = std::mem::take(&mut self.proc_mut(actor).links);
        let exec = self.proc_mut(actor).exec.take();
        self.give_up(actor);
        for watcher in self.living() {
            for _ in 0..self.proc_mut(watcher).monitors.remove(&actor).unwrap_or(0) {
                self.deliver(watcher, Item::Exit(pid.clone(), want.clone()));
            }
        }
        let (ended, left) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call: &Call| call.target == actor);
        self.calls = left;
        for call in ended {
            self.results.push((call.token, Result::Failed(Kind::Unavailable)));
        }
        if let Some((parent, token)) = exec
            && self.is_alive(parent)
        {
            self.results.push((
                token,
                match &want {
                    Want::Exactly(exit) => match (exit.value(), exit.error()) {
                        (Some(value), _) => Result::Value(value.clone()),
                        (None, error) => Result::Failed(error.unwrap().kind()),
                    },
                    Want::Named(_) => Result::FailedSomehow,
                    Want::Linked(..) => Result::Failed(Kind::Internal),
                },
            ));
        }
        let normal = matches!(&want, Want::Exactly(exit) if exit.is_normal());
        for linked in links {
            if !self.is_alive(linked) {
                continue;
            }
            self.proc_mut(linked).links.remove(&actor);
            if normal {
                continue;
            }
            if self.proc(linked).trap_links {
                self.deliver(linked, Item::LinkDown(pid.clone(), want.clone()));
                continue;
            }
            // The first cause, and the process that it began with.
            let cause = match &want {
                Want::Exactly(exit) => Want::Linked(pid.clone(), exit.error()),
                Want::Named(_) => Want::Linked(pid.clone(), None),
                Want::Linked(..) => want.clone(),
            };
            self.end(linked, cause);
        }
        self.ended.push((actor, want));
    }

    /// What the code of a process waits for goes with it.
    fn give_up(&mut self, actor: Actor) {
        self.calls.retain(|call| call.caller != actor);
        let children: Vec<Actor> = self
            .living()
            .into_iter()
            .filter(|child| self.proc(*child).exec.is_some_and(|(parent, _)| parent == actor))
            .collect();
        for child in children {
            self.proc_mut(child).exec = None;
            self.end(child, Want::Exactly(Exit::Terminated));
        }
    }

    pub(crate) fn cancel(&mut self, target: Actor, deadline: u64, reason: Option<Box<str>>) {
        let moment = self.moment;
        let proc = self.proc_mut(target);
        let earlier = proc.cancel.as_ref().map_or(deadline, |(earlier, _)| *earlier);
        proc.cancel = Some((earlier.min(deadline), reason.clone()));
        let waiting = proc.waiting.iter_mut().find(|(_, item)| matches!(item, Item::Cancel(_)));
        match waiting {
            Some((_, item)) => *item = Item::Cancel(reason),
            None => proc.waiting.push((moment, Item::Cancel(reason))),
        }
    }

    pub(crate) fn register(&mut self, name: &str, target: Option<Actor>) -> Result {
        if !is_name(name) {
            return Result::Refused(vec![Kind::Invalid, Kind::NotFound]);
        }
        let Some(target) = target.filter(|target| self.is_alive(*target)) else {
            return Result::Refused(vec![Kind::NotFound]);
        };
        match self.holder(name) {
            Some(holder) if holder != target => Result::Refused(vec![Kind::AlreadyExists]),
            _ => {
                self.names.insert(name.to_owned(), target);
                Result::Done
            }
        }
    }

    pub(crate) fn unregister(&mut self, name: &str, actor: Actor) -> Result {
        match self.holder(name) {
            None if name.starts_with('{') => Result::Refused(vec![Kind::Invalid]),
            None => Result::Refused(vec![Kind::NotFound]),
            Some(holder) if holder != actor => Result::Refused(vec![Kind::PermissionDenied]),
            Some(_) => {
                self.names.remove(name);
                Result::Done
            }
        }
    }

    pub(crate) fn set_options(&mut self, actor: Actor, trap_links: bool, upgradable: bool) {
        let newest = self.versions[self.proc(actor).tag.entry];
        let proc = self.proc_mut(actor);
        proc.trap_links = trap_links;
        let opted_in = upgradable && !proc.upgradable;
        proc.upgradable = upgradable;
        if opted_in && proc.tag.version < newest {
            self.outdated(actor);
        }
    }

    fn outdated(&mut self, actor: Actor) {
        let waits = |(_, item): &(u64, Item)| matches!(item, Item::Outdated);
        if !self.proc(actor).waiting.iter().any(waits) {
            self.deliver(actor, Item::Outdated);
        }
    }

    pub(crate) fn replace(&mut self, entry: &'static str) {
        *self.versions.get_mut(entry).unwrap() += 1;
        for actor in self.living() {
            let proc = self.proc(actor);
            if proc.upgradable && proc.tag.entry == entry {
                self.outdated(actor);
            }
        }
    }

    pub(crate) fn upgrade(&mut self, actor: Actor, entry: &'static str) {
        match entry {
            "sim:absent" | "sim:refuses" | "sim:broken" => {
                return self.end(actor, Want::Named("configuration"));
            }
            "sim:panics" => {
                return self
                    .end(actor, Want::Exactly(Exit::HostPanic("on purpose, in prepare".into())));
            }
            _ => {}
        }
        self.give_up(actor);
        let tag = Tag { entry, version: self.versions[entry] };
        let proc = self.proc_mut(actor);
        proc.tag = tag;
        // It told of the code before.
        proc.waiting.retain(|(_, item)| !matches!(item, Item::Outdated));
        self.started.push((actor, tag));
    }

    pub(crate) fn call(
        &mut self,
        caller: Actor,
        target: Option<Actor>,
        number: i64,
        size: u64,
        (token, deadline): (u64, u64),
    ) {
        // Which address it is shows when the message is read: of this caller, and a reply one.
        match self.send(target, number, Some(self.proc(caller).pid.for_call(u64::MAX)), size) {
            Result::Done => {
                let target = target.unwrap();
                self.calls.push(Call { caller, target, token, deadline, address: None });
            }
            refused => self.results.push((token, refused)),
        }
    }

    /// A message with a reply address was read: that of the call that was made with `token`.
    pub(crate) fn bind(&mut self, token: u64, address: &Pid) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.token == token) {
            call.address = Some(address.clone());
        }
    }

    pub(crate) fn reply(&mut self, address: &Pid, value: Value) -> Result {
        match self.calls.iter().position(|call| call.address.as_ref() == Some(address)) {
            None => Result::Refused(vec![Kind::NotFound]),
            Some(position) => {
                let call = self.calls.remove(position);
                self.results.push((call.token, Result::Value(value)));
                Result::Done
            }
        }
    }

    /// What the time does that passes at the end of a step.
    pub(crate) fn tick(&mut self) {
        self.next_moment();
        let step = self.step;
        for actor in self.living() {
            let due = self.proc(actor).cancel.clone().filter(|(deadline, _)| *deadline <= step);
            if let Some((_, reason)) = due {
                self.end(actor, Want::Exactly(Exit::Canceled(reason)));
            }
        }
        let (due, left) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call: &Call| call.deadline <= step);
        self.calls = left;
        for call in due {
            self.results.push((call.token, Result::Failed(Kind::Timeout)));
        }
        self.step += 1;
        self.next_moment();
    }

    /// The deadlines that are set, each in a step of its own.
    pub(crate) fn deadlines(&self) -> BTreeSet<u64> {
        let cancels = self.procs.iter().flatten().filter_map(|proc| proc.cancel.as_ref());
        let cancels = cancels.map(|(deadline, _)| *deadline);
        cancels.chain(self.calls.iter().map(|call| call.deadline)).collect()
    }

    pub(crate) fn messages_waiting(&self, actor: Actor) -> usize {
        self.proc(actor).waiting.iter().filter(|(_, item)| item.is_message()).count()
    }

    /// Events of bonds that are promised or wait.
    pub(crate) fn bonds(&self) -> usize {
        let living = self.procs.iter().flatten().filter(|proc| proc.alive);
        living
            .map(|proc| {
                let waiting = proc.waiting.iter().filter(|(_, item)| item.is_bond()).count();
                waiting + proc.links.len() + proc.monitors.values().sum::<usize>()
            })
            .sum()
    }

    /// Takes what a process has received out of its mailbox, where that could come now.
    pub(crate) fn take(
        &mut self,
        actor: Actor,
        lane: Lane,
        fits: impl Fn(&Item) -> bool,
    ) -> std::result::Result<Item, String> {
        let waiting = &mut self.proc_mut(actor).waiting;
        let in_lane = |item: &Item| match lane {
            Lane::Both => true,
            Lane::Messages => item.is_message(),
            Lane::Events => !item.is_message(),
        };
        let Some(first) = waiting.iter().find(|(_, item)| in_lane(item)).map(|(moment, _)| *moment)
        else {
            return Err("nothing waits".into());
        };
        let mut message_seen = false;
        let position = waiting.iter().position(|(moment, item)| {
            let next = *moment == first && in_lane(item) && !(item.is_message() && message_seen);
            message_seen |= item.is_message();
            next && fits(item)
        });
        match position {
            Some(position) => Ok(waiting.remove(position).1),
            None => Err(format!("what waits first: {waiting:?}")),
        }
    }

    pub(crate) fn waits(&self, actor: Actor, lane: Lane) -> bool {
        self.proc(actor).waiting.iter().any(|(_, item)| match lane {
            Lane::Both => true,
            Lane::Messages => item.is_message(),
            Lane::Events => !item.is_message(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Both,
    Messages,
    Events,
}
