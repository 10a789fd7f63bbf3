//! A bounded mailbox with two lanes: messages, which count against the limits, and
//! lifecycle events, which have room reserved.
//!
//! A sequence number on each item lets a receiver take both lanes in order of arrival,
//! or one lane alone, at no search. One mutex guards both: senders hold it for a push.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context as Poller, Poll, Waker};

use parking_lot::Mutex;
use wippy_model::{Error, Event, EventKind, Kind, MailboxLimits, Message, Result};

/// Events that may wait or be reserved in one mailbox: monitors and links it holds.
pub(crate) const EVENTS_MAX: usize = 1 << 16;

/// What arrives in a mailbox.
#[derive(Debug)]
pub enum Received {
    /// From another process.
    Message(Message),
    /// From the kernel.
    Event(Event),
}

/// Which lane a receiver looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Both,
    Messages,
    Events,
}

#[derive(Default)]
struct Queue {
    /// With sequence number and size.
    messages: VecDeque<(u64, u64, Message)>,
    events: VecDeque<(u64, Event)>,
    bytes: u64,
    sequence: u64,
    /// Messages that were taken, ever.
    received: u64,
    /// Events promised or waiting.
    reserved: usize,
    receiver: Option<Waker>,
    closed: bool,
}

/// What a mailbox holds and has taken.
pub(crate) struct Figures {
    /// Messages that wait.
    pub(crate) len: usize,
    /// What they count against `mailbox.bytes`.
    pub(crate) bytes: u64,
    /// Messages that were taken, ever.
    pub(crate) received: u64,
}

pub(crate) struct Mailbox {
    limits: MailboxLimits,
    queue: Mutex<Queue>,
}

impl Mailbox {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Self { limits, queue: Mutex::new(Queue::default()) }
    }

    /// Adds a message, or says which limit is met. Messages of one sender arrive in the
    /// order of its calls, because each push happens under the lock.
    pub(crate) fn push_message(&self, message: Message) -> Result<()> {
        let MailboxLimits { capacity, bytes, message_bytes } = self.limits;
        let size = message.size_bytes() as u64;
        if size > message_bytes {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!(
                    "the message has {size} bytes; mailbox.message_bytes allows {message_bytes}"
                ),
            ));
        }
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(gone());
        }
        if queue.messages.len() >= capacity as usize {
            return Err(Error::unavailable(format!(
                "the mailbox is full: {capacity} messages wait (mailbox.capacity)"
            )));
        }
        if queue.bytes + size > bytes {
            return Err(Error::unavailable(format!(
                "the mailbox is full: {} of {bytes} bytes are taken (mailbox.bytes)",
                queue.bytes
            )));
        }
        queue.bytes += size;
        queue.received += 1;
        let sequence = queue.next();
        queue.messages.push_back((sequence, size, message));
        let receiver = queue.receiver.take();
        drop(queue);
        wake(receiver);
        Ok(())
    }

    /// Promises room for one event.
    pub(crate) fn reserve_event(&self) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.reserved >= EVENTS_MAX {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!("a process holds at most {EVENTS_MAX} monitors and links"),
            ));
        }
        queue.reserved += 1;
        Ok(())
    }

    /// Gives a promise back that no event will use.
    pub(crate) fn release_event(&self) {
        let mut queue = self.queue.lock();
        queue.reserved = queue.reserved.saturating_sub(1);
    }

    /// Adds an event for which room was reserved.
    pub(crate) fn push_event(&self, event: Event) {
        let mut queue = self.queue.lock();
        if queue.closed {
            return;
        }
        // Asking twice is one wish: the later deadline and reason stand.
        if event.kind == EventKind::Cancel {
            if let Some((_, waiting)) =
                queue.events.iter_mut().find(|(_, event)| event.kind == EventKind::Cancel)
            {
                *waiting = event;
                return;
            }
            queue.reserved += 1;
        }
        let sequence = queue.next();
        queue.events.push_back((sequence, event));
        let receiver = queue.receiver.take();
        drop(queue);
        wake(receiver);
    }

    pub(crate) fn poll_receive(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<Received> {
        let mut queue = self.queue.lock();
        match queue.pop(lane) {
            Some(received) => Poll::Ready(received),
            None => {
                if !queue.receiver.as_ref().is_some_and(|waker| waker.will_wake(poller.waker())) {
                    queue.receiver = Some(poller.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    pub(crate) async fn receive(&self, lane: Lane) -> Received {
        poll_fn(|poller| self.poll_receive(lane, poller)).await
    }

    pub(crate) fn try_receive(&self, lane: Lane) -> Option<Received> {
        self.queue.lock().pop(lane)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    pub(crate) fn figures(&self) -> Figures {
        let queue = self.queue.lock();
        Figures { len: queue.messages.len(), bytes: queue.bytes, received: queue.received }
    }

    /// Refuses everything from now on and drops what waits; tells how many messages it took.
    pub(crate) fn close(&self) -> u64 {
        let mut queue = self.queue.lock();
        let received = queue.received;
        let closed = Queue { closed: true, received, ..Queue::default() };
        let left = std::mem::replace(&mut *queue, closed);
        // Dropping values may take long; senders need not wait for it.
        drop(queue);
        drop(left);
        received
    }
}

impl Queue {
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn pop(&mut self, lane: Lane) -> Option<Received> {
        let message = self.messages.front().map(|(sequence, ..)| *sequence);
        let event = self.events.front().map(|(sequence, _)| *sequence);
        let take_event = match lane {
            Lane::Messages => false,
            Lane::Events => true,
            Lane::Both => match (message, event) {
                (Some(message), Some(event)) => event < message,
                (message, _) => message.is_none(),
            },
        };
        if take_event {
            let (_, event) = self.events.pop_front()?;
            self.reserved = self.reserved.saturating_sub(1);
            Some(Received::Event(event))
        } else {
            let (_, size, message) = self.messages.pop_front()?;
            self.bytes = self.bytes.saturating_sub(size);
            Some(Received::Message(message))
        }
    }
}

pub(crate) fn gone() -> Error {
    Error::not_found("there is no such process (any more)")
}

fn wake(receiver: Option<Waker>) {
    if let Some(waker) = receiver {
        waker.wake();
    }
}
