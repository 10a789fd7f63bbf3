//! `wasi:sockets` in every way. Errors are given by their names in WIT. Built for
//! wasm32-unknown-unknown: it imports what it calls, and no preview1 adapter.

mod tcp;
mod udp;

mod world {
    wit_bindgen::generate!({ path: "world.wit" });
}

use std::net::IpAddr;

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;
use world::Guest;

struct Sockets;

const LOCALHOST: &str = "127.0.0.1";

/// The name of an error in WIT.
fn code(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn answer<T>(result: Result<T, ErrorCode>) -> String {
    result.map_or_else(code, |_| "ok".to_owned())
}

fn address(text: &str, port: u16) -> IpSocketAddress {
    match text.parse().expect("an address") {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) })
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            let address = (a, b, c, d, e, f, g, h);
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

fn port(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

enum Open {
    Tcp { _socket: wasip2::sockets::tcp::TcpSocket },
    Udp { _socket: wasip2::sockets::udp::UdpSocket },
}

fn open(at: u32) -> Result<Open, ErrorCode> {
    Ok(if at % 2 == 0 {
        Open::Tcp { _socket: create_tcp_socket(IpAddressFamily::Ipv4)? }
    } else {
        Open::Udp { _socket: create_udp_socket(IpAddressFamily::Ipv4)? }
    })
}

impl Guest for Sockets {
    fn tcp_client(port: u16, text: String) -> Result<String, String> {
        tcp::client(port, &text)
    }
    fn tcp_echo(report: u16) -> Result<u64, String> {
        tcp::echo(report)
    }
    fn tcp_both(ipv6: bool) -> Result<Vec<String>, String> {
        tcp::both(if ipv6 { "::1" } else { LOCALHOST })
    }
    fn tcp_connect(text: String, port: u16) -> String {
        tcp::connect(address(&text, port)).map_or_else(|error| error, |_| "ok".to_owned())
    }
    fn tcp_listen(text: String, port: u16) -> String {
        tcp::listen(address(&text, port)).map_or_else(|error| error, |_| "ok".to_owned())
    }
    fn tcp_shutdown(port: u16) -> Result<Vec<String>, String> {
        tcp::shutdown(port)
    }
    fn tcp_errors() -> Vec<String> {
        tcp::errors()
    }
    fn tcp_options() -> Result<Vec<String>, String> {
        tcp::options().map_err(code)
    }
    fn tcp_accept_all(report: u16) -> Result<(u32, String), String> {
        tcp::accept_all(report)
    }
    fn tcp_wait() -> Result<String, String> {
        let socket = tcp::listen(address(LOCALHOST, 0))?;
        tcp::accept(&socket).map(|_| "a connection".to_owned())
    }
    fn udp_client(port: u16, text: String, connected: bool) -> Result<String, String> {
        udp::client(port, &text, connected)
    }
    fn udp_stranger() -> Result<Vec<String>, String> {
        udp::stranger()
    }
    fn udp_errors() -> Vec<String> {
        udp::errors()
    }
    fn udp_wait() -> Result<String, String> {
        let socket = udp::bound(address(LOCALHOST, 0)).map_err(code)?;
        let (incoming, _outgoing) = socket.stream(None).map_err(code)?;
        udp::receive(&incoming).map(|datagram| String::from_utf8_lossy(&datagram.data).into_owned())
    }
    fn open(sockets: u32) -> (u32, String) {
        let mut kept = Vec::new();
        for at in 0..sockets {
            match open(at) {
                Ok(socket) => kept.push(socket),
                Err(error) => return (kept.len() as u32, code(error)),
            }
        }
        (kept.len() as u32, "ok".to_owned())
    }
    fn reopen(sockets: u32) -> (u32, String) {
        for at in 0..sockets {
            if let Err(error) = open(at) {
                return (at, code(error));
            }
        }
        (sockets, "ok".to_owned())
    }
    fn resolve(name: String) -> Result<Vec<String>, String> {
        let lookup = resolve_addresses(&instance_network(), &name).map_err(code)?;
        let mut addresses = Vec::new();
        loop {
            match lookup.resolve_next_address() {
                Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => {
                    addresses.push(format!("{a}.{b}.{c}.{d}"));
                }
                Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                    let address = std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h);
                    addresses.push(address.to_string());
                }
                Ok(None) => return Ok(addresses),
                Err(ErrorCode::WouldBlock) => lookup.subscribe().block(),
                Err(error) => return Err(code(error)),
            }
        }
    }
    fn resolve_churn(name: String, lookups: u32) -> u32 {
        let network = instance_network();
        (0..lookups).filter(|_| resolve_addresses(&network, &name).is_ok()).count() as u32
    }
}

world::export!(Sockets with_types_in world);
