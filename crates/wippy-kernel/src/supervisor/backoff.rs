//! How long a supervisor waits, and when it gives up: backoff, jitter, attempts, budget.
//!
//! No clock and no randomness of its own: the same calls with the same seed give the same
//! delays. It holds one time for each restart within the budget's window, and no more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::spec::{Budget, Restart};

/// The attempts of one service.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Attempts since the last stable run.
    attempt: u32,
    /// When the restarts within the budget's window were.
    restarts: VecDeque<Instant>,
    random: u64,
}

/// What follows on an end that restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt after this delay.
    After(Duration),
    /// The same, and the delay is there because the restarts are paced.
    Paced(Duration),
    /// `max_attempts` were made.
    NoAttempts(u32),
    /// The budget is used up.
    NoBudget(Budget),
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { attempt: 0, restarts: VecDeque::new(), random: seed }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// A stable run: the next attempt is the first again. The budget is not touched.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Counts one more attempt.
    pub(super) fn next(&mut self, restart: &Restart, now: Instant) -> Next {
        if restart.max_attempts > 0 && self.attempt >= restart.max_attempts {
            return Next::NoAttempts(restart.max_attempts);
        }
        let delay = self.delay(restart, self.attempt.saturating_add(1));
        let mut at = now.checked_add(delay).unwrap_or(now);
        let budget = restart.budget.unwrap_or(Budget::PACE);
        while let Some(oldest) = self.restarts.front()
            && at.saturating_duration_since(*oldest) >= budget.within
        {
            self.restarts.pop_front();
        }
        let mut paced = false;
        if self.restarts.len() >= budget.restarts as usize {
            if restart.budget.is_some() {
                return Next::NoBudget(budget);
            }
            if let Some(oldest) = self.restarts.pop_front() {
                at = oldest + budget.within;
                paced = true;
            }
        }
        self.attempt = self.attempt.saturating_add(1);
        self.restarts.push_back(at);
        match paced {
            true => Next::Paced(at.saturating_duration_since(now)),
            false => Next::After(delay),
        }
    }

    /// The delay before attempt n.
    fn delay(&mut self, restart: &Restart, n: u32) -> Duration {
        let Restart { initial_delay, max_delay, backoff_factor, jitter, .. } = restart;
        if initial_delay.is_zero() {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = initial_delay.as_secs_f64() * backoff_factor.powi(exponent);
        // Also where it has grown past every number.
        let capped = grown.min(max_delay.as_secs_f64());
        let varied = if *jitter > 0.0 {
            capped * (1.0 + jitter * (2.0 * self.fraction() - 1.0))
        } else {
            capped
        };
        Duration::try_from_secs_f64(varied).unwrap_or(*max_delay)
    }

    /// A random number from 0 to 1 (splitmix64).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The seed of one service on one node: services do not disturb each other's delays.
pub(super) fn seed(node: u64, id: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    id.bytes().fold(0xCBF2_9CE4_8422_2325, fnv) ^ node
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plain() -> Restart {
        Restart { jitter: 0.0, ..Restart::default() }
    }

    fn delays(restart: &Restart, seed: u64, count: usize) -> Vec<Duration> {
        let (mut backoff, now) = (Backoff::new(seed), Instant::now());
        let next = |_| match backoff.next(restart, now) {
            Next::After(delay) => delay,
            other => panic!("{other:?}"),
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn delays_grow_to_the_cap() {
        let seconds = |restart: &Restart, count| -> Vec<f64> {
            delays(restart, 0, count).iter().map(Duration::as_secs_f64).collect()
        };
        assert_eq!(seconds(&plain(), 9), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 90.0, 90.0]);
        let steady = Restart { backoff_factor: 1.0, ..plain() };
        assert_eq!(seconds(&steady, 3), [1.0, 1.0, 1.0]);
        let steep = Restart { backoff_factor: 1e300, initial_delay: SECOND / 2, ..plain() };
        assert_eq!(seconds(&steep, 4), [0.5, 90.0, 90.0, 90.0]);
        let small_cap = Restart { max_delay: SECOND / 4, ..plain() };
        assert_eq!(seconds(&small_cap, 2), [0.25, 0.25]);
        let none = Restart { initial_delay: Duration::ZERO, jitter: 1.0, ..plain() };
        assert_eq!(seconds(&none, 3), [0.0, 0.0, 0.0]);
        let zero_cap = Restart { max_delay: Duration::ZERO, ..plain() };
        assert_eq!(seconds(&zero_cap, 2), [0.0, 0.0]);
    }

    #[test]
    fn the_largest_numbers_are_delays_too() {
        let huge = Restart {
            initial_delay: Duration::MAX,
            max_delay: Duration::MAX,
            jitter: 1.0,
            ..plain()
        };
        let mut backoff = Backoff::new(7);
        for _ in 0..100 {
            assert!(matches!(backoff.next(&huge, Instant::now()), Next::After(_)));
        }
    }

    #[test]
    fn jitter_stays_in_its_range_and_replays() {
        let restart = Restart { backoff_factor: 1.0, jitter: 0.25, ..Restart::default() };
        let some = delays(&restart, 42, 900);
        assert_eq!(some, delays(&restart, 42, 900));
        assert_ne!(some, delays(&restart, 43, 900));
        let range = Duration::from_millis(750)..=Duration::from_millis(1250);
        assert!(some.iter().all(|delay| range.contains(delay)));
        // Both ends are come near to.
        let (least, most) = (some.iter().min().unwrap(), some.iter().max().unwrap());
        assert!(*least < SECOND * 77 / 100 && *most > SECOND * 123 / 100, "{least:?} {most:?}");
    }

    #[test]
    fn attempts_run_out_and_begin_anew() {
        let restart = Restart { max_attempts: 2, ..plain() };
        let (mut backoff, now) = (Backoff::new(0), Instant::now());
        assert_eq!(backoff.next(&restart, now), Next::After(SECOND));
        assert_eq!(backoff.next(&restart, now), Next::After(2 * SECOND));
        assert_eq!(backoff.next(&restart, now), Next::NoAttempts(2));
        assert_eq!(backoff.attempt(), 2);
        backoff.reset();
        assert_eq!(backoff.next(&restart, now), Next::After(SECOND));
    }

    #[test]
    fn a_budget_counts_stable_runs_too() {
        let budget = Budget { restarts: 3, within: 10 * SECOND };
        let restart = Restart { initial_delay: Duration::ZERO, budget: Some(budget), ..plain() };
        let (mut backoff, start) = (Backoff::new(0), Instant::now());
        for second in 0..3 {
            backoff.reset();
            assert_eq!(
                backoff.next(&restart, start + SECOND * second),
                Next::After(Duration::ZERO)
            );
        }
        assert_eq!(backoff.next(&restart, start + 9 * SECOND), Next::NoBudget(budget));
        // The first restart has left the window.
        assert_eq!(backoff.next(&restart, start + 10 * SECOND), Next::After(Duration::ZERO));
        assert_eq!(backoff.next(&restart, start + 10 * SECOND), Next::NoBudget(budget));
    }

    #[test]
    fn without_a_budget_restarts_are_paced() {
        let restart = Restart { initial_delay: Duration::ZERO, ..plain() };
        let (mut backoff, mut now) = (Backoff::new(0), Instant::now());
        let start = now;
        let Budget { restarts, within } = Budget::PACE;
        for round in 1..=3 {
            let mut waits = 0;
            for _ in 0..restarts {
                match backoff.next(&restart, now) {
                    Next::After(Duration::ZERO) => {}
                    Next::Paced(wait) => {
                        now += wait;
                        waits += u32::from(!wait.is_zero());
                    }
                    other => panic!("{other:?}"),
                }
                assert!(backoff.restarts.len() <= restarts as usize);
            }
            assert_eq!(now, start + within * (round - 1));
            assert_eq!(waits, u32::from(round > 1));
        }
    }
}
