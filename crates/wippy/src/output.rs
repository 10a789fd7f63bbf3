//! What goes to stdout and stderr.
//!
//! A reader that is gone (`wippy run list | head -1`) is no error: what it did not want to
//! read is dropped, and the exit status stays that of the work.

use std::io::{self, IsTerminal, Write};

use wippy_registry::{Diagnostic, Diagnostics};

/// Writes a result to stdout.
///
/// # Errors
///
/// What writing gave, such as a full disk; a closed pipe is none.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    pipe_may_close(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes a result to stdout, with a line break.
///
/// # Errors
///
/// As [`print`].
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    print(&line)
}

/// Writes to stderr. When that fails there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Shows diagnostics on stderr, if there are any.
pub(crate) fn show(diagnostics: &Diagnostics) {
    // A single one is not counted.
    match diagnostics.iter().as_slice() {
        [] => {}
        [only] => show_one(only),
        _ => complain(&diagnostics.render(colours())),
    }
}

/// Shows one diagnostic on stderr.
pub(crate) fn show_one(diagnostic: &Diagnostic) {
    complain(&diagnostic.render(colours()));
}

/// Whether stderr takes colours: it is a terminal, and NO_COLOR is not set.
pub(crate) fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

fn pipe_may_close(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
