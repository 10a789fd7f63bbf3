//! WASI 0.2 as its specification states it, on real guests.

mod http;
mod network;
mod poll;
mod server;
mod sockets;
mod sockets_0_3;
