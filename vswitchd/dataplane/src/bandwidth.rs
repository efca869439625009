//! A pod's bandwidth limit: one token bucket, shared by all workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Time;

/// A rate with a burst, as the CNI `bandwidth` capability gives it.
///
/// The bucket hands out departure times instead of yes or no (virtual
/// scheduling): a frame within the burst leaves now, a later one when its
/// tokens will be there. It is the one piece of per-packet state that workers
/// share, since a limit belongs to the pod and not to a flow; one atomic word,
/// touched only at ports that have a limit.
#[derive(Debug)]
pub struct Bandwidth {
    rate_bits_per_second: u64,
    burst: Duration,
    /// Nanoseconds: when all bytes let through so far will have been paid for.
    paid_at: AtomicU64,
}

impl Bandwidth {
    /// `rate` in bits a second, `burst` in bits, both above 0.
    pub fn new(rate_bits_per_second: u64, burst_bits: u64) -> Self {
        let rate = rate_bits_per_second.max(1);
        Self {
            rate_bits_per_second: rate,
            burst: bits_at(burst_bits, rate),
            paid_at: AtomicU64::new(0),
        }
    }

    /// The limit in bits a second.
    pub fn rate_bits_per_second(&self) -> u64 {
        self.rate_bits_per_second
    }

    /// When a frame of `bytes` that arrives `now` may leave, or `None` if that
    /// were more than `patience` away; then nothing is charged.
    pub fn departure(&self, now: Time, bytes: usize, patience: Duration) -> Option<Time> {
        let cost = bits_at(bytes as u64 * 8, self.rate_bits_per_second);
        let charge = |paid_at: u64| -> Option<u64> {
            let paid = Time::from_nanos(paid_at).max(now) + cost;
            let wait = paid.since(now).saturating_sub(self.burst.max(cost));
            (wait <= patience).then_some(paid.as_nanos())
        };
        let before = self.paid_at.fetch_update(Relaxed, Relaxed, charge).ok()?;
        let paid = Time::from_nanos(before).max(now) + cost;
        Some(now + paid.since(now).saturating_sub(self.burst.max(cost)))
    }

    /// Gives back what a frame of `bytes` was charged: it does not leave.
    pub fn refund(&self, bytes: usize) {
        let cost = bits_at(bytes as u64 * 8, self.rate_bits_per_second);
        self.paid_at.fetch_sub(cost.as_nanos() as u64, Relaxed);
    }
}

fn bits_at(bits: u64, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(bits) * 1_000_000_000 / u128::from(rate)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_leaves_at_once_and_the_rest_at_the_rate() {
        let limit = Bandwidth::new(8_000_000, 80_000); // 1 MB/s, 10 kB
        let now = Time::from_secs(5);
        for _ in 0..10 {
            assert_eq!(limit.departure(now, 1000, Duration::ZERO), Some(now));
        }
        assert_eq!(limit.departure(now, 1000, Duration::ZERO), None);
        let patience = Duration::from_millis(50);
        assert_eq!(
            limit.departure(now, 1000, patience),
            Some(now + Duration::from_millis(1))
        );
        assert_eq!(
            limit.departure(now, 1000, patience),
            Some(now + Duration::from_millis(2))
        );
    }

    #[test]
    fn a_frame_larger_than_the_burst_passes_on_its_own() {
        let limit = Bandwidth::new(8_000_000, 8_000);
        let now = Time::from_secs(5);
        assert_eq!(limit.departure(now, 64_000, Duration::ZERO), Some(now));
    }

    #[test]
    fn long_run_rate_is_the_limit() {
        let limit = Bandwidth::new(8_000_000, 8_000);
        let mut sent = 0;
        for step in 0..10_000u64 {
            let now = Time::from_nanos(1_000_000_000 + step * 1_000_000);
            while limit.departure(now, 1000, Duration::ZERO).is_some() {
                sent += 1000;
            }
        }
        assert!(
            (9_900_000..=10_100_000).contains(&sent),
            "{sent} bytes in 10 s at 1 MB/s"
        );
    }
}
