//! An actor whose methods are `async`, as those of WASI 0.3 are: it runs on the engine that
//! knows concurrency.

mod world {
    wit_bindgen::generate!({
        path: ["wit/io", "wit/actor", "wit/process"],
        inline: "
            package wippy:actor-async;

            world actor-async {
                import wippy:actor/process@0.1.0;
                import wippy:process/processes@0.1.0;

                /// Sends every message back, until `stop`, whose first payload is the result.
                export echo: async func() -> result<string, string>;
                /// Starts the entry, calls it with a text, ends it with `stop`, and gives the
                /// answer and the value of its exit.
                export asks: async func(entry: string, text: string) -> result<string, string>;
                /// Executes the entry with a text.
                export executes: async func(entry: string, text: string) -> result<string, string>;
                /// Becomes the entry, with a text.
                export becomes: async func(entry: string, text: string) -> result<string, string>;
                /// Waits that long for what does not come, in `receive` and in a poll.
                export waits: async func(ns: u64) -> result<string, string>;
            }
        ",
        generate_all,
    });
}

use world::wippy::actor::process::{self, Payload, send};
use world::wippy::process::processes::{
    self, Event, call, exec, receive, receive_event, spawn_monitored, upgrade,
};

struct ActorAsync;

const LONG: Option<u64> = Some(5_000_000_000);

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

fn text(text: &str) -> Payload {
    Payload { format: "text".to_owned(), data: text.as_bytes().to_vec() }
}

fn read(payloads: &[Payload]) -> String {
    let first = payloads.first().map(|payload| payload.data.clone());
    String::from_utf8(first.unwrap_or_default()).unwrap_or_default()
}

impl world::Guest for ActorAsync {
    async fn echo() -> Result<String, String> {
        loop {
            let message = process::receive()?;
            if message.topic == "stop" {
                return Ok(read(&message.payloads));
            }
            send(&message.from, &message.topic, &message.payloads)?;
        }
    }

    async fn asks(entry: String, question: String) -> Result<String, String> {
        let pid = spawn_monitored(&entry, None, &[]).map_err(debug)?;
        let reply = call(&pid, "question", &[text(&question)], LONG).map_err(debug)?;
        send(&pid, "stop", &[text("ended")])?;
        match receive_event(LONG).map_err(debug)? {
            Some(Event::Exit(ended)) if ended.from == pid => {
                let value = ended.outcome.map_err(debug)?;
                Ok(format!("{} {}", read(&reply.payloads), read(&[value])))
            }
            other => Err(debug(other)),
        }
    }

    async fn executes(entry: String, argument: String) -> Result<String, String> {
        exec(&entry, None, &[text(&argument)]).map(|value| read(&[value])).map_err(debug)
    }

    async fn becomes(entry: String, argument: String) -> Result<String, String> {
        upgrade(Some(&entry), &[text(&argument)]).map_err(debug)?;
        Err("the old code goes on".to_owned())
    }

    async fn waits(ns: u64) -> Result<String, String> {
        if let Some(received) = receive(Some(ns)).map_err(debug)? {
            return Err(debug(received));
        }
        send(&process::self_(), "a message", &[])?;
        process::subscribe().block();
        Ok(processes::receive(Some(0)).map_err(debug)?.map_or("nothing", |_| "it came").to_owned())
    }
}

world::export!(ActorAsync with_types_in world);
