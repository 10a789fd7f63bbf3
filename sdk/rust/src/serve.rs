//! The loop of an actor: one message after another, until it has enough or is asked to end.

use crate::{Cancellation, Ended, Event, Message, Received, Result, next};

/// What an actor does after a message or event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Waits for the next one.
    Continue,
    /// Ends, well.
    Stop,
}

/// What an actor does with what it receives. An error ends its loop and is the loop's result.
pub trait Actor {
    /// A message has come.
    ///
    /// # Errors
    ///
    /// What ends the actor.
    fn on_message(&mut self, message: Message) -> Result<Next>;

    /// Somebody asks it to end. It stops, if it does not say otherwise; past the deadline it is
    /// ended.
    ///
    /// # Errors
    ///
    /// What ends the actor.
    fn on_cancel(&mut self, _: Cancellation) -> Result<Next> {
        Ok(Next::Stop)
    }

    /// A monitored process has ended.
    ///
    /// # Errors
    ///
    /// What ends the actor.
    fn on_exit(&mut self, _: Ended) -> Result<Next> {
        Ok(Next::Continue)
    }

    /// A linked process has ended badly, and this one traps links.
    ///
    /// # Errors
    ///
    /// What ends the actor.
    fn on_link_down(&mut self, _: Ended) -> Result<Next> {
        Ok(Next::Continue)
    }

    /// A newer version of its entry is there: the place for [`upgrade`](crate::upgrade).
    ///
    /// # Errors
    ///
    /// What ends the actor.
    fn on_outdated(&mut self) -> Result<Next> {
        Ok(Next::Continue)
    }
}

impl<F: FnMut(Message) -> Result<Next>> Actor for F {
    fn on_message(&mut self, message: Message) -> Result<Next> {
        self(message)
    }
}

/// Hands an actor what it receives, until it stops.
///
/// # Errors
///
/// The first error of one of its methods.
pub fn run(actor: &mut (impl Actor + ?Sized)) -> Result<()> {
    loop {
        let Some(received) = next(None)? else { continue };
        let next = match received {
            Received::Message(message) => actor.on_message(message),
            Received::Event(Event::Cancel(cancellation)) => actor.on_cancel(cancellation),
            Received::Event(Event::Exit(ended)) => actor.on_exit(ended),
            Received::Event(Event::LinkDown(ended)) => actor.on_link_down(ended),
            Received::Event(Event::Outdated) => actor.on_outdated(),
        };
        if next? == Next::Stop {
            return Ok(());
        }
    }
}

/// Calls a function with each message, until it stops or somebody asks this process to end.
///
/// # Errors
///
/// The first error of the function.
///
/// ```no_run
/// # fn main() -> wippy::Result<()> {
/// use wippy::Next;
///
/// let mut count = 0;
/// wippy::serve(|message| {
///     match message.topic() {
///         "add" => count += message.parse::<i64>()?,
///         "get" => message.reply(count)?,
///         _ => return Ok(Next::Stop),
///     }
///     Ok(Next::Continue)
/// })?;
/// # Ok(()) }
/// ```
pub fn serve(mut handler: impl FnMut(Message) -> Result<Next>) -> Result<()> {
    run(&mut handler)
}
