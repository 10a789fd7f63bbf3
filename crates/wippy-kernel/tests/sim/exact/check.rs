//! What is seen after a step, beside what the model has of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;

use wippy_model::Exit;

use super::{NAMES, Run};
use crate::model::{Actor, Result, Want};
use crate::world::{Outcome, Outcomes, Tag};

impl Run {
    pub(super) fn check_results(&mut self, results: Outcomes) {
        let mut wanted: BTreeMap<u64, Result> =
            std::mem::take(&mut self.model.results).into_iter().collect();
        for (token, outcome) in results {
            let ok = match (wanted.remove(&token), &outcome) {
                (Some(Result::Done), Outcome::Done) => true,
                (Some(Result::Refused(kinds)), Outcome::Refused(kind)) => kinds.contains(kind),
                (Some(Result::Failed(wanted)), Outcome::Refused(kind)) => wanted == *kind,
                (Some(Result::FailedSomehow), Outcome::Refused(_)) => true,
                (Some(Result::Spawned(actor)), Outcome::Spawned(pid)) => self.pid(actor) == *pid,
                (Some(Result::Value(wanted)), Outcome::Value(value)) => wanted == *value,
                // Whether it heard of it before it ended, too, is not promised.
                (None, _) if self.asked_by_the_dead(token) => true,
                (wanted, _) => self.fail(format!("{token} gave {outcome:?}, not {wanted:?}")),
            };
            if !ok {
                self.fail(format!("{token} gave {outcome:?}"));
            }
        }
        wanted.retain(|token, _| !self.asked_by_the_dead(*token));
        if !wanted.is_empty() {
            self.fail(format!("there is no result, but the model has {wanted:?}"));
        }
    }

    fn asked_by_the_dead(&self, token: u64) -> bool {
        self.later.get(&token).is_some_and(|actor| !self.model.is_alive(*actor))
    }

    pub(super) fn check_started(&mut self, mut started: Vec<(Actor, Tag)>) {
        let mut wanted = std::mem::take(&mut self.model.started);
        started.sort_unstable();
        wanted.sort_unstable();
        if started != wanted {
            self.fail(format!("{started:?} started; the model: {wanted:?}"));
        }
    }

    pub(super) fn check_ended(&mut self) {
        let wanted: BTreeMap<Actor, Want> =
            std::mem::take(&mut self.model.ended).into_iter().collect();
        for actor in 0..self.watches.len() {
            let Some(watch) = &mut self.watches[actor] else { continue };
            let mut poller = Poller::from_waker(Waker::noop());
            let exit = match Pin::new(watch).poll(&mut poller) {
                Poll::Ready(exit) => Some(exit),
                Poll::Pending => None,
            };
            let fits = match (&exit, wanted.get(&actor)) {
                (Some(exit), Some(wanted)) => wanted.fits(exit),
                (None, None) => true,
                _ => false,
            };
            if !fits {
                let wanted = wanted.get(&actor);
                self.fail(format!("{actor} ended as {exit:?}; the model: {wanted:?}"));
            }
            if exit.is_some() {
                self.watches[actor] = None;
            }
        }
    }

    pub(super) fn check_figures(&self) {
        let living = self.model.living();
        let processes = self.kernel.processes();
        if processes.len() != living.len() {
            self.fail(format!("{} processes; the model: {living:?}", processes.len()));
        }
        for (info, actor) in processes.iter().zip(&living) {
            let proc = self.model.proc(*actor);
            let waiting = self.model.messages_waiting(*actor);
            if info.pid != proc.pid || info.entry.as_str() != proc.tag.entry {
                self.fail(format!("{info:?} is not {actor}"));
            }
            if info.mailbox_len != waiting {
                self.fail(format!("{actor}: {} messages, not {waiting}", info.mailbox_len));
            }
        }
        for name in NAMES {
            let holder = self.model.holder(name).map(|actor| self.pid(actor));
            let found = self.kernel.lookup(name).ok();
            if found != holder {
                self.fail(format!("{name} is {found:?}; the model: {holder:?}"));
            }
        }
        let (bonds, wanted) = (self.kernel.bond_count(), self.model.bonds());
        if bonds != wanted {
            self.fail(format!("{bonds} bonds; the model: {wanted}"));
        }
    }

    /// Whoever is left is stopped, or killed, and nothing of them stays.
    pub(super) async fn stop(&mut self) {
        match self.rng.percent(50) {
            true => self.kernel.shutdown(Duration::from_millis(50)).await,
            false => self.kernel.kill().await,
        }
        let last = self.model.living();
        for actor in last {
            let Some(watch) = self.watches[actor].take() else { continue };
            let exit = watch.await;
            if !matches!(*exit, Exit::Canceled(_) | Exit::Terminated | Exit::Linked(..)) {
                self.fail(format!("{actor} was stopped: {exit}"));
            }
        }
        let left =
            (self.kernel.process_count(), self.kernel.bond_count(), self.kernel.waiting_count());
        assert_eq!(left, (0, 0, 0), "processes, bonds and spawns that are left");
        assert!(NAMES.iter().all(|name| self.kernel.lookup(name).is_err()), "names are left");
    }
}
