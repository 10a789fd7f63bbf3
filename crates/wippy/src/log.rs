//! The log: to stderr, never to stdout.
//!
//! It is installed before the project is read, so that reading can be traced, and settled
//! once the project's own settings are known. While a command runs only warnings are shown.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};
use wippy_registry::{LogFormat, LogLevel, LoggerSettings};

use crate::cli::LogArgs;

/// What runs, which decides what is shown when nobody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A command with an end: its output must not drown.
    Command,
    /// The same under `--watch`: what is taken is shown, too.
    Watched,
    /// The runtime.
    Server,
}

/// What decides on the level stands below what writes, so that both can be exchanged.
type Levels = reload::Layer<LevelFilter, Registry>;
type Levelled = Layered<Levels, Registry>;
type Sink = Box<dyn Layer<Levelled> + Send + Sync>;

/// The log of this program.
pub(crate) struct Log {
    mode: Mode,
    args: LogArgs,
    level: reload::Handle<LevelFilter, Registry>,
    sink: reload::Handle<Sink, Levelled>,
}

impl Log {
    /// Installs the log, as the command line alone decides.
    pub(crate) fn install(mode: Mode, args: LogArgs) -> Self {
        let shown = level(mode, args, None);
        let (levels, level) = reload::Layer::new(shown);
        let (sinks, sink) = reload::Layer::new(layer(mode, args, LogFormat::Text, shown));
        // A second subscriber would be a defect of this program; the first one stays.
        let _ = tracing_subscriber::registry().with(levels).with(sinks).try_init();
        Self { mode, args, level, sink }
    }

    /// Settles the log as the project decides where the command line does not.
    pub(crate) fn settle(&self, settings: &LoggerSettings, hidden: bool) {
        let asked = self.args.verbose > 0 || self.args.console;
        let level = match hidden && !asked {
            true => LevelFilter::OFF,
            false => level(self.mode, self.args, settings.level),
        };
        // Both fail only where the subscriber is gone, and with it the log.
        let _ = self.level.reload(level);
        let _ = self.sink.reload(layer(self.mode, self.args, settings.format, level));
    }
}

fn level(mode: Mode, args: LogArgs, settings: Option<LogLevel>) -> LevelFilter {
    if args.silent {
        return LevelFilter::OFF;
    }
    let settled = settings.map(|level| match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    });
    match (args.verbose, mode) {
        // A command shows warnings alone, whatever a project that also serves says.
        (0, Mode::Command) if args.console => settled.unwrap_or(LevelFilter::INFO),
        (0, Mode::Command) => settled.unwrap_or(LevelFilter::WARN).min(LevelFilter::WARN),
        (0, Mode::Server | Mode::Watched) => settled.unwrap_or(LevelFilter::INFO),
        (1, Mode::Command) => LevelFilter::INFO,
        (1, Mode::Server | Mode::Watched) | (2, Mode::Command) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn layer(mode: Mode, args: LogArgs, format: LogFormat, level: LevelFilter) -> Sink {
    let coloured = args.console || (io::stderr().is_terminal() && crate::output::colours());
    let base = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    // Names of modules are of use to those who look for a fault, and to nobody else.
    let targets = level >= LevelFilter::DEBUG;
    match format {
        LogFormat::Json if !args.console => base.json().boxed(),
        _ => base
            .with_timer(Clock { shown: mode != Mode::Command || args.console })
            .with_ansi(coloured)
            .with_target(targets)
            .boxed(),
    }
}

/// The time of day in front of a line; not while a command runs, where all is now.
struct Clock {
    shown: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        if self.shown { SystemTime.format_time(writer) } else { Ok(()) }
    }
}
