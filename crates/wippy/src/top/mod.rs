//! `wippy top`: the processes of a runtime that runs, again and again, on a terminal.
//!
//! - `view.rs`: what is shown and what keys do.
//! - `screen.rs`: the terminal, and giving it back. `keys.rs`: what it sends.
//!
//! The terminal is written to without a library: ARCHITECTURE.md says why.

mod keys;
mod screen;
mod view;

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::TopArgs;
use crate::control::client::{Client, Lost};
use crate::control::protocol::{Figures, Request};
use crate::failure::{Failure, Outcome, status};
use crate::ps;
use crate::run::block_on;
use crate::signals::Signals;
use screen::Screen;
use view::{View, Wish};

/// Shows the processes until `q`.
pub(crate) fn top(args: &TopArgs) -> Outcome {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage_with_help(
            "no-terminal",
            "`wippy top` needs a terminal, on stdin and stdout",
            "`wippy ps` prints the processes once",
        ));
    }
    block_on(async {
        let client = ps::find(&args.look).await?;
        let filter = args.look.filter.clone().unwrap_or_default();
        watch(client, View::new(filter), args.interval).await
    })
}

/// What one question to the runtime gave, and the connection back.
type Answer = (Client, Result<Figures, Lost>);

async fn watch(client: Client, mut view: View, every: Duration) -> Outcome {
    let mut signals = Signals::take()?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut quit = listen(SignalKind::quit())?;
    let mut resized = listen(SignalKind::window_change())?;
    let screen = Screen::take(io::stdout()).map_err(terminal_failed)?;
    let mut keyboard = keyboard()?;
    let mut looks = interval(every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One question at a time is under way; the connection is there between two of them.
    let (answers, mut answered) = mpsc::channel::<Answer>(1);
    let mut idle = Some(client);
    let mut due = false;
    loop {
        let (_, rows) = screen.size();
        due |= view.resize(rows);
        screen.draw(&view.lines(rows)).map_err(terminal_failed)?;
        if due && let Some(client) = idle.take() {
            due = false;
            tokio::spawn(ask(client, view.request(), answers.clone()));
        }
        tokio::select! {
            biased;
            stop = signals.next() => return Err(Failure::silent(stop.status())),
            _ = hangup.recv() => return Ok(status::OK),
            _ = quit.recv() => return Err(Failure::silent(status::QUIT)),
            _ = resized.recv() => {}
            keys = keyboard.recv() => {
                // The terminal is gone.
                let Some(keys) = keys else { return Ok(status::OK) };
                for wish in keys.into_iter().filter_map(|key| view.key(key)) {
                    match wish {
                        Wish::Quit => return Ok(status::OK),
                        Wish::Look => due = true,
                        Wish::Draw => {}
                    }
                }
            }
            Some((client, answer)) = answered.recv() => match answer {
                Ok(figures) => {
                    due |= view.take(figures);
                    idle = Some(client);
                }
                Err(lost) => {
                    drop(screen);
                    return Err(client.failure(lost));
                }
            },
            _ = looks.tick() => due = true,
        }
    }
}

async fn ask(mut client: Client, request: Request, answers: mpsc::Sender<Answer>) {
    let answer = client.ask(request).await;
    // Nobody waits for it where the end came first.
    let _ = answers.send((client, answer)).await;
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::usage("signals", format!("cannot take signals: {error}")))
}

fn terminal_failed(error: io::Error) -> Failure {
    Failure::failed(
        "terminal",
        format!("cannot use the terminal: {error}"),
        "`wippy ps` prints the processes once",
    )
}

/// Reads stdin on a thread, which ends with the program: stdin stays in blocking mode, because
/// whoever started this shares it.
fn keyboard() -> Result<mpsc::Receiver<Vec<keys::Key>>, Failure> {
    let (pressed, keyboard) = mpsc::channel(1);
    let read = move || {
        let (mut bytes, mut read) = ([0; 256], Vec::new());
        while let Ok(len @ 1..) = io::stdin().read(&mut bytes) {
            read.extend_from_slice(bytes.get(..len).unwrap_or_default());
            if pressed.blocking_send(keys::take(&mut read)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("keyboard".to_owned());
    thread.spawn(read).map_err(terminal_failed)?;
    Ok(keyboard)
}
