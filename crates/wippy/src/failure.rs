//! Why a command did not do what it was asked to: text for stderr and an exit status.

use std::fmt::Write as _;
use std::io;

use wippy_model::{EntryId, Error, Exit, Kind};
use wippy_registry::{Diagnostic, Diagnostics, Place};

use crate::output;

/// The exit statuses.
pub(crate) mod status {
    pub(crate) const OK: i32 = 0;
    /// An error or a trap of the program.
    pub(crate) const FAILED: i32 = 1;
    /// A mistake in the command line or the project.
    pub(crate) const USAGE: i32 = 2;
    /// Ctrl-C ended a command.
    pub(crate) const INTERRUPTED: i32 = 130;
    /// SIGQUIT ended `wippy top`.
    pub(crate) const QUIT: i32 = 131;
    /// SIGTERM ended a command.
    pub(crate) const TERMINATED: i32 = 143;
}

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) status: i32,
    /// What is shown on stderr.
    diagnostics: Diagnostics,
    /// The guest's backtrace or the Lua stack.
    stack: Option<String>,
}

/// What a command gives: an exit status, or a failure.
pub(crate) type Outcome = Result<i32, Failure>;

impl Failure {
    /// A mistake in the command line or the project.
    pub(crate) fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic::error(code, message).into()
    }

    /// A mistake in the command line or the project, with the next step.
    pub(crate) fn usage_with_help(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Diagnostic::error(code, message).help(help).into()
    }

    /// What cannot be done now, though nothing is wrong with what was asked, with the next step.
    pub(crate) fn failed(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let diagnostic = Diagnostic::error(code, message).help(help);
        Self { status: status::FAILED, ..diagnostic.into() }
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::usage("io", format!("cannot {what} {}: {error}", path.display()))
    }

    /// An end without words: a signal.
    pub(crate) fn silent(status: i32) -> Self {
        Self { status, diagnostics: Diagnostics::default(), stack: None }
    }

    /// An error with the status that its owner decides on.
    pub(crate) fn of(error: &Error, status: i32) -> Self {
        let mut diagnostic = Diagnostic::error("failed", error.message());
        // The message of a usage error may go on with the signature, on lines of its own.
        if let Some((first, rest)) = error.message().split_once('\n') {
            diagnostic = Diagnostic::error("failed", first).help(rest.trim_end());
        }
        let stack = error.stack().map(ToString::to_string).filter(|stack| !stack.is_empty());
        Self { status, diagnostics: diagnostic.into(), stack }
    }

    /// The same, at a place in a project file.
    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        let unplaced = std::mem::take(&mut self.diagnostics);
        self.diagnostics.extend(unplaced.into_iter().map(|it| it.at(place.clone())));
        self
    }

    /// The same in other words, where there are any.
    #[must_use]
    pub(crate) fn reworded(mut self, words: impl Fn(&str) -> Option<String>) -> Self {
        let before = std::mem::take(&mut self.diagnostics);
        self.diagnostics.extend(before.into_iter().map(|mut diagnostic| {
            if let Some(message) = words(&diagnostic.message) {
                diagnostic.message = message;
            }
            diagnostic
        }));
        self
    }

    /// What a refused spawn or load is: a mistake in command line or project, or a limit of
    /// the moment.
    pub(crate) fn of_start(error: &Error) -> Self {
        let status = match error.kind() {
            Kind::Invalid | Kind::NotFound | Kind::AlreadyExists | Kind::Conflict => status::USAGE,
            _ => status::FAILED,
        };
        Self::of(error, status)
    }

    /// How an exit that is not normal ends the command.
    pub(crate) fn of_exit(entry: &EntryId, exit: &Exit) -> Self {
        match (exit, exit.error()) {
            // A program that exits with a code has said what it had to say.
            (Exit::Code(code), _) => Self::silent(*code),
            (Exit::Config(error), _) => Self::of(error, status::USAGE),
            // These name no entry themselves.
            (Exit::Terminated | Exit::Canceled(_) | Exit::HostPanic(_), Some(error)) => {
                Self::of(&error.context(entry), status::FAILED)
            }
            (_, Some(error)) => Self::of(&error, status::FAILED),
            (_, None) => Self::silent(status::OK),
        }
    }

    /// Shows it on stderr.
    pub(crate) fn show(&self) {
        output::show(&self.diagnostics);
        if let Some(stack) = &self.stack {
            let mut text = String::from("  stack, innermost first:\n");
            // Lua heads its tracebacks itself.
            for line in stack.lines().filter(|line| line.trim() != "stack traceback:") {
                let _ = writeln!(text, "    {}", line.trim_end());
            }
            output::complain(&text);
        }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics::from(diagnostic).into()
    }
}

impl From<Diagnostics> for Failure {
    /// A project that does not load.
    fn from(diagnostics: Diagnostics) -> Self {
        Self { status: status::USAGE, diagnostics, stack: None }
    }
}

impl From<io::Error> for Failure {
    /// Output that could not be written.
    fn from(error: io::Error) -> Self {
        let error = Error::internal(format!("cannot write the result: {error}"));
        Self::of(&error, status::FAILED)
    }
}
