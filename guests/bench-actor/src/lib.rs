//! Two actors for the bench of messages: `echo` sends each message back to whoever sent it,
//! `ping` sends so many to a peer, one after the other, and waits for each answer.

wit_bindgen::generate!({
    // What it needs of the interface, so that it needs no WASI.
    inline: "
        package wippy:bench-actor;

        package wippy:actor@0.1.0 {
            interface process {
                type pid = string;
                record payload { format: string, data: list<u8> }
                record message { %from: pid, topic: string, payloads: list<payload> }
                send: func(target: pid, topic: string, payloads: list<payload>) -> result<bool, string>;
                receive: func() -> result<message, string>;
            }
        }

        world bench-actor {
            import wippy:actor/process@0.1.0;
            export echo: func() -> result<_, string>;
            export ping: func(peer: string, rounds: u32, text: string) -> result<u32, string>;
        }
    ",
    world: "wippy:bench-actor/bench-actor",
    generate_all,
});

use wippy::actor::process::{self, Payload};

struct BenchActor;

impl Guest for BenchActor {
    fn echo() -> Result<(), String> {
        loop {
            let message = process::receive()?;
            process::send(&message.from, &message.topic, &message.payloads)?;
        }
    }

    fn ping(peer: String, rounds: u32, text: String) -> Result<u32, String> {
        let payloads = [Payload { format: "text".into(), data: text.into_bytes() }];
        let mut received = 0;
        for _ in 0..rounds {
            process::send(&peer, "ping", &payloads)?;
            received += process::receive()?.payloads.len() as u32;
        }
        Ok(received)
    }
}

export!(BenchActor);
