//! Work of the host that a script waits for.

use std::future::Future;
use std::task::{Context as Poller, Poll, Waker};

use wippy_model::Error;

use crate::host_fn::{Answer, Outcome, failed};
use crate::state::State;
use crate::tasks::{Deliver, Operation, Want};

/// Runs work of the host: its results at once where it is done at the first poll, which
/// for a spawn of a loaded unit it is.
pub(crate) fn run<T: Send + 'static>(
    state: State<'_>,
    work: impl Future<Output = T> + Send + 'static,
    finish: fn(State<'_>, T) -> Outcome,
) -> Outcome {
    let mut work = Box::pin(work);
    let mut poller = Poller::from_waker(Waker::noop());
    match work.as_mut().poll(&mut poller) {
        Poll::Ready(output) => finish(state, output),
        Poll::Pending => {
            let operation = async move {
                let output = work.await;
                let deliver: Deliver = Box::new(move |state| finish(state, output));
                deliver
            };
            let operation: Operation = Box::pin(operation);
            state.core().want(Want { operation: Some(operation), ..Want::default() });
            Ok(Answer::Wait)
        }
    }
}

/// Takes what [`run`]'s work gave.
pub(crate) fn deliver(state: State<'_>) -> Outcome {
    match state.core().take_delivery() {
        Some(deliver) => deliver(state),
        None => failed(state, &Error::internal("a host call was woken without its result")),
    }
}
