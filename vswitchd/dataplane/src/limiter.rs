//! How many answers to dropped packets a port may cause (RFC 1812 section 4.3.2.8).

use std::time::Duration;

use crate::time::Time;

/// Answers a second, in the long run.
const RATE_PER_SECOND: u64 = 100;
/// Answers at once after silence: enough for a traceroute of 30 hops by 3.
const BURST: u64 = 100;

/// What an answer is for. Each has a bucket of its own, so that a pod whose
/// packets policy rejects is still told the MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An ICMP error about the way.
    Error,
    /// A packet that policy rejects.
    Rejection,
}

/// The buckets of one port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limiters([Limiter; 2]);

impl Limiters {
    /// The bucket for this purpose.
    pub(crate) fn of(&mut self, purpose: Purpose) -> &mut Limiter {
        &mut self.0[purpose as usize]
    }
}

const COST_NANOS: u64 = 1_000_000_000 / RATE_PER_SECOND;

/// A token bucket: one token an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limiter {
    /// When the bucket will be full again (virtual scheduling).
    full_at: Time,
}

impl Limiter {
    /// Takes a token; false when there is none. Each of `workers` has a bucket
    /// of its own and gives its share.
    pub(crate) fn take(&mut self, now: Time, workers: u16) -> bool {
        let start = self.full_at.max(now);
        let cost = Duration::from_nanos(COST_NANOS * u64::from(workers));
        if (start + cost).since(now) > Duration::from_nanos(COST_NANOS * BURST) {
            return false;
        }
        self.full_at = start + cost;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_burst_then_the_rate() {
        let mut limiter = Limiter::default();
        let start = Time::from_secs(1000);
        assert_eq!(
            (0..1000).filter(|_| limiter.take(start, 1)).count() as u64,
            BURST
        );
        let later = start + Duration::from_millis(500);
        assert_eq!(
            (0..1000).filter(|_| limiter.take(later, 1)).count() as u64,
            RATE_PER_SECOND / 2
        );
    }
}
