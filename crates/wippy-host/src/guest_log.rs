//! What a process writes to stdout and stderr where there is no terminal: line by line to
//! the log, under the entry's ID.
//!
//! Limits: a line longer than 8 KiB is logged in pieces, and past `output_bytes` nothing
//! more is logged.

use wippy_model::EntryId;

const LINE_BYTES_MAX: usize = 8 << 10;

use crate::Stream;

/// One stream of one process, on its way to the log: stdout as information, stderr as a
/// warning. Drop logs an unfinished last line.
#[derive(Debug)]
pub struct GuestLog {
    entry: EntryId,
    stream: Stream,
    line: Vec<u8>,
    left_bytes: u64,
}

impl GuestLog {
    /// A stream of a process that may log `output_bytes` in its life.
    pub fn new(entry: EntryId, stream: Stream, output_bytes: u64) -> Self {
        Self { entry, stream, line: Vec::new(), left_bytes: output_bytes }
    }

    /// Takes bytes as they come; logs each line that is complete. What is past
    /// `output_bytes` is dropped, with the line that it cuts, and the log says so once.
    pub fn write(&mut self, bytes: &[u8]) {
        let had_room = self.left_bytes > 0;
        let allowed = bytes.len().min(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
        self.left_bytes -= allowed as u64;
        let (taken, refused) = bytes.split_at(allowed);
        for piece in taken.split_inclusive(|byte| *byte == b'\n') {
            for chunk in piece.chunks(LINE_BYTES_MAX) {
                if self.line.len() + chunk.len() > LINE_BYTES_MAX {
                    self.flush();
                }
                self.line.extend_from_slice(chunk);
            }
            if piece.ends_with(b"\n") {
                self.line.pop();
                self.flush();
            }
        }
        if had_room && !refused.is_empty() {
            // A line that was cut would look like one that was meant.
            self.line.clear();
            tracing::warn!(
                parent: None,
                entry = %self.entry,
                "its further output is not logged: it has written all it may \
                 (limits.output_bytes)"
            );
        }
    }

    fn flush(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        match self.stream {
            Stream::Stdout => {
                tracing::info!(target: "guest", parent: None, entry = %self.entry, "{line}")
            }
            Stream::Stderr => {
                tracing::warn!(target: "guest", parent: None, entry = %self.entry, "{line}")
            }
        }
        self.line.clear();
    }
}

impl Drop for GuestLog {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.flush();
        }
    }
}
