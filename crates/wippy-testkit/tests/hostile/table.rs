//! The table: every hostile guest, and how it ends.

use wippy_model::Limit;

/// A hostile guest.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) code: Code,
    pub(crate) end: End,
}

/// What it is made of.
pub(crate) enum Code {
    /// `guests/built/hostile/NAME.wasm`, method `run`.
    Wat(&'static str),
    /// The same, and its method takes a text.
    WatOfText(&'static str),
    /// A function of `guests/built/hostile/wasi.wasm` with an argument.
    Wasi(&'static str, Argument),
    /// `guests/hostile/NAME.lua`, method `main`.
    Lua(&'static str),
    /// A function of `guests/hostile/actors.lua`.
    Actor(&'static str),
    /// A function of `guests/built/hostile/actor.wasm`.
    Guest(&'static str),
}

/// What a function is given.
#[derive(Clone, Copy)]
pub(crate) enum Argument {
    None,
    Number(u32),
    /// A file in its mount.
    File,
    /// The server that sends and takes without an end.
    Server,
}

/// How it ends.
pub(crate) enum End {
    /// It goes on until its time is over.
    OutOfTime,
    /// The same, or a linked process whose time is over first.
    OutOfTimeOrLinked,
    /// This limit ends it.
    Limit(Limit),
    /// This limit or its time, whichever it meets first.
    SoonerOrLater(Limit),
    /// A trap whose text contains this.
    Trap(&'static str),
    /// Normally, with `done`: what it was answered was right.
    Done,
    /// Its configuration was wrong, and the text contains this.
    Config(&'static str),
    /// A linked process ends it.
    Linked,
}

const fn wat(name: &'static str, end: End) -> Case {
    Case { name, code: Code::Wat(name), end }
}

const fn text(name: &'static str, end: End) -> Case {
    Case { name, code: Code::WatOfText(name), end }
}

const fn wasi(name: &'static str, argument: Argument, end: End) -> Case {
    Case { name, code: Code::Wasi(name, argument), end }
}

const fn lua(name: &'static str, file: &'static str, end: End) -> Case {
    Case { name, code: Code::Lua(file), end }
}

const fn actor(name: &'static str, end: End) -> Case {
    Case { name, code: Code::Actor(name), end }
}

const fn guest(name: &'static str, function: &'static str, end: End) -> Case {
    Case { name, code: Code::Guest(function), end }
}

pub(crate) const CASES: &[Case] = &[
    wat("loop", End::OutOfTime),
    wat("loop-start", End::OutOfTime),
    text("loop-realloc", End::OutOfTime),
    wat("loop-post-return", End::OutOfTime),
    wat("fill", End::OutOfTime),
    wat("recurse", End::Limit(Limit::Stack)),
    wat("memory-bomb", End::Limit(Limit::Memory)),
    wat("memory-begin", End::Limit(Limit::Memory)),
    wat("memory-grow-loop", End::OutOfTime),
    wat("table-bomb", End::Limit(Limit::Table)),
    wat("memories", End::Limit(Limit::Instances)),
    wat("trap-init", End::Trap("out of bounds")),
    text("trap-realloc", End::Trap("unreachable")),
    text("bad-realloc", End::Trap("realloc return: beyond end of memory")),
    wat("bad-result", End::Trap("out of bounds")),
    wat("bad-text", End::Trap("utf-8")),
    wat("large-result", End::Limit(Limit::HostBuffer)),
    wasi("handles", Argument::None, End::Limit(Limit::HostBuffer)),
    wasi("files", Argument::File, End::OutOfTime),
    wasi("sockets", Argument::None, End::OutOfTime),
    wasi("listeners", Argument::None, End::OutOfTime),
    wasi("output", Argument::None, End::OutOfTime),
    wasi("lines", Argument::None, End::OutOfTime),
    wasi("random", Argument::None, End::Limit(Limit::HostBuffer)),
    wasi("headers", Argument::None, End::Limit(Limit::HostBuffer)),
    wasi("requests", Argument::None, End::Limit(Limit::HostBuffer)),
    wasi("body-without-end", Argument::Server, End::OutOfTime),
    wasi("body-unread", Argument::Server, End::SoonerOrLater(Limit::HostBuffer)),
    wasi("poll-many", Argument::Number(4000), End::OutOfTime),
    wasi("poll-ready", Argument::Number(4000), End::OutOfTime),
    wasi("sleep", Argument::None, End::OutOfTime),
    wasi("read-nothing", Argument::None, End::OutOfTime),
    wasi("names", Argument::None, End::Limit(Limit::HostBuffer)),
    wasi("panic", Argument::None, End::Trap("unreachable")),
    wasi("deep", Argument::None, End::OutOfTime),
    lua("lua-backtrack", "backtrack", End::OutOfTime),
    lua("lua-strings", "strings", End::Limit(Limit::Memory)),
    lua("lua-error-in-error", "error-in-error", End::OutOfTime),
    lua("lua-catch-all", "catch-all", End::OutOfTime),
    lua("lua-metamethods", "metamethods", End::OutOfTime),
    lua("lua-sort", "sort", End::OutOfTime),
    lua("lua-coroutines", "coroutines", End::Limit(Limit::Memory)),
    lua("lua-output", "output", End::OutOfTime),
];

/// Those that misuse other processes.
pub(crate) const ACTORS: &[Case] = &[
    actor("flood", End::OutOfTime),
    actor("flood_huge", End::OutOfTime),
    actor("flood_itself", End::OutOfTime),
    actor("send_dead", End::OutOfTime),
    actor("forge_replies", End::OutOfTime),
    actor("flood_replies", End::Done),
    actor("replies_unread", End::OutOfTime),
    actor("call_storm", End::Done),
    actor("call_itself", End::OutOfTime),
    actor("fork_plain", End::OutOfTime),
    actor("fork_linked", End::OutOfTimeOrLinked),
    actor("fork_monitored", End::OutOfTime),
    actor("exec_deep", End::Done),
    actor("results_unread", End::OutOfTime),
    actor("exits_unread", End::Done),
    actor("first_messages", End::Done),
    actor("restart_for_ever", End::OutOfTime),
    actor("monitor_storm", End::Done),
    actor("monitor_dead", End::Done),
    actor("monitor_flap", End::OutOfTime),
    actor("link_flap", End::OutOfTime),
    actor("link_dying", End::Done),
    actor("link_chain", End::Done),
    actor("link_mesh", End::Done),
    actor("trap_flap", End::Linked),
    actor("options_flap", End::OutOfTime),
    actor("cancel_storm", End::OutOfTime),
    actor("squat", End::Done),
    actor("name_flap", End::OutOfTime),
    actor("listen_storm", End::OutOfTime),
    actor("upgrade_loop", End::OutOfTime),
    actor("upgrade_trap", End::Trap("unreachable")),
    actor("upgrade_missing", End::Config("test:missing")),
    actor("upgrade_wrong_hash", End::Config("sha256")),
    actor("upgrade_wrong_args", End::Config("compute takes 2 arguments")),
    actor("types", End::Done),
    actor("type_sources", End::Done),
    guest("guest-flood", "flood", End::OutOfTime),
    guest("guest-flood-itself", "flood-itself", End::OutOfTime),
    guest("guest-send-dead", "send-dead", End::OutOfTime),
    guest("guest-pollables", "pollables", End::Limit(Limit::HostBuffer)),
    guest("guest-call-itself", "call-itself", End::OutOfTime),
    guest("guest-fork", "fork", End::OutOfTimeOrLinked),
    guest("guest-exec-itself", "exec-itself", End::OutOfTime),
    guest("guest-first-messages", "first-messages", End::Done),
    guest("guest-monitor-dead", "monitor-dead", End::Done),
    guest("guest-monitor-flap", "monitor-flap", End::OutOfTime),
    guest("guest-link-flap", "link-flap", End::OutOfTime),
    guest("guest-options-flap", "options-flap", End::OutOfTime),
    guest("guest-cancel-storm", "cancel-storm", End::OutOfTime),
    guest("guest-squat", "squat", End::Done),
    guest("guest-upgrade-loop", "upgrade-loop", End::OutOfTime),
    guest("guest-upgrade-trap", "upgrade-trap", End::Trap("unreachable")),
    guest("guest-upgrade-missing", "upgrade-missing", End::Config("test:missing")),
];

/// The functions that they start, and whether each has as little time as a hostile one.
pub(crate) const MET: &[(&str, bool)] = &[
    ("fork_plain", true),
    ("fork_linked", true),
    ("fork_monitored", true),
    ("exec_itself", true),
    ("value", false),
    ("large", false),
    ("fails", false),
    ("sleeps_deaf", false),
    ("small_mailbox", false),
    ("chained", false),
    ("meshed", false),
    ("replies_often", false),
    ("replies_large", false),
];
