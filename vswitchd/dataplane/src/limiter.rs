//! How many ICMP errors a port may cause (RFC 1812 section 4.3.2.8).

use std::time::Duration;

use crate::time::Time;

/// Errors a second, in the long run.
const RATE_PER_SECOND: u64 = 100;
/// Errors at once after silence: enough for a traceroute of 30 hops by 3.
const BURST: u64 = 100;

const COST_NANOS: u64 = 1_000_000_000 / RATE_PER_SECOND;

/// A token bucket: one token an ICMP error.
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
