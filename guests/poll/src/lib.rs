//! `wasi:io/poll` in every way: one pollable and many, the same one twice, none at all,
//! pollables that are dropped while they wait.

mod world {
    wit_bindgen::generate!({
        inline: "
            package wippy:poll;

            world poll {
                /// Blocks on one timer; gives whether it was ready before and after.
                export one: func(ms: u32) -> tuple<bool, bool>;

                /// Polls timers of these lengths; gives the indices that are ready first.
                export first: func(ms: list<u32>) -> list<u32>;

                /// Polls until all of so many timers were ready; gives how many that were.
                export all: func(timers: u32, ms: u32) -> u32;

                /// Polls the same timer twice in one list.
                export twice: func(ms: u32) -> list<u32>;

                /// Polls no pollable: a trap.
                export empty: func();

                /// Makes and drops so many timers of an hour, and polls a short one between.
                export dropped: func(timers: u32) -> list<u32>;

                /// Polls forever.
                export forever: func();
            }
        ",
    });
}

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};

struct Poll;

const HOUR_NS: u64 = 3_600_000_000_000;

fn timer(ms: u32) -> Pollable {
    subscribe_duration(u64::from(ms) * 1_000_000)
}

impl world::Guest for Poll {
    fn one(ms: u32) -> (bool, bool) {
        let timer = timer(ms);
        let before = timer.ready();
        timer.block();
        (before, timer.ready())
    }

    fn first(ms: Vec<u32>) -> Vec<u32> {
        let timers: Vec<_> = ms.into_iter().map(timer).collect();
        poll(&timers.iter().collect::<Vec<_>>())
    }

    fn all(timers: u32, ms: u32) -> u32 {
        let mut waiting: Vec<_> = (0..timers).map(|_| timer(ms)).collect();
        let mut done = 0;
        while !waiting.is_empty() {
            let mut ready = poll(&waiting.iter().collect::<Vec<_>>());
            ready.sort_unstable();
            for at in ready.into_iter().rev() {
                waiting.swap_remove(at as usize);
                done += 1;
            }
        }
        done
    }

    fn twice(ms: u32) -> Vec<u32> {
        let timer = timer(ms);
        let mut ready = poll(&[&timer, &timer]);
        ready.sort_unstable();
        ready
    }

    fn empty() {
        poll(&[]);
    }

    fn dropped(timers: u32) -> Vec<u32> {
        let long: Vec<_> = (0..timers).map(|_| subscribe_duration(HOUR_NS)).collect();
        let short = timer(1);
        let mut all: Vec<_> = long.iter().collect();
        all.push(&short);
        let ready = poll(&all);
        drop(long);
        let mut again = poll(&[&short]);
        again.extend(ready);
        again
    }

    fn forever() {
        subscribe_duration(u64::MAX).block();
    }
}

world::export!(Poll with_types_in world);
