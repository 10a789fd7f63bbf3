//! Many processes at once, and rules that hold in every interleaving. Observers, which nobody
//! ends, bind themselves to victims, which come, do things, and go; each observer keeps books.
//!
//! - Each monitor gives exactly one EXIT, but those that were taken back: none of these comes
//!   once `unmonitor` is over and what waited was read. The same for links.
//! - What a victim has sent arrives once, in order, and before its EXIT.
//! - Whoever hears an EXIT finds nobody there, and the names free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::yield_now;
use wippy_kernel::{Kernel, Options, ProcessContext, Received, SpawnRequest, Watcher};
use wippy_model::{Error, EventKind, Exit, Kind, Pid, Value};

use crate::rng::Rng;
use crate::scripts;
use crate::world::id;

const OBSERVERS: usize = 6;
/// Operations of one observer and of one victim.
const OBSERVER_STEPS: usize = 120;
const VICTIM_STEPS: usize = 8;
const NAMES: [&str; 4] = ["north", "east", "south", "west"];

/// What everyone knows.
#[derive(Default)]
struct Town {
    /// The victims that were spawned last.
    victims: Mutex<Vec<Pid>>,
    observers: Mutex<Vec<Pid>>,
    /// How many messages a victim has sent to an observer, each accepted.
    sent: Mutex<BTreeMap<(Pid, Pid), i64>>,
    /// Who returned: a link to it is dissolved without a word, unless `terminate` was faster.
    returned: Mutex<BTreeSet<Pid>>,
    spawned: AtomicUsize,
    observed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// What one observer knows of one victim.
#[derive(Default)]
struct Page {
    monitors: usize,
    linked: bool,
    /// The number of the last message.
    last: i64,
    ended: bool,
}

/// One observer's books.
struct Books {
    context: ProcessContext,
    town: Arc<Town>,
    pages: BTreeMap<Pid, Page>,
}

impl Books {
    fn fail(&self, what: String) {
        self.town.failures.lock().unwrap().push(format!("{}: {what}", self.context.pid()));
    }

    /// The ends that it must hear of yet.
    fn open(&self) -> Vec<(Pid, usize, bool)> {
        let returned = self.town.returned.lock().unwrap();
        let waits = |(pid, page): (&Pid, &Page)| {
            let linked = page.linked && !returned.contains(pid);
            (page.monitors > 0 || linked).then(|| (pid.clone(), page.monitors, linked))
        };
        self.pages.iter().filter_map(waits).collect()
    }

    fn page(&mut self, pid: &Pid) -> &mut Page {
        self.pages.entry(pid.clone()).or_default()
    }

    /// Reads all that waits.
    fn read(&mut self) {
        while let Some(received) = self.context.try_receive() {
            self.enter(received);
        }
    }

    fn enter(&mut self, received: Received) {
        match received {
            Received::Message(message) => {
                let (Some(from), Some(Value::Int(number))) =
                    (message.from, message.payloads.first().cloned())
                else {
                    return self.fail("a message without a sender".into());
                };
                let page = self.page(&from);
                let (last, ended) = (page.last, page.ended);
                page.last = number;
                if number != last + 1 || ended {
                    self.fail(format!("{number} of {from} after {last}, ended: {ended}"));
                }
            }
            Received::Event(event) => {
                let from = event.from;
                let page = self.page(&from);
                match event.kind {
                    EventKind::Exit => {
                        page.ended = true;
                        match page.monitors.checked_sub(1) {
                            Some(left) => page.monitors = left,
                            None => self.fail(format!("an EXIT of {from} for no monitor")),
                        }
                        self.look_for(&from);
                    }
                    EventKind::LinkDown => {
                        let linked = std::mem::take(&mut page.linked);
                        if !linked {
                            self.fail(format!("a LINK_DOWN of {from} without a link"));
                        }
                        self.look_for(&from);
                    }
                    EventKind::Cancel | EventKind::Outdated => {}
                }
            }
        }
    }

    /// Nothing is left of a process whose end was announced.
    fn look_for(&self, pid: &Pid) {
        for name in NAMES {
            if self.context.lookup(name).is_ok_and(|holder| holder == *pid) {
                self.fail(format!("{pid} has ended and is {name}"));
            }
        }
        match self.context.terminate(pid) {
            Err(error) if error.kind() == Kind::NotFound => {}
            other => self.fail(format!("{pid} has ended: {other:?}")),
        }
    }

    async fn spawn(&mut self, rng: &mut Rng) {
        let args = vec![Value::Int(rng.next() as i64)];
        let host = ["crowd:one", "crowd:two"][rng.below(2)];
        let mut request = SpawnRequest::new(id("crowd:victim"), id(host), args);
        let (monitor, link) = (rng.percent(60), rng.percent(40));
        request.watcher = monitor.then(|| Watcher::Process(self.context.clone()));
        request.link = link.then(|| self.context.clone());
        request.name = rng.percent(20).then(|| NAMES[rng.below(NAMES.len())].into());
        match self.context.spawn(request).await {
            Ok(pid) => {
                self.town.spawned.fetch_add(1, SeqCst);
                let page = self.page(&pid);
                page.monitors += usize::from(monitor);
                page.linked |= link;
                let mut victims = self.town.victims.lock().unwrap();
                if victims.len() >= 12 {
                    let at = rng.below(12);
                    victims[at] = pid;
                } else {
                    victims.push(pid);
                }
            }
            Err(error) if error.kind() == Kind::AlreadyExists => {}
            Err(error) => self.fail(format!("a spawn failed: {error}")),
        }
    }

    async fn act(&mut self, rng: &mut Rng) {
        let victim = { rng.pick(&self.town.victims.lock().unwrap()) };
        let Some(victim) = victim.filter(|_| rng.percent(70)) else {
            return self.spawn(rng).await;
        };
        let wrong = |done: &wippy_model::Result<()>| done.is_err();
        match rng.below(12) {
            0..4 => {
                self.page(&victim).monitors += 1;
                if wrong(&self.context.monitor(&victim)) {
                    self.fail("no monitor".into());
                }
            }
            4 | 5 => {
                let undone = self.context.unmonitor(&victim);
                // What waits stays; nothing comes any more.
                self.read();
                self.page(&victim).monitors = 0;
                if wrong(&undone) {
                    self.fail("no unmonitor".into());
                }
            }
            6 | 7 => {
                self.read();
                if !std::mem::replace(&mut self.page(&victim).linked, true)
                    && wrong(&self.context.link(&victim))
                {
                    self.fail("no link".into());
                }
            }
            8 => {
                let undone = self.context.unlink(&victim);
                self.read();
                self.page(&victim).linked = false;
                if wrong(&undone) {
                    self.fail("no unlink".into());
                }
            }
            9 => drop(self.context.terminate(&victim)),
            10 => drop(self.context.cancel(&victim, Some(Duration::ZERO), None)),
            _ => yield_now().await,
        }
    }
}

async fn observe(context: ProcessContext, args: Vec<Value>, town: Arc<Town>) -> Exit {
    let mut rng = Rng::new(scripts::number(&args));
    let trap = Options { trap_links: true, upgradable: false };
    let mut books = Books { context: context.clone(), town, pages: BTreeMap::new() };
    if context.set_options(trap).is_err() {
        books.fail("no options".into());
    }
    for _ in 0..OBSERVER_STEPS {
        books.act(&mut rng).await;
        books.read();
        if rng.percent(30) {
            yield_now().await;
        }
    }
    // Whoever is not ended yet is, by its first observer; what it has sent waits by then.
    let known: Vec<Pid> = books.pages.keys().cloned().collect();
    for pid in &known {
        drop(context.terminate(pid));
    }
    while !books.open().is_empty() {
        let waits = tokio::time::timeout(Duration::from_secs(20), context.receive());
        match waits.await {
            Ok(received) => books.enter(received),
            Err(_) => {
                let open = books.open();
                books.fail(format!("an end is never heard of: {open:?}"));
                break;
            }
        }
    }
    books.town.observed.fetch_add(1, SeqCst);
    // Until all victims are gone: what they have sent is counted then.
    loop {
        let received = context.receive().await;
        if let Received::Event(event) = &received
            && event.kind == EventKind::Cancel
        {
            break;
        }
        books.enter(received);
    }
    books.read();
    let own = context.pid();
    let sent = books.town.sent.lock().unwrap().clone();
    for ((from, _), count) in sent.into_iter().filter(|((_, to), _)| to == own) {
        let last = books.page(&from).last;
        if last != count {
            books.fail(format!("{count} messages of {from} were accepted, {last} arrived"));
        }
    }
    Exit::Normal(Value::Nil)
}

async fn live(context: ProcessContext, args: Vec<Value>, town: Arc<Town>) -> Exit {
    let mut rng = Rng::new(scripts::number(&args));
    let own = context.pid();
    for _ in 0..rng.below(VICTIM_STEPS) {
        let observer = { rng.pick(&town.observers.lock().unwrap()) };
        let other = { rng.pick(&town.victims.lock().unwrap()) };
        match (rng.below(7), observer, other) {
            (0..3, Some(observer), _) => {
                // Nothing can end this between the send and its count: both are in one step.
                let mut sent = town.sent.lock().unwrap();
                let count = sent.entry((own.clone(), observer.clone())).or_default();
                if context.send(&observer, "t", vec![Value::Int(*count + 1)]).is_ok() {
                    *count += 1;
                }
            }
            (3, ..) => {
                let name = NAMES[rng.below(NAMES.len())];
                if context.register(name, None).is_ok()
                    && context.lookup(name).ok().as_ref() != Some(own)
                {
                    town.failures.lock().unwrap().push(format!("{own} is not {name}"));
                }
            }
            (4, _, Some(other)) => drop(context.link(&other)),
            (5, _, Some(other)) => drop(context.unlink(&other)),
            _ => yield_now().await,
        }
    }
    match rng.below(4) {
        0 => {
            town.returned.lock().unwrap().insert(own.clone());
            Exit::Normal(Value::Nil)
        }
        1 => Exit::Failed(Error::internal("victim")),
        2 => std::panic::panic_any("on purpose, of a victim"),
        _ => std::future::pending().await,
    }
}

/// Lets them loose on a node, and looks at what is left. The node's hosts are `crowd:one` and
/// `crowd:two`.
pub(crate) async fn run(kernel: &Kernel, seed: u64) -> usize {
    let town = Arc::new(Town::default());
    let (for_observers, for_victims) = (town.clone(), town.clone());
    scripts::add(kernel, "crowd:observer", move |context, args| {
        Box::pin(observe(context, args, for_observers.clone()))
    });
    scripts::add(kernel, "crowd:victim", move |context, args| {
        Box::pin(live(context, args, for_victims.clone()))
    });
    let mut rng = Rng::new(seed);
    let mut watches = Vec::new();
    for _ in 0..OBSERVERS {
        let args = vec![Value::Int(rng.next() as i64)];
        let host = ["crowd:one", "crowd:two"][rng.below(2)];
        let request = SpawnRequest::new(id("crowd:observer"), id(host), args);
        let (pid, watch) = kernel.spawn_watched(request).await.unwrap();
        town.observers.lock().unwrap().push(pid);
        watches.push(watch);
    }
    for _ in 0..60_000 {
        if town.observed.load(SeqCst) == OBSERVERS && kernel.process_count() == OBSERVERS {
            break;
        }
        // Those of whom no observer has heard.
        if town.observed.load(SeqCst) == OBSERVERS {
            let observers = town.observers.lock().unwrap().clone();
            for info in kernel.processes() {
                if !observers.contains(&info.pid) {
                    drop(kernel.terminate(&info.pid));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let observers = town.observers.lock().unwrap().clone();
    for pid in &observers {
        kernel.cancel(pid, None, None, None).unwrap();
    }
    for watch in watches {
        let exit = watch.await;
        assert!(exit.is_normal(), "an observer ended: {exit}");
    }
    let failures = std::mem::take(&mut *town.failures.lock().unwrap());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for _ in 0..10_000 {
        if kernel.bond_count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let left = (kernel.process_count(), kernel.bond_count(), kernel.waiting_count());
    assert_eq!(left, (0, 0, 0), "processes, bonds and spawns that are left");
    assert!(NAMES.iter().all(|name| kernel.lookup(name).is_err()), "names are left");
    town.spawned.load(SeqCst)
}
