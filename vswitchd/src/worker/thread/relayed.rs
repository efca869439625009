//! What a worker has to do with the frames that it does not see: those that the kernel relays.

use dataplane::{PortId, Snapshot, Time};
use packet::Frame;

use super::Worker;
use crate::worker::lanes::Desk;

impl Worker {
    /// Takes the marks off the frames of a port where the kernel relays.
    #[inline]
    pub(super) fn unmark(&mut self, world: &Snapshot, now: Time, id: PortId, frames: &mut [Frame]) {
        if let Some(lanes) = &mut self.lanes {
            let (local, ports) = (&mut self.parts.local, &self.ports[..]);
            lanes.unmark(world, id, frames, Desk { local, ports, now });
        }
    }

    /// Looks after the lanes, at the end of a turn.
    #[inline]
    pub(super) fn tend_lanes(&mut self, world: &Snapshot, now: Time) {
        if let Some(lanes) = &mut self.lanes {
            let (local, ports) = (&mut self.parts.local, &self.ports[..]);
            let is_watched = !self.taps.is_empty();
            lanes.tend(world, is_watched, Desk { local, ports, now });
        }
    }

    /// Whether lanes wait to be looked at.
    pub(super) fn lanes_are_behind(&self) -> bool {
        let now = self.parts.clock.now();
        let lanes = self.lanes.as_ref();
        lanes.is_some_and(|lanes| lanes.is_behind(now))
    }

    /// Taps see every frame: the kernel relays none while there is one.
    pub(super) fn close_lanes(&mut self) {
        if let Some(lanes) = &mut self.lanes {
            lanes.close_all();
        }
    }

    /// Counts what the kernel has relayed, for people who ask.
    pub(super) fn count_relayed(&mut self) {
        if let Some(lanes) = &mut self.lanes {
            let now = self.parts.clock.now();
            let (local, ports) = (&mut self.parts.local, &self.ports[..]);
            lanes.count_all(Desk { local, ports, now });
        }
    }
}
