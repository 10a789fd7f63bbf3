//! What a spawn refuses, and that a refusal leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use wippy_kernel::{Authorizer, HostSpec, Kernel, KernelOptions};
use wippy_model::{Context, Error, Exit, Kind, Limits, Result, Value};

use crate::script::{HOST, add, forever, id, node, node_with, request, spawn};

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_named() {
    let kernel = node();
    let error = kernel.spawn(request("test:nothing")).await.unwrap_err();
    assert_eq!(error.message(), "there is no process entry test:nothing; process entries: none");
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let mut elsewhere = request("test:forever");
    elsewhere.host = id("test:elsewhere");
    let error = kernel.spawn(elsewhere).await.unwrap_err();
    assert_eq!(error.message(), "there is no process host test:elsewhere; hosts: test:host");
    assert_eq!((error.kind(), kernel.process_count()), (Kind::NotFound, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_host_refuses_and_a_place_comes_free() {
    let kernel = node_with(|host| host.processes_max = 2);
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (first, watch) = spawn(&kernel, "test:forever").await;
    let (_second, _watch) = spawn(&kernel, "test:forever").await;
    let error = kernel.spawn(request("test:forever")).await.unwrap_err();
    assert_eq!(
        error.message(),
        "cannot spawn test:forever: test:host is full: 2 processes (host.max_processes)"
    );
    assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, Some(true)));
    kernel.terminate(&first).unwrap();
    watch.await;
    spawn(&kernel, "test:forever").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_with_a_full_queue_refuses() {
    let kernel = node_with(|host| host.queue_size = 3);
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    // Nothing is polled between these spawns: the scheduler is this test's own thread.
    for _ in 0..3 {
        kernel.spawn(request("test:forever")).await.unwrap();
    }
    let error = kernel.spawn(request("test:forever")).await.unwrap_err();
    assert_eq!(
        error.message(),
        "cannot spawn test:forever: test:host is busy: 3 spawns wait for their first slice \
         (host.queue_size)"
    );
    tokio::task::yield_now().await;
    kernel.spawn(request("test:forever")).await.unwrap();
}

#[tokio::test]
async fn a_terminal_is_taken_by_one() {
    let kernel = Kernel::new(KernelOptions::default());
    kernel.add_host(HostSpec::terminal(id(HOST)));
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, watch) = spawn(&kernel, "test:forever").await;
    let error = kernel.spawn(request("test:forever")).await.unwrap_err();
    assert_eq!(
        error.message(),
        "cannot spawn test:forever: test:host runs one process at a time: its terminal is taken"
    );
    kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_refuses_fails_the_spawn_and_leaves_nothing() {
    let kernel = node_with(|host| host.processes_max = 1);
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let mut refused = request("test:forever");
    refused.args = vec![Value::from("refuse")];
    assert_eq!(kernel.spawn(refused).await.unwrap_err().message(), "refused");
    assert_eq!(kernel.process_count(), 0);
    spawn(&kernel, "test:forever").await;
}

#[tokio::test]
async fn a_unit_is_loaded_once_and_its_error_is_kept() {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    let kernel = Arc::new(node());
    kernel.add_unit(
        id("test:broken"),
        Box::new(|| {
            LOADS.fetch_add(1, SeqCst);
            Err(Error::invalid("it is broken"))
        }),
    );
    kernel.add_unit(id("test:panics"), Box::new(|| panic!("in the loader")));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let kernel = kernel.clone();
            tokio::spawn(async move { kernel.spawn(request("test:broken")).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap_err().message(), "it is broken");
    }
    assert_eq!(LOADS.load(SeqCst), 1);
    let error = kernel.spawn(request("test:panics")).await.unwrap_err();
    assert!(error.message().starts_with("test:panics: loading it failed: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_denied_spawn_names_action_and_resource() {
    struct OnlyHosts;
    impl Authorizer for OnlyHosts {
        fn allow(&self, _: &Context, action: &str, resource: &str) -> Result<()> {
            if action == "process.host" {
                return Ok(());
            }
            let text = format!("{action} on {resource} is denied to nobody");
            Err(Error::new(Kind::PermissionDenied, text))
        }
    }
    let kernel = Kernel::new(KernelOptions {
        authorizer: Some(Box::new(OnlyHosts)),
        ..KernelOptions::default()
    });
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let error = kernel.spawn(request("test:forever")).await.unwrap_err();
    assert_eq!(error.message(), "process.spawn on test:forever is denied to nobody");
}
