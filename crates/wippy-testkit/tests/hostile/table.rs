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
    /// This limit ends it.
    Limit(Limit),
    /// This limit or its time, whichever it meets first.
    SoonerOrLater(Limit),
    /// A trap whose text contains this.
    Trap(&'static str),
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
