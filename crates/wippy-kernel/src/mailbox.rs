//! A bounded mailbox with two lanes: messages, which count against the limits, and
//! lifecycle events, which have room reserved.
//!
//! A sequence number on each item lets a receiver take both lanes in order of arrival,
//! or one lane alone, at no search. One mutex guards both: senders hold it for a push.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, Waker};

use parking_lot::Mutex;
use wippy_model::{Error, Event, EventKind, Exit, Kind, MailboxLimits, Message, Result};

use crate::address::gone;

/// Events that may wait or be reserved in one mailbox: monitors and links it holds.
pub(crate) const EVENTS_MAX: usize = 1 << 16;

/// Futures of one process that wait at once for what arrives: guests with concurrent calls.
const WAITERS_MAX: usize = 64;

/// What of an exit needs no room of its own: it comes with the room of its event.
const LIGHT_BYTES: u64 = 1 << 10;

/// Why an exit is abridged or a reply refused.
pub(crate) const TOO_MUCH_WAITS: &str = "results, replies and events that wait already have as many bytes as there may be \
     (mailbox.bytes)";

/// What arrives in a mailbox.
#[derive(Debug)]
pub enum Received {
    /// From another process.
    Message(Message),
    /// From the kernel.
    Event(Event),
}

/// The same, with its place in the order of arrival at this mailbox.
#[derive(Debug)]
pub struct Numbered {
    /// Larger than that of all that arrived before.
    pub sequence: u64,
    /// What arrived.
    pub received: Received,
}

/// Which lane a receiver looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Messages and events.
    Both,
    /// Messages alone.
    Messages,
    /// Events alone.
    Events,
}

#[derive(Default)]
struct Queue {
    /// With sequence number and size.
    messages: VecDeque<(u64, u64, Message)>,
    /// The same; most have no size.
    events: VecDeque<(u64, u64, Event)>,
    bytes: u64,
    /// Bytes of what waits besides messages: results in events and of `exec`, and replies.
    held: u64,
    sequence: u64,
    /// Messages that were taken, ever.
    received: u64,
    /// EXIT and LINK_DOWN events promised or waiting.
    reserved: usize,
    /// The CANCEL event that waits, by its sequence number.
    cancel: Option<u64>,
    /// The OUTDATED event that waits.
    outdated: Option<u64>,
    waiters: Waiters,
    limits: MailboxLimits,
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

/// Who is woken by what arrives: the task, and with it futures inside it that have wakers of
/// their own.
#[derive(Default)]
struct Waiters {
    first: Option<Waker>,
    others: Vec<Waker>,
}

pub(crate) struct Mailbox(Mutex<Queue>);

impl Mailbox {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Self(Mutex::new(Queue { limits, ..Queue::default() }))
    }

    /// Changes what it may hold; what waits stays.
    pub(crate) fn set_limits(&self, limits: MailboxLimits) {
        self.0.lock().limits = limits;
    }

    /// Whether a message may be so large.
    pub(crate) fn check_size(&self, message: &Message) -> Result<()> {
        let most = self.0.lock().limits.message_bytes;
        too_large(message.size_bytes() as u64, most)
    }

    /// Adds a message, or says which limit is met. Messages of one sender arrive in the
    /// order of its calls, because each push happens under the lock.
    pub(crate) fn push_message(&self, message: Message) -> Result<()> {
        let size = message.size_bytes() as u64;
        let mut queue = self.0.lock();
        let MailboxLimits { capacity, bytes, message_bytes } = queue.limits;
        too_large(size, message_bytes)?;
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
        let waiters = std::mem::take(&mut queue.waiters);
        drop(queue);
        waiters.wake();
        Ok(())
    }

    /// Promises room for one event.
    pub(crate) fn reserve_event(&self) -> Result<()> {
        let mut queue = self.0.lock();
        if queue.closed {
            return Err(gone());
        }
        if queue.reserved >= EVENTS_MAX {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!("a process holds at most {EVENTS_MAX} monitors and links"),
            ));
        }
        queue.reserved += 1;
        Ok(())
    }

    /// Gives promises back that no event will use. Tells how many: none, when they were given
    /// back with all others, at the end.
    pub(crate) fn release_events(&self, promised: usize) -> usize {
        let mut queue = self.0.lock();
        let released = promised.min(queue.reserved);
        queue.reserved -= released;
        released
    }

    /// Puts back what was taken and not looked at, each at its place. Tells how many of them are
    /// events of bonds, which count again.
    pub(crate) fn put_back(&self, items: Vec<Numbered>) -> usize {
        let mut queue = self.0.lock();
        if queue.closed {
            return 0;
        }
        let mut bonds = 0;
        // From the last to the first: nearly always each goes to the front.
        for Numbered { sequence, received } in items.into_iter().rev() {
            match received {
                Received::Message(message) => {
                    let size = message.size_bytes() as u64;
                    queue.bytes += size;
                    let place = queue.messages.partition_point(|(other, ..)| *other < sequence);
                    queue.messages.insert(place, (sequence, size, message));
                }
                Received::Event(event) => {
                    if let Some(waiting) = queue.merging(event.kind) {
                        // The newer one, which waits, says all that this one says.
                        if waiting.is_some() {
                            continue;
                        }
                        *waiting = Some(sequence);
                    }
                    bonds += usize::from(is_bond(event.kind));
                    let weight = event.exit.as_deref().map_or(0, weight);
                    queue.held += weight;
                    let place = queue.events.partition_point(|(other, ..)| *other < sequence);
                    queue.events.insert(place, (sequence, weight, event));
                }
            }
        }
        queue.reserved += bonds;
        bonds
    }

    /// Takes room for what is to wait for this process besides its messages; false where
    /// there is none.
    pub(crate) fn hold(&self, weight: u64) -> bool {
        let mut queue = self.0.lock();
        let fits = queue.fits(weight);
        if fits {
            queue.held += weight;
        }
        fits
    }

    /// Gives such room back.
    pub(crate) fn release_held(&self, weight: u64) {
        let mut queue = self.0.lock();
        queue.held = queue.held.saturating_sub(weight);
    }

    /// Adds an event, for which room was reserved where it is one of a bond. The event is
    /// never refused, but its exit is abridged where it is too large for what waits already.
    pub(crate) fn push_event(&self, mut event: Event, weight: u64) {
        let mut queue = self.0.lock();
        if queue.closed {
            return;
        }
        // Asking twice is one wish: the sooner deadline and the later reason stand. And one
        // newer version is as good a reason as two.
        if let Some(Some(waiting)) = queue.merging(event.kind).copied()
            && let Ok(position) =
                queue.events.binary_search_by_key(&waiting, |(number, ..)| *number)
            && let Some((.., waiting)) = queue.events.get_mut(position)
        {
            let deadline = [event.deadline, waiting.deadline].into_iter().flatten().min();
            *waiting = Event { deadline, ..event };
            return;
        }
        let sequence = queue.next();
        if let Some(waiting) = queue.merging(event.kind) {
            *waiting = Some(sequence);
        }
        let fits = queue.fits(weight);
        if !fits {
            event.exit = event.exit.map(|exit| Arc::new(exit.abridged(TOO_MUCH_WAITS)));
        }
        let weight = if fits { weight } else { 0 };
        queue.held += weight;
        queue.events.push_back((sequence, weight, event));
        let waiters = std::mem::take(&mut queue.waiters);
        drop(queue);
        waiters.wake();
    }

    /// Takes back the OUTDATED event that waits.
    pub(crate) fn drop_outdated(&self) {
        let mut queue = self.0.lock();
        if let Some(waiting) = queue.outdated.take()
            && let Ok(position) =
                queue.events.binary_search_by_key(&waiting, |(number, ..)| *number)
        {
            drop(queue.events.remove(position));
        }
    }

    /// Ready while something waits in the lane; takes nothing.
    pub(crate) fn poll_waits(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<()> {
        let mut queue = self.0.lock();
        let (messages, events) = (!queue.messages.is_empty(), !queue.events.is_empty());
        let waits = match lane {
            Lane::Both => messages || events,
            Lane::Messages => messages,
            Lane::Events => events,
        };
        if waits {
            return Poll::Ready(());
        }
        let crowd = queue.waiters.add(poller);
        drop(queue);
        crowd.wake();
        Poll::Pending
    }

    pub(crate) fn poll_numbered(&self, lane: Lane, poller: &mut Poller<'_>) -> Poll<Numbered> {
        let mut queue = self.0.lock();
        match queue.pop(lane) {
            Some(numbered) => Poll::Ready(numbered),
            None => {
                let crowd = queue.waiters.add(poller);
                drop(queue);
                crowd.wake();
                Poll::Pending
            }
        }
    }

    pub(crate) fn try_numbered(&self, lane: Lane) -> Option<Numbered> {
        self.0.lock().pop(lane)
    }

    /// The sequence number of the oldest item in the lane.
    pub(crate) fn oldest(&self, lane: Lane) -> Option<u64> {
        let queue = self.0.lock();
        let message = queue.messages.front().map(|(sequence, ..)| *sequence);
        let event = queue.events.front().map(|(sequence, ..)| *sequence);
        match lane {
            Lane::Both => [message, event].into_iter().flatten().min(),
            Lane::Messages => message,
            Lane::Events => event,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    pub(crate) fn figures(&self) -> Figures {
        let queue = self.0.lock();
        Figures { len: queue.messages.len(), bytes: queue.bytes, received: queue.received }
    }

    /// Refuses everything from now on and drops what waits. Tells how many events were
    /// promised, or nothing when it was closed already.
    pub(crate) fn close(&self) -> Option<usize> {
        let mut queue = self.0.lock();
        if queue.closed {
            return None;
        }
        let (limits, received) = (queue.limits, queue.received);
        let closed = Queue { closed: true, limits, received, ..Queue::default() };
        let left = std::mem::replace(&mut *queue, closed);
        // Dropping values may take long; senders need not wait for it.
        drop(queue);
        Some(left.reserved)
    }
}

impl Queue {
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Which event of a kind waits, where those of this kind merge.
    fn merging(&mut self, kind: EventKind) -> Option<&mut Option<u64>> {
        match kind {
            EventKind::Cancel => Some(&mut self.cancel),
            EventKind::Outdated => Some(&mut self.outdated),
            EventKind::Exit | EventKind::LinkDown => None,
        }
    }

    fn fits(&self, weight: u64) -> bool {
        // One alone always does: it has a limit of its own, and whoever asks for it waits.
        self.held == 0 || weight == 0 || self.held.saturating_add(weight) <= self.limits.bytes
    }

    fn pop(&mut self, lane: Lane) -> Option<Numbered> {
        let message = self.messages.front().map(|(sequence, ..)| *sequence);
        let event = self.events.front().map(|(sequence, ..)| *sequence);
        let take_event = match lane {
            Lane::Messages => false,
            Lane::Events => true,
            Lane::Both => match (message, event) {
                (Some(message), Some(event)) => event < message,
                (message, _) => message.is_none(),
            },
        };
        if take_event {
            let (sequence, weight, event) = self.events.pop_front()?;
            self.held = self.held.saturating_sub(weight);
            self.reserved -= usize::from(is_bond(event.kind)).min(self.reserved);
            if let Some(waiting) = self.merging(event.kind) {
                *waiting = None;
            }
            Some(Numbered { sequence, received: Received::Event(event) })
        } else {
            let (sequence, size, message) = self.messages.pop_front()?;
            self.bytes = self.bytes.saturating_sub(size);
            Some(Numbered { sequence, received: Received::Message(message) })
        }
    }
}

/// What an exit that waits for somebody counts, in bytes.
pub(crate) fn weight(exit: &Exit) -> u64 {
    (exit.size_bytes() as u64).saturating_sub(LIGHT_BYTES)
}

fn too_large(size: u64, most: u64) -> Result<()> {
    if size <= most {
        return Ok(());
    }
    let message = format!("the message has {size} bytes; mailbox.message_bytes allows {most}");
    Err(Error::new(Kind::ResourceExhausted, message))
}

/// Whether an event was promised by a monitor or a link. The others merge into one, so that
/// they need no promise.
pub(crate) fn is_bond(kind: EventKind) -> bool {
    matches!(kind, EventKind::Exit | EventKind::LinkDown)
}

impl Waiters {
    /// Remembers who waits. Of a crowd that is too large the others are given back, to be woken
    /// and to come again.
    fn add(&mut self, poller: &Poller<'_>) -> Self {
        let waker = poller.waker();
        match &self.first {
            // Nearly always it is the task alone.
            None if self.others.is_empty() => {
                self.first = Some(waker.clone());
                return Self::default();
            }
            Some(first) if first.will_wake(waker) => return Self::default(),
            _ => {}
        }
        if self.first.iter().chain(&self.others).any(|one| one.will_wake(waker)) {
            return Self::default();
        }
        let crowd = match self.others.len() >= WAITERS_MAX {
            true => std::mem::take(self),
            false => Self::default(),
        };
        match self.first {
            None => self.first = Some(waker.clone()),
            Some(_) => self.others.push(waker.clone()),
        }
        crowd
    }

    fn wake(self) {
        if let Some(first) = self.first {
            first.wake();
        }
        for other in self.others {
            other.wake();
        }
    }
}
