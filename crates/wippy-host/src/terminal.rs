//! The terminal's stdin, stdout and stderr, or streams in memory in their place.
//!
//! Stdin is read by a thread of its own, started at the first read, because a read of a
//! terminal cannot be cancelled; at most four chunks of 64 KiB wait. Writes go straight to
//! the stream and may block: a terminal host has a worker of its own for the one process
//! it runs.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::{Context as Poller, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_MAX: usize = 4;

/// A terminal's three streams.
pub struct Terminal {
    stdin: Mutex<Stdin>,
    stdout: Mutex<Box<dyn Write + Send>>,
    stderr: Mutex<Box<dyn Write + Send>>,
    interactive: bool,
}

enum Stdin {
    /// Nobody has read yet.
    Idle(Box<dyn Read + Send>),
    Reading(mpsc::Receiver<io::Result<Bytes>>, Bytes),
    Ended,
}

/// What was written to a terminal in memory.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Everything written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().clone()
    }

    /// Everything written so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    /// The streams of this program.
    pub fn stdio() -> Self {
        Self {
            stdin: Mutex::new(Stdin::Idle(Box::new(io::stdin()))),
            stdout: Mutex::new(Box::new(io::stdout())),
            stderr: Mutex::new(Box::new(io::stderr())),
            interactive: io::IsTerminal::is_terminal(&io::stdout()),
        }
    }

    /// Streams in memory: reads `input`, and gives back what is written.
    pub fn memory(input: impl Into<Vec<u8>>) -> (Self, Captured, Captured) {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let terminal = Self {
            stdin: Mutex::new(Stdin::Idle(Box::new(io::Cursor::new(input.into())))),
            stdout: Mutex::new(Box::new(stdout.clone())),
            stderr: Mutex::new(Box::new(stderr.clone())),
            interactive: false,
        };
        (terminal, stdout, stderr)
    }

    /// Whether stdout is a terminal and not a pipe or a file.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Reads at most `max` bytes of stdin; no bytes mean its end.
    ///
    /// # Errors
    ///
    /// What reading stdin gave.
    pub async fn read(&self, max: usize) -> io::Result<Bytes> {
        std::future::poll_fn(|poller| self.poll_read(max, poller)).await
    }

    /// Polls for at most `max` bytes of stdin; no bytes mean its end.
    ///
    /// # Errors
    ///
    /// What reading stdin gave.
    pub fn poll_read(&self, max: usize, poller: &mut Poller<'_>) -> Poll<io::Result<Bytes>> {
        let mut stdin = self.stdin.lock();
        loop {
            match &mut *stdin {
                Stdin::Ended => return Poll::Ready(Ok(Bytes::new())),
                Stdin::Idle(_) => {
                    if let Stdin::Idle(source) = std::mem::replace(&mut *stdin, Stdin::Ended) {
                        *stdin = Stdin::Reading(read_on_a_thread(source)?, Bytes::new());
                    }
                }
                Stdin::Reading(chunks, left) => {
                    if !left.is_empty() {
                        return Poll::Ready(Ok(left.split_to(max.min(left.len()))));
                    }
                    match chunks.poll_recv(poller) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Some(Ok(chunk))) => *left = chunk,
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                        Poll::Ready(None) => *stdin = Stdin::Ended,
                    }
                }
            }
        }
    }

    /// Whether a read would answer at once.
    pub fn poll_readable(&self, poller: &mut Poller<'_>) -> Poll<()> {
        // Reading nothing waits for a chunk and takes none of it.
        self.poll_read(0, poller).map(drop)
    }

    /// Writes to stdout and flushes.
    ///
    /// # Errors
    ///
    /// What writing gave; a reader that is gone is `BrokenPipe`.
    pub fn write_stdout(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = self.stdout.lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Writes to stderr and flushes.
    ///
    /// # Errors
    ///
    /// What writing gave.
    pub fn write_stderr(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stderr = self.stderr.lock();
        stderr.write_all(bytes)?;
        stderr.flush()
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("interactive", &self.interactive).finish_non_exhaustive()
    }
}

fn read_on_a_thread(
    mut source: Box<dyn Read + Send>,
) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let chunk = match source.read(&mut buffer) {
                Ok(0) => return,
                Ok(len) => Ok(Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_to_the_end_and_captures() {
        let (terminal, stdout, stderr) = Terminal::memory("hello");
        assert_eq!(&terminal.read(2).await.unwrap()[..], b"he");
        assert_eq!(&terminal.read(100).await.unwrap()[..], b"llo");
        assert!(terminal.read(100).await.unwrap().is_empty());
        assert!(terminal.read(100).await.unwrap().is_empty());
        terminal.write_stdout(b"out").unwrap();
        terminal.write_stderr(b"err").unwrap();
        assert_eq!((stdout.text(), stderr.text()), ("out".to_owned(), "err".to_owned()));
    }
}
