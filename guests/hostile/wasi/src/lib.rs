//! Guests that misuse WASI: each function is one that takes all it can get and never stops
//! by itself. An error that a call answers is no reason to stop either.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wippy:hostile-wasi;

            world hostile-wasi {
                /// Keeps every pollable it ever made.
                export handles: func();
                /// Opens the file again and again, and closes none.
                export files: func(path: string);
                /// Makes sockets, and closes none.
                export sockets: func();
                /// Listens on a port of the system's choice, again and again.
                export listeners: func();
                /// Writes to stdout without an end.
                export output: func();
                /// Writes short lines to stderr without an end.
                export lines: func();
                /// Asks for as many random bytes as there are numbers.
                export random: func();
                /// Adds headers to one request.
                export headers: func();
                /// Makes requests with headers, and keeps them all.
                export requests: func();
                /// Sends a body without an end.
                export body-without-end: func(authority: string);
                /// Asks for large bodies, and reads none.
                export body-unread: func(authority: string);
                /// Waits for ever, until any of so many pollables is ready.
                export poll-many: func(count: u32);
                /// Polls many pollables that are ready, without an end.
                export poll-ready: func(count: u32);
                /// Sleeps as long as can be said.
                export sleep: func();
                /// Reads nothing, without an end.
                export read-nothing: func();
                /// Looks up names without waiting for an answer.
                export names: func();
                /// Panics with a text of some megabytes.
                export panic: func();
                /// Makes directories inside of each other.
                export deep: func();
            }
        ",
    });
}

mod http;

use bindings::Guest;
use wasip2::cli::{stderr, stdin, stdout};
use wasip2::clocks::monotonic_clock::{self, subscribe_duration};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasip2::io::poll::poll;
use wasip2::io::streams::OutputStream;
use wasip2::random::random::get_random_bytes;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

struct Hostile;

const LONG_NS: u64 = 1 << 60;

fn write_for_ever(stream: &OutputStream, bytes: &[u8]) -> ! {
    loop {
        let _ = stream.blocking_write_and_flush(bytes);
    }
}

impl Guest for Hostile {
    fn handles() {
        let mut kept = Vec::new();
        loop {
            kept.push(subscribe_duration(LONG_NS));
        }
    }

    fn files(path: String) {
        let directories = get_directories();
        let Some((directory, _)) = directories.first() else { panic!("no directory") };
        let mut kept = Vec::new();
        loop {
            kept.extend(directory.open_at(
                PathFlags::empty(),
                &path,
                OpenFlags::empty(),
                DescriptorFlags::READ,
            ));
        }
    }

    fn sockets() {
        let mut kept = Vec::new();
        loop {
            kept.extend(create_tcp_socket(IpAddressFamily::Ipv4));
        }
    }

    fn listeners() {
        let network = instance_network();
        let address =
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
        let mut kept = Vec::new();
        loop {
            let Ok(socket) = create_tcp_socket(IpAddressFamily::Ipv4) else { continue };
            let _ = socket.start_bind(&network, address);
            let _ = socket.finish_bind();
            let _ = socket.start_listen();
            let _ = socket.finish_listen();
            kept.push(socket);
        }
    }

    fn output() {
        write_for_ever(&stdout::get_stdout(), &[b'x'; 4096]);
    }

    fn lines() {
        write_for_ever(&stderr::get_stderr(), &b"line\n".repeat(800));
    }

    fn random() {
        let mut wanted = u64::MAX;
        loop {
            let _ = get_random_bytes(wanted);
            wanted = (wanted >> 1).max(1 << 20);
        }
    }

    fn headers() {
        http::headers();
    }

    fn requests() {
        http::requests();
    }

    fn body_without_end(authority: String) {
        http::body_without_end(&authority);
    }

    fn body_unread(authority: String) {
        http::body_unread(&authority);
    }

    fn poll_many(count: u32) {
        let pollables: Vec<_> = (0..count).map(|_| subscribe_duration(LONG_NS)).collect();
        let all: Vec<_> = pollables.iter().collect();
        loop {
            poll(&all);
        }
    }

    fn poll_ready(count: u32) {
        let pollables: Vec<_> = (0..count).map(|_| subscribe_duration(0)).collect();
        let all: Vec<_> = pollables.iter().collect();
        loop {
            poll(&all);
        }
    }

    fn sleep() {
        loop {
            monotonic_clock::subscribe_instant(u64::MAX).block();
        }
    }

    fn read_nothing() {
        let stdin = stdin::get_stdin();
        loop {
            let _ = stdin.read(0);
            let _ = stdin.blocking_read(0);
        }
    }

    fn names() {
        let network = instance_network();
        let mut kept = Vec::new();
        for number in 0_u64.. {
            kept.extend(resolve_addresses(&network, &format!("host-{number}.invalid")));
        }
    }

    fn panic() {
        panic!("{}", "x".repeat(4 << 20));
    }

    fn deep() {
        let directories = get_directories();
        let Some((directory, _)) = directories.first() else { panic!("no directory") };
        let mut path = String::from("d");
        loop {
            let _ = directory.create_directory_at(&path);
            path.push_str("/d");
        }
    }
}

bindings::export!(Hostile with_types_in bindings);
