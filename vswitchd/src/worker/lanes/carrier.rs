//! Who carries frames for lanes, as they need it.

use std::io;

use port::{LaneSpec, Relay, RelayCounts};

/// Who relays: the kernel, or a test's picture of it. Places are those of all workers.
pub(in crate::worker) trait Carrier: Send + Sync {
    /// See [`Relay::prepare`].
    fn prepare(&self, place: u16, spec: &LaneSpec) -> io::Result<()>;
    /// See [`Relay::remove`].
    fn remove(&self, spec: &LaneSpec) -> io::Result<()>;
    /// See [`Relay::open`].
    fn open(&self, place: u16, through: u64, generation: u32) -> bool;
    /// See [`Relay::close`].
    fn close(&self, place: u16);
    /// See [`Relay::counts`].
    fn counts(&self, place: u16) -> RelayCounts;
}

impl Carrier for Relay {
    fn prepare(&self, place: u16, spec: &LaneSpec) -> io::Result<()> {
        Self::prepare(self, place, spec)
    }

    fn remove(&self, spec: &LaneSpec) -> io::Result<()> {
        Self::remove(self, spec)
    }

    fn open(&self, place: u16, through: u64, generation: u32) -> bool {
        Self::open(self, place, through, generation)
    }

    fn close(&self, place: u16) {
        Self::close(self, place);
    }

    fn counts(&self, place: u16) -> RelayCounts {
        Self::counts(self, place)
    }
}
