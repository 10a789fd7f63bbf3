//! The processes that behaviours meet.

use crate::mail::{self, Done, number, read, same, send, shown, text};
use crate::world::wippy::actor::process;
use crate::world::wippy::process::processes::{self, ErrorKind, Event, receive_event};

/// The name of a kind, as Lua and the log have it.
pub(crate) fn kind_name(kind: ErrorKind) -> String {
    format!("{kind:?}").trim_start_matches("ErrorKind::").to_owned()
}

pub(crate) fn echo() -> Done {
    loop {
        let message = process::receive()?;
        match message.topic.as_str() {
            "stop" => return Ok(mail::first(&message)),
            "fail" => return Err(mail::first(&message)),
            topic => send(&message.from, topic, &message.payloads)?,
        }
    }
}

pub(crate) fn sleeps() -> Done {
    loop {
        receive_event(None).map_err(shown)?;
    }
}

pub(crate) fn obeys() -> Done {
    match receive_event(None).map_err(shown)? {
        Some(Event::Cancel(cancel)) if cancel.deadline > cancel.at => {
            Ok(cancel.reason.unwrap_or_default())
        }
        other => Err(format!("another event came: {other:?}")),
    }
}

pub(crate) fn counts() -> Done {
    let mut sum = 0_u64;
    loop {
        let message = process::receive()?;
        sum += mail::first(&message).parse::<u64>().map_err(|error| error.to_string())?;
        send(&message.from, "sum", &[number(sum)])?;
    }
}

pub(crate) fn late() -> Done {
    let message = process::receive()?;
    receive_event(Some(60_000_000)).map_err(shown)?;
    // The text of the error is all that a send gives: a call says the kind.
    let kind = match processes::call(&message.from, "reply", &[], Some(1)) {
        Err(error) if error.message.contains("nobody waits") => kind_name(error.kind),
        other => format!("{other:?}"),
    };
    let kind = match send(&message.from, "reply", &[]) {
        Ok(()) => String::new(),
        Err(_) => kind,
    };
    send(&mail::first(&message), "outcome", &[text(&kind)])?;
    Ok(String::new())
}

pub(crate) fn links(entry: &str, argument: &str, pid: &str) -> Done {
    let child = processes::spawn_linked_monitored(entry, None, &[text(argument)]);
    mail::exit(&child.map_err(shown)?)?;
    send(pid, "heard", &[])?;
    echo()
}

pub(crate) fn executes(entry: &str, argument: &str) -> Done {
    let value = processes::exec(entry, None, &[text(argument)]).map_err(shown)?;
    Ok(read(&value))
}

pub(crate) fn named(name: &str) -> Done {
    processes::register(name).map_err(shown)?;
    echo()
}

pub(crate) fn tells(pid: &str, count: u32) -> Done {
    for told in 1..=count {
        send(pid, "tell", &[number(told.into())])?;
    }
    Ok(String::new())
}

pub(crate) fn carries(pid: &str, name: &str) -> Done {
    same("the PID", process::self_().as_str(), pid)?;
    same("the name's holder", processes::lookup(name).map_err(shown)?.as_str(), pid)?;
    let topics = (0..3).map(|_| Ok(mail::message()?.topic)).collect::<Result<Vec<_>, String>>()?;
    Ok(topics.join(","))
}

pub(crate) fn tries_upgrade() -> String {
    match processes::upgrade(Some("value"), &[text("x")]) {
        Err(error) => kind_name(error.kind),
        Ok(()) => "no error".to_owned(),
    }
}
