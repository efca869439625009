//! The flight recorder's part at a worker: keeps every frame it is shown, and notices the drops that are waited for.

use cni_shim::capture::Stage;
use crossbeam_channel::Sender;
use dataplane::{Counters, DropReason, PortId, Time};
use packet::Frame;

use super::flight_ring::FlightRing;
use super::sight::{Sight, pieces_of};

/// Keeps the last frames.
pub(crate) struct Recorder {
    pub(super) ring: FlightRing,
    /// The reasons that are waited for, and how often each was counted when it was looked at last; `None` before that.
    awaited: Vec<(DropReason, Option<u64>)>,
    alarm: Sender<DropReason>,
}

impl Recorder {
    pub(super) fn new(ring: FlightRing, reasons: &[DropReason], alarm: Sender<DropReason>) -> Self {
        let awaited = reasons.iter().map(|reason| (*reason, None)).collect();
        Self {
            ring,
            awaited,
            alarm,
        }
    }

    /// Keeps a frame as it is here.
    pub(super) fn keep(
        &mut self,
        now: Time,
        stage: Stage,
        port: PortId,
        reason: Option<DropReason>,
        frame: &Frame,
    ) {
        let pieces = pieces_of(frame);
        let sight = Sight {
            reason,
            gso_size: frame.offload.gso.map_or(0, |gso| gso.size),
            wire_len: (pieces.link.len() + pieces.packet.len()) as u32,
            ..Sight::new(now, stage, port)
        };
        self.ring.put(sight, pieces);
    }

    /// Raises the alarm if a drop that is waited for was counted since the last look. The first look finds what was dropped
    /// before there was a recorder.
    pub(super) fn look(&mut self, counters: &Counters) {
        for (reason, known) in &mut self.awaited {
            let count = counters.dropped(*reason);
            if known.is_some_and(|known| count > known) {
                // If an alarm is up already, one file will do for both.
                let _ = self.alarm.try_send(*reason);
            }
            *known = Some(count);
        }
    }
}
