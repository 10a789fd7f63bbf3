//! Messages, monitors, links and calls.

use crate::mail::{
    LONG, SHORT, about, dead, event, exit, expect, failure, link_down, message, number, same, send,
    shown, silence, spawn, spawn_monitored, text, trap_links, value,
};
use crate::world::wippy::actor::process::{self, Payload};
use crate::world::wippy::process::processes::{
    self, ErrorKind, Event, Received, call, link as link_with, monitor, receive, receive_event,
};

type Result<T = ()> = std::result::Result<T, String>;

pub(crate) fn echo_order() -> Result {
    let echo = spawn("test:echo", &[])?;
    for sent in 0..100_u64 {
        send(&echo, "number", &[number(sent)])?;
        // Its mailbox is small.
        if sent % 50 == 49 {
            for expected in sent - 49..=sent {
                same("the number", about("number")?, expected.to_string())?;
            }
        }
    }
    silence()
}

pub(crate) fn reply_to_call() -> Result {
    let echo = spawn("echo", &[])?;
    let reply = call(&echo, "question", &[text("ä"), number(7)], LONG).map_err(shown)?;
    same("who replied", reply.from, echo)?;
    same("the topic", reply.topic.as_str(), "question")?;
    let payloads: Vec<_> =
        reply.payloads.iter().map(|p| (p.format.as_str(), p.data.as_slice())).collect();
    same("the payloads", payloads, vec![("text", "ä".as_bytes()), ("json", b"7")])?;
    silence()
}

pub(crate) fn monitor_normal() -> Result {
    let pid = spawn_monitored("value", &[text("v")])?;
    same("the value", value(exit(&pid)?)?.as_str(), "v")?;
    silence()
}

pub(crate) fn monitor_error() -> Result {
    let pid = spawn_monitored("fails", &[text("broken")])?;
    failure(exit(&pid)?, ErrorKind::Internal, "broken")?;
    silence()
}

pub(crate) fn monitor_dead() -> Result {
    let pid = dead()?;
    monitor(&pid).map_err(shown)?;
    failure(exit(&pid)?, ErrorKind::Unavailable, "there is no such process")?;
    silence()
}

pub(crate) fn monitor_twice() -> Result {
    let pid = spawn_monitored("echo", &[])?;
    monitor(&pid).map_err(shown)?;
    send(&pid, "stop", &[text("end")])?;
    same("the first", value(exit(&pid)?)?.as_str(), "end")?;
    same("the second", value(exit(&pid)?)?.as_str(), "end")?;
    silence()
}

pub(crate) fn unmonitor() -> Result {
    let pid = spawn_monitored("echo", &[])?;
    monitor(&pid).map_err(shown)?;
    processes::unmonitor(&pid).map_err(shown)?;
    send(&pid, "stop", &[])?;
    silence()?;
    match send(&pid, "more", &[]) {
        Err(_) => Ok(()),
        Ok(()) => Err("it is still there".to_owned()),
    }
}

pub(crate) fn link_bad_end() -> Result {
    let own = process::self_();
    let pid = spawn_monitored("links", &[text("fails"), text("broken"), text(&own)])?;
    let error = loop {
        // It may have heard of the exit before the link ended it.
        match receive(LONG).map_err(shown)? {
            Some(Received::Event(Event::Exit(ended))) if ended.from == pid => {
                break failure(ended, ErrorKind::Internal, "broken")?;
            }
            Some(Received::Message(message)) if message.topic == "heard" => {}
            other => return Err(format!("something else came: {other:?}")),
        }
    };
    let details = error.details.unwrap_or_default();
    match details.contains("from") && !details.contains(&pid) {
        true => Ok(()),
        false => Err(format!("the details are {details}")),
    }
}

pub(crate) fn link_normal_end() -> Result {
    let own = process::self_();
    let pid = spawn("links", &[text("value"), text("v"), text(&own)])?;
    about("heard")?;
    call(&pid, "alive", &[], LONG).map(drop).map_err(shown)
}

pub(crate) fn link_trapped() -> Result {
    trap_links()?;
    let pid = processes::spawn_linked("fails", None, &[text("broken")]).map_err(shown)?;
    failure(link_down(&pid)?, ErrorKind::Internal, "broken")?;
    silence()
}

pub(crate) fn link_dead() -> Result {
    trap_links()?;
    let pid = dead()?;
    link_with(&pid).map_err(shown)?;
    failure(link_down(&pid)?, ErrorKind::Unavailable, "there is no such process")?;
    silence()
}

pub(crate) fn link_self() -> Result {
    trap_links()?;
    link_with(&process::self_()).map_err(shown)?;
    silence()
}

pub(crate) fn unlink() -> Result {
    trap_links()?;
    let pid = processes::spawn_linked_monitored("echo", None, &[]).map_err(shown)?;
    processes::unlink(&pid).map_err(shown)?;
    send(&pid, "fail", &[text("broken")])?;
    failure(exit(&pid)?, ErrorKind::Internal, "broken")?;
    silence()
}

pub(crate) fn mailbox_full() -> Result {
    let pid = spawn("sleeps", &[])?;
    for _ in 0..64 {
        send(&pid, "fill", &[])?;
    }
    let refused = expect(call(&pid, "fill", &[], LONG), ErrorKind::Unavailable, "full")?;
    same("whether to try again", refused.retryable, Some(true))?;
    match process::send(&pid, "fill", &[]) {
        Err(error) if error.contains("64 messages wait") => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

pub(crate) fn message_too_large() -> Result {
    let pid = spawn("echo", &[])?;
    let large = Payload { format: "bytes".to_owned(), data: vec![7; 2 << 20] };
    let sent = call(&pid, "large", std::slice::from_ref(&large), LONG);
    expect(sent, ErrorKind::ResourceExhausted, "mailbox.message_bytes")?;
    match process::send(&pid, "large", &[large]) {
        Err(error) if error.contains("mailbox.message_bytes") => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

pub(crate) fn events_not_delayed_by_flood() -> Result {
    let own = process::self_();
    while send(&own, "flood", &[]).is_ok() {}
    let pid = spawn_monitored("value", &[text("v")])?;
    same("the value", value(exit(&pid)?)?.as_str(), "v")?;
    // And not one message is lost by it.
    for _ in 0..64 {
        about("flood")?;
    }
    silence()
}

pub(crate) fn order_before_exit() -> Result {
    let own = process::self_();
    let pid = spawn_monitored("tells", &[text(&own), number(20)])?;
    for expected in 1..=20 {
        same("the number", about("tell")?, expected.to_string())?;
    }
    value(exit(&pid)?)?;
    silence()
}

pub(crate) fn receive_in_order_of_arrival() -> Result {
    let (own, gone) = (process::self_(), dead()?);
    send(&own, "before", &[])?;
    monitor(&gone).map_err(shown)?;
    send(&own, "after", &[])?;
    same("the first", message()?.topic.as_str(), "before")?;
    match receive(LONG).map_err(shown)? {
        Some(Received::Event(Event::Exit(ended))) if ended.from == gone => {}
        other => return Err(format!("not the event but {other:?}")),
    }
    same("the last", message()?.topic.as_str(), "after")
}

pub(crate) fn timeout() -> Result {
    silence()?;
    match receive_event(SHORT).map_err(shown)? {
        None => {}
        Some(event) => return Err(format!("an event came: {event:?}")),
    }
    // What is there comes also when there is no time.
    send(&process::self_(), "here", &[])?;
    match receive(Some(0)).map_err(shown)? {
        Some(Received::Message(message)) => same("the topic", message.topic.as_str(), "here")?,
        other => return Err(format!("not the message but {other:?}")),
    }
    match receive(Some(0)).map_err(shown)? {
        None => Ok(()),
        other => Err(format!("something came: {other:?}")),
    }
}

pub(crate) fn call_timeout() -> Result {
    let pid = spawn("sleeps", &[])?;
    expect(call(&pid, "question", &[], SHORT), ErrorKind::Timeout, "did not reply").map(drop)
}

pub(crate) fn call_target_dies() -> Result {
    let pid = spawn("echo", &[])?;
    let called = call(&pid, "stop", &[], LONG);
    expect(called, ErrorKind::Unavailable, "ended before it replied").map(drop)
}

pub(crate) fn late_reply() -> Result {
    let own = process::self_();
    let pid = spawn("late", &[])?;
    expect(call(&pid, "question", &[text(&own)], SHORT), ErrorKind::Timeout, "")?;
    same("what the reply gave", about("outcome")?.as_str(), "NotFound")?;
    silence()
}

pub(crate) fn state_kept_between_messages() -> Result {
    let pid = spawn("counts", &[])?;
    for (add, expected) in [(1, "1"), (2, "3"), (3, "6")] {
        send(&pid, "add", &[number(add)])?;
        same("the sum", about("sum")?.as_str(), expected)?;
    }
    match event_waits() {
        false => Ok(()),
        true => Err(format!("an event came: {:?}", event()?)),
    }
}

/// Asks the pollable.
fn event_waits() -> bool {
    processes::subscribe_events().ready()
}
