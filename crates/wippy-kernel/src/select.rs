//! Which processes a listing shows, and in which order.

use std::cmp::{Ordering, Reverse};

use crate::ProcessInfo;

/// What a listing is ordered by. What grows comes with the largest first, the rest with the
/// smallest; where two are equal the older process comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Messages that wait.
    Mailbox,
    /// Messages received and sent.
    Messages,
    /// How long it has been there: the oldest first.
    Age,
    /// In order of the spawns.
    #[default]
    Pid,
}

impl Order {
    /// Every order, as listings offer them.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Memory, Self::Mailbox, Self::Messages, Self::Age, Self::Pid];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Mailbox => "mailbox",
            Self::Messages => "messages",
            Self::Age => "age",
            Self::Pid => "pid",
        }
    }

    /// The order of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == name)
    }

    /// How two processes stand in it.
    pub fn compare(self, a: &ProcessInfo, b: &ProcessInfo) -> Ordering {
        let by = match self {
            Self::Cpu => Reverse(a.cpu).cmp(&Reverse(b.cpu)),
            Self::Memory => b.memory_bytes.cmp(&a.memory_bytes),
            Self::Mailbox => {
                (b.mailbox_len, b.mailbox_bytes).cmp(&(a.mailbox_len, a.mailbox_bytes))
            }
            Self::Messages => b.messages().cmp(&a.messages()),
            Self::Age | Self::Pid => Ordering::Equal,
        };
        by.then_with(|| a.pid.serial().cmp(&b.pid.serial()))
    }
}

impl ProcessInfo {
    /// Messages received and sent.
    pub fn messages(&self) -> u64 {
        self.received.saturating_add(self.sent)
    }

    /// Whether a text, in whatever case, is part of its PID, a name, its entry or its state. The
    /// host is part of the PID.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let holds = |field: &str| field.to_lowercase().contains(&text);
        self.names.iter().any(|name| holds(name))
            || holds(self.entry.as_str())
            || holds(self.state.name())
            || holds(&self.pid.to_string())
    }
}
