//! What a process has taken out of its mailbox and not yet looked at, and which kinds it
//! has moved to channels of their own.
//!
//! Looking for one kind takes others out of the mailbox as well. They wait here, in order
//! of arrival, at most as many as the mailbox itself may hold; then the mailbox is left
//! alone, and senders hear that it is full.

use std::collections::VecDeque;
use std::task::{Context as Poller, Poll};

use wippy_kernel::{ProcessContext, Received};
use wippy_model::{Event, Message};

use crate::tasks::{EVENTS, MESSAGES};

/// The mail of one process.
pub(crate) struct Mail {
    waiting: VecDeque<Received>,
    waiting_max: usize,
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
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_max: waiting_max.max(1),
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
            return self.waiting.remove(position);
        }
        let lanes = self.lanes(wanted);
        while self.has_room() {
            let item = poll(context, lanes, poller)?;
            if self.is_wanted(&item, wanted) {
                return Some(item);
            }
            self.waiting.push_back(item);
        }
        None
    }

    /// Takes one item out of the mailbox for whoever waits; says on which lane it came.
    pub(crate) fn pump(
        &mut self,
        context: &ProcessContext,
        lanes: u8,
        poller: &mut Poller<'_>,
    ) -> Option<u8> {
        if !self.has_room() {
            return None;
        }
        let item = poll(context, lanes, poller)?;
        let lane = match item {
            Received::Message(_) => MESSAGES,
            Received::Event(_) => EVENTS,
        };
        self.waiting.push_back(item);
        Some(lane)
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < self.waiting_max
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
