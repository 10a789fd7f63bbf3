//! What must hold in every interleaving of two or three threads.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};

use tokio::runtime::{Builder, Runtime};
use wippy_model::{EntryId, Error, Event, EventKind, Exit, Kind, Limits, MailboxLimits, Message};
use wippy_model::{Pid, Result, Value};

use crate::mailbox::{Lane, Mailbox};
use crate::process::{Ending, ProcessShared};
use crate::sched::{block_on, race};
use crate::{
    HostSpec, Kernel, KernelOptions, Options, Prepare, Process, ProcessContext, Received,
    Scheduler, SpawnRequest, Unit,
};

/// Interleavings of each test.
const SEEDS: u64 = 400;

type Contexts = Arc<StdMutex<Vec<ProcessContext>>>;

/// Processes that wait for ever and whose contexts are at hand.
struct Node {
    runtime: Runtime,
    kernel: Kernel,
    contexts: Contexts,
}

struct Sleeper(Contexts, Limits);

impl Unit for Sleeper {
    fn limits(&self) -> &Limits {
        &self.1
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Sleeper(self.0.clone(), Limits::default())))
    }
}

impl Process for Sleeper {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        self.0.lock().unwrap().push(context);
        Box::pin(std::future::pending())
    }
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

impl Node {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let kernel = Kernel::new(KernelOptions::default());
        let mut host = HostSpec::new(id("race:host"));
        host.scheduler = Scheduler::Shared(runtime.handle().clone());
        kernel.add_host(host);
        let contexts = Contexts::default();
        let unit = contexts.clone();
        kernel.add_unit(
            id("race:sleeper"),
            Box::new(move || Ok(Arc::new(Sleeper(unit.clone(), Limits::default())))),
        );
        Self { runtime, kernel, contexts }
    }

    /// New processes, which run.
    fn processes<const N: usize>(&self) -> [ProcessContext; N] {
        self.runtime.block_on(async {
            for _ in 0..N {
                let request = SpawnRequest::new(id("race:sleeper"), id("race:host"), Vec::new());
                self.kernel.spawn(request).await.unwrap();
            }
            while self.contexts.lock().unwrap().len() < N {
                tokio::task::yield_now().await;
            }
        });
        let mut contexts = std::mem::take(&mut *self.contexts.lock().unwrap());
        contexts.sort_by_key(|context| context.pid().serial());
        contexts.try_into().map_err(|_| "as many as were spawned").unwrap()
    }

    /// Ends all of them; nothing of them is left.
    fn clear(&self) {
        self.runtime.block_on(async {
            for info in self.kernel.processes() {
                drop(self.kernel.terminate(&info.pid));
            }
            while self.kernel.process_count() > 0 {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(self.kernel.bond_count(), 0, "bonds are left");
    }
}

/// Runs each interleaving on new processes; one that fails is named.
fn interleave<const N: usize>(check: impl Fn(u64, &Node, [ProcessContext; N])) {
    let node = Node::new();
    for seed in 0..SEEDS {
        let processes = node.processes();
        let checked = std::panic::AssertUnwindSafe(|| {
            check(seed, &node, processes);
            node.clear();
        });
        if let Err(panic) = std::panic::catch_unwind(checked) {
            let text = format!("interleaving {seed} failed\n");
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
            std::panic::resume_unwind(panic);
        }
    }
}

fn trap(context: &ProcessContext) {
    context.set_options(Options { trap_links: true, upgradable: false }).unwrap();
}

fn bad() -> Exit {
    Exit::Failed(Error::internal("bad"))
}

fn linked(one: &ProcessContext, other: &ProcessContext) -> bool {
    match &*one.shared().ending.lock() {
        Ending::Alive(bonds) => bonds.is_linked(other.pid()),
        Ending::Ended(_) => false,
    }
}

fn events(context: &ProcessContext) -> Vec<(EventKind, Pid)> {
    let mut all = Vec::new();
    while let Some(received) = context.try_receive() {
        if let Received::Event(event) = received {
            all.push((event.kind, event.from));
        }
    }
    all
}

fn message(number: i64) -> Message {
    let payloads = vec![Value::Int(number)];
    Message { from: None, topic: "t".into(), payloads, context: Default::default() }
}

fn event(kind: EventKind, from: &Pid) -> Event {
    Event {
        kind,
        from: from.clone(),
        at: std::time::SystemTime::UNIX_EPOCH,
        exit: None,
        deadline: None,
        reason: None,
    }
}

#[test]
fn whoever_waits_is_woken_and_gets_all_in_order() {
    for seed in 0..SEEDS {
        let mailbox = Mailbox::new(MailboxLimits::default());
        let received = StdMutex::new(Vec::new());
        let sender = |first: i64| {
            let mailbox = &mailbox;
            Box::new(move || {
                for number in first..first + 3 {
                    mailbox.push_message(message(number)).unwrap();
                }
            })
        };
        let receiver = || {
            for _ in 0..6 {
                let one = block_on(|poller| mailbox.poll_numbered(Lane::Both, poller));
                let Received::Message(message) = one.received else { panic!("an event") };
                received.lock().unwrap().extend(message.payloads);
            }
        };
        race(seed, vec![sender(10), sender(20), Box::new(receiver)]);
        let received = received.into_inner().unwrap();
        for first in [10, 20] {
            let of_one: Vec<i64> = received
                .iter()
                .filter_map(|value| match value {
                    Value::Int(number) => Some(*number),
                    _ => None,
                })
                .filter(|number| (first..first + 3).contains(number))
                .collect();
            assert_eq!(of_one, [first, first + 1, first + 2], "interleaving {seed}");
        }
    }
}

#[test]
fn two_that_wait_at_one_mailbox_are_both_woken() {
    let pid = Pid::parse("{n@a:b|1.2}").unwrap();
    for seed in 0..SEEDS {
        let mailbox = Mailbox::new(MailboxLimits::default());
        let waits = |lane: Lane| {
            let mailbox = &mailbox;
            Box::new(move || drop(block_on(|poller| mailbox.poll_numbered(lane, poller))))
        };
        let sender = || {
            mailbox.push_message(message(1)).unwrap();
            mailbox.push_event(event(EventKind::Cancel, &pid), 0);
        };
        race(seed, vec![waits(Lane::Messages), waits(Lane::Events), Box::new(sender)]);
        assert!(mailbox.try_numbered(Lane::Both).is_none(), "interleaving {seed}");
    }
}

#[test]
fn a_closed_mailbox_takes_nothing_and_gives_each_promise_back_once() {
    for seed in 0..SEEDS {
        let mailbox = Mailbox::new(MailboxLimits::default());
        let balance = AtomicUsize::new(0);
        let promises = || {
            for _ in 0..3 {
                if mailbox.reserve_event().is_ok() {
                    balance.fetch_add(1, SeqCst);
                }
            }
            balance.fetch_sub(mailbox.release_events(2), SeqCst);
        };
        let close = || {
            if let Some(left) = mailbox.close() {
                // What is promised is counted right after it is promised, so it may lag behind.
                balance.fetch_add(1000, SeqCst);
                balance.fetch_sub(left, SeqCst);
            }
            assert!(mailbox.push_message(message(1)).is_err());
            assert!(mailbox.close().is_none());
        };
        race(seed, vec![Box::new(promises), Box::new(close)]);
        assert_eq!(balance.load(SeqCst), 1000, "interleaving {seed}");
        assert!(mailbox.try_numbered(Lane::Both).is_none());
    }
}

#[test]
fn a_link_is_on_both_sides_or_on_none() {
    interleave(|seed, node, [one, other]| {
        let link = || one.link(other.pid()).unwrap();
        let back = || other.link(one.pid()).unwrap();
        let unlink = || other.unlink(one.pid()).unwrap();
        race(seed, vec![Box::new(link), Box::new(unlink), Box::new(back)]);
        assert_eq!(linked(&one, &other), linked(&other, &one));
        let bonds = if linked(&one, &other) { 2 } else { 0 };
        assert_eq!(node.kernel.bond_count(), bonds);
    });
}

#[test]
fn a_link_to_one_that_ends_breaks_once() {
    interleave(|seed, node, [one, other]| {
        trap(&one);
        node.kernel.register("raced", other.pid()).unwrap();
        let link = || {
            one.link(other.pid()).unwrap();
            block_on(|poller| one.poll_event(poller));
            assert!(node.kernel.lookup("raced").is_err());
            assert_eq!(other.shared().host.alive(), 1);
        };
        race(seed, vec![Box::new(link), Box::new(|| other.shared().end(bad()))]);
        assert!(events(&one).is_empty());
        assert!(!linked(&one, &other));
    });
}

#[test]
fn nothing_is_heard_of_what_was_taken_back() {
    interleave(|seed, _, [one, other]| {
        trap(&one);
        one.link(other.pid()).unwrap();
        for _ in 0..2 {
            one.monitor(other.pid()).unwrap();
        }
        let take_back = || {
            one.unlink(other.pid()).unwrap();
            one.unmonitor(other.pid()).unwrap();
            events(&one);
        };
        race(seed, vec![Box::new(take_back), Box::new(|| other.shared().end(bad()))]);
        assert_eq!(events(&one), []);
    });
}

#[test]
fn each_monitor_is_one_exit_and_by_then_nothing_is_left() {
    interleave(|seed, node, [one, other, third]| {
        node.kernel.register("raced", other.pid()).unwrap();
        let watch = |watcher: &ProcessContext| {
            for _ in 0..2 {
                watcher.monitor(other.pid()).unwrap();
            }
            trap(watcher);
            watcher.link(other.pid()).unwrap();
            for _ in 0..3 {
                block_on(|poller| watcher.poll_event(poller));
                assert_eq!(node.kernel.lookup("raced").unwrap_err().kind(), Kind::NotFound);
                assert_eq!(node.kernel.terminate(other.pid()).unwrap_err().kind(), Kind::NotFound);
                assert_eq!(other.shared().host.alive(), 2);
            }
        };
        race(
            seed,
            vec![
                Box::new(|| watch(&one)),
                Box::new(|| watch(&third)),
                Box::new(|| other.shared().end(bad())),
            ],
        );
        assert!(events(&one).is_empty() && events(&third).is_empty());
    });
}

#[test]
fn two_that_end_at_once_leave_no_bond() {
    interleave(|seed, node, [one, other]| {
        one.link(other.pid()).unwrap();
        one.monitor(other.pid()).unwrap();
        other.monitor(one.pid()).unwrap();
        let ends = [&one, &other]
            .map(|process| Box::new(|| process.shared().end(bad())) as Box<dyn FnOnce() + Send>);
        race(seed, ends.into_iter().collect());
        assert_eq!(node.kernel.bond_count(), 0);
        assert_eq!(node.kernel.process_count(), 0);
    });
}

#[test]
fn a_name_belongs_to_one_and_is_free_when_it_has_ended() {
    interleave(|seed, node, [one, other]| {
        let won = AtomicUsize::new(0);
        let register = |process: &ProcessContext| {
            if process.register("raced", None).is_ok() {
                won.fetch_add(1, SeqCst);
            }
        };
        race(
            seed,
            vec![
                Box::new(|| register(&one)),
                Box::new(|| register(&other)),
                Box::new(|| one.shared().end(bad())),
            ],
        );
        let holder = node.kernel.lookup("raced").ok();
        assert!(won.load(SeqCst) >= usize::from(holder.is_some()));
        assert_ne!(holder.as_ref(), Some(one.pid()), "it has ended");
        other.shared().end(bad());
        assert!(node.kernel.lookup("raced").is_err());
    });
}

#[test]
fn a_name_that_is_given_and_taken_is_on_the_list_while_it_is_in_the_map() {
    interleave(|seed, node, [one]| {
        let register = || drop(node.kernel.register("raced", one.pid()));
        let unregister = || drop(one.unregister("raced"));
        race(seed, vec![Box::new(register), Box::new(unregister), Box::new(register)]);
        let listed = one.shared().names.lock().list().len();
        assert_eq!(listed, usize::from(node.kernel.lookup("raced").is_ok()));
    });
}

#[test]
fn whoever_waits_for_an_empty_table_is_woken() {
    interleave(|seed, node, [one, other]| {
        let table = one.shared().host.table.clone();
        let wait = || {
            let mut empty = pin!(table.empty());
            block_on(|poller| empty.as_mut().poll(poller));
            assert_eq!(node.kernel.process_count(), 0);
        };
        race(
            seed,
            vec![
                Box::new(wait),
                Box::new(|| one.shared().end(bad())),
                Box::new(|| other.shared().end(bad())),
            ],
        );
    });
}

#[test]
fn a_reply_that_was_accepted_is_received() {
    interleave(|seed, _, [caller, target]| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (accepted, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = || {
            // Timers of a call need a runtime around it.
            let _inside = runtime.enter();
            let mut call = pin!(caller.request(target.pid().into(), "t", Vec::new(), None));
            let result = block_on(|poller| call.as_mut().poll(poller));
            answered.fetch_add(usize::from(result.is_ok()), SeqCst);
        };
        let reply = || {
            let message = block_on(|poller| target.poll_message(poller));
            for _ in 0..2 {
                let sent = target.send(message.from.as_ref().unwrap(), "t", vec![Value::Int(1)]);
                accepted.fetch_add(usize::from(sent.is_ok()), SeqCst);
            }
            target.shared().end(bad());
        };
        race(seed, vec![Box::new(call), Box::new(reply)]);
        assert_eq!((accepted.load(SeqCst), answered.load(SeqCst)), (1, 1));
    });
}

fn watchers(context: &ProcessContext) -> usize {
    match &*context.shared().ending.lock() {
        Ending::Alive(bonds) => bonds.all_watchers(),
        Ending::Ended(_) => 0,
    }
}

#[test]
fn whoever_ends_leaves_no_watcher_with_those_it_monitored() {
    interleave(|seed, node, [watcher, target, other]: [ProcessContext; 3]| {
        watcher.monitor(other.pid()).unwrap();
        race(
            seed,
            vec![
                Box::new(|| drop(watcher.monitor(target.pid()))),
                Box::new(|| watcher.shared().end(bad())),
            ],
        );
        assert_eq!((watchers(&target), watchers(&other)), (0, 0));
        assert!(node.kernel.process_info(watcher.pid()).is_none());
    });
}

#[test]
fn a_request_that_is_given_up_leaves_no_watcher() {
    let node = Node::new();
    let [caller, target] = node.processes();
    {
        let mut asking = pin!(caller.request(target.pid().into(), "t", Vec::new(), None));
        let mut poller = std::task::Context::from_waker(std::task::Waker::noop());
        let _guard = node.runtime.enter();
        assert!(asking.as_mut().poll(&mut poller).is_pending());
        assert_eq!(watchers(&target), 1);
    }
    assert_eq!(watchers(&target), 0);
    node.clear();
}

#[test]
fn of_outdated_an_upgrade_leaves_what_is_true() {
    use crate::process::Code;
    interleave(|seed, node, [context]: [ProcessContext; 1]| {
        context.set_options(Options { trap_links: false, upgradable: true }).unwrap();
        let shared = context.shared();
        let old = shared.entry();
        let code = |entry: &EntryId| Code { entry: entry.clone(), version: 2, hears_events: true };
        let new = id("race:other");
        // As one version of the old entry comes, and one of the new one: neither is in the
        // kernel, so that what is told here is all that is told.
        race(
            seed,
            vec![
                Box::new(|| {
                    let _ = shared.tell_version(&old, u64::MAX);
                }),
                Box::new(|| shared.become_code(code(&new), &Limits::default())),
            ],
        );
        assert_eq!(events(&context), [], "of the code before");
        assert_eq!(shared.tell_version(&new, 3), Some(true));
        assert_eq!(events(&context).len(), 1);
        shared.become_code(code(&old), &Limits::default());
        let _ = node;
    });
}
