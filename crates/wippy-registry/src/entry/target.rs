//! What the IDs of fields may name.

use crate::schema::targets;

targets! {
    /// Any entry.
    Any = "an entry" [];
    /// Files.
    Filesystem = "a filesystem" ["fs.directory"];
    /// A variable of the environment.
    Variable = "a variable" ["env.variable"];
    /// Where variables are kept.
    Storage = "a variable storage" [
        "env.storage.memory", "env.storage.file", "env.storage.os", "env.storage.router",
    ];
    /// What a service runs.
    Process = "a process" ["process.wasm", "process.lua"];
    /// Where processes run.
    Host = "a process host" ["process.host"];
    /// Where commands run.
    AnyHost = "a host" ["process.host", "terminal.host"];
    /// Lua code that others require.
    Library = "a Lua library" ["library.lua"];
    /// What can be called.
    Function = "a function" ["function.wasm", "function.wat", "function.lua"];
    /// An HTTP server.
    Server = "an HTTP server" ["http.service"];
    /// A group of HTTP endpoints.
    Router = "an HTTP router" ["http.router"];
    /// Keys and values.
    Store = "a store" ["store.memory"];
    /// Rules.
    Policy = "a policy" ["security.policy"];
}
