//! Upgrade: what stays, what goes, and every way in which one can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wippy_kernel::{
    Kernel, Lane, Numbered, Options, Prepare, Process, ProcessContext, Received, Unit, Watcher,
};
use wippy_model::{Error, EventKind, Exit, Kind, Limit, Limits, MailboxLimits, Result, Value};

use crate::script::{add, forever, id, message, node, request, spawn};

async fn upgrade(context: &ProcessContext, entry: &str, unread: Vec<Numbered>) -> Exit {
    match context.upgrade(Some(id(entry)), vec![Value::Int(7)], || unread).await {
        Err(error) => Exit::Failed(error),
        Ok(never) => match never {},
    }
}

/// Receives all that waits, as texts.
fn waiting(context: &ProcessContext) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(received) = context.try_receive() {
        all.push(match received {
            Received::Message(message) => message.topic.to_string(),
            Received::Event(event) => event.kind.type_name().to_owned(),
        });
    }
    all
}

#[tokio::test(start_paused = true)]
async fn everything_but_the_instance_stays() {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let kernel = node();
    let dropped = Arc::new(AtomicUsize::new(0));
    add(&kernel, "test:other", Limits::default(), |_, _| forever());
    let seen = dropped.clone();
    add(&kernel, "test:old", Limits::default(), move |context, _| {
        let held = Held(seen.clone());
        async move {
            let _held = held;
            context.set_options(Options { trap_links: true, upgradable: true }).unwrap();
            context.register("me", None).unwrap();
            let other = context.spawn(request("test:other")).await.unwrap();
            context.register("other", Some((&other).into())).unwrap();
            context.link("other").unwrap();
            context.monitor("other").unwrap();
            let gone = context.spawn(request("test:other")).await.unwrap();
            context.monitor(&gone).unwrap();
            context.terminate(&gone).unwrap();
            sleep(Duration::from_millis(1)).await;
            for topic in ["a", "b", "c", "d"] {
                context.send("me", topic, Vec::new()).unwrap();
            }
            // The EXIT and two messages are taken and not looked at.
            let unread =
                (0..3).map(|_| context.try_receive_numbered(Lane::Both).unwrap()).collect();
            upgrade(&context, "test:new", unread).await
        }
    });
    let seen = dropped.clone();
    add(&kernel, "test:new", Limits::default(), move |context, args| {
        let dropped = seen.clone();
        async move {
            assert_eq!((args, dropped.load(SeqCst)), (vec![Value::Int(7)], 1));
            assert_eq!(context.entry().as_str(), "test:new");
            assert_eq!(waiting(&context), ["EXIT", "a", "b", "c", "d"]);
            assert!(context.options().trap_links && context.options().upgradable);
            assert_eq!(context.lookup("me").unwrap(), *context.pid());
            assert_eq!(context.kernel().unwrap().bond_count(), 3);
            context.terminate("other").unwrap();
            let mut kinds = Vec::new();
            for _ in 0..2 {
                kinds.push(context.receive_event().await.kind);
            }
            assert!(kinds.contains(&EventKind::Exit) && kinds.contains(&EventKind::LinkDown));
            Exit::Normal(Value::Int(1))
        }
    });
    let (_, watch) = spawn(&kernel, "test:old").await;
    let exit = watch.await;
    assert_eq!(*exit, Exit::Normal(Value::Int(1)), "{exit}");
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_merges_is_put_back_once() {
    let kernel = node();
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        let (pid, kernel) = (context.pid().clone(), context.kernel().unwrap());
        kernel.cancel(&pid, None, Some(Duration::from_secs(5)), Some("first")).unwrap();
        kernel.send(&pid, message("a", 1)).unwrap();
        let unread = (0..2).map(|_| context.try_receive_numbered(Lane::Both).unwrap()).collect();
        kernel.cancel(&pid, None, Some(Duration::from_secs(9)), Some("second")).unwrap();
        drop(kernel);
        upgrade(&context, "test:new", unread).await
    });
    add(&kernel, "test:new", Limits::default(), |context, _| async move {
        assert_eq!(waiting(&context), ["a", "CANCEL"]);
        forever().await
    });
    let start = Instant::now();
    let (_, watch) = spawn(&kernel, "test:old").await;
    assert_eq!(*watch.await, Exit::Canceled(Some("second".into())));
    assert_eq!(start.elapsed().as_secs(), 5);
}

/// What waited meanwhile keeps its place among what is put back.
#[tokio::test(start_paused = true)]
async fn what_is_put_back_comes_in_order_of_arrival() {
    let kernel = node();
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        let (pid, kernel) = (context.pid().clone(), context.kernel().unwrap());
        kernel.send(&pid, message("a", 1)).unwrap();
        kernel.cancel(&pid, None, Some(Duration::from_secs(5)), None).unwrap();
        kernel.send(&pid, message("b", 1)).unwrap();
        kernel.send(&pid, message("c", 1)).unwrap();
        let taken = |_| context.try_receive_numbered(Lane::Messages).unwrap();
        let mut unread: Vec<_> = (0..2).map(taken).collect();
        assert!(unread[0].sequence < unread[1].sequence);
        assert_eq!(context.oldest_sequence(Lane::Events), Some(unread[0].sequence + 1));
        assert_eq!(context.oldest_sequence(Lane::Messages), Some(unread[1].sequence + 1));
        assert_eq!(context.oldest_sequence(Lane::Both), Some(unread[0].sequence + 1));
        unread.reverse();
        drop(kernel);
        upgrade(&context, "test:new", unread).await
    });
    add(&kernel, "test:new", Limits::default(), |context, _| async move {
        assert_eq!(waiting(&context), ["a", "CANCEL", "b", "c"]);
        Exit::Normal(Value::Int(1))
    });
    let (_, watch) = spawn(&kernel, "test:old").await;
    assert_eq!(*watch.await, Exit::Normal(Value::Int(1)));
}

/// A unit whose preparing does something.
struct Special(Limits, fn() -> Result<()>, Duration);

impl Unit for Special {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        (self.1)()?;
        Err(Error::invalid("never fits"))
    }
    fn is_ready(&self, _: &wippy_kernel::HostSpec) -> bool {
        self.2.is_zero()
    }
    fn make_ready(&self, _: &wippy_kernel::HostSpec) -> Result<()> {
        std::thread::sleep(self.2);
        Ok(())
    }
}

fn add_special(kernel: &Kernel, name: &str, prepare: fn() -> Result<()>, ready: Duration) {
    let unit = move || Ok(Arc::new(Special(Limits::default(), prepare, ready)) as Arc<dyn Unit>);
    kernel.add_unit(id(name), Box::new(unit));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_the_exit() {
    let kernel = node();
    add(&kernel, "test:old", Limits::default(), |context, args| async move {
        let Some(Value::String(entry)) = args.first() else { panic!("no entry") };
        context.register("me", None).unwrap();
        upgrade(&context, entry, Vec::new()).await
    });
    kernel.add_unit(id("test:broken"), Box::new(|| Err(Error::invalid("it is broken"))));
    kernel.add_unit(id("test:away"), Box::new(|| Err(Error::unavailable("it is away"))));
    add_special(&kernel, "test:unfit", || Ok(()), Duration::ZERO);
    add_special(&kernel, "test:panics", || panic!("in prepare"), Duration::ZERO);
    add(&kernel, "test:trap", Limits::default(), |_, _| async {
        Exit::Trap(Error::internal("trapped"))
    });
    for (entry, name, text) in [
        ("test:absent", "configuration", "cannot upgrade test:absent: there is no process entry"),
        ("test:broken", "configuration", "cannot upgrade test:broken: it is broken"),
        ("test:away", "failed", "cannot upgrade test:away: it is away"),
        ("test:unfit", "configuration", "cannot upgrade test:unfit: never fits"),
        ("test:panics", "host panic", "the runtime failed in this process: in prepare"),
        ("test:trap", "trap", "trapped"),
    ] {
        let mut old = request("test:old");
        old.args = vec![Value::from(entry)];
        let (_, watch) = kernel.spawn_watched(old).await.unwrap();
        let exit = watch.await;
        assert_eq!(exit.name(), name, "{exit}");
        let error = exit.error().unwrap();
        assert!(error.message().starts_with(text), "{error}");
        assert!(kernel.lookup("me").is_err());
        assert_eq!(kernel.process_count(), 0);
    }
}

#[tokio::test]
async fn an_end_in_the_middle_of_an_upgrade_is_an_end() {
    let kernel = node();
    add_special(&kernel, "test:slow", || Ok(()), Duration::from_millis(300));
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        upgrade(&context, "test:slow", Vec::new()).await
    });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:fails", Limits::default(), |context, args| async move {
        let Some(Value::String(other)) = args.first() else { panic!("no PID") };
        context.link(other.as_str()).unwrap();
        Exit::Failed(Error::internal("linked"))
    });
    for how in ["terminate", "cancel", "link"] {
        let (pid, watch) = spawn(&kernel, "test:old").await;
        sleep(Duration::from_millis(30)).await;
        let start = std::time::Instant::now();
        kernel.send(&pid, message("waits", 1)).unwrap();
        match how {
            "terminate" => kernel.terminate(&pid).unwrap(),
            "cancel" => kernel.cancel(&pid, None, Some(Duration::ZERO), Some("why")).unwrap(),
            _ => {
                let mut fails = request("test:fails");
                fails.args = vec![Value::from(pid.to_string().as_str())];
                kernel.spawn(fails).await.unwrap();
            }
        }
        let exit = watch.await;
        assert!(start.elapsed() < Duration::from_millis(250), "{how}: {:?}", start.elapsed());
        let wanted = match how {
            "terminate" => matches!(&*exit, Exit::Terminated),
            "cancel" => matches!(&*exit, Exit::Canceled(Some(why)) if &**why == "why"),
            _ => matches!(&*exit, Exit::Linked(_, error) if error.message() == "linked"),
        };
        assert!(wanted, "{how}: {exit}");
        assert_eq!(kernel.process_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_are_those_of_the_new_entry_but_its_time_counts_from_the_spawn() {
    let kernel = node();
    let capacity = |capacity| MailboxLimits { capacity, ..MailboxLimits::default() };
    let old = Limits {
        mailbox: capacity(5),
        execution_max: Some(Duration::from_secs(10)),
        ..Limits::default()
    };
    add(&kernel, "test:old", old, |context, _| async move {
        for _ in 0..5 {
            context.send(context.pid(), "old", Vec::new()).unwrap();
        }
        sleep(Duration::from_secs(6)).await;
        upgrade(&context, "test:new", Vec::new()).await
    });
    let new = Limits { mailbox: capacity(2), host_buffer_bytes: 1000, ..Limits::default() };
    add(&kernel, "test:new", new, |context, _| async move {
        // What waits stays, and no more comes until there is room.
        for left in (0..5).rev() {
            let sent = context.send(context.pid(), "new", Vec::new());
            assert_eq!(sent.is_ok(), left < 1, "{left} wait");
            context.receive_message().await;
        }
        // And again, to itself: an upgrade of an upgrade.
        match context.upgrade(Some(id("test:last")), Vec::new(), Vec::new).await {
            Err(error) => Exit::Failed(error),
            Ok(never) => match never {},
        }
    });
    let last = Limits { host_buffer_bytes: 100, ..Limits::default() };
    add(&kernel, "test:last", last, |context, _| async move {
        assert_eq!(&*context.receive_message().await.topic, "new");
        assert!(context.try_receive().is_none());
        Exit::Normal("x".repeat(500).as_str().into())
    });
    let (_, watch) = spawn(&kernel, "test:old").await;
    let exit = watch.await;
    let Exit::Limit(Limit::HostBuffer, error) = &*exit else { panic!("{exit}") };
    assert!(error.message().ends_with("it may have 100 (limits.host_buffer_bytes)"), "{error}");
    add(&kernel, "test:sleeps", Limits::default(), |_, _| forever());
    let old = Limits { execution_max: Some(Duration::from_secs(10)), ..Limits::default() };
    add(&kernel, "test:waits", old, |context, _| async move {
        sleep(Duration::from_secs(6)).await;
        upgrade(&context, "test:sleeps", Vec::new()).await
    });
    let (sleeps, _watch) = spawn(&kernel, "test:waits").await;
    sleep(Duration::from_secs(1000)).await;
    // The limit that it was spawned with went with the code that had it.
    assert!(kernel.process_info(&sleeps).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_that_of_the_new_entry_from_the_first_step() {
    let kernel = node();
    let limit = |seconds: Option<u64>| Limits {
        execution_max: seconds.map(Duration::from_secs),
        ..Limits::default()
    };
    for (old, new, seconds) in [(None, 10, 10), (Some(20), 10, 10), (Some(8), 10, 10), (None, 3, 6)]
    {
        add(&kernel, "test:new", limit(Some(new)), |_, _| forever());
        add(&kernel, "test:old", limit(old), |context, _| async move {
            sleep(Duration::from_secs(6)).await;
            upgrade(&context, "test:new", Vec::new()).await
        });
        let start = Instant::now();
        let (_, watch) = spawn(&kernel, "test:old").await;
        let exit = watch.await;
        let Exit::Limit(Limit::Execution, error) = &*exit else { panic!("{exit}") };
        let text = format!("test:new did not end within {new}000 ms (limits.max_execution_ms)");
        assert_eq!((error.message(), start.elapsed().as_secs()), (text.as_str(), seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_told_of_the_code_before_goes() {
    let kernel = node();
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        context.set_options(Options { trap_links: false, upgradable: true }).unwrap();
        context.receive_message().await;
        upgrade(&context, "test:new", Vec::new()).await
    });
    add(&kernel, "test:new", Limits::default(), |context, _| async move {
        Exit::Normal(waiting(&context).join(" ").as_str().into())
    });
    let (pid, watch) = spawn(&kernel, "test:old").await;
    sleep(Duration::from_millis(1)).await;
    let same = kernel.unit(&id("test:old")).await.unwrap();
    let replaced = kernel.replace_unit(id("test:old"), Box::new(move || Ok(same.clone()))).await;
    assert_eq!(replaced.unwrap().told, 1);
    kernel.send(&pid, message("go", 1)).unwrap();
    kernel.send(&pid, message("stays", 1)).unwrap();
    assert_eq!(*watch.await, Exit::Normal("stays".into()));
}

#[tokio::test(start_paused = true)]
async fn calls_and_executed_processes_go() {
    let kernel = node();
    add(&kernel, "test:server", Limits::default(), |context, _| async move {
        let asked = context.receive_message().await;
        sleep(Duration::from_secs(1)).await;
        let error = context.send(&asked.from.unwrap(), "reply", Vec::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        let server = context.lookup("server").unwrap();
        tokio::select! {
            biased;
            _ = context.request((&server).into(), "ask", Vec::new(), None) => panic!("a reply"),
            _ = context.exec(request("test:forever")) => panic!("an end"),
            exit = async {
                tokio::task::yield_now().await;
                upgrade(&context, "test:forever", Vec::new()).await
            } => exit,
        }
    });
    let (server, served) = spawn(&kernel, "test:server").await;
    kernel.register("server", &server).unwrap();
    let (_pid, _watch) = spawn(&kernel, "test:old").await;
    sleep(Duration::from_millis(10)).await;
    // The server and the upgraded one; the executed one is gone.
    assert_eq!(kernel.process_count(), 2);
    let exit = served.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_upgradable_hears_of_newer_versions_once_while_it_waits() {
    let kernel = node();
    let heard = |context: ProcessContext, _| async move {
        context.set_options(Options { trap_links: false, upgradable: true }).unwrap();
        context.receive_message().await;
        Exit::Normal(waiting(&context).join(" ").as_str().into())
    };
    add(&kernel, "test:unit", Limits::default(), heard);
    add(&kernel, "test:other", Limits::default(), heard);
    add(&kernel, "test:late", Limits::default(), |context, _| async move {
        context.receive_message().await;
        assert!(waiting(&context).is_empty());
        let upgradable = Options { trap_links: false, upgradable: true };
        context.set_options(upgradable).unwrap();
        context.set_options(upgradable).unwrap();
        Exit::Normal(waiting(&context).join(" ").as_str().into())
    });
    let (unit, first) = spawn(&kernel, "test:unit").await;
    let (other, second) = spawn(&kernel, "test:other").await;
    let (late, third) = spawn(&kernel, "test:late").await;
    sleep(Duration::from_millis(1)).await;
    let error = kernel
        .replace_unit(id("test:unit"), Box::new(|| Err(Error::invalid("no"))))
        .await
        .unwrap_err();
    assert_eq!((error.message(), kernel.version(&id("test:unit"))), ("no", Some(1)));
    for entry in ["test:unit", "test:unit", "test:late"] {
        add_special(&kernel, "test:newer", || Ok(()), Duration::ZERO);
        let newer = kernel.unit(&id("test:newer")).await.unwrap();
        kernel.replace_unit(id(entry), Box::new(move || Ok(newer.clone()))).await.unwrap();
    }
    assert_eq!(kernel.version(&id("test:unit")), Some(3));
    for pid in [unit, other, late] {
        kernel.send(&pid, message("go", 1)).unwrap();
    }
    for (watch, heard) in [(first, "OUTDATED"), (second, ""), (third, "OUTDATED")] {
        assert_eq!(*watch.await, Exit::Normal(heard.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn monitors_of_the_one_that_upgrades_hear_of_its_end_alone() {
    let kernel = node();
    add(&kernel, "test:new", Limits::default(), |_, _| async { Exit::Normal(Value::Int(2)) });
    add(&kernel, "test:old", Limits::default(), |context, _| async move {
        upgrade(&context, "test:new", Vec::new()).await
    });
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        let mut child = request("test:old");
        child.watcher = Some(Watcher::Process(context.clone()));
        child.link = Some(context.clone());
        let pid = context.spawn(child).await.unwrap();
        let event = context.receive_event().await;
        assert_eq!((event.kind, &event.from), (EventKind::Exit, &pid));
        assert_eq!(event.exit.unwrap().value(), Some(&Value::Int(2)));
        assert!(context.try_receive().is_none());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    assert_eq!(kernel.bond_count(), 0);
}
