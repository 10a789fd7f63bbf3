//! What a process may not do to others, in whatever way it tries.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::sleep;
use wippy_kernel::{
    Authorizer, HostSpec, Kernel, KernelOptions, ProcessContext, Scheduler, Watcher,
};
use wippy_model::{Context, Error, Exit, Kind, Limits, Result, Value};

use crate::script::{HOST, add, add_function, forever, id, message, request, spawn};

/// The action that is denied, on which resource, and whether it was asked for.
type Denied = Arc<Mutex<(&'static str, &'static str, u32)>>;

struct DeniesOne(Denied);

impl Authorizer for DeniesOne {
    fn allow(&self, _: &Context, action: &str, resource: &str) -> Result<()> {
        let mut denied = self.0.lock();
        if (action, resource) != (denied.0, denied.1) {
            return Ok(());
        }
        denied.2 += 1;
        Err(Error::new(Kind::PermissionDenied, format!("{action} on {resource}")))
    }
}

fn node() -> (Kernel, Denied) {
    let denied = Denied::default();
    let authorizer = Some(Box::new(DeniesOne(denied.clone())) as Box<dyn Authorizer>);
    let kernel = Kernel::new(KernelOptions { authorizer, ..KernelOptions::default() });
    let mut host = HostSpec::new(id(HOST));
    host.scheduler = Scheduler::Shared(Handle::current());
    kernel.add_host(host);
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    (kernel, denied)
}

#[tokio::test(start_paused = true)]
async fn a_spawn_asks_for_the_bonds_and_messages_that_it_brings() {
    let (kernel, denied) = node();
    add(&kernel, "test:parent", Limits::default(), move |context, _| {
        let denied = denied.clone();
        async move {
            for action in ["process.send", "process.link", "process.monitor"] {
                *denied.lock() = (action, HOST, 0);
                let kernel = context.kernel().unwrap();
                for bound in ["process.send", "process.link", "process.monitor"] {
                    let mut child = request("test:forever");
                    match bound {
                        "process.send" => child.messages = vec![message("t", 1)],
                        "process.link" => child.link = Some(context.clone()),
                        _ => child.watcher = Some(Watcher::Process(context.clone())),
                    }
                    let before = kernel.process_count();
                    let spawned = context.spawn(child).await;
                    assert_eq!(spawned.is_err(), bound == action, "{action} denied, {bound}");
                    let more = usize::from(spawned.is_ok());
                    assert_eq!(kernel.process_count(), before + more);
                    if let Err(error) = spawned {
                        assert_eq!(error.message(), format!("{action} on {HOST}"));
                    }
                }
                // A spawn that brings none of them needs none of them.
                context.spawn(request("test:forever")).await.unwrap();
            }
            Exit::Normal(Value::Nil)
        }
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_to_another_entry_is_a_spawn_of_it() {
    let (kernel, denied) = node();
    add(&kernel, "test:old", Limits::default(), |context, args| async move {
        let entry = match args.first() {
            Some(Value::String(entry)) => Some(id(entry)),
            _ => return Exit::Normal(Value::Nil),
        };
        match context.upgrade(entry, Vec::new(), Vec::new).await {
            Err(error) => Exit::Failed(error),
            Ok(never) => match never {},
        }
    });
    add(&kernel, "test:new", Limits::default(), |_, _| async { Exit::Normal(Value::Nil) });
    for (entry, works) in [("test:new", false), ("test:old", true)] {
        let mut old = request("test:old");
        old.args = vec![entry.into()];
        *denied.lock() = ("", "", 0);
        let (_, watch) = kernel.spawn_watched(old).await.unwrap();
        *denied.lock() = ("process.spawn", entry.to_owned().leak(), 0);
        let exit = watch.await;
        assert_eq!(exit.is_normal(), works, "{entry}: {exit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_for_another_process_needs_two_permissions() {
    let (kernel, denied) = node();
    let name_all = |context: ProcessContext| async move {
        let other = context.spawn(request("test:forever")).await.unwrap();
        let own = context.pid().clone();
        let own = context.register("own", Some((&own).into()));
        (context.register("other", Some((&other).into())), own)
    };
    add_function(&kernel, "test:function", Limits::default(), move |context, _| async move {
        let (other, own) = name_all(context).await;
        Exit::Normal(Value::List(vec![Value::Bool(other.is_ok()), Value::Bool(own.is_ok())]))
    });
    add(&kernel, "test:process", Limits::default(), move |context, _| async move {
        let (other, own) = name_all(context.clone()).await;
        own.unwrap();
        context.unregister("own").unwrap();
        let error = other.unwrap_err();
        assert_eq!(error.message(), format!("process.registry.register_for on {HOST}"));
        let called = context.call(id("test:function"), Vec::new(), Context::default()).await;
        assert_eq!(called.unwrap(), Value::List(vec![Value::Bool(false), Value::Bool(false)]));
        Exit::Normal(Value::Nil)
    });
    *denied.lock() = ("process.registry.register_for", HOST, 0);
    let (_, watch) = spawn(&kernel, "test:process").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_cancel_has_a_limit() {
    const MOST: usize = 64 << 10;
    let (kernel, _) = node();
    add(&kernel, "test:canceller", Limits::default(), |context, _| async move {
        let other = context.spawn(request("test:forever")).await.unwrap();
        let error = context.cancel(&other, None, Some(&"x".repeat(MOST + 1))).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let info = context.kernel().unwrap().process_info(&other).unwrap();
        assert_ne!(info.state, wippy_kernel::State::Stopping);
        context.cancel(&other, Some(Duration::ZERO), Some(&"x".repeat(MOST))).unwrap();
        sleep(Duration::from_millis(1)).await;
        assert!(context.kernel().unwrap().process_info(&other).is_none());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:canceller").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}
