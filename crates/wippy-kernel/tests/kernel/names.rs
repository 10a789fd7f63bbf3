//! Names: one living process each, free before the exit of the holder is announced.

use std::time::Duration;

use tokio::time::sleep;
use wippy_kernel::{NAME_BYTES_MAX, NAMES_MAX, Watcher};
use wippy_model::{Exit, Kind, Limits, Value};

use crate::script::{add, forever, message, node, request, spawn};

#[tokio::test(start_paused = true)]
async fn what_is_no_name_is_refused() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, _watch) = spawn(&kernel, "test:forever").await;
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for name in ["", "{x", "a\nb", "\u{7f}", long.as_str()] {
        let error = kernel.register(name, &pid).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name}");
        let mut named = request("test:forever");
        named.name = Some(name.into());
        assert_eq!(kernel.spawn(named).await.unwrap_err().kind(), Kind::Invalid, "{name}");
    }
    for name in ["x", "ä b:c/d@{}", &long[1..]] {
        kernel.register(name, &pid).unwrap();
        kernel.register(name, &pid).unwrap();
        assert_eq!(kernel.lookup(name).unwrap(), pid);
        kernel.send(name, message("t", 1)).unwrap();
    }
    assert_eq!(kernel.process_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_has_one_holder_who_alone_takes_it_back() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:holder", Limits::default(), |context, _| async move {
        let other = context.spawn(request("test:forever")).await.unwrap();
        context.register("mine", None).unwrap();
        context.register("theirs", Some((&other).into())).unwrap();
        let error = context.register("theirs", None).unwrap_err();
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert_eq!(error.message(), format!("the name \"theirs\" is taken by {other}"));
        assert_eq!(context.unregister("theirs").unwrap_err().kind(), Kind::PermissionDenied);
        assert_eq!(context.unregister("nobody's").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(context.lookup("nobody's").unwrap_err().kind(), Kind::NotFound);
        context.unregister("mine").unwrap();
        context.register("mine", Some("theirs".into())).unwrap();
        assert_eq!(context.lookup("mine").unwrap(), other);
        let mut named = request("test:forever");
        named.name = Some("mine".into());
        named.watcher = Some(Watcher::Process(context.clone()));
        named.link = Some(context.clone());
        assert_eq!(context.spawn(named).await.unwrap_err().kind(), Kind::AlreadyExists);
        let kernel = context.kernel().unwrap();
        assert_eq!((kernel.process_count(), kernel.bond_count()), (2, 0));
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:holder").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn the_names_of_a_process_have_a_limit_which_its_own_do_not_meet() {
    let kernel = node();
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    let (pid, watch) = spawn(&kernel, "test:forever").await;
    for number in 0..NAMES_MAX {
        kernel.register(&format!("name {number}"), &pid).unwrap();
    }
    let error = kernel.register("more", &pid).unwrap_err();
    assert_eq!(error.kind(), Kind::ResourceExhausted);
    assert_eq!(error.message(), "cannot register \"more\": a process has at most 1024 names");
    kernel.register("name 7", &pid).unwrap();
    assert!(kernel.lookup("more").is_err());
    kernel.terminate(&pid).unwrap();
    watch.await;
    for number in 0..NAMES_MAX {
        assert!(kernel.lookup(&format!("name {number}")).is_err());
    }
    assert_eq!(kernel.register("more", &pid).unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_of_the_exit_can_have_name_and_place() {
    let kernel = crate::script::node_with(|host| host.processes_max = 2);
    add(&kernel, "test:forever", Limits::default(), |_, _| forever());
    add(&kernel, "test:parent", Limits::default(), |context, _| async move {
        for _ in 0..100 {
            let mut child = request("test:forever");
            child.name = Some("child".into());
            child.watcher = Some(Watcher::Process(context.clone()));
            let pid = context.spawn(child).await.unwrap();
            assert_eq!(context.lookup("child").unwrap(), pid);
            context.terminate("child").unwrap();
            assert_eq!(context.receive_event().await.from, pid);
        }
        Exit::Normal(Value::Nil)
    });
    let (_, watch) = spawn(&kernel, "test:parent").await;
    let exit = watch.await;
    assert!(exit.is_normal(), "{exit}");
    sleep(Duration::from_millis(1)).await;
    assert_eq!((kernel.process_count(), kernel.bond_count()), (0, 0));
}
