//! `wippy top`, on a real pseudo terminal.

use insta::assert_snapshot;
use rustix::process::{Pid, kill_process};
use wippy_testkit::{Dir, OnTerminal, Signal};

use crate::dir;
use crate::ps::{started, with_workers};

fn top(dir: &Dir, rows: u16, columns: u16) -> OnTerminal {
    dir.wippy(["top", "--interval", "0.1"]).on_terminal(rows, columns)
}

/// The entries that the screen shows, in order.
fn entries(screen: &str) -> Vec<&str> {
    let known = ["app:main", "app:idle", "app:deaf"];
    screen.lines().filter_map(|line| known.into_iter().find(|name| line.contains(name))).collect()
}

#[test]
fn it_sorts_filters_and_ends() {
    let dir = with_workers();
    let running = started(&dir);
    let mut top = top(&dir, 24, 120);
    let screen = top.shows("app:deaf");
    assert!(top.is_alternate() && top.hides_cursor());
    assert!(screen.contains("wippy run main  up "), "{screen}");
    assert!(screen.contains("processes 3  cpu "), "{screen}");
    assert!(screen.contains("spawned 3  ended: none"), "{screen}");
    top.shows("1-3 of 3  by cpu_percent");
    top.until("rates are known", |screen| screen.contains("messages 0/s"));

    top.keys("\x1b[D");
    let screen = top.shows("by pid");
    assert_eq!(entries(&screen), ["app:main", "app:deaf", "app:idle"], "{screen}");
    top.keys("r");
    top.until("it is reversed", |screen| {
        screen.contains("reversed") && entries(screen) == ["app:idle", "app:deaf", "app:main"]
    });
    top.keys("r\x1b[Css").shows("by memory");
    top.keys("s").shows("by mailbox");
    top.until("the fullest is first", |screen| entries(screen)[..1] == ["app:deaf"]);

    top.keys("/id").shows("filter: id_");
    top.until("it is filtered", |screen| entries(screen) == ["app:idle"]);
    top.keys("lex").until("nobody fits", |screen| screen.contains("filter: idlex_"));
    top.until("nobody is listed", |screen| entries(screen).is_empty());
    top.keys("\x7f\r").shows("1-1 of 1  by mailbox  filter: idle");
    top.keys("\x1b").shows("1-3 of 3  by mailbox  (q ends");

    top.keys("q");
    assert_eq!(top.wait().code(), Some(0));
    top.until("the first screen is back", |_| !top.is_alternate() && !top.hides_cursor());
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, Some(143));
}

/// However it ends, the terminal is as it was.
#[test]
fn it_gives_the_terminal_back() {
    let dir = with_workers();
    let running = started(&dir);
    let signal = |top: &OnTerminal, signal| {
        let id = i32::try_from(top.process_id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(id, signal).unwrap();
    };
    type End = (&'static str, Box<dyn Fn(&OnTerminal)>, i32);
    let ends: [End; 5] = [
        ("q", Box::new(|top| _ = top.keys("q")), 0),
        ("Ctrl-C", Box::new(|top| _ = top.keys("\x03")), 0),
        ("SIGTERM", Box::new(move |top| signal(top, Signal::TERM)), 143),
        ("SIGQUIT", Box::new(move |top| signal(top, Signal::QUIT)), 131),
        ("SIGHUP", Box::new(move |top| signal(top, Signal::HUP)), 0),
    ];
    for (name, end, status) in ends {
        let mut top = dir.wippy(["top"]).on_terminal(24, 80);
        let raw = |top: &OnTerminal| !top.settings().contains("ICANON");
        top.shows("app:deaf");
        assert!(raw(&top), "{name}: {}", top.settings());
        end(&top);
        assert_eq!(top.wait().code(), Some(status), "{name}");
        top.until(name, |_| !top.is_alternate() && !top.hides_cursor());
        assert!(!raw(&top), "{name}: {}", top.settings());
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, Some(143));
}

#[test]
fn the_runtime_ends_meanwhile() {
    let dir = with_workers();
    let running = started(&dir);
    let mut top = top(&dir, 24, 80);
    top.shows("app:deaf");
    let id = running.process_id();
    running.signal(Signal::KILL);
    assert_eq!(running.wait().status, None);
    assert_eq!(top.wait().code(), Some(1));
    let screen = top.shows("`wippy run` starts it again");
    assert!(screen.contains(&format!("the runtime {id} has ended")), "{screen}");
    assert!(!top.is_alternate() && !top.hides_cursor());
}

#[test]
fn the_terminal_changes_its_size() {
    let dir = with_workers();
    let running = started(&dir);
    let mut top = top(&dir, 24, 120);
    top.shows("app:deaf");
    top.resize(8, 40);
    // One line of the header, the heading, and the processes.
    top.until("it is small", |screen| {
        screen.lines().count() <= 5
            && screen.starts_with("1-3 of 3")
            && screen.lines().nth(1).is_some_and(|line| line.contains("CPU%"))
    });
    top.resize(3, 20);
    top.until("only the table is left", |screen| {
        screen.lines().next().is_some_and(|line| line.contains("CPU%"))
    });
    top.keys("\x1b[6~");
    top.resize(1, 1);
    top.keys("\x1b[6~");
    top.resize(24, 120);
    top.shows("1-3 of 3");
    top.keys("q");
    assert_eq!(top.wait().code(), Some(0));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, Some(143));
}

#[test]
fn mistakes() {
    let dir = dir();
    assert_snapshot!("no_terminal", dir.wippy(["top"]).exits(2));
    assert_snapshot!("interval", dir.wippy(["top", "--interval", "0"]).exits(2));
    assert_snapshot!("interval_text", dir.wippy(["top", "--interval", "fast"]).exits(2));
    let mut top = dir.wippy(["top"]).on_terminal(24, 100);
    assert_eq!(top.wait().code(), Some(1));
    let screen = top.shows("starts one");
    assert!(screen.contains("error: no runtime of"), "{screen}");
    assert!(!top.is_alternate());
}
