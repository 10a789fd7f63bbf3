//! Links: both ways, once, and what a bad end does to those who are linked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::{HostSpec, Kernel, Options, ProcessContext, Received, Scheduler, SpawnRequest};
use wippy_model::{Error, EventKind, Exit, Kind, Limits, Message, Pid, Value};

use crate::script::{HOST, add, forever, id, message, node, node_with, request, spawn};

/// A process that does what messages say: `fail`, `return`, `link` (a PID), `trap`, `untrap`.
pub(crate) fn add_puppet(kernel: &Kernel, name: &str) {
    add(kernel, name, Limits::default(), |context, _| async move {
        loop {
            let message = context.receive_message().await;
            if let Some(exit) = obey(&context, &message) {
                return exit;
            }
        }
    });
}

fn obey(context: &ProcessContext, message: &Message) -> Option<Exit> {
    let target = match message.payloads.first() {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    match &*message.topic {
        "fail" => return Some(Exit::Failed(Error::invalid(target))),
        "return" => return Some(Exit::Normal(Value::Nil)),
        "link" => context.link(target.as_str()).unwrap(),
        "unlink" => context.unlink(target.as_str()).unwrap(),
        "monitor" => context.monitor(target.as_str()).unwrap(),
        "trap" => context.set_options(options(true)).unwrap(),
        "untrap" => context.set_options(options(false)).unwrap(),
        other => panic!("{other}"),
    }
    None
}

pub(crate) fn options(trap_links: bool) -> Options {
    Options { trap_links, upgradable: false }
}

pub(crate) async fn tell(kernel: &Kernel, pid: &Pid, topic: &str, text: impl ToString) {
    kernel.send(pid, message(topic, text.to_string().as_str())).unwrap();
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_end_takes_the_other_along_and_a_good_one_does_not() {
    let kernel = node();
    add_puppet(&kernel, "test:puppet");
    for order in [false, true] {
        let (one, first) = spawn(&kernel, "test:puppet").await;
        let (other, second) = spawn(&kernel, "test:puppet").await;
        tell(&kernel, &one, "link", &other).await;
        let (ends, end, told) = if order { (&one, first, second) } else { (&other, second, first) };
        tell(&kernel, ends, "fail", "why").await;
        assert_eq!(*end.await, Exit::Failed(Error::invalid("why")));
        assert_eq!(*told.await, Exit::Linked(ends.clone(), Error::invalid("why")));
    }
    let (one, _first) = spawn(&kernel, "test:puppet").await;
    let (other, second) = spawn(&kernel, "test:puppet").await;
    tell(&kernel, &one, "link", &other).await;
    tell(&kernel, &other, "return", "").await;
    assert!(second.await.is_normal());
    assert_eq!((kernel.process_count(), kernel.bond_count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_link_twice_is_one_and_one_unlink_takes_it_back_on_both_sides() {
    let kernel = node();
    add_puppet(&kernel, "test:puppet");
    let (one, _first) = spawn(&kernel, "test:puppet").await;
    let (other, _second) = spawn(&kernel, "test:puppet").await;
    tell(&kernel, &one, "link", &one).await;
    assert_eq!(kernel.bond_count(), 0);
    tell(&kernel, &one, "link", &other).await;
    tell(&kernel, &one, "link", &other).await;
    tell(&kernel, &other, "link", &one).await;
    assert_eq!(kernel.bond_count(), 2);
    tell(&kernel, &other, "unlink", &one).await;
    assert_eq!(kernel.bond_count(), 0);
    tell(&kernel, &other, "fail", "why").await;
    assert_eq!(kernel.process_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_traps_hears_once_for_each_link_and_options_count_from_then_on() {
    let kernel = node();
    add_puppet(&kernel, "test:puppet");
    add(&kernel, "test:trapper", Limits::default(), |context, _| async move {
        context.set_options(options(true)).unwrap();
        let mut dead = Vec::new();
        for text in ["first", "second"] {
            let pid = context.spawn(request("test:puppet")).await.unwrap();
            context.link(&pid).unwrap();
            context.link(&pid).unwrap();
            context.send(&pid, "fail", vec![Value::from(text)]).unwrap();
            let event = context.receive_event().await;
            assert_eq!((event.kind, &event.from), (EventKind::LinkDown, &pid));
            assert_eq!(event.exit.as_deref(), Some(&Exit::Failed(Error::invalid(text))));
            assert!(context.try_receive().is_none());
            dead.push(pid);
        }
        // To one that is gone: at once, each time.
        for _ in 0..2 {
            context.link(&dead[0]).unwrap();
            let Some(Received::Event(event)) = context.try_receive() else { panic!("nothing") };
            assert_eq!((event.kind, &event.from), (EventKind::LinkDown, &dead[0]));
            assert_eq!(event.exit.as_deref(), Some(&Exit::NoProcess));
        }
        context.set_options(options(false)).unwrap();
        context.link(&dead[1]).unwrap();
        forever().await
    });
    let (_, watch) = spawn(&kernel, "test:trapper").await;
    let exit = watch.await;
    let Exit::Linked(_, error) = &*exit else { panic!("{exit}") };
    assert_eq!(error.message(), "there is no such process (any more)");
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_chain_hands_on_the_first_cause() {
    let kernel = node_with(|host| {
        host.processes_max = 200_000;
        host.queue_size = 200_000;
    });
    const LENGTH: usize = 20_000;
    add_puppet(&kernel, "test:puppet");
    let mut before: Option<Pid> = None;
    let mut last = None;
    let mut first = None;
    for _ in 0..LENGTH {
        let (pid, watch) = spawn(&kernel, "test:puppet").await;
        if let Some(before) = before {
            kernel.send(&pid, message("link", before.to_string().as_str())).unwrap();
        }
        first.get_or_insert(pid.clone());
        before = Some(pid);
        last = Some(watch);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(kernel.bond_count(), 2 * (LENGTH - 1));
    let first = first.unwrap();
    kernel.terminate(&first).unwrap();
    let exit = last.unwrap().await;
    assert_eq!(*exit, Exit::Linked(first, Exit::Terminated.error().unwrap()));
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_spawn_links_before_anything_runs_or_ends() {
    let kernel = node();
    add(&kernel, "test:fails", Limits::default(), |_, _| async {
        Exit::Failed(Error::internal("at once"))
    });
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let mut child = request("test:fails");
        child.link = Some(context.clone());
        context.spawn(child).await.unwrap();
        forever().await
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    assert!(matches!(&*watch.await, Exit::Linked(_, error) if error.message() == "at once"));
    // A parent that has ended takes its child along.
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    add(&kernel, "test:brief", Limits::default(), move |context, _| {
        *keep.lock().unwrap() = Some(context);
        async { Exit::Normal(Value::Nil) }
    });
    let (_, watch) = spawn(&kernel, "test:brief").await;
    watch.await;
    let mut child = request("test:fails");
    child.link = kept.lock().unwrap().clone();
    let error = kernel.spawn(child).await.unwrap_err();
    assert_eq!((error.kind(), kernel.process_count()), (Kind::NotFound, 0));
}

#[tokio::test(start_paused = true)]
async fn links_reach_across_hosts_and_by_name_and_reply_address() {
    let kernel = node();
    let mut host = HostSpec::new(id("test:second"));
    host.scheduler = Scheduler::Shared(tokio::runtime::Handle::current());
    kernel.add_host(host);
    add_puppet(&kernel, "test:puppet");
    let (one, first) = spawn(&kernel, "test:puppet").await;
    let elsewhere = SpawnRequest::new(id("test:puppet"), id("test:second"), Vec::new());
    let (other, second) = kernel.spawn_watched(elsewhere).await.unwrap();
    kernel.register("there", &other).unwrap();
    tell(&kernel, &one, "link", "there").await;
    tell(&kernel, &one, "link", other.for_call(7)).await;
    assert_eq!(kernel.bond_count(), 2);
    tell(&kernel, &one, "fail", "why").await;
    assert_eq!(*second.await, Exit::Linked(one, Error::invalid("why")));
    assert!(first.await.error().is_some());
    assert_eq!(other.host(), &id("test:second"));
    assert_ne!(other.host().as_str(), HOST);
}

#[tokio::test(start_paused = true)]
async fn terminate_wins_over_a_link_and_a_link_over_the_own_end() {
    let kernel = node();
    add(&kernel, "test:brief", Limits::default(), |_, _| async { Exit::Normal(Value::Nil) });
    add(&kernel, "test:linked", Limits::default(), |context, args| async move {
        let dead = context.spawn(request("test:brief")).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        // All in one step: the link ends it, and so does its own code, and perhaps it itself.
        context.link(&dead).unwrap();
        if !args.is_empty() {
            context.terminate(context.pid()).unwrap();
        }
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:linked").await;
    assert!(matches!(&*watch.await, Exit::Linked(..)));
    let mut terminated = request("test:linked");
    terminated.args = vec![Value::Bool(true)];
    let (_, watch) = kernel.spawn_watched(terminated).await.unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}
