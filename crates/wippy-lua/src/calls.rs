//! The calls of functions that a script has made with `funcs.async` and that are under way.
//! Plain data: what their results are for is known to `modules/funcs.rs`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use wippy_kernel::FunctionCall;
use wippy_model::{Result, Value};

/// The calls under way of one process; the kernel bounds their number. Drop ends them.
#[derive(Default)]
pub(crate) struct Calls {
    under_way: Vec<(i64, FunctionCall)>,
    last: i64,
}

impl Calls {
    /// Adds a call; its number is never used again.
    pub(crate) fn add(&mut self, call: FunctionCall) -> i64 {
        self.last += 1;
        self.under_way.push((self.last, call));
        self.last
    }

    /// Ends a call; false where it has ended already.
    pub(crate) fn end(&mut self, number: i64) -> bool {
        let position = self.under_way.iter().position(|(of, _)| *of == number);
        position.map(|position| self.under_way.swap_remove(position)).is_some()
    }

    /// Takes out one call that has ended.
    pub(crate) fn take_ended(&mut self, poller: &mut Poller<'_>) -> Option<(i64, Result<Value>)> {
        for position in 0..self.under_way.len() {
            let (number, call) = self.under_way.get_mut(position)?;
            if let Poll::Ready(result) = Pin::new(call).poll(poller) {
                let number = *number;
                self.under_way.swap_remove(position);
                return Some((number, result));
            }
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}
