//! The mailbox in `wasi:io/poll`, beside sockets and timers. Its WASI is a later 0.2 than the
//! one that `wippy:actor` names.

mod world {
    wit_bindgen::generate!({
        path: ["wit/io", "wit/actor", "wit/process"],
        inline: "
            package wippy:actor-poll;

            world actor-poll {
                import wippy:actor/process@0.1.0;
                import wippy:process/processes@0.1.0;

                /// Whether message and event are ready: before there are any, with a message,
                /// with both, and after all were taken.
                export ready: func() -> result<list<bool>, string>;

                /// Blocks on the mailbox, and gives the topic of what came.
                export block: func() -> result<string, string>;

                /// Polls the mailbox and a timer: what was ready.
                export first: func(ms: u32) -> list<u32>;

                /// Copies between a process and a connection to this port of 127.0.0.1: a
                /// message goes out as bytes, what comes in goes to whoever sent the last
                /// message. Tells that process `connected`, and ends with the connection.
                export bridge: func(port: u16, pid: string) -> result<string, string>;

                /// Makes and drops so many pollables, and then polls a message.
                export dropped: func(pollables: u32) -> list<u32>;

                /// Makes pollables until it is ended.
                export hoard: func();
            }
        ",
        with: { "wasi:io/poll@0.2.0": wasip2::io::poll },
        generate_all,
    });
}

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;
use wasip2::io::streams::StreamError;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use world::wippy::actor::process::{self, Payload, send, subscribe};
use world::wippy::process::processes::{self, receive_event, subscribe_events};

struct ActorPoll;

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl world::Guest for ActorPoll {
    fn ready() -> Result<Vec<bool>, String> {
        let (messages, events) = (subscribe(), subscribe_events());
        let mut seen = vec![messages.ready(), events.ready()];
        let own = process::self_();
        send(&own, "a message", &[])?;
        seen.extend([messages.ready(), events.ready()]);
        processes::cancel(&own, None, None).map_err(debug)?;
        seen.extend([messages.ready(), events.ready()]);
        process::receive()?;
        receive_event(None).map_err(debug)?;
        seen.extend([messages.ready(), events.ready()]);
        Ok(seen)
    }

    fn block() -> Result<String, String> {
        subscribe().block();
        process::try_receive()?.map(|message| message.topic).ok_or_else(|| "nothing".to_owned())
    }

    fn first(ms: u32) -> Vec<u32> {
        poll(&[&subscribe(), &subscribe_duration(u64::from(ms) * 1_000_000)])
    }

    fn bridge(port: u16, mut pid: String) -> Result<String, String> {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(debug)?;
        let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
        socket.start_connect(&instance_network(), to).map_err(debug)?;
        socket.subscribe().block();
        let (input, output) = socket.finish_connect().map_err(debug)?;
        send(&pid, "connected", &[])?;
        let (mailbox, incoming) = (subscribe(), input.subscribe());
        let (mut sent, mut received) = (0, 0);
        loop {
            let ready = poll(&[&mailbox, &incoming]);
            if ready.contains(&0) {
                while let Some(message) = process::try_receive()? {
                    for payload in &message.payloads {
                        output.blocking_write_and_flush(&payload.data).map_err(debug)?;
                        sent += payload.data.len();
                    }
                    pid = message.from;
                }
            }
            if ready.contains(&1) {
                let data = match input.read(1 << 16) {
                    Ok(data) => data,
                    Err(StreamError::Closed) => return Ok(format!("{sent} out, {received} in")),
                    Err(error) => return Err(debug(error)),
                };
                received += data.len();
                send(&pid, "data", &[Payload { format: "bytes".to_owned(), data }])?;
            }
        }
    }

    fn dropped(pollables: u32) -> Vec<u32> {
        for _ in 0..pollables {
            drop((subscribe(), subscribe_events()));
        }
        send(&process::self_(), "a message", &[]).expect("a send to itself");
        poll(&[&subscribe_events(), &subscribe()])
    }

    fn hoard() {
        let mut all = Vec::new();
        loop {
            all.push(subscribe());
        }
    }
}

world::export!(ActorPoll with_types_in world);
