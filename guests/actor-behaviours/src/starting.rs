//! Spawns, names, ends and upgrades.

use crate::mail::{
    Done, LONG, about, event, exit, expect, failure, link_down, number, read, same, send, shown,
    silence, spawn_monitored, text, trap_links, value,
};
use crate::world::wippy::actor::process;
use crate::world::wippy::process::processes::{
    self, ErrorKind, Event, Options, SpawnOptions, cancel, exec, lookup, monitor, register,
    terminate, upgrade,
};
use crate::world::wippy::runtime::funcs;

type Result<T = ()> = std::result::Result<T, String>;

const PLAIN: SpawnOptions =
    SpawnOptions { host: None, name: None, messages: Vec::new(), monitor: false, link: false };

pub(crate) fn spawn_variants() -> Result {
    trap_links()?;
    let broken = [text("broken")];
    processes::spawn("fails", None, &broken).map_err(shown)?;
    silence()?;
    let pid = processes::spawn_monitored("fails", Some("others"), &broken).map_err(shown)?;
    same("the host", pid.contains("@test:others|"), true)?;
    failure(exit(&pid)?, ErrorKind::Internal, "broken")?;
    let pid = processes::spawn_linked("fails", None, &broken).map_err(shown)?;
    failure(link_down(&pid)?, ErrorKind::Internal, "broken")?;
    let pid = processes::spawn_linked_monitored("fails", None, &broken).map_err(shown)?;
    let (mut exits, mut links) = (0, 0);
    for _ in 0..2 {
        match event()? {
            Event::Exit(ended) if ended.from == pid => exits += 1,
            Event::LinkDown(ended) if ended.from == pid => links += 1,
            other => return Err(format!("another event came: {other:?}")),
        }
    }
    same("exits and broken links", (exits, links), (1, 1))?;
    let both = SpawnOptions { monitor: true, link: true, host: Some("others".to_owned()), ..PLAIN };
    let pid = processes::spawn_with("test:echo", &[], &both).map_err(shown)?;
    send(&pid, "stop", &[text("end")])?;
    same("the value", value(exit(&pid)?)?.as_str(), "end")?;
    expect(processes::spawn("missing", None, &[]), ErrorKind::NotFound, "test:missing")?;
    expect(processes::spawn("not an id", None, &[]), ErrorKind::Invalid, "no entry ID")?;
    silence()
}

pub(crate) fn spawn_named_conflict() -> Result {
    let named = SpawnOptions { name: Some("taken".to_owned()), ..PLAIN };
    let holder = processes::spawn_with("echo", &[], &named).map_err(shown)?;
    let second = processes::spawn_with("echo", &[], &named);
    expect(second, ErrorKind::AlreadyExists, "taken")?;
    same("the holder", lookup("taken").map_err(shown)?, holder)
}

pub(crate) fn spawn_messages_first() -> Result {
    let messages =
        vec![("a".to_owned(), vec![number(1)]), ("b".to_owned(), vec![text("two"), number(2)])];
    let options = SpawnOptions { messages, ..PLAIN };
    let pid = processes::spawn_with("echo", &[], &options).map_err(shown)?;
    send(&pid, "c", &[])?;
    same("the first", about("a")?.as_str(), "1")?;
    same("the second", about("b")?.as_str(), "two")?;
    about("c").map(drop)
}

pub(crate) fn names() -> Result {
    let own = process::self_();
    register("mine").map_err(shown)?;
    register("mine").map_err(shown)?;
    same("the holder", lookup("mine").map_err(shown)?, own.clone())?;
    let named = SpawnOptions { name: Some("other".to_owned()), ..PLAIN };
    let other = processes::spawn_with("echo", &[], &named).map_err(shown)?;
    expect(register("other"), ErrorKind::AlreadyExists, &other)?;
    expect(processes::unregister("other"), ErrorKind::PermissionDenied, "")?;
    // A name is a destination.
    send("other", "hello", &[])?;
    about("hello")?;
    processes::unregister("mine").map_err(shown)?;
    expect(lookup("mine"), ErrorKind::NotFound, "mine")?;
    expect(processes::unregister("mine"), ErrorKind::NotFound, "mine")?;
    expect(register("{x"), ErrorKind::Invalid, "")?;
    match send("mine", "hello", &[]) {
        Err(error) => {
            let wanted = "cannot send to mine: no process is registered as \"mine\"";
            same("the error", error.as_str(), wanted)
        }
        Ok(()) => Err("a name that nobody has was sent to".to_owned()),
    }
}

pub(crate) fn names_freed_before_exit() -> Result {
    let pid = spawn_monitored("named", &[text("freed")])?;
    // It has its name when it answers.
    send(&pid, "ready", &[])?;
    about("ready")?;
    same("the holder", lookup("freed").map_err(shown)?, pid.clone())?;
    send("freed", "stop", &[])?;
    exit(&pid)?;
    expect(lookup("freed"), ErrorKind::NotFound, "freed")?;
    register("freed").map_err(shown)
}

pub(crate) fn cancel_obeyed() -> Result {
    let pid = spawn_monitored("obeys", &[])?;
    cancel(&pid, LONG, Some("please")).map_err(shown)?;
    same("the value", value(exit(&pid)?)?.as_str(), "please")
}

pub(crate) fn cancel_deadline() -> Result {
    let pid = spawn_monitored("sleeps", &[])?;
    cancel(&pid, Some(20_000_000), Some("hurry")).map_err(shown)?;
    failure(exit(&pid)?, ErrorKind::Canceled, "hurry").map(drop)
}

pub(crate) fn terminate_other() -> Result {
    let pid = spawn_monitored("sleeps", &[])?;
    terminate(&pid).map_err(shown)?;
    failure(exit(&pid)?, ErrorKind::Canceled, "terminated")?;
    expect(terminate(&pid), ErrorKind::NotFound, "no such process").map(drop)
}

pub(crate) fn exec_value() -> Result {
    let value = exec("value", None, &[text("v")]).map_err(shown)?;
    same("the value", read(&value).as_str(), "v")?;
    silence()
}

pub(crate) fn exec_error() -> Result {
    expect(exec("fails", None, &[text("broken")]), ErrorKind::Internal, "broken")?;
    expect(exec("traps", None, &[]), ErrorKind::Internal, "trapped")?;
    expect(exec("missing", None, &[]), ErrorKind::NotFound, "test:missing").map(drop)
}

pub(crate) fn exec_dies_with_caller() -> Result {
    let pid = spawn_monitored("executes", &[text("named"), text("executed")])?;
    let executed = loop {
        match lookup("executed") {
            Ok(executed) => break executed,
            Err(_) => silence()?,
        }
    };
    monitor(&executed).map_err(shown)?;
    terminate(&pid).map_err(shown)?;
    let mut ended = Vec::new();
    for _ in 0..2 {
        match event()? {
            Event::Exit(exit) => ended.push(exit.from),
            other => return Err(format!("another event came: {other:?}")),
        }
    }
    ended.sort();
    let mut both = vec![pid, executed];
    both.sort();
    same("who ended", ended, both)
}

pub(crate) fn upgrade_keeps_mailbox() -> Done {
    let own = process::self_();
    register("kept").map_err(shown)?;
    for topic in ["a", "b", "c"] {
        send(&own, topic, &[])?;
    }
    upgrade(Some("carries"), &[text(&own), text("kept")]).map_err(shown)?;
    Err("the old code goes on".to_owned())
}

pub(crate) fn upgrade_failed() -> Done {
    upgrade(Some("missing"), &[]).map_err(shown)?;
    Err("the old code goes on".to_owned())
}

pub(crate) fn upgrade_refused_in_function() -> Result {
    same("the kind", funcs::call_string("tries_upgrade", "").as_deref(), Ok("Invalid"))
}

pub(crate) fn outdated_heard() -> Done {
    processes::set_options(Options { trap_links: false, upgradable: true }).map_err(shown)?;
    same("upgradable", processes::get_options().upgradable, true)?;
    register("replace_me").map_err(shown)?;
    match event()? {
        Event::Outdated => {}
        other => return Err(format!("another event came: {other:?}")),
    }
    upgrade(None, &[text("new")]).map_err(shown)?;
    Err("the old code goes on".to_owned())
}
