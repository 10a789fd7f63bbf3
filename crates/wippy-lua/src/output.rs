//! Where a process's stdout and stderr go: the terminal, or the log.

use std::sync::Arc;

use wippy_host::{GuestLog, Stream, Terminal};
use wippy_model::{EntryId, Limits};

/// What goes to the log at once.
const LOG_BYTES: usize = 64 << 10;

/// The streams of one process.
pub(crate) enum Output {
    /// It runs on a terminal host.
    Terminal(Arc<Terminal>),
    /// It runs on a process host: lines go to the log, the logs made at first use.
    Log {
        entry: EntryId,
        output_bytes: u64,
        stdout: Option<Box<GuestLog>>,
        stderr: Option<Box<GuestLog>>,
    },
}

impl Output {
    /// Streams that go to the log.
    pub(crate) fn log(entry: EntryId, limits: &Limits) -> Self {
        Self::Log { entry, output_bytes: limits.output_bytes, stdout: None, stderr: None }
    }

    /// The terminal, on a terminal host.
    pub(crate) fn terminal(&self) -> Option<&Arc<Terminal>> {
        match self {
            Self::Terminal(terminal) => Some(terminal),
            Self::Log { .. } => None,
        }
    }

    /// How many bytes a write takes now without waiting for a reader.
    pub(crate) fn room(&self, stream: Stream) -> usize {
        match self {
            Self::Terminal(terminal) => terminal.room(stream),
            Self::Log { .. } => LOG_BYTES,
        }
    }

    /// Writes to one of the streams.
    ///
    /// # Errors
    ///
    /// What the terminal gave. Past `output_bytes` the log takes no more, and says so once.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.write(stream, bytes),
            Self::Log { entry, output_bytes, stdout, stderr } => {
                let slot = match stream {
                    Stream::Stdout => stdout,
                    Stream::Stderr => stderr,
                };
                slot.get_or_insert_with(|| {
                    Box::new(GuestLog::new(entry.clone(), stream, *output_bytes))
                })
                .write(bytes);
                Ok(())
            }
        }
    }
}
