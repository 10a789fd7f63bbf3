//! What a process has taken out of its mailbox and not yet looked at, and which kinds it
//! has moved to channels of their own.
//!
//! Looking for one kind takes others out of the mailbox as well. They wait here, in order
//! of arrival, at most as many messages, and as many bytes of them, as the mailbox itself
//! may hold; then its messages are left alone, and senders hear that it is full. Events are
//! taken even then: they have room reserved, and a cancel must be heard.

use std::collections::{HashSet, VecDeque};
use std::task::{Context as Poller, Poll};

use wippy_kernel::{Lane, Numbered, ProcessContext, Received};
use wippy_model::MailboxLimits;

use crate::tasks::{EVENTS, MESSAGES};

/// The mail of one process.
pub(crate) struct Mail {
    /// In order of arrival.
    waiting: VecDeque<Numbered>,
    /// Bytes of the messages that wait.
    waiting_bytes: u64,
    limits: MailboxLimits,
    /// Whether `process.inbox` moved messages away from `process.receive`.
    pub(crate) inbox_open: bool,
    /// Whether `process.events` moved events away from `process.receive`.
    pub(crate) events_open: bool,
    /// Topics that `process.listen` moved away from both.
    topics: HashSet<Box<str>>,
}

/// What somebody looks for.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// What `process.receive` gives.
    Any,
    /// What `process.inbox` gives.
    Inbox,
    /// Lifecycle events.
    Events,
    /// Messages of one topic.
    Topic(&'a str),
}

impl Mail {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            limits,
            inbox_open: false,
            events_open: false,
            topics: HashSet::new(),
        }
    }

    /// Moves a topic to a channel of its own; false when it was moved already.
    pub(crate) fn listen(&mut self, topic: &str) -> bool {
        self.topics.insert(topic.into())
    }

    /// Moves a topic back; false when it was not moved.
    pub(crate) fn unlisten(&mut self, topic: &str) -> bool {
        self.topics.remove(topic)
    }

    /// Topics with channels of their own.
    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    fn listens(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// The lanes on which what is wanted arrives.
    pub(crate) fn lanes(&self, wanted: Wanted<'_>) -> u8 {
        match wanted {
            Wanted::Any => {
                let messages = if self.inbox_open { 0 } else { MESSAGES };
                let events = if self.events_open { 0 } else { EVENTS };
                messages | events
            }
            Wanted::Inbox | Wanted::Topic(_) => MESSAGES,
            Wanted::Events => EVENTS,
        }
    }

    fn is_wanted(&self, item: &Received, wanted: Wanted<'_>) -> bool {
        match (item, wanted) {
            (Received::Event(_), Wanted::Any) => !self.events_open,
            (Received::Event(_), Wanted::Events) => true,
            (Received::Event(_), _) | (Received::Message(_), Wanted::Events) => false,
            (Received::Message(message), Wanted::Topic(topic)) => &*message.topic == topic,
            (Received::Message(message), Wanted::Any) => {
                !self.inbox_open && !self.listens(&message.topic)
            }
            (Received::Message(message), Wanted::Inbox) => !self.listens(&message.topic),
        }
    }

    /// The first item that is wanted: one that waits here, unless the mailbox has an older one on
    /// another lane.
    pub(crate) fn take(
        &mut self,
        context: &ProcessContext,
        wanted: Wanted<'_>,
        poller: &mut Poller<'_>,
    ) -> Option<Received> {
        let lanes = self.lanes(wanted);
        let waits = self.waiting.iter().find(|item| self.is_wanted(&item.received, wanted));
        let waits = waits.map(|item| item.sequence);
        loop {
            let open = self.open_lanes(lanes);
            if let Some(sequence) = waits
                && oldest(context, open).is_none_or(|oldest| oldest > sequence)
            {
                let place = self.waiting.partition_point(|item| item.sequence < sequence);
                let item = self.waiting.remove(place)?.received;
                self.waiting_bytes = self.waiting_bytes.saturating_sub(size(&item));
                return Some(item);
            }
            let item = poll(context, open, poller)?;
            if self.is_wanted(&item.received, wanted) {
                return Some(item.received);
            }
            self.keep(item);
        }
    }

    /// All that waits here, in order of arrival.
    pub(crate) fn take_all(&mut self) -> Vec<Numbered> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into()
    }

    /// Takes one item out of the mailbox for whoever waits; says on which lane it came.
    pub(crate) fn pump(
        &mut self,
        context: &ProcessContext,
        lanes: u8,
        poller: &mut Poller<'_>,
    ) -> Option<u8> {
        let item = poll(context, self.open_lanes(lanes), poller)?;
        let lane = match item.received {
            Received::Message(_) => MESSAGES,
            Received::Event(_) => EVENTS,
        };
        self.keep(item);
        Some(lane)
    }

    fn keep(&mut self, item: Numbered) {
        self.waiting_bytes += size(&item.received);
        // Nearly always at the back: what comes of the other lane may be older.
        let place = self.waiting.partition_point(|other| other.sequence < item.sequence);
        self.waiting.insert(place, item);
    }

    /// Those of the lanes that something may be taken from now.
    fn open_lanes(&self, lanes: u8) -> u8 {
        let MailboxLimits { capacity, bytes, .. } = self.limits;
        let has_room =
            self.waiting.len() < (capacity as usize).max(1) && self.waiting_bytes < bytes.max(1);
        if has_room { lanes } else { lanes & EVENTS }
    }
}

/// Bytes of a message; an event counts none, as in the mailbox.
fn size(item: &Received) -> u64 {
    match item {
        Received::Message(message) => message.size_bytes() as u64,
        Received::Event(_) => 0,
    }
}

fn lane(lanes: u8) -> Option<Lane> {
    match (lanes & MESSAGES != 0, lanes & EVENTS != 0) {
        (true, true) => Some(Lane::Both),
        (true, false) => Some(Lane::Messages),
        (false, true) => Some(Lane::Events),
        (false, false) => None,
    }
}

fn oldest(context: &ProcessContext, lanes: u8) -> Option<u64> {
    context.oldest_sequence(lane(lanes)?)
}

fn poll(context: &ProcessContext, lanes: u8, poller: &mut Poller<'_>) -> Option<Numbered> {
    match context.poll_receive_numbered(lane(lanes)?, poller) {
        Poll::Ready(item) => Some(item),
        Poll::Pending => None,
    }
}
