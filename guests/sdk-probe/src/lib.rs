//! Calls what is in the crate `wippy` and in none of the other guests, and tells the first thing
//! that is not as it should be.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wippy::{
    Actor, Cancellation, Child, Ended, Event, Kind, Message, Next, Payload, Received, Restart,
    Result, Spawn, Strategy, Supervisor,
};

wippy::world!(
    "package sdk:probe; world probe {
    export run: func() -> result<string, string>;
    export child: func(what: string) -> result<string, string>;
    export tree: func(strategy: string) -> result<_, string>;
    export trio: func() -> result<_, string>;
    export upgraded: func(count: u32) -> result<string, string>;
}"
);

struct Probe;

impl Guest for Probe {
    fn run() -> Result<String, String> {
        messages()?;
        values()?;
        waiting()?;
        processes()?;
        links()?;
        endings()?;
        wippy::register("probe")?;
        Err(wippy::upgrade_to("upgraded", 7).unwrap_err().into())
    }

    fn child(what: String) -> Result<String, String> {
        match what.as_str() {
            "fail" => Err("as asked".to_owned()),
            "first" => Ok(wippy::receive()?.text()?.to_owned()),
            "wait" => {
                wippy::run(&mut Waiter)?;
                Ok("cancelled".to_owned())
            }
            // Tells the first two, which end at once, and takes its time.
            "slow" => {
                for event in wippy::events() {
                    if let Event::Cancel(_) = event {
                        break;
                    }
                }
                // Of these one may be gone already.
                wippy::send("first", "crash", ()).ok();
                wippy::send("second", "stop", ()).ok();
                std::thread::sleep(Duration::from_millis(100));
                Ok("cancelled".to_owned())
            }
            other => Ok(other.to_owned()),
        }
    }

    fn tree(strategy: String) -> Result<(), String> {
        let strategy = match strategy.as_str() {
            "one_for_all" => Strategy::OneForAll,
            "rest_for_one" => Strategy::RestForOne,
            _ => Strategy::OneForOne,
        };
        let child = |name: &str| Child::new(Spawn::new("child").args("wait").name(name));
        Supervisor::new(strategy)
            .restarts(2, Duration::from_secs(60))
            .child(child("a"))
            .child(child("b").stop_timeout(Duration::from_secs(1)))
            .child(child("c").restart(Restart::Always))
            .child(child("d").restart(Restart::Never))
            .run_with(|supervisor, message| {
                let pid = supervisor.pid(message.parse()?).map_or("none", |pid| pid.as_str());
                message.reply(pid).ok();
                Ok(Next::Continue)
            })?;
        Ok(())
    }

    fn trio() -> Result<(), String> {
        let child = |name: &str, what: &str| {
            Child::new(Spawn::new("child").args(what).name(name)).restart(Restart::Always)
        };
        Supervisor::new(Strategy::OneForAll)
            .restarts(1, Duration::from_secs(60))
            .child(child("first", "wait"))
            .child(child("second", "wait"))
            .child(child("third", "slow"))
            .run()?;
        Ok(())
    }

    fn upgraded(count: u32) -> Result<String, String> {
        let name = wippy::lookup("probe")?;
        check("the name survives an upgrade", name == wippy::self_pid())?;
        Ok(format!("all is well, {count}"))
    }
}

export!(Probe);

/// Fails at `crash`, returns at `stop`, and takes cancellations as what they are.
struct Waiter;

impl Actor for Waiter {
    fn on_message(&mut self, message: Message) -> Result<Next> {
        match message.topic() {
            "crash" => Err("as asked".into()),
            "stop" => Ok(Next::Stop),
            _ => Ok(Next::Continue),
        }
    }

    fn on_cancel(&mut self, cancellation: Cancellation) -> Result<Next> {
        if cancellation.reason.as_deref() == Some("stay") {
            Ok(Next::Continue)
        } else {
            Ok(Next::Stop)
        }
    }
}

fn check(what: &str, holds: bool) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}

fn messages() -> Result<()> {
    let own = wippy::self_pid();
    check("nothing waits", wippy::try_receive()?.is_none())?;
    wippy::send(&own, "all", ("text", 5, true, 1.5, vec![0_u8, 255], ()))?;
    let message = wippy::receive()?;
    let shown = format!("{:?}", message.payloads());
    check(&shown, shown == r#"["text", 5, true, 1.5, 2 bytes, null]"#)?;
    check("the sender", message.from() == &own)?;
    wippy::send(&own, "two", ["a", "b"])?;
    check("two", wippy::try_receive()?.is_some_and(|it| it.payloads().len() == 2))?;
    wippy::send(&own, "none", ())?;
    let error = wippy::receive()?.payload().unwrap_err();
    check("a value is missing", error.kind() == Some(Kind::Invalid))?;
    check("nobody is there", wippy::send("nobody", "a", 1).is_err())?;
    check("nobody to call", kind(wippy::call("nobody", "a", 1)) == Some(Kind::NotFound))?;
    let late = wippy::call_timeout(&own, "a", 1, Duration::from_millis(5));
    check("nobody answers", kind(late) == Some(Kind::Timeout))?;
    check("too late to answer", wippy::receive()?.reply(1).is_err())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    name: Option<String>,
}

fn values() -> Result<()> {
    let point = Point { x: -1, name: Some("origin".to_owned()) };
    wippy::send(wippy::self_pid(), "point", Payload::json(&point)?)?;
    check("a struct", wippy::receive()?.decode::<Point>()? == point)?;
    check("a text", Payload::text("a").decode::<String>()? == "a")?;
    check("bytes are no JSON", Payload::bytes([1]).decode::<String>().is_err())?;
    check("no number", Payload::text("a").parse::<u8>().is_err())
}

fn waiting() -> Result<()> {
    let begin = Instant::now();
    let none = wippy::receive_timeout(Duration::from_millis(20))?;
    check("the time passes", none.is_none() && begin.elapsed() >= Duration::from_millis(20))?;
    check("nothing comes", wippy::next(Some(Duration::ZERO))?.is_none())?;
    check("no event", wippy::next_event(Some(Duration::ZERO))?.is_none())?;
    let timer = wippy::wasip2::clocks::monotonic_clock::subscribe_duration(1_000_000);
    let mailbox = wippy::mailbox().with_events();
    let ready = mailbox.poll_with(&[&timer]);
    check("the timer", !ready.message && !ready.event && ready.others == [0])?;
    wippy::send(wippy::self_pid(), "a", 1)?;
    wippy::spawn_monitored("child", "b")?;
    check("the message", mailbox.poll_with(&[]).message)?;
    mailbox.events().ok_or("events")?.block();
    check("the event", mailbox.poll_with(&[]).event)?;
    let received = [wippy::next(None)?, wippy::next(None)?];
    check(
        "in order",
        matches!(
            &received,
            [Some(Received::Message(_)), Some(Received::Event(Event::Exit(ended)))]
                if ended.outcome == Ok(Payload::text("b"))
        ),
    )
}

fn processes() -> Result<()> {
    check("exec", wippy::exec("child", "value")? == Payload::text("value"))?;
    let failed = Spawn::new("child").args("fail").exec();
    check("exec fails", failed.is_err_and(|it| it.message().contains("as asked")))?;
    let child = Spawn::new("child").args("first").message("m", "the first").monitor();
    let pid = child.clone().host("app:processes").name("first").start()?;
    check("a first message", exit_of(&pid)? == Ok(Payload::text("the first")))?;
    let held = wippy::register("held").and_then(|()| child.clone().name("held").start());
    check("a name is taken", kind(held) == Some(Kind::AlreadyExists))?;
    wippy::unregister("held")?;
    check("a name is free", kind(wippy::lookup("held")) == Some(Kind::NotFound))?;
    let gone = child.args(("too", "many")).start();
    check("too many arguments", kind(gone) == Some(Kind::Invalid))
}

fn links() -> Result<()> {
    wippy::trap_links(true)?;
    wippy::upgradable(true)?;
    wippy::upgradable(false)?;
    let pid = wippy::spawn_linked("child", "fail")?;
    let down = wippy::events().next();
    check(
        "a link is down",
        matches!(
            down, Some(Event::LinkDown(Ended { from, outcome: Err(_), .. })) if from == pid
        ),
    )?;
    let pid = wippy::spawn("child", "wait")?;
    wippy::link(&pid)?;
    wippy::unlink(&pid)?;
    wippy::monitor(&pid)?;
    wippy::monitor(&pid)?;
    wippy::unmonitor(&pid)?;
    wippy::send(&pid, "crash", ())?;
    let silence = wippy::next_event(Some(Duration::from_millis(30)))?;
    check("neither linked nor monitored", silence.is_none())?;
    wippy::trap_links(false)
}

fn endings() -> Result<()> {
    let waiter = Spawn::new("child").args("wait").monitor();
    let pid = waiter.start()?;
    wippy::cancel(&pid, Some(Duration::from_secs(5)), None)?;
    check("it obeys", exit_of(&pid)? == Ok(Payload::text("cancelled")))?;
    let pid = waiter.start()?;
    wippy::cancel(&pid, Some(Duration::from_millis(5)), Some("stay"))?;
    check("it does not obey", kind(exit_of(&pid)?) == Some(Kind::Canceled))?;
    let pid = waiter.start()?;
    wippy::terminate(&pid)?;
    check("it is terminated", kind(exit_of(&pid)?) == Some(Kind::Canceled))?;
    check("it is gone", kind(wippy::terminate(&pid)) == Some(Kind::NotFound))
}

fn kind<T>(result: Result<T>) -> Option<Kind> {
    result.err().and_then(|error| error.kind())
}

/// How a process ended; the event must be the next one.
fn exit_of(pid: &wippy::Pid) -> Result<Result<Payload>> {
    match wippy::next_event(Some(Duration::from_secs(5)))? {
        Some(Event::Exit(ended)) if ended.from == *pid => Ok(ended.outcome),
        other => Err(format!("no exit of {pid}: {other:?}").into()),
    }
}
