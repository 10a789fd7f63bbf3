//! Every limit of a process, with its default. `docs/limits.md` lists them.

use std::time::Duration;

/// What one process may use. Each limit has a typed error of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock of the whole life of a process, or of one call of a function.
    pub execution_max: Option<Duration>,
    /// Linear memory, all memories of all instances together.
    pub memory_bytes: u64,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Core instances.
    pub instances: u32,
    /// What the guest may make the host hold for it: buffers, headers, handles.
    pub host_buffer_bytes: u64,
    /// Open files and directories.
    pub open_files_max: u32,
    /// Open sockets.
    pub open_sockets_max: u32,
    /// HTTP requests under way.
    pub http_concurrency: u32,
    /// What it may write to the log through stdout and stderr in its life.
    pub output_bytes: u64,
    /// The mailbox.
    pub mailbox: MailboxLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            execution_max: None,
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            instances: 64,
            host_buffer_bytes: 16 << 20,
            open_files_max: 256,
            open_sockets_max: 256,
            http_concurrency: 64,
            output_bytes: 64 << 20,
            mailbox: MailboxLimits::default(),
        }
    }
}

/// What one mailbox holds. A send past a limit is an error to the sender; lifecycle
/// events have room reserved and count against none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Messages that wait.
    pub capacity: u32,
    /// Bytes of the messages that wait.
    pub bytes: u64,
    /// Bytes of one message.
    pub message_bytes: u64,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self { capacity: 1024, bytes: 64 << 20, message_bytes: 16 << 20 }
    }
}
