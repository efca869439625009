//! The clock of all workers.

use std::time::Instant;

use dataplane::Time;

/// Nanoseconds since the daemon started, as the data plane is told them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// One read of the monotonic clock, without a system call.
    pub(super) fn now(self) -> Time {
        Time::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}
