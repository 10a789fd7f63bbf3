//! The terminal's stdin, stdout and stderr, or streams in memory in their place.
//!
//! Stdin is read by a thread of its own, started at the first read, because a read of a
//! terminal cannot be cancelled; at most four chunks of 64 KiB wait. Writes go straight to
//! the stream. A reader that does not keep up would block them: who must not be blocked asks
//! for [`Terminal::room`] first and waits for it with [`Terminal::writable`].

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_MAX: usize = 4;

/// What a pipe takes at once when it takes anything (PIPE_BUF of POSIX on Linux).
const PIPE_BYTES: usize = 4096;

/// How often a stream that is full is looked at again.
const FULL_WAIT: Duration = Duration::from_millis(2);

/// A terminal's three streams.
pub struct Terminal {
    stdin: Mutex<Stdin>,
    stdout: Mutex<Box<dyn Write + Send>>,
    stderr: Mutex<Box<dyn Write + Send>>,
    /// Which of stdin, stdout and stderr is a terminal.
    interactive: [bool; 3],
    /// Whether a stream can be full: files and memory never are.
    bounded: [bool; 2],
}

/// A stream that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Results, and what a guest prints.
    Stdout,
    /// Errors and the log.
    Stderr,
}

enum Stdin {
    /// Nobody has read yet.
    Idle(Box<dyn Read + Send>),
    Reading(mpsc::Receiver<io::Result<Bytes>>, Bytes),
    /// Reading failed, and nobody was told yet.
    Failed(io::Error),
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
            interactive: [
                io::IsTerminal::is_terminal(&io::stdin()),
                io::IsTerminal::is_terminal(&io::stdout()),
                io::IsTerminal::is_terminal(&io::stderr()),
            ],
            bounded: [is_bounded(&io::stdout()), is_bounded(&io::stderr())],
        }
    }

    /// Streams in memory: reads `input`, and gives back what is written.
    pub fn memory(input: impl Into<Vec<u8>>) -> (Self, Captured, Captured) {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let terminal = Self {
            stdin: Mutex::new(Stdin::Idle(Box::new(io::Cursor::new(input.into())))),
            stdout: Mutex::new(Box::new(stdout.clone())),
            stderr: Mutex::new(Box::new(stderr.clone())),
            interactive: [false; 3],
            bounded: [false; 2],
        };
        (terminal, stdout, stderr)
    }

    /// Whether stdin is a terminal and not a pipe or a file.
    pub fn reads_a_person(&self) -> bool {
        self.interactive[0]
    }

    /// Whether a stream is a terminal and not a pipe or a file.
    pub fn shows_a_person(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.interactive[1],
            Stream::Stderr => self.interactive[2],
        }
    }

    /// How many bytes a write takes now without waiting for a reader.
    pub fn room(&self, stream: Stream) -> usize {
        let free = match stream {
            Stream::Stdout => !self.bounded[0] || is_writable(&io::stdout()),
            Stream::Stderr => !self.bounded[1] || is_writable(&io::stderr()),
        };
        let bounded = match stream {
            Stream::Stdout => self.bounded[0],
            Stream::Stderr => self.bounded[1],
        };
        match (free, bounded) {
            (false, _) => 0,
            (true, true) => PIPE_BYTES,
            (true, false) => CHUNK_BYTES,
        }
    }

    /// Waits until a stream has room. No worker waits: the stream is looked at again every
    /// 2 ms, because a reader of a pipe tells nobody.
    pub async fn writable(&self, stream: Stream) {
        while self.room(stream) == 0 {
            tokio::time::sleep(FULL_WAIT).await;
        }
    }

    /// Writes to a stream and flushes.
    ///
    /// # Errors
    ///
    /// What writing gave; a reader that is gone is `BrokenPipe`.
    pub fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.write_stdout(bytes),
            Stream::Stderr => self.write_stderr(bytes),
        }
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
                Stdin::Failed(_) if max == 0 => return Poll::Ready(Ok(Bytes::new())),
                Stdin::Failed(_) => {
                    if let Stdin::Failed(error) = std::mem::replace(&mut *stdin, Stdin::Ended) {
                        return Poll::Ready(Err(error));
                    }
                }
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
                        Poll::Ready(Some(Err(error))) if max > 0 => {
                            return Poll::Ready(Err(error));
                        }
                        Poll::Ready(Some(Err(error))) => {
                            *stdin = Stdin::Failed(error);
                            return Poll::Ready(Ok(Bytes::new()));
                        }
                        Poll::Ready(None) => *stdin = Stdin::Ended,
                    }
                }
            }
        }
    }

    /// Whether a read would answer at once.
    pub fn poll_readable(&self, poller: &mut Poller<'_>) -> Poll<()> {
        // Reading nothing waits for a chunk and takes none of it; an error is kept.
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

/// Whether writing can find the stream full: a pipe, a socket or a terminal.
fn is_bounded(stream: &impl std::os::fd::AsFd) -> bool {
    let file =
        rustix::fs::fstat(stream).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    !matches!(file, Ok(rustix::fs::FileType::RegularFile))
}

fn is_writable(stream: &impl std::os::fd::AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut streams = [PollFd::new(stream, PollFlags::OUT)];
    // A stream that cannot be asked is written, which reports what is wrong with it.
    poll(&mut streams, Some(&now)).map_or(true, |ready| ready > 0)
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
