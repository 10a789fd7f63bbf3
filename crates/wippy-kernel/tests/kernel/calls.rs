//! Functions: called on their caller's task, ended with it, counted for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Poller, Poll};
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use wippy_kernel::{
    Authorizer, CALLS_MAX, DEPTH_MAX, HostSpec, Kernel, KernelOptions, ProcessContext, Scheduler,
    SpawnRequest,
};
use wippy_model::{
    Actor, Context, ContextBody, Error, Exit, Kind, Limits, Principal, Result, Value,
};

use crate::script::{HOST, add, add_function, forever, id, message, node, request, spawn};

/// A value, or the kind and text of an error.
type Expected = Result<Value, (Kind, &'static str)>;

async fn call(context: &ProcessContext, name: &str, args: Vec<Value>) -> Result<Value> {
    context.call(id(name), args, context.context().clone()).await
}

fn exit(result: Result<Value>) -> Exit {
    match result {
        Ok(value) => Exit::Normal(value),
        Err(error) => Exit::Failed(error),
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_and_every_error_come_back() {
    let kernel = node();
    add_function(&kernel, "test:double", Limits::default(), |context, args| async move {
        assert!(context.is_function());
        assert_eq!(context.entry().as_str(), "test:double");
        sleep(Duration::from_millis(3)).await;
        match &args[..] {
            [Value::Int(n)] => Exit::Normal(Value::Int(n * 2)),
            _ => Exit::Failed(Error::invalid("expected an integer")),
        }
    });
    let brief = Limits { execution_max: Some(Duration::from_millis(9)), ..Limits::default() };
    add_function(&kernel, "test:slow", brief, |_, _| forever());
    let small = Limits { host_buffer_bytes: 10, ..Limits::default() };
    add_function(&kernel, "test:large", small, |_, _| async {
        Exit::Normal(Value::from("more than ten bytes"))
    });
    add_function(&kernel, "test:code", Limits::default(), |_, _| async { Exit::Code(3) });
    add(&kernel, "test:caller", Limits::default(), |context, args| async move {
        let Some(Value::String(name)) = args.first() else { panic!("no name") };
        exit(call(&context, name, args[1..].to_vec()).await)
    });
    let rows: [(&str, Vec<Value>, Expected); 7] = [
        ("test:double", vec![Value::Int(21)], Ok(Value::Int(42))),
        ("test:double", vec![], Err((Kind::Invalid, "expected an integer"))),
        ("test:double", vec![Value::from("refuse")], Err((Kind::Invalid, "refused"))),
        (
            "test:slow",
            vec![],
            Err((Kind::Timeout, "test:slow did not end within 9 ms (limits.max_execution_ms)")),
        ),
        (
            "test:large",
            vec![],
            Err((
                Kind::ResourceExhausted,
                "test:large: its result has 91 bytes; it may have 10 (limits.host_buffer_bytes)",
            )),
        ),
        ("test:code", vec![], Err((Kind::Internal, "test:code: the process exited with code 3"))),
        (
            "test:none",
            vec![],
            Err((
                Kind::NotFound,
                "there is no function entry test:none; function entries: test:code, test:double, \
                 test:large, test:slow",
            )),
        ),
    ];
    for (name, args, expected) in rows {
        let args = [vec![Value::from(name)], args].concat();
        let spawned = SpawnRequest::new(id("test:caller"), id(HOST), args);
        let (_, watch) = kernel.spawn_watched(spawned).await.unwrap();
        let found = match &*watch.await {
            Exit::Normal(value) => Ok(value.clone()),
            other => Err(other.error().unwrap()),
        };
        match expected {
            Ok(value) => assert_eq!(found.unwrap(), value),
            Err((kind, text)) => {
                let error = found.unwrap_err();
                assert_eq!((error.kind(), error.message()), (kind, text));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side_and_up_to_their_number() {
    let kernel = node();
    add_function(&kernel, "test:wait", Limits::default(), |context, _| async move {
        context.set_memory_bytes(1000);
        sleep(Duration::from_secs(1)).await;
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        let start = tokio::time::Instant::now();
        let new = || context.call(id("test:wait"), Vec::new(), Context::default());
        let calls: Vec<_> = (0..CALLS_MAX).map(|_| new()).collect();
        let refused = new().await.unwrap_err();
        assert_eq!((refused.kind(), refused.retryable()), (Kind::Unavailable, Some(true)));
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        new().await.unwrap();
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:caller").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(kernel.processes()[0].memory_bytes, 1000 * u64::from(CALLS_MAX));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(*watch.await, Exit::Normal(Value::Nil));
}

#[tokio::test(start_paused = true)]
async fn functions_call_functions_so_deep() {
    let kernel = node();
    add_function(&kernel, "test:nest", Limits::default(), |context, args| async move {
        let Some(Value::Int(depth)) = args.first() else { panic!("no depth") };
        match call(&context, "test:nest", vec![Value::Int(depth + 1)]).await {
            Ok(value) => Exit::Normal(value),
            Err(error) => {
                assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
                Exit::Normal(Value::Int(*depth))
            }
        }
    });
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        exit(call(&context, "test:nest", vec![Value::Int(1)]).await)
    });
    let (_, watch) = spawn(&kernel, "test:caller").await;
    assert_eq!(*watch.await, Exit::Normal(Value::Int(DEPTH_MAX.into())));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_caller_and_with_its_handle() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let kernel = node();
    let alive = Arc::new(AtomicUsize::new(0));
    let counted = alive.clone();
    add_function(&kernel, "test:wait", Limits::default(), move |_, _| {
        counted.fetch_add(1, SeqCst);
        let alive = Alive(counted.clone());
        async move {
            let _alive = alive;
            forever().await
        }
    });
    let seen = alive.clone();
    add(&kernel, "test:caller", Limits::default(), move |context, _| {
        let seen = seen.clone();
        async move {
            let first = context.call(id("test:wait"), Vec::new(), Context::default());
            let _second = context.call(id("test:wait"), Vec::new(), Context::default());
            sleep(Duration::from_millis(1)).await;
            assert_eq!(seen.load(SeqCst), 2);
            drop(first);
            sleep(Duration::from_millis(1)).await;
            assert_eq!(seen.load(SeqCst), 1);
            forever().await
        }
    });
    let (pid, watch) = spawn(&kernel, "test:caller").await;
    sleep(Duration::from_millis(10)).await;
    kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
    assert_eq!(alive.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_context_holds_in_a_call() {
    let kernel = node();
    add_function(&kernel, "test:wait", Limits::default(), |_, _| forever());
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        let body = ContextBody {
            deadline: Some(SystemTime::now() + Duration::from_millis(20)),
            ..ContextBody::default()
        };
        exit(context.call(id("test:wait"), Vec::new(), Context::new(body)).await)
    });
    let (_, watch) = spawn(&kernel, "test:caller").await;
    let error = watch.await.error().unwrap();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.message(), "test:wait did not end by the deadline of its caller");
}

#[tokio::test(start_paused = true)]
async fn a_function_has_no_mailbox() {
    let kernel = node();
    add_function(&kernel, "test:listen", Limits::default(), |context, _| async move {
        assert!(context.try_receive().is_none());
        let heard = tokio::time::timeout(Duration::from_secs(1), context.receive()).await;
        Exit::Normal(Value::Bool(heard.is_ok()))
    });
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        let own = context.pid().clone();
        context.kernel().unwrap().send(&own, message("topic", "for the caller")).unwrap();
        let heard = call(&context, "test:listen", Vec::new()).await.unwrap();
        assert_eq!(heard, Value::Bool(false));
        assert!(context.try_receive().is_some());
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:caller").await;
    assert_eq!(*watch.await, Exit::Normal(Value::Nil));
}

#[tokio::test(start_paused = true)]
async fn permission_is_asked_for_the_context_of_the_call() {
    struct OnlyAdmins;
    impl Authorizer for OnlyAdmins {
        fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
            match context.actor() {
                None if action == "funcs.call" => Err(Error::new(
                    Kind::PermissionDenied,
                    format!("nobody may {action} {resource}"),
                )),
                _ => Ok(()),
            }
        }
    }
    let kernel = Kernel::new(KernelOptions {
        authorizer: Some(Box::new(OnlyAdmins)),
        ..KernelOptions::default()
    });
    let mut host = HostSpec::new(id(HOST));
    host.scheduler = Scheduler::Shared(tokio::runtime::Handle::current());
    kernel.add_host(host);
    add_function(&kernel, "test:inner", Limits::default(), |context, _| async move {
        Exit::Normal(Value::from(&*context.context().actor().unwrap().id))
    });
    add_function(&kernel, "test:outer", Limits::default(), |context, _| async move {
        exit(call(&context, "test:inner", Vec::new()).await)
    });
    add(&kernel, "test:caller", Limits::default(), |context, _| async move {
        let denied = call(&context, "test:outer", Vec::new()).await.unwrap_err();
        assert_eq!(denied.kind(), Kind::PermissionDenied);
        let actor = Some(Actor::new("admin", Value::Nil));
        let principal = Principal { actor, scope: None };
        let body = ContextBody { principal, ..ContextBody::default() };
        exit(context.call(id("test:outer"), Vec::new(), Context::new(body)).await)
    });
    let (_, watch) = kernel.spawn_watched(request("test:caller")).await.unwrap();
    assert_eq!(*watch.await, Exit::Normal(Value::from("admin")));
}

/// A call that nobody has taken must not outlive its process, nor keep its node.
#[tokio::test(start_paused = true)]
async fn a_panic_while_ending_leaves_no_call_behind() {
    struct Node(Arc<AtomicUsize>);
    impl Authorizer for Node {
        fn allow(&self, _: &Context, _: &str, _: &str) -> Result<()> {
            Ok(())
        }
    }
    impl Drop for Node {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    /// Asks for a call with its last breath, and panics when it is dropped.
    struct Last(ProcessContext);
    impl Future for Last {
        type Output = Exit;
        fn poll(self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<Exit> {
            drop(self.0.call(id("test:wait"), Vec::new(), Context::default()));
            Poll::Ready(Exit::Normal(Value::Nil))
        }
    }
    impl Drop for Last {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let gone = Arc::new(AtomicUsize::new(0));
    let kernel = Kernel::new(KernelOptions {
        authorizer: Some(Box::new(Node(gone.clone()))),
        ..KernelOptions::default()
    });
    let mut host = HostSpec::new(id(HOST));
    host.scheduler = Scheduler::Shared(tokio::runtime::Handle::current());
    kernel.add_host(host);
    add_function(&kernel, "test:wait", Limits::default(), |_, _| forever());
    add(&kernel, "test:caller", Limits::default(), |context, _| Last(context));
    let (_, watch) = spawn(&kernel, "test:caller").await;
    assert_eq!(*watch.await, Exit::HostPanic("in drop".into()));
    sleep(Duration::from_millis(1)).await;
    drop(kernel);
    assert_eq!(gone.load(SeqCst), 1);
}
