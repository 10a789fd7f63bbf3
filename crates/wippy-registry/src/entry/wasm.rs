//! WebAssembly: binaries, how they run, what they may use, and pools of functions.

use std::time::Duration;

use wippy_model::{EntryId, Limits, MailboxLimits};

use super::process::Command;
use super::target::{AnyHost, Filesystem, Variable};
use crate::diagnostic::Diagnostic;
use crate::grant::Grants;
use crate::hash::HashPin;
use crate::schema::{
    AbsolutePath, ByteSize, Count, Decoder, Fields, IdOf, Imports, Name, Pin, SourceShape, Written,
    choice, record,
};
use crate::source_text::SourceText;
use crate::yaml::{Content, Span};

record! {
    /// A process in WebAssembly.
    pub struct ProcessWasm {
        ..binary: Binary,
        ..run: WasmRun,
        /// Makes it a command: `wippy run NAME`.
        command: Command => meta,
        /// Where it runs when nobody says.
        default_host: EntryId as IdOf<AnyHost> => meta,
    }
    ignored { worker_class }
    refused { pool: "a process has no pool: each spawn is an instance of its own" }
    check process_transport;
}

record! {
    /// A function in WebAssembly.
    pub struct FunctionWasm {
        ..binary: Binary,
        ..run: WasmRun,
        /// How instances are kept.
        pool: Pool => optional,
    }
    ignored { worker_class }
}

record! {
    /// A function in WebAssembly text.
    pub struct FunctionWat {
        ..run: WasmRun,
        /// The text, or `file://` and a file relative to this one.
        source: SourceText as SourceShape => required,
        /// How instances are kept.
        pool: Pool => optional,
    }
    ignored { worker_class }
    refused {
        hash: "text has no hash: it is part of the project file",
        fs: "the text is in `source`, not in a filesystem",
        path: "the text is in `source`, not in a filesystem",
    }
}

record! {
    /// A WebAssembly binary in a filesystem.
    pub struct Binary {
        /// The filesystem that holds the binary.
        fs: EntryId as IdOf<Filesystem> => required,
        /// The path in that filesystem.
        path: String as Name => required,
        /// The binary's hash: checked on every load, before anything is compiled.
        hash: HashPin as Pin => required,
    }
}

record! {
    /// How a binary runs.
    pub struct WasmRun {
        /// The exported function: `compute`, or `interface#func`.
        method: String as Name => required,
        /// How calls reach the method.
        transport: Transport => or(Transport::Payload),
        /// The types of a core module's exports.
        wit: String as Name => optional,
        /// The host interfaces that it is granted.
        imports: Grants as Imports => or(Grants::NONE),
        /// Arguments, environment and folders.
        wasi: Wasi => group,
        /// What it may use.
        limits: LimitSettings => group,
        /// How it is run.
        options: RunOptions => group,
    }
    check given_once;
    finish merge;
}

choice! {
    /// How calls reach a method.
    pub enum Transport {
        /// Values, mapped to the method's types.
        Payload = "payload",
        /// HTTP requests, of a function behind an endpoint.
        WasiHttp = "wasi-http",
    }
}

record! {
    /// What a guest sees through WASI.
    pub struct Wasi {
        /// Arguments, after the program's name.
        args: Vec<String> as Vec<Written> => or(Vec::new()),
        /// The folder it starts in.
        cwd: String as AbsolutePath => optional,
        /// Environment variables.
        env: Vec<WasiEnv> => or(Vec::new()),
        /// Folders.
        mounts: Vec<WasiMount> => or(Vec::new()),
    }
    check distinct;
}

record! {
    /// One environment variable of a guest.
    pub struct WasiEnv {
        /// The variable that holds the value.
        id: EntryId as IdOf<Variable> => required,
        /// The name that the guest sees.
        name: String as Name => required,
        /// Whether a missing value fails the start. Without it, the variable is left out.
        required: bool => or(false),
    }
    check may_be_absent;
}

record! {
    /// One folder of a guest.
    pub struct WasiMount {
        /// The filesystem.
        fs: EntryId as IdOf<Filesystem> => required,
        /// The path that the guest sees.
        guest: String as AbsolutePath => required,
        /// Whether every write is refused.
        read_only: bool => or(false),
    }
}

record! {
    /// What a process, or one call of a function, may use.
    pub struct LimitSettings {
        /// Wall clock of the whole life of a process, or of one call of a function, in
        /// milliseconds; 0 or absent is none.
        max_execution_ms: u64 => optional,
        /// Linear memory, all memories together. Default: 256MiB.
        memory_bytes: u64 as ByteSize => optional,
        /// Elements of all tables together. Default: 100000.
        table_elements: u64 => optional,
        /// Core instances. Default: 64.
        instances: u32 => optional,
        /// What the guest may make the host hold for it. Default: 16MiB.
        host_buffer_bytes: u64 as ByteSize => optional,
        /// Open files and folders. Default: 256.
        max_open_files: u32 => optional,
        /// Open sockets. Default: 256.
        max_open_sockets: u32 => optional,
        /// HTTP requests under way. Default: 64.
        http_concurrency: u32 as Count => optional,
        /// What it may write to the log through stdout and stderr. Default: 64MiB.
        output_bytes: u64 as ByteSize => optional,
    }
}

record! {
    /// How an entry is run by the host.
    pub struct RunOptions {
        /// The same as `limits` of the entry; a field may be given in one of them.
        limits: LimitSettings => group,
        /// The mailbox.
        mailbox: MailboxSettings => group,
    }
    ignored { worker_class, affinity, priority }
}

record! {
    /// What a mailbox holds.
    pub struct MailboxSettings {
        /// Messages that wait. Default: 1024.
        capacity: u32 as Count => optional,
        /// Bytes of the messages that wait. Default: 64MiB.
        bytes: u64 as ByteSize => optional,
        /// Bytes of one message. Default: 16MiB.
        message_bytes: u64 as ByteSize => optional,
    }
}

record! {
    /// How instances of a function are kept.
    pub struct Pool {
        /// The sort of pool. Without it, `workers` or `size` make a static one, else it is
        /// lazy with at the most 100 instances.
        r#type: PoolType => optional,
        /// Instances of a static pool.
        size: u32 as Count => optional,
        /// Instances of a static pool, where `size` is not given.
        workers: u32 as Count => optional,
        /// Calls that wait for an instance of a static pool. Default: instances × 64.
        buffer: u32 as Count => optional,
        /// Instances of a lazy or adaptive pool at the most. Default: 16.
        max_size: u32 as Count => optional,
        /// Whether an instance and its memory serve more than one call.
        reuse: bool => or(false),
    }
    ignored { warm_start, worker_class, min_size, idle_timeout }
}

choice! {
    /// The sorts of pools.
    pub enum PoolType {
        /// A new instance for each call, on the caller.
        Inline = "inline",
        /// None idle, made when called.
        Lazy = "lazy",
        /// A fixed number, and a queue.
        Static = "static",
        /// As many as the load asks for.
        Adaptive = "adaptive",
    }
}

/// A pool with all defaults settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolPlan {
    /// A new instance for each call, on the caller.
    Inline,
    /// None idle; at the most this many at one time.
    Lazy {
        /// Instances at one time.
        size_max: u32,
    },
    /// A fixed number, and a queue.
    Static {
        /// Instances.
        size: u32,
        /// Calls that wait.
        buffer: u32,
    },
    /// As many as the load asks for.
    Adaptive {
        /// Instances at one time.
        size_max: u32,
    },
}

/// Instances of a pool that says nothing about itself.
const UNTYPED_SIZE_MAX: u32 = 100;
/// Instances of a lazy or adaptive pool that does not say how many.
const SIZE_MAX: u32 = 16;
/// Calls that wait, for each instance of a static pool.
const BUFFER_PER_WORKER: u32 = 64;

impl Pool {
    /// The pool with all defaults settled.
    pub fn plan(&self) -> PoolPlan {
        let workers = self.size.or(self.workers);
        let fixed = |size: u32| PoolPlan::Static {
            size,
            buffer: self.buffer.unwrap_or(size.saturating_mul(BUFFER_PER_WORKER)),
        };
        let size_max = self.max_size.unwrap_or(SIZE_MAX);
        match (self.r#type, workers) {
            (Some(PoolType::Inline), _) => PoolPlan::Inline,
            (Some(PoolType::Lazy), _) => PoolPlan::Lazy { size_max },
            (Some(PoolType::Adaptive), _) => PoolPlan::Adaptive { size_max },
            (Some(PoolType::Static), workers) => fixed(workers.unwrap_or(1)),
            (None, Some(workers)) => fixed(workers),
            (None, None) => PoolPlan::Lazy { size_max: self.max_size.unwrap_or(UNTYPED_SIZE_MAX) },
        }
    }
}

impl WasmRun {
    /// Every limit, with the defaults of what the entry does not say.
    pub fn limits(&self) -> Limits {
        self.limits.resolve(&self.options.mailbox)
    }
}

impl LimitSettings {
    /// Every limit, with the defaults of what the entry does not say.
    pub fn resolve(&self, mailbox: &MailboxSettings) -> Limits {
        let default = Limits::default();
        Limits {
            execution_max: self
                .max_execution_ms
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis)
                .or(default.execution_max),
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            table_elements: self.table_elements.unwrap_or(default.table_elements),
            instances: self.instances.unwrap_or(default.instances),
            host_buffer_bytes: self.host_buffer_bytes.unwrap_or(default.host_buffer_bytes),
            open_files_max: self.max_open_files.unwrap_or(default.open_files_max),
            open_sockets_max: self.max_open_sockets.unwrap_or(default.open_sockets_max),
            http_concurrency: self.http_concurrency.unwrap_or(default.http_concurrency),
            output_bytes: self.output_bytes.unwrap_or(default.output_bytes),
            mailbox: MailboxLimits {
                capacity: mailbox.capacity.unwrap_or(default.mailbox.capacity),
                bytes: mailbox.bytes.unwrap_or(default.mailbox.bytes),
                message_bytes: mailbox.message_bytes.unwrap_or(default.mailbox.message_bytes),
            },
        }
    }

    /// Takes what the other one says.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.max_execution_ms = self.max_execution_ms.or(other.max_execution_ms);
        self.memory_bytes = self.memory_bytes.or(other.memory_bytes);
        self.table_elements = self.table_elements.or(other.table_elements);
        self.instances = self.instances.or(other.instances);
        self.host_buffer_bytes = self.host_buffer_bytes.or(other.host_buffer_bytes);
        self.max_open_files = self.max_open_files.or(other.max_open_files);
        self.max_open_sockets = self.max_open_sockets.or(other.max_open_sockets);
        self.http_concurrency = self.http_concurrency.or(other.http_concurrency);
        self.output_bytes = self.output_bytes.or(other.output_bytes);
    }
}

/// `limits` and `options.limits` are one group: what is in both is an error.
pub(super) fn given_once(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let flat = fields.peek("limits").map_or(&[][..], |node| node.pairs());
    let inner = fields.peek("options").and_then(|options| options.get("limits"));
    let mut once = Some(());
    for (key, node) in flat {
        let Some((again, _)) = inner.and_then(|inner| inner.pair(&key.text)) else { continue };
        let name = &key.text;
        let message = format!("`limits.{name}` and `options.limits.{name}` are the same field");
        let diagnostic = cx
            .diagnostic(Diagnostic::error, "given-twice", again.span, message)
            .related("given here first", cx.scope.sources.place(node.span))
            .help("keep one of them");
        cx.found.push(diagnostic);
        once = None;
    }
    once
}

fn merge(run: &mut WasmRun) {
    run.limits.absorb(&run.options.limits);
}

fn process_transport(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let Some(transport) = fields.peek("transport") else { return Some(()) };
    if transport.as_text() != Some(Transport::WasiHttp.name()) {
        return Some(());
    }
    let message = "`transport`: wasi-http is for functions behind an endpoint, not for processes";
    let help = "make it a function.wasm, or remove `transport`";
    cx.error("wrong-transport", transport.span, message, help);
    None
}

/// An optional variable may name nothing: it is left out with a warning.
fn may_be_absent(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let required = fields.peek("required").map(|node| &node.content);
    let id = fields.peek("id").map(|node| node.span);
    // The reference was pushed when `id` was read, a moment ago.
    if let Some(reference) = cx.references.last_mut()
        && Some(reference.span) == id
    {
        reference.optional = required != Some(&Content::Bool(true));
    }
    let Some(name) = fields.peek("name") else { return Some(()) };
    if name.as_text().is_some_and(|name| name.contains(['=', '\0'])) {
        let message = format!("`{}`: a variable's name holds no `=`", cx.path_of("name"));
        cx.error("bad-name", name.span, message, "write the name alone");
        return None;
    }
    Some(())
}

/// No two variables of one name, and no two folders at one place.
fn distinct(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let mut fine = Some(());
    for (list, field) in [("env", "name"), ("mounts", "guest")] {
        let Some(Content::List(items)) = fields.peek(list).map(|node| &node.content) else {
            continue;
        };
        let key = |text: &str| match field {
            "guest" if text != "/" => text.trim_end_matches('/').to_owned(),
            _ => text.to_owned(),
        };
        let mut seen: Vec<(String, Span)> = Vec::new();
        for node in items.iter().filter_map(|item| item.get(field)) {
            let Some(text) = node.as_text().map(key) else { continue };
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == text) {
                let message = format!("`{}`: {field} {text:?} is given twice", cx.path_of(list));
                let diagnostic = cx
                    .diagnostic(Diagnostic::error, "given-twice", node.span, message)
                    .related("given here first", cx.scope.sources.place(*first))
                    .help("keep one of them");
                cx.found.push(diagnostic);
                fine = None;
            } else {
                seen.push((text, node.span));
            }
        }
    }
    fine
}
