//! Figures of processes, hosts and the node.

use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::State;
use wippy_model::{Exit, Limits, Pid, Value};

use crate::script::{HOST, add, forever, id, message, node_with, request, spawn};

/// Ends after as many messages as its first argument says.
fn add_reader(kernel: &wippy_kernel::Kernel) {
    add(kernel, "test:reader", Limits::default(), |context, args| async move {
        let Some(Value::Int(count)) = args.first() else { return forever().await };
        for _ in 0..*count {
            context.receive_message().await;
        }
        forever().await
    });
}

#[tokio::test(start_paused = true)]
async fn messages_are_counted_on_both_sides() {
    let kernel = node_with(|_| {});
    add_reader(&kernel);
    let mut reader = request("test:reader");
    reader.args = vec![Value::Int(2)];
    let reader = kernel.spawn(reader).await.unwrap();
    let target = reader.clone();
    add(&kernel, "test:writer", Limits::default(), move |context, _| {
        let target = target.clone();
        async move {
            let kernel = context.kernel().unwrap();
            for round in 0..5 {
                kernel.send(&target, message("t", round)).unwrap();
                tokio::task::yield_now().await;
            }
            let gone = Pid::parse("{local@test:host|1.99}").unwrap();
            assert!(kernel.send(&gone, message("t", 1)).is_err());
            drop(context);
            forever().await
        }
    });
    let (writer, _watch) = spawn(&kernel, "test:writer").await;
    // Not from a process: it counts where it arrives.
    kernel.send(&reader, message("t", 9)).unwrap();
    sleep(Duration::from_millis(1)).await;

    let read = kernel.process_info(&reader).unwrap();
    assert_eq!((read.received, read.sent, read.mailbox_len), (6, 0, 4));
    let one = message("t", 1).size_bytes() as u64;
    assert_eq!(read.mailbox_bytes, 4 * one);
    let wrote = kernel.process_info(&writer).unwrap();
    assert_eq!((wrote.received, wrote.sent, wrote.steps), (0, 5, 6));
    assert_eq!((read.state, wrote.state), (State::Waiting, State::Waiting));

    let (node, processes) = kernel.node_info();
    assert_eq!((node.processes, node.spawned, processes.len()), (2, 2, 2));
    assert_eq!((node.messages, node.mailbox_len, node.mailbox_bytes), (6, 4, 4 * one));
}

/// What only grows stays when a process goes.
#[tokio::test(start_paused = true)]
async fn the_node_keeps_what_ended_processes_leave() {
    let kernel = node_with(|_| {});
    add(&kernel, "test:done", Limits::default(), |context, _| async move {
        context.set_memory_bytes(1000);
        context.receive_message().await;
        Exit::Normal(Value::Nil)
    });
    add(&kernel, "test:bad", Limits::default(), |_, _| async { Exit::Code(3) });
    let mut watches = Vec::new();
    for _ in 0..100 {
        let (pid, watch) = spawn(&kernel, "test:done").await;
        kernel.send(&pid, message("t", 1)).unwrap();
        kernel.send(&pid, message("t", 2)).unwrap();
        watches.push(watch);
    }
    watches.push(spawn(&kernel, "test:bad").await.1);
    let (left, watch) = spawn(&kernel, "test:done").await;
    for watch in watches {
        watch.await;
    }
    let (node, processes) = kernel.node_info();
    assert_eq!((node.processes, node.spawned), (1, 102));
    assert_eq!(node.exits, [("code", 1), ("normal", 100)]);
    // The second message of each waited in vain, and was taken all the same.
    assert_eq!((node.messages, node.mailbox_len), (200, 0));
    assert_eq!(node.memory_bytes, 1000, "of those that are there");
    assert_eq!(processes[0].pid, left);
    let steps = node.steps;
    kernel.terminate(&left).unwrap();
    watch.await;
    let (node, _) = kernel.node_info();
    assert_eq!((node.processes, node.memory_bytes), (0, 0));
    assert_eq!(node.exits, [("code", 1), ("normal", 100), ("terminated", 1)]);
    assert!(node.steps >= steps, "{} of {steps}", node.steps);
    assert!(kernel.process_info(&left).is_none());
}

#[tokio::test(start_paused = true)]
async fn states() {
    let kernel = node_with(|_| {});
    add_reader(&kernel);
    add(&kernel, "test:curious", Limits::default(), |context, _| async move {
        let info = context.kernel().unwrap().process_info(context.pid()).unwrap();
        Exit::Normal(Value::from(info.state.name()))
    });
    let (pid, _watch) = spawn(&kernel, "test:reader").await;
    let state = || kernel.process_info(&pid).unwrap().state;
    assert_eq!(state(), State::Starting);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(state(), State::Waiting);
    kernel.cancel(&pid, None, None, None).unwrap();
    assert_eq!(state(), State::Stopping);
    let (_, watch) = spawn(&kernel, "test:curious").await;
    assert_eq!(watch.await.value(), Some(&Value::from("running")));
}

#[tokio::test(start_paused = true)]
async fn hosts_have_figures() {
    let kernel = node_with(|host| {
        host.processes_max = 7;
        host.queue_size = 3;
    });
    add_reader(&kernel);
    let _watch = spawn(&kernel, "test:reader").await;
    let host = kernel.hosts().remove(0);
    assert_eq!((host.id, host.processes, host.waiting), (id(HOST), 1, 1));
    assert_eq!((host.processes_max, host.waiting_max, host.workers), (7, 3, None));
    sleep(Duration::from_millis(1)).await;
    let host = kernel.hosts().remove(0);
    assert_eq!((host.processes, host.waiting), (1, 0));
}
