//! One lane, and the mark that its frames carry while it is closed.

use std::sync::Arc;

use dataplane::conntrack::{Direction, FlowId};
use dataplane::{Generation, PortCounters, PortId, Time};
use packet::Frame;
use packet::ethernet::MacAddr;
use port::{Arrives, LaneSpec};

use super::tally::News;

/// The first byte of a marked destination address: of no address that ports have, see [`signature`].
const SIGNATURES: [u8; 2] = [0x76, 0x72];

/// Whether a frame may be marked, by the first byte of its destination address.
#[inline(always)]
pub(super) fn may_be_marked(first: u8) -> bool {
    // The two differ in one bit.
    first | 0x04 == SIGNATURES[0]
}

/// A local unicast address's first byte that is not that of `mac`.
fn signature(mac: MacAddr) -> u8 {
    match mac.0[0] == SIGNATURES[0] {
        false => SIGNATURES[0],
        true => SIGNATURES[1],
    }
}

/// Where a lane is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its frames come here, marked.
    Closed,
    /// The kernel relays its frames.
    Open,
    /// Over; only marks of its last frames may still be on their way.
    Ended,
}

/// A lane, and what of it is counted already.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) stage: Stage,
    pub(super) flow: FlowId,
    pub(super) direction: Direction,
    /// Its flow has left the table.
    pub(super) is_orphan: bool,
    pub(super) from: PortId,
    pub(super) to: PortId,
    /// The snapshot it was begun under; under a later one it does not go on.
    pub(super) generation: Generation,
    pub(super) spec: LaneSpec,
    /// All frames up to this many have come here.
    pub(super) through: u64,
    /// Some of them in this turn.
    pub(super) has_moved: bool,
    /// When it last relayed anything, or began.
    pub(super) used: Time,
    /// Lost frames that are counted.
    pub(super) lost: u64,
    /// What is counted at the ports it leads from and to.
    pub(super) counters: [Arc<PortCounters>; 2],
}

impl Lane {
    /// A closed one between these two interfaces.
    pub(super) fn new(
        wanted: &dataplane::Lane,
        (flow, direction, generation): (FlowId, Direction, Generation),
        [interface, to_interface]: [u32; 2],
        mark: [u8; 4],
        counters: [Arc<PortCounters>; 2],
        now: Time,
    ) -> Self {
        let arrives = match wanted.arrives {
            dataplane::Arrives::Plain { link } => Arrives::Plain { link },
            dataplane::Arrives::Tunnel { local, remote } => Arrives::Tunnel { local, remote },
        };
        Self {
            stage: Stage::Closed,
            flow,
            direction,
            is_orphan: false,
            from: wanted.arrived_by,
            to: wanted.to,
            generation,
            spec: LaneSpec {
                interface,
                flow: wanted.key,
                arrives,
                to_interface,
                link: wanted.link,
                mtu_bytes: wanted.mtu_bytes,
                mark,
            },
            through: 0,
            has_moved: false,
            used: now,
            lost: 0,
            counters,
        }
    }

    /// Counts frames where they came by and where they left, those that were lost only there.
    pub(super) fn count_at_ports(&self, news: &News, lost: u64) {
        let [from, to] = &self.counters;
        from.rx_frames.add(news.frames + lost);
        from.rx_bytes.add(news.rx_bytes);
        to.tx_frames.add(news.frames);
        to.tx_bytes.add(news.tx_bytes);
    }

    /// A frame came that was the one after `seen`, 16 bits of that; false if one that was later has come already.
    pub(super) fn advance(&mut self, seen: u16) -> bool {
        let ahead = seen.wrapping_add(1).wrapping_sub(self.through as u16);
        let is_ahead = (1..1 << 15).contains(&ahead);
        if is_ahead {
            self.through += u64::from(ahead);
        }
        is_ahead
    }
}

/// What the kernel writes over the destination address of a frame of a closed lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    prefix: [u8; 4],
    /// The lane's place among those of all workers.
    pub(super) place: u16,
    /// How many of the lane's frames came before, 16 bits of that.
    pub(super) seen: u16,
}

impl Mark {
    /// What frames of a lane are marked with that come to `mac`: the place, and which lane there it is, of the last 256.
    pub(super) fn prefix(place: u16, before: Option<&Lane>, mac: MacAddr) -> [u8; 4] {
        let serial = before.map_or(0, |lane| lane.spec.mark[3].wrapping_add(1));
        let [high, low] = place.to_be_bytes();
        [signature(mac), high, low, serial]
    }

    /// Whether it is one of this lane's.
    pub(super) fn is_of(&self, lane: &Lane) -> bool {
        self.prefix == lane.spec.mark
    }

    /// Puts the address back that it stands in place of.
    pub(super) fn take_off(&self, frame: &mut Frame, address: MacAddr) {
        frame.bytes_mut()[..6].copy_from_slice(&address.0);
    }

    /// The frame's mark, if it has one; whether it is one, only its lane can say.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let prefix: [u8; 4] = *frame.link().first_chunk()?;
        let seen = frame.link().get(4..6)?;
        Some(Self {
            prefix,
            place: u16::from_be_bytes([prefix[1], prefix[2]]),
            seen: u16::from_be_bytes([seen[0], seen[1]]),
        })
    }
}
