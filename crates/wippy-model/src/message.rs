//! What one process sends another.

use std::sync::Arc;

use crate::{Context, Pid, Value};

/// One message: who sent it, its topic, and its payloads.
#[derive(Debug, Clone)]
pub struct Message {
    /// The sender; `None` when it came from outside any process.
    pub from: Option<Pid>,
    /// What it is about.
    pub topic: Arc<str>,
    /// One value for each argument of the send.
    pub payloads: Vec<Value>,
    /// The sender's principal, values, trace and deadline.
    pub context: Context,
}

impl Message {
    /// What this message counts against `mailbox.bytes`: an estimate of the memory it
    /// holds, in bytes.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        let payloads: usize = self.payloads.iter().map(Value::size_bytes).sum();
        size_of::<Self>() + self.topic.len() + payloads
    }
}
