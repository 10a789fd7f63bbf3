//! New versions of units: who gets which, who is told, and what is freed.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wippy_kernel::{
    HostSpec, Kernel, Loader, Options, Prepare, Process, ProcessContext, Replaced, Unit,
};
use wippy_model::{Error, EventKind, Exit, Kind, Limits, Pid, Result, Value};

use crate::script::{add, id, loader, message, node, request, spawn};

const UPGRADABLE: Options = Options { trap_links: false, upgradable: true };

/// The body of a version: says that it is upgradable, waits to hear of a newer one, and ends
/// with its own number.
async fn until_outdated(context: ProcessContext, version: i64) -> Exit {
    context.set_options(UPGRADABLE).unwrap();
    let event = context.receive_event().await;
    assert_eq!(event.kind, EventKind::Outdated);
    Exit::Normal(Value::Int(version))
}

fn version(number: i64) -> Loader {
    loader(move |context, _| until_outdated(context, number))
}

async fn replace(kernel: &Kernel, name: &str, loader: Loader) -> Replaced {
    kernel.replace_unit(id(name), loader).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_for_new_spawns_and_the_upgradable_are_told() {
    let kernel = node();
    add(&kernel, "test:a", Limits::default(), |context, args| async move {
        if args.is_empty() {
            return until_outdated(context, 1).await;
        }
        context.receive_message().await;
        Exit::Normal(Value::Int(1))
    });
    add(&kernel, "test:b", Limits::default(), |context, _| until_outdated(context, 0));
    let (_, told) = spawn(&kernel, "test:a").await;
    let mut keeps = request("test:a");
    keeps.args.push(Value::Int(0));
    let (keeps, kept) = kernel.spawn_watched(keeps).await.unwrap();
    let (other, _) = spawn(&kernel, "test:b").await;
    sleep(Duration::from_millis(1)).await;
    let replaced = replace(&kernel, "test:a", version(2)).await;
    assert_eq!(replaced, Replaced { version: 2, told: 1, untold: 1 });
    assert_eq!(*told.await, Exit::Normal(Value::Int(1)));
    let (_, newest) = spawn(&kernel, "test:a").await;
    sleep(Duration::from_millis(1)).await;
    let replaced = replace(&kernel, "test:a", version(3)).await;
    assert_eq!(replaced, Replaced { version: 3, told: 1, untold: 1 });
    assert_eq!(*newest.await, Exit::Normal(Value::Int(2)));
    kernel.send(&keeps, message("end", 0)).unwrap();
    assert_eq!(*kept.await, Exit::Normal(Value::Int(1)));
    kernel.terminate(&other).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_load_changes_nothing() {
    let kernel = node();
    add(&kernel, "test:a", Limits::default(), |context, _| until_outdated(context, 1));
    let (_, mut watch) = spawn(&kernel, "test:a").await;
    let broken = || -> Loader { Box::new(|| Err(Error::invalid("broken"))) };
    let error = kernel.replace_unit(id("test:a"), broken()).await.unwrap_err();
    assert_eq!(error.message(), "broken");
    let error = kernel.replace_unit(id("test:new"), broken()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!((kernel.version(&id("test:a")), kernel.version(&id("test:new"))), (Some(1), None));
    assert!(timeout(Duration::from_secs(1), &mut watch).await.is_err());
    assert_eq!(replace(&kernel, "test:a", version(2)).await.version, 2);
    assert_eq!(*watch.await, Exit::Normal(Value::Int(1)));
}

#[tokio::test(start_paused = true)]
async fn a_removed_entry_comes_back_as_a_newer_version() {
    let kernel = node();
    add(&kernel, "test:a", Limits::default(), |context, _| until_outdated(context, 1));
    let (_, watch) = spawn(&kernel, "test:a").await;
    sleep(Duration::from_millis(1)).await;
    kernel.set_default_host(id("test:a"), id("test:host"));
    assert!(kernel.remove_unit(&id("test:a")));
    assert!(!kernel.remove_unit(&id("test:a")));
    assert_eq!(kernel.default_host(&id("test:a")), None);
    let error = kernel.spawn(request("test:a")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let replaced = replace(&kernel, "test:a", version(2)).await;
    assert_eq!(replaced, Replaced { version: 2, told: 1, untold: 0 });
    assert_eq!(*watch.await, Exit::Normal(Value::Int(1)));
}

/// Whatever the interleaving: who runs an old version hears of it, and who runs the newest does
/// not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spawns_while_versions_are_replaced() {
    const VERSIONS: i64 = 200;
    let kernel = node();
    let spawned: Arc<Mutex<Vec<i64>>> = Arc::default();
    let counted = |number: i64| {
        let spawned = spawned.clone();
        loader(move |context, _| {
            spawned.lock().unwrap().push(number);
            until_outdated(context, number)
        })
    };
    kernel.add_unit(id("test:a"), counted(1));
    let spawners: Vec<_> = (0..3)
        .map(|_| {
            let kernel = kernel.clone();
            tokio::spawn(async move {
                let mut pids: Vec<Pid> = Vec::new();
                while kernel.version(&id("test:a")) < Some(VERSIONS as u64) || pids.is_empty() {
                    pids.push(kernel.spawn(request("test:a")).await.unwrap());
                    tokio::task::yield_now().await;
                }
                pids.push(kernel.spawn(request("test:a")).await.unwrap());
            })
        })
        .collect();
    for number in 2..=VERSIONS {
        assert_eq!(replace(&kernel, "test:a", counted(number)).await.version, number as u64);
    }
    for spawner in spawners {
        spawner.await.unwrap();
    }
    let newest = || spawned.lock().unwrap().iter().filter(|it| **it == VERSIONS).count();
    let waiting = async {
        while kernel.waiting_count() > 0 || kernel.process_count() != newest() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let settled = timeout(Duration::from_secs(20), waiting).await;
    assert!(settled.is_ok(), "{} processes, {} of the newest", kernel.process_count(), newest());
    assert!(newest() >= 3);
    // And they stay: nobody told them of a version that is their own.
    sleep(Duration::from_millis(20)).await;
    assert_eq!(kernel.process_count(), newest());
    kernel.kill().await;
}

/// A unit of which one can tell whether it is there.
struct Counted(Arc<AtomicUsize>, Limits);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(alive.clone(), Limits::default())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Unit for Counted {
    fn limits(&self) -> &Limits {
        &self.1
    }
    fn prepare(&self, _: Prepare<'_>) -> Result<Box<dyn Process>> {
        Err(Error::invalid("it only counts"))
    }
}

#[tokio::test]
async fn old_versions_and_what_they_were_loaded_from_are_freed() {
    let kernel = node();
    let alive = Arc::new(AtomicUsize::new(0));
    let sources: Arc<Mutex<Vec<Weak<()>>>> = Arc::default();
    let counted = || -> Loader {
        let (alive, source) = (alive.clone(), Arc::new(()));
        sources.lock().unwrap().push(Arc::downgrade(&source));
        Box::new(move || {
            let _ = &source;
            Ok(Arc::new(Counted::new(&alive)))
        })
    };
    kernel.add_unit(id("test:a"), counted());
    assert_eq!(alive.load(SeqCst), 0);
    let held = kernel.unit(&id("test:a")).await.unwrap();
    for _ in 0..10 {
        kernel.replace_unit(id("test:a"), counted()).await.unwrap();
    }
    assert_eq!(alive.load(SeqCst), 2, "the newest, and the one that somebody runs");
    drop(held);
    assert_eq!(alive.load(SeqCst), 1);
    let sources = sources.lock().unwrap();
    assert!(sources.iter().all(|source| source.strong_count() == 0), "loaded ones need no source");
    assert!(kernel.remove_unit(&id("test:a")));
    assert_eq!(alive.load(SeqCst), 0);
}

/// A unit that is made ready when it is told to.
struct Slow {
    gate: Mutex<std::sync::mpsc::Receiver<()>>,
    inner: Arc<dyn Unit>,
}

impl Unit for Slow {
    fn limits(&self) -> &Limits {
        self.inner.limits()
    }
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        self.inner.prepare(spawn)
    }
    fn is_ready(&self, _: &HostSpec) -> bool {
        false
    }
    fn make_ready(&self, _: &HostSpec) -> Result<()> {
        self.gate.lock().unwrap().recv().map_err(|_| Error::internal("nobody opened the gate"))
    }
}

/// While it is on its way to a version, a newer one comes: it hears of that.
#[tokio::test]
async fn an_upgrade_that_is_overtaken_hears_of_it() {
    let kernel = node();
    let (open, gate) = std::sync::mpsc::sync_channel(1);
    let gate = Mutex::new(Some(gate));
    kernel.add_unit(
        id("test:b"),
        Box::new(move || {
            let inner = version(1)()?;
            let gate = gate.lock().unwrap().take().map(Mutex::new);
            let gate = gate.ok_or_else(|| Error::internal("loaded twice"))?;
            Ok(Arc::new(Slow { gate, inner }))
        }),
    );
    add(&kernel, "test:a", Limits::default(), |context, _| async move {
        context.set_options(UPGRADABLE).unwrap();
        let error = context.upgrade(Some(id("test:b")), Vec::new(), Vec::new).await;
        Exit::Failed(error.unwrap_err())
    });
    let (_, watch) = spawn(&kernel, "test:a").await;
    // Until it has taken the version that it becomes.
    kernel.unit(&id("test:b")).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let replaced = replace(&kernel, "test:b", version(2)).await;
    assert_eq!(replaced, Replaced { version: 2, told: 0, untold: 0 });
    open.send(()).unwrap();
    let exit = timeout(Duration::from_secs(10), watch).await.unwrap();
    assert_eq!(*exit, Exit::Normal(Value::Int(1)));
}
