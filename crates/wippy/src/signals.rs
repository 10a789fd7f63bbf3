//! SIGINT and SIGTERM: the first one asks for an end in good order, the second one ends.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, status};

/// What asks this program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The exit status of a command that it ends.
    pub(crate) fn status(self) -> i32 {
        match self {
            Self::Interrupt => status::INTERRUPTED,
            Self::Terminate => status::TERMINATED,
        }
    }
}

/// Both signals, from when this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from the system, which would end the program at once.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn take() -> Result<Self, Failure> {
        let take = || -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        };
        take().map_err(|error| Failure::usage("signals", format!("cannot take signals: {error}")))
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
        }
    }
}
