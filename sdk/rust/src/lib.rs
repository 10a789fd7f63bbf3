//! Actors in Rust for the Wippy runtime.
//!
#![doc = include_str!("../README.md")]

mod error;
mod event;
mod mailbox;
mod message;
mod payload;
mod process;
mod serve;
mod spawn;
mod supervisor;

pub use error::{Error, Kind, Result};
pub use event::{Cancellation, Ended, Event, Received};
pub use mailbox::{
    Mailbox, Ready, call, call_timeout, events, mailbox, next, next_event, receive,
    receive_timeout, self_pid, send, try_receive,
};
pub use message::{Message, Pid};
pub use payload::{Format, Payload, Payloads};
pub use process::{
    cancel, link, lookup, monitor, register, terminate, trap_links, unlink, unmonitor, unregister,
    upgradable, upgrade, upgrade_to,
};
pub use serve::{Actor, Next, run, serve};
pub use spawn::{Spawn, exec, spawn, spawn_linked, spawn_monitored};
pub use supervisor::{Child, Restart, Strategy, Supervisor};

/// `wasi:io/poll` and the rest of WASI 0.2, for what is waited for beside the mailbox.
pub use wasip2;
#[doc(hidden)]
pub use wit_bindgen;

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "wippy:sdk/sdk",
        generate_all,
        with: { "wasi:io/poll@0.2.0": wasip2::io::poll },
    });
}

/// Says in WIT what the component exports: a package and one world of it. It makes the trait
/// `Guest` with one function for each export, and the macro `export!` for the type that implements
/// it.
///
/// ```ignore
/// wippy::world!("package app:greeter; world greeter { export run: func(name: string) -> string; }");
///
/// struct Greeter;
///
/// impl Guest for Greeter {
///     fn run(name: String) -> String {
///         format!("Hello, {name}!")
///     }
/// }
///
/// export!(Greeter);
/// ```
#[macro_export]
macro_rules! world {
    ($wit:literal) => {
        $crate::wit_bindgen::generate!({
            inline: $wit,
            runtime_path: "::wippy::wit_bindgen::rt",
        });
    };
}
