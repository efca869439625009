//! How a worker has spent its time, read while it writes.
//!
//! A sleep that ends is for a moment counted twice: as one that has ended and as one that goes on.
//! Never is it left out, so a reading says too little of the time awake or just enough. What was once
//! said is not taken back: a scraper would take less for a new start of the daemon.

use std::{
    sync::atomic::{AtomicU64, Ordering, fence},
    time::Duration,
};

use dataplane::{Counters, Time};

use super::clock::Clock;
use crate::control::WorkerLoad;

/// What was said last of one worker.
#[derive(Debug, Default)]
pub(super) struct Load {
    awake_nanos: AtomicU64,
}

impl Load {
    /// How the worker that counts here has spent the time since its start.
    pub(super) fn read(&self, counters: &Counters, clock: Clock) -> WorkerLoad {
        let since = counters.asleep_since.get();
        // With the fence in `woke`: if the sleep has ended, it is among those that have.
        fence(Ordering::Acquire);
        let slept = counters.asleep_nanos.get();
        let now = clock.now();
        let sleeping = match since {
            0 => 0,
            since => now.nanos_since(Time::from_nanos(since)),
        };
        let running = now.nanos_since(Time::default());
        let awake = running.saturating_sub(slept + sleeping);
        let before = self.awake_nanos.fetch_max(awake, Ordering::Relaxed);
        let awake = before.max(awake);
        WorkerLoad {
            awake: Duration::from_nanos(awake),
            asleep: Duration::from_nanos(running.saturating_sub(awake)),
        }
    }
}

/// Counts a sleep that has ended, by the worker.
pub(super) fn woke(counters: &Counters, asleep: Time, awake: Time) {
    counters.asleep_nanos.add(awake.nanos_since(asleep));
    fence(Ordering::Release);
    counters.asleep_since.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWHILE: Duration = Duration::from_millis(20);

    #[test]
    fn the_time_awake_never_goes_back_while_a_sleep_ends() {
        let (clock, counters, load) = (Clock::start(), Counters::default(), Load::default());
        std::thread::sleep(AWHILE);
        let before = load.read(&counters, clock).awake;
        assert!(before >= AWHILE);
        let asleep = clock.now();
        counters.asleep_since.set(asleep.as_nanos());
        std::thread::sleep(AWHILE * 2);
        // The moment inside `woke`: the sleep is in both.
        let slept = clock.now().nanos_since(asleep);
        counters.asleep_nanos.add(slept);
        let during = load.read(&counters, clock);
        assert!(during.awake >= before, "{during:?} after {before:?}");
        counters.asleep_since.set(0);
        let after = load.read(&counters, clock);
        assert!(after.awake >= before, "{after:?}");
        assert!(after.asleep >= AWHILE * 2, "{after:?}");
    }

    #[test]
    fn a_sleep_that_ends_is_never_left_out() {
        let (clock, counters, load) = (Clock::start(), Counters::default(), Load::default());
        let asleep = clock.now();
        std::thread::sleep(AWHILE);
        woke(&counters, asleep, clock.now());
        assert_eq!(counters.asleep_since.get(), 0);
        let read = load.read(&counters, clock);
        assert!(read.asleep >= AWHILE, "{read:?}");
    }
}
