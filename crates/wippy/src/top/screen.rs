//! The terminal while `wippy top` has it: raw, on its second screen, without a cursor. When it
//! ends, by a panic, SIGINT, SIGTERM, SIGQUIT or SIGHUP too, the terminal is as it was before.
//! SIGKILL, SIGSTOP and a SIGTSTP that others send leave it as it is then: raw mode has no Ctrl-Z.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use unicode_width::UnicodeWidthStr;

use crate::listing::fit;

/// The second screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The first screen, with a cursor, in plain letters.
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    /// Dark on light, over the whole width.
    Reversed,
}

/// The terminal of this program. Drop gives it back.
pub(super) struct Screen(Arc<Saved>);

struct Saved {
    terminal: OwnedFd,
    before: Termios,
    given_back: AtomicBool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// When it is none, or cannot be set.
    pub(super) fn take(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        let saved = Arc::new(Saved { terminal, before, given_back: AtomicBool::new(false) });
        let panicking = saved.clone();
        // Before the panic is told: on the second screen nobody would see it.
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            panicking.give_back();
            tell(panic);
        }));
        tcsetattr(&saved.terminal, OptionalActions::Now, &raw)?;
        let screen = Self(saved);
        screen.0.write(ENTER)?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(&self.0.terminal) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            // A terminal that does not say.
            _ => (80, 24),
        }
    }

    /// Shows what fits of these lines, and nothing else.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub(super) fn draw(&self, lines: &[(Style, String)]) -> io::Result<()> {
        let (columns, rows) = self.size();
        let mut text = String::new();
        for (row, (style, line)) in lines.iter().take(rows).enumerate() {
            let style = match style {
                Style::Plain => "0",
                Style::Bold => "0;1",
                Style::Reversed => "0;7",
            };
            // Spaces, because erasing after a full line erases its last letter on some terminals.
            let line = fit(line, columns);
            let padding = " ".repeat(columns.saturating_sub(line.width()));
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[{};1H\x1b[{style}m{line}{padding}\x1b[0m", row + 1);
        }
        if lines.len() < rows {
            let _ = write!(text, "\x1b[{};1H\x1b[J", lines.len() + 1);
        }
        self.0.write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Saved {
    fn write(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    fn give_back(&self) {
        if self.given_back.swap(true, Ordering::SeqCst) {
            return;
        }
        // A terminal that is gone needs nothing.
        let _ = self.write(LEAVE);
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;

    /// On a terminal of its own; what is written goes to this test's stdout.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        let terminal = pty_process::blocking::Pty::new().unwrap();
        let modes = || tcgetattr(&terminal).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON));
        let panicked = std::thread::scope(|scope| {
            let took = scope.spawn(|| {
                let _screen = Screen::take(&terminal).unwrap();
                assert!(!modes().intersects(LocalModes::ECHO | LocalModes::ICANON));
                panic!("on purpose");
            });
            took.join().is_err()
        });
        assert!(panicked);
        assert_eq!(modes(), before);
    }
}
