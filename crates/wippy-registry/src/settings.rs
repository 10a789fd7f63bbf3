//! `.wippy.yaml`: settings of the runtime. What is not known there is a warning, so that
//! a file for a newer runtime still runs; but an error where permissions depend on it.

use wippy_model::Value;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schema::{ByteSize, Decoder, Fields, Name, Scope, choice, record};
use crate::yaml::{Content, Node};

record! {
    /// Settings of the runtime.
    pub struct Settings {
        /// Who may do what.
        security: SecuritySettings => group,
        /// The log.
        logger | log: LoggerSettings => group,
        /// The node.
        runtime: RuntimeSettings => group,
        /// WebAssembly.
        wasm: WasmSettings => group,
        /// The HTTP server and client.
        http: HttpSettings => group,
    }
    ignored {
        cluster, extensions, finder, functions, logmanager, lsp, metrics, otel, override,
        profiler, prometheus, registry, relay, shutdown, supervisor, update
    }
}

record! {
    /// Who may do what.
    pub struct SecuritySettings {
        /// Whether everything is denied that no policy allows, without an actor too.
        strict_mode: bool => or(false),
    }
}

record! {
    /// The log, which goes to stderr.
    pub struct LoggerSettings {
        /// The lowest level that is shown.
        level: LogLevel => optional,
        /// How a line is written.
        format | encoding: LogFormat => or(LogFormat::Text),
    }
    ignored { mode, development, colors }
}

choice! {
    /// How important a line of the log is.
    pub enum LogLevel {
        /// For tracing a fault.
        Debug = "debug",
        /// What happens.
        Info = "info",
        /// What probably is not meant.
        Warn = "warn",
        /// What failed.
        Error = "error",
    }
}

choice! {
    /// How a line of the log is written.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For programs.
        Json = "json",
        /// For people; the same as `text`.
        Console = "console",
    }
}

record! {
    /// The node.
    pub struct RuntimeSettings {
        /// The node's name in PIDs.
        node: String as Name => or("local".to_owned()),
    }
}

record! {
    /// WebAssembly.
    pub struct WasmSettings {
        /// Whether compiled code is kept on disk.
        cache: bool => or(true),
        /// Where it is kept, relative to the project root; the user's cache folder without it.
        cache_dir: String as Name => optional,
        /// The largest binary that is loaded.
        binary_bytes_max: u64 as ByteSize => or(64 << 20),
    }
}

record! {
    /// The HTTP server and client.
    pub struct HttpSettings {
        /// Connections that the client keeps open for one server.
        client_idle_per_host: u32 => or(8),
    }
}

impl Settings {
    /// Reads the settings of a file; of an empty map, the defaults.
    pub(crate) fn read(
        node: &Node,
        scope: Scope<'_>,
        found: &mut Diagnostics,
    ) -> Option<(Self, Value)> {
        let mut references = Vec::new();
        match &node.content {
            Content::Map(pairs) => {
                let mut cx = Decoder::new(scope, found, &mut references);
                let mut fields = Fields::new(pairs, &["version"], node.span);
                let settings = Self::take(&mut fields, &mut cx);
                fields.close(&mut cx, Self::table);
                settings.map(|settings| (settings, node.to_value()))
            }
            other => {
                let message = format!("settings: expected a map of sections, found {other}");
                let place = scope.sources.place(node.span);
                let help = "write sections, such as `security: { strict_mode: true }`";
                found.push(Diagnostic::error("wrong-type", message).at(place).help(help));
                None
            }
        }
    }
}
