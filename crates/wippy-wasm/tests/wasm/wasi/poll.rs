//! `wasi:io/poll`.

use std::time::{Duration, Instant};

use wippy_model::{Exit, Value};

use super::network::{call, int, run};
use crate::node::{Node, PROCESSES, spec};

fn ints(numbers: &[i64]) -> Value {
    Value::List(numbers.iter().copied().map(Value::Int).collect())
}

#[tokio::test]
async fn a_pollable_blocks_until_it_is_ready() {
    let node = Node::new();
    let started = Instant::now();
    let value = call(&node, spec("poll", Some("one")), vec![int(50)]).await.unwrap();
    assert_eq!(value, Value::List(vec![Value::Bool(false), Value::Bool(true)]));
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn poll_gives_the_indices_that_are_ready() {
    let node = Node::new();
    let long = 60_000;
    let first = |ms: &[i64]| call(&node, spec("poll", Some("first")), vec![ints(ms)]);
    assert_eq!(first(&[long, long, 1, long]).await.unwrap(), ints(&[2]));
    assert_eq!(first(&[0, long, 0]).await.unwrap(), ints(&[0, 2]));
}

#[tokio::test]
async fn a_pollable_may_be_listed_twice() {
    let node = Node::new();
    let value = call(&node, spec("poll", Some("twice")), vec![int(1)]).await.unwrap();
    assert_eq!(value, ints(&[0, 1]));
}

#[tokio::test]
async fn thousands_of_pollables() {
    let node = Node::new();
    let value = call(&node, spec("poll", Some("all")), vec![int(5_000), int(20)]).await.unwrap();
    assert_eq!(value, int(5_000));
}

#[tokio::test]
async fn an_empty_list_traps() {
    let node = Node::new();
    let exit = run(&node, spec("poll", Some("empty")), vec![]).await;
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:poll trapped: empty poll list");
}

#[tokio::test]
async fn pollables_may_be_dropped_before_they_are_ready() {
    let node = Node::new();
    let value = call(&node, spec("poll", Some("dropped")), vec![int(1_000)]).await.unwrap();
    assert_eq!(value, ints(&[0, 1_000]));
}

#[tokio::test]
async fn a_guest_that_polls_gives_its_worker_back() {
    let node = Node::new();
    node.add(spec("poll", Some("forever")));
    let (pid, watch) = node.spawn(PROCESSES, "poll", vec![]).await.unwrap();
    // The host has one worker.
    let value = call(&node, spec("compute", None), vec![int(6), int(7)]).await.unwrap();
    assert_eq!(value, int(42));
    node.kernel.terminate(&pid).unwrap();
    assert_eq!(*watch.await, Exit::Terminated);
}
