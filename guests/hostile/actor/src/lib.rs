//! Actors that misuse other processes, and the kernel.

mod world {
    wit_bindgen::generate!({
        path: ["wit/io", "wit/actor", "wit/process", "world.wit"],
        world: "wippy:hostile-actor/hostile-actor",
        generate_all,
    });
}

use world::wippy::actor::process::{self, Payload};
use world::wippy::process::processes::{
    self as others, Error, ErrorKind, Event, Options, SpawnOptions,
};

struct Hostile;

type Done = Result<String, String>;

const CROWD: Option<&str> = Some("test:crowd");
const MOST: u32 = 65_536;

fn text(text: &str) -> Payload {
    Payload { format: "text".to_owned(), data: text.as_bytes().to_vec() }
}

fn shown(error: Error) -> String {
    format!("{:?}: {}", error.kind, error.message)
}

fn done() -> Done {
    Ok("done".to_owned())
}

/// Fails unless the answer is an error of this kind, and no large one.
fn fits<T>(what: &str, answer: Result<T, Error>, kind: ErrorKind) -> Result<(), String> {
    match answer {
        Ok(_) => Err(format!("{what}: it was done")),
        Err(error) if error.message.len() > 4096 => Err(format!("{what}: a long error")),
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(format!("{what}: {}", shown(error))),
    }
}

/// The same where it may be done.
fn may<T>(what: &str, answer: Result<T, Error>, kind: ErrorKind) -> Result<(), String> {
    match answer {
        Ok(_) => Ok(()),
        refused => fits(what, refused, kind),
    }
}

/// A PID of a process that has ended.
fn dead() -> Result<String, String> {
    let pid = others::spawn_monitored("value", CROWD, &[text("gone")]).map_err(shown)?;
    match others::receive_event(None).map_err(shown)? {
        Some(Event::Exit(ended)) if ended.from == pid => Ok(pid),
        other => Err(format!("another event came: {other:?}")),
    }
}

fn sleeper() -> Result<String, String> {
    others::spawn("sleeps_deaf", CROWD, &[]).map_err(shown)
}

impl world::Guest for Hostile {
    fn flood() -> Done {
        let payload = [text("flood")];
        loop {
            if let Err(error) = process::send("neighbour", "flood", &payload)
                && !error.contains("the mailbox is full")
            {
                return Err(error);
            }
        }
    }

    fn flood_itself() -> Done {
        let (own, payload) = (process::self_(), [text(&"x".repeat(100_000))]);
        loop {
            if process::send(&own, "flood", &payload).is_err() {
                for _ in 0..10 {
                    process::try_receive()?;
                }
            }
        }
    }

    fn send_dead() -> Done {
        let long = "x".repeat(1 << 20);
        let targets = [dead()?, "nobody".to_owned(), format!("{{{long}}}"), long, String::new()];
        loop {
            for target in &targets {
                match process::send(target, "hello", &[]) {
                    Ok(_) => return Err("it was sent".to_owned()),
                    Err(error) if error.len() > 4096 => return Err("a long error".to_owned()),
                    Err(_) => {}
                }
            }
        }
    }

    fn pollables() -> Done {
        let mut kept = Vec::new();
        loop {
            kept.push(process::subscribe());
            kept.push(others::subscribe_events());
        }
    }

    fn call_itself() -> Done {
        let own = process::self_();
        loop {
            let answer = others::call(&own, "call", &[], Some(1_000_000));
            if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Unavailable) {
                process::try_receive()?;
                continue;
            }
            fits("call", answer, ErrorKind::Timeout)?;
        }
    }

    fn fork() -> Done {
        loop {
            for _ in 0..2 {
                let pid = others::spawn_linked_monitored("hostile", CROWD, &[]);
                may("fork", pid, ErrorKind::Unavailable)?;
            }
            others::receive_event(Some(20_000_000)).map_err(shown)?;
        }
    }

    fn exec_itself() -> Done {
        loop {
            may("exec", others::exec("hostile", CROWD, &[]), ErrorKind::Unavailable)?;
        }
    }

    fn first_messages() -> Done {
        let messages = (0..10_000).map(|_| ("first".to_owned(), vec![text("message")])).collect();
        let options = SpawnOptions {
            host: CROWD.map(ToOwned::to_owned),
            name: None,
            messages,
            monitor: true,
            link: true,
        };
        let spawned = others::spawn_with("sleeps_deaf", &[], &options);
        fits("first messages", spawned, ErrorKind::Unavailable)?;
        done()
    }

    fn monitor_dead() -> Done {
        let gone = dead()?;
        for _ in 0..MOST {
            others::monitor(&gone).map_err(shown)?;
        }
        fits("a monitor too many", others::monitor(&gone), ErrorKind::ResourceExhausted)?;
        fits("a link too many", others::link("neighbour"), ErrorKind::ResourceExhausted)?;
        done()
    }

    fn monitor_flap() -> Done {
        loop {
            others::monitor("neighbour").map_err(shown)?;
            others::unmonitor("neighbour").map_err(shown)?;
        }
    }

    fn link_flap() -> Done {
        let target = sleeper()?;
        loop {
            others::link(&target).map_err(shown)?;
            others::unlink(&target).map_err(shown)?;
        }
    }

    fn options_flap() -> Done {
        loop {
            for flag in [true, false] {
                others::set_options(Options { trap_links: flag, upgradable: flag })
                    .map_err(shown)?;
            }
        }
    }

    fn cancel_storm() -> Done {
        let reason = "x".repeat(60_000);
        loop {
            others::cancel("neighbour", Some(60_000_000_000), Some(&reason)).map_err(shown)?;
        }
    }

    fn squat() -> Done {
        for number in 0..1024 {
            others::register(&format!("squat{number}")).map_err(shown)?;
        }
        fits("a name too many", others::register("more"), ErrorKind::ResourceExhausted)?;
        fits("a long name", others::register(&"x".repeat(1 << 20)), ErrorKind::Invalid)?;
        fits("another's name", others::register("neighbour"), ErrorKind::AlreadyExists)?;
        fits("another's name", others::unregister("neighbour"), ErrorKind::PermissionDenied)?;
        done()
    }

    fn upgrade_loop() -> Done {
        fits("upgrade", others::upgrade(None, &[]), ErrorKind::Internal)?;
        done()
    }

    fn upgrade_trap() -> Done {
        fits("upgrade", others::upgrade(Some("traps"), &[]), ErrorKind::Internal)?;
        done()
    }

    fn upgrade_missing() -> Done {
        fits("upgrade", others::upgrade(Some("missing"), &[]), ErrorKind::Internal)?;
        done()
    }
}

world::export!(Hostile with_types_in world);
