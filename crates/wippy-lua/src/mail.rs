//! What a process has taken out of its mailbox and not yet looked at, and which kinds it
//! has moved to channels of their own.
//!
//! Looking for one kind takes others out of the mailbox as well. They wait here, in order
//! of arrival, at most as many messages, and as many bytes of them, as the mailbox itself
//! may hold; then its messages are left alone, and senders hear that it is full. Events are
//! taken even then: they have room reserved, and a cancel must be heard.

use std::collections::VecDeque;
use std::task::{Context as Poller, Poll};

use wippy_kernel::{ProcessContext, Received};
use wippy_model::{Event, MailboxLimits, Message};

use crate::tasks::{EVENTS, MESSAGES};

/// The mail of one process.
pub(crate) struct Mail {
    waiting: VecDeque<Received>,
    /// Bytes of the messages that wait.
    waiting_bytes: u64,
    limits: MailboxLimits,
    /// Whether `process.inbox` moved messages away from `process.receive`.
    pub(crate) inbox_open: bool,
    /// Whether `process.events` moved events away from `process.receive`.
    pub(crate) events_open: bool,
    /// Topics that `process.listen` moved away from both.
    topics: Vec<Box<str>>,
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
            topics: Vec::new(),
        }
    }

    /// Moves a topic to a channel of its own; false when it was moved already.
    pub(crate) fn listen(&mut self, topic: &str) -> bool {
        let new = !self.listens(topic);
        if new {
            self.topics.push(topic.into());
        }
        new
    }

    /// Moves a topic back; false when it was not moved.
    pub(crate) fn unlisten(&mut self, topic: &str) -> bool {
        let before = self.topics.len();
        self.topics.retain(|moved| &**moved != topic);
        self.topics.len() < before
    }

    /// Topics with channels of their own.
    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    fn listens(&self, topic: &str) -> bool {
        self.topics.iter().any(|moved| &**moved == topic)
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

    /// The first item that is wanted.
    pub(crate) fn take(
        &mut self,
        context: &ProcessContext,
        wanted: Wanted<'_>,
        poller: &mut Poller<'_>,
    ) -> Option<Received> {
        if let Some(position) = self.waiting.iter().position(|item| self.is_wanted(item, wanted)) {
            let item = self.waiting.remove(position)?;
            self.waiting_bytes = self.waiting_bytes.saturating_sub(size(&item));
            return Some(item);
        }
        let lanes = self.lanes(wanted);
        loop {
            let item = poll(context, self.open_lanes(lanes), poller)?;
            if self.is_wanted(&item, wanted) {
                return Some(item);
            }
            self.keep(item);
        }
    }

    /// All that waits here, in order of arrival.
    pub(crate) fn take_all(&mut self) -> Vec<Received> {
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
        let lane = match item {
            Received::Message(_) => MESSAGES,
            Received::Event(_) => EVENTS,
        };
        self.keep(item);
        Some(lane)
    }

    fn keep(&mut self, item: Received) {
        self.waiting_bytes += size(&item);
        self.waiting.push_back(item);
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

fn poll(context: &ProcessContext, lanes: u8, poller: &mut Poller<'_>) -> Option<Received> {
    let message = |poll: Poll<Message>| poll.map(Received::Message);
    let event = |poll: Poll<Event>| poll.map(Received::Event);
    let polled = match (lanes & MESSAGES != 0, lanes & EVENTS != 0) {
        (true, true) => context.poll_receive(poller),
        (true, false) => message(context.poll_message(poller)),
        (false, true) => event(context.poll_event(poller)),
        (false, false) => Poll::Pending,
    };
    match polled {
        Poll::Ready(item) => Some(item),
        Poll::Pending => None,
    }
}
