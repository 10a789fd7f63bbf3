//! A run of the real `wippy` on a terminal: a pseudo terminal whose screen is read as a person
//! would see it.
//!
//! Limits: what is waited for must be there within a minute.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty};

const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A run on a terminal of its own.
pub struct OnTerminal {
    child: Child,
    terminal: Arc<Pty>,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl OnTerminal {
    pub(crate) fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let terminal = Pty::new().unwrap();
        terminal.resize(Size::new(rows, columns)).unwrap();
        let child = command.spawn(&terminal.pts().unwrap()).unwrap();
        let terminal = Arc::new(terminal);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (reader, shown) = (terminal.clone(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            // Reading fails once the other side is closed.
            while let Ok(len @ 1..) = (&*reader).read(&mut buffer) {
                shown.lock().unwrap().process(&buffer[..len]);
            }
        });
        Self { child, terminal, screen }
    }

    /// What the screen shows, row by row: a row is a line, also where a frame for a wider screen
    /// went on in the next one.
    pub fn screen(&self) -> String {
        let parser = self.screen.lock().unwrap();
        let (_, columns) = parser.screen().size();
        let rows: Vec<String> =
            parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Whether the program has the second screen.
    pub fn is_alternate(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Whether the cursor is hidden.
    pub fn hides_cursor(&self) -> bool {
        self.screen.lock().unwrap().screen().hide_cursor()
    }

    /// The terminal's settings, as `stty` would show them.
    pub fn settings(&self) -> String {
        let settings = rustix::termios::tcgetattr(&*self.terminal).unwrap();
        format!("{:?} {:?}", settings.local_modes, settings.input_modes)
    }

    /// Waits until the screen is as it should be.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(started.elapsed() < WAIT_MAX, "never: {what}\n{screen}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Presses keys.
    pub fn keys(&self, keys: &str) -> &Self {
        (&*self.terminal).write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, rows: u16, columns: u16) -> &Self {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        self.terminal.resize(Size::new(rows, columns)).unwrap();
        self
    }

    /// The process ID.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < WAIT_MAX, "it did not end\n{}", self.screen());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for OnTerminal {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
