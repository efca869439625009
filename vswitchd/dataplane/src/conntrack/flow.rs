//! One tracked flow.

use std::num::NonZeroU16;

use packet::flow::FlowKey;

use super::key::Key;
use super::state::State;
use crate::denied::Denied;
use crate::ids::{AdjacencyId, Generation, PeerId, PortId};
use crate::time::Time;

/// Which way a packet of a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the packet that made the flow.
    Original,
    /// The other way.
    Reply,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }
}

/// A flow's place in the table, for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId(pub(super) u32);

impl FlowId {
    /// The place as a number.
    pub(crate) fn slot(self) -> u32 {
        self.0
    }
}

/// The decision about one direction of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// Where its packets go.
    pub adjacency: AdjacencyId,
    /// The port its packets came in by when that was decided.
    pub arrived_by: PortId,
    /// The node whose tunnel they came by, if any.
    pub sent_by: PeerId,
    /// The snapshot it was decided under, which also judged and allowed the
    /// flow; 0 while undecided.
    pub generation: Generation,
}

/// One tracked flow: two cache lines, of which the first has all that a packet
/// of a known flow is decided by.
#[derive(Clone, Debug)]
#[repr(C, align(128))]
pub struct Flow {
    pub(super) key: Key,
    /// The snapshot whose policy last allowed it.
    pub judged: Generation,
    /// The port the flow's first packet came in by; replies leave by it.
    pub origin: PortId,
    /// Where in its life the flow is.
    pub state: State,
    /// Which directions have sent a TCP FIN, as bits 1 (original), 2 (reply).
    pub(super) fins: u8,
    pub(super) from_low: bool,
    /// A newer policy denies it but lets it go on. A SYN on its ports is judged
    /// as the new connection that it is.
    pub kept: bool,
    /// Why a newer policy denies it. It stays in the table, so that the other
    /// end's next packet does not begin it anew the other way round. Its state
    /// is [`State::Cut`] then.
    pub denied: Option<Denied>,
    /// The snapshot its first packet was judged under.
    pub born: Generation,
    /// When its timeout last started, to within a second.
    pub(super) touched: Time,
    /// The decisions, original direction first.
    pub ways: [Way; 2],
    /// Packets seen, original direction first. A super-segment counts as one.
    pub packets: [u64; 2],
    /// Bytes seen, IP header included, original direction first.
    pub bytes: [u64; 2],
    /// When it began; if it was cut and goes on, since when.
    pub began: Time,
    /// ICMP code of its first packet, whose type is in the key.
    pub icmp_code: u8,
    /// The state it was cut in.
    pub(super) before_cut: State,
    /// The flow log knows that it began, and not yet that it ended.
    pub(crate) logged: bool,
    /// Who forwards its directions instead of the walk, original first: see
    /// [`crate::Lane`].
    pub(crate) lanes: [Option<NonZeroU16>; 2],
    pub(super) previous: u32,
    pub(super) next: u32,
}

const _: () = assert!(size_of::<Flow>() == 128 && std::mem::offset_of!(Flow, packets) == 64);

impl Flow {
    pub(super) fn new(key: Key, from_low: bool, origin: PortId, state: State, now: Time) -> Self {
        Self {
            key,
            from_low,
            origin,
            state,
            born: Generation(0),
            judged: Generation(0),
            denied: None,
            icmp_code: 0,
            before_cut: state,
            logged: false,
            began: now,
            kept: false,
            fins: 0,
            ways: [Way::default(); 2],
            packets: [0; 2],
            bytes: [0; 2],
            touched: now,
            lanes: [None; 2],
            previous: super::lists::NONE,
            next: super::lists::NONE,
        }
    }

    /// The flow as its first packet carried it.
    pub fn original(&self) -> FlowKey {
        self.key.to_flow(self.from_low)
    }

    /// When a packet last started its timeout, to within a second.
    pub fn touched(&self) -> Time {
        self.touched
    }

    /// The decision about this direction.
    #[inline]
    pub fn way(&mut self, direction: Direction) -> &mut Way {
        &mut self.ways[direction as usize]
    }

    /// Counts a packet of `bytes`, IP header included.
    #[inline]
    pub fn count(&mut self, direction: Direction, bytes: usize) {
        self.packets[direction as usize] += 1;
        self.bytes[direction as usize] += bytes as u64;
    }
}
