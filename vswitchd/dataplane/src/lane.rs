//! Settled flows that somebody else forwards: what there is to know for that.
//!
//! The short way does the same to every packet of a settled direction: it
//! compares, takes off what is around the packet, takes its hop, writes a link
//! header, counts. Who hears of a busy direction, asks for its [`Lane`] and does
//! just that, sooner on the packet's way, spares the worker the packet. The walk
//! goes on as if there were no lanes: what is not relayed comes to it as ever.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use packet::flow::FlowKey;
use packet::{Protocol, ethernet};

use crate::adjacency::Adjacency;
use crate::conntrack::{Direction, Flow, FlowId, State, Way};
use crate::ids::{PeerId, PortId};
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};
use crate::time::Time;

/// A direction is noted each time it has had so many more packets.
const EVERY: u64 = 64;
/// Directions noted until somebody takes them; the others will be, 64 packets later.
const NOTED: usize = 256;

/// A flow is credited about once a second; one that is forgotten sooner than this
/// after its last packet might be forgotten while it is relayed.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the short way does to each plain packet of one direction of a flow, for
/// somebody else to do.
///
/// A packet is relayed only if all that the short way asks holds for it. Some of
/// that its sender can change from packet to packet, and is asked of each:
///
/// - It comes by `arrived_by`, as [`Arrives`] says: with the link header of this
///   pod, or addressed to this node's MAC address and within an outer header
///   from `remote` to `local`.
/// - Its key is `key`: so its source is verified, its addresses are none that may
///   not be routed, it is no tunnel packet of a pod, and policy has allowed it.
/// - It is whole, without options and with all of its transport header; so is an
///   outer header. Its length is what its header says; there may be padding.
/// - It changes nothing about the flow: TCP with ACK and without SYN, FIN or RST;
///   UDP.
/// - Its TTL is above 1, and on the wire it is no larger than `mtu_bytes`, each
///   segment if it is a super-segment.
/// - The header that leaves the tunnel is `packet::ipip::marked`: if the outer
///   header's DSCP is the inner's and its ECN field says neither CE nor ECT(1) on
///   an inner ECT(0), that is the inner header as it is.
///
/// Then the outer header is taken off, TTL and header checksum count down by one
/// hop, the link header becomes `link`, and the packet leaves by `to`.
///
/// Two questions of the short way may be left out:
///
/// - The header checksum. Counting down keeps a wrong one wrong, and the pod drops
///   the packet. Of an outer header nothing is used that is not compared above.
/// - The offload (`packet::Offload::check`). A pod with a packet socket chooses
///   where its frame's checksum is to be written, and `CHECKSUM_PARTIAL` keeps
///   that place on the way to the other pod. Nobody writes there as long as the
///   device of `to` leaves checksums to its peer, as a veth does (`NETIF_F_HW_CSUM`).
///   If that has been switched off (`ethtool -K tx off`) the kernel would write
///   a sum the pod chose over a port that has been judged: **who relays has to
///   see that it is on**. For the same reason there is no lane toward the uplink.
///   How many segments a super-segment has at most (2048) is asked of each.
///
/// A lane is right for one generation. Within it, and as long as the flow is
/// there, [`Local::may_go_on`] says whether it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The packets' key, as this direction carries it.
    pub key: FlowKey,
    /// The port they come in by.
    pub arrived_by: PortId,
    /// What is before the packets there.
    pub arrives: Arrives,
    /// The pod's port they leave by.
    pub to: PortId,
    /// The link header they leave with.
    pub link: [u8; ethernet::HEADER_LEN],
    /// The largest packet that may leave, in bytes, from the IP header on.
    pub mtu_bytes: u16,
}

/// What the packets of a lane come in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrives {
    /// From a pod of this node: the whole link header.
    Plain {
        /// From the pod's MAC address to its gateway's.
        link: [u8; ethernet::HEADER_LEN],
    },
    /// From the uplink, to its device's MAC address, within IPIP.
    Tunnel {
        /// Destination of the outer header: this node.
        local: Ipv4Addr,
        /// Source of the outer header: the peer whose pod sends.
        remote: Ipv4Addr,
    },
}

impl Local {
    /// Notes busy directions of settled flows from now on, for somebody who has
    /// so many lanes; allocates.
    pub fn note_busy_flows(&mut self, lanes: u16) {
        self.busy.0.reserve_exact(NOTED);
        self.flows.expect_lanes(lanes.into());
    }

    /// The directions without a lane that had another 64 packets since the last
    /// call. Some of them by now may be another flow's.
    pub fn take_busy(&mut self) -> impl Iterator<Item = (FlowId, Direction)> + '_ {
        self.busy.0.drain(..)
    }

    /// What the short way does to plain packets of this direction. `None` if it
    /// would not take them in this generation, and where the worker has more to
    /// do than that: from and to the host, into a tunnel, from a peer without one,
    /// at ports with a bandwidth limit, TCP that comes from the uplink segment by
    /// segment (the worker joins them), and if there is no such flow any more.
    pub fn lane(&self, world: &Snapshot, id: FlowId, direction: Direction) -> Option<Lane> {
        let flow = self.flows.live(id)?;
        let way = way_of_settled(world, flow, direction)?;
        if self.flows.timeouts().of(flow.state) < PATIENCE {
            return None;
        }
        let arrives = arrives(world, way)?;
        let to = to_pod(world, way)?;
        if matches!(arrives, Arrives::Tunnel { .. }) && is_segmented(flow, direction, to) {
            return None;
        }
        let original = flow.original();
        Some(Lane {
            key: match direction {
                Direction::Original => original,
                Direction::Reply => original.reversed(),
            },
            arrived_by: way.arrived_by,
            arrives,
            to: to.port,
            link: to.link?,
            mtu_bytes: to.mtu_bytes,
        })
    }

    /// Whether [`Local::lane`] still describes this direction. A description is
    /// the same all through a generation.
    pub fn may_go_on(&self, world: &Snapshot, id: FlowId, direction: Direction) -> bool {
        self.lane(world, id, direction).is_some()
    }

    /// Remembers who forwards this direction now, `None` = the worker alone. As
    /// long as there is a lane, the direction is not noted as busy. Does nothing
    /// if there is no such flow any more.
    pub fn set_lane(&mut self, id: FlowId, direction: Direction, lane: Option<NonZeroU16>) {
        if self.flows.live(id).is_some() {
            self.flows.flow(id).lanes[direction as usize] = lane;
        }
    }

    /// The flow's lanes, original direction first. As long as they include the
    /// one that was set, the id is that of the flow it was set for.
    pub fn lanes(&self, id: FlowId) -> [Option<NonZeroU16>; 2] {
        self.flows.live(id).map_or([None; 2], |flow| flow.lanes)
    }

    /// The lanes of flows that went since the last call, for whatever reason. The
    /// ids of those flows mean nothing now, or another flow: take what is left
    /// before anything is done by id.
    pub fn take_left(&mut self) -> impl Iterator<Item = NonZeroU16> + '_ {
        self.flows.take_left()
    }

    /// Counts what was relayed of this direction, `bytes` from the (inner) IP
    /// header on and a super-segment as one packet, as the walk counts. If it was
    /// anything, the flow's timeout restarts, so it is to be called more often
    /// than flows time out. What is to be in the flow log has to be credited
    /// before the packet that ends the flow is walked. Does nothing if there is no
    /// such flow any more.
    pub fn credit(
        &mut self,
        now: Time,
        id: FlowId,
        direction: Direction,
        packets: u64,
        bytes: u64,
    ) {
        if packets == 0 || self.flows.live(id).is_none() {
            return;
        }
        let flow = self.flows.flow(id);
        flow.packets[direction as usize] += packets;
        flow.bytes[direction as usize] += bytes;
        self.flows.touch(id, now);
    }
}

/// The way of this direction if it is decided in this generation and the flow is
/// in a state that plain packets leave it in.
fn way_of_settled(world: &Snapshot, flow: &Flow, direction: Direction) -> Option<Way> {
    let way = flow.ways[direction as usize];
    let is_allowed = way.generation == world.generation
        && flow.judged == world.generation
        && flow.denied.is_none();
    let is_steady = match (flow.original().protocol, flow.state) {
        (Protocol::TCP, State::Established | State::FinWait) => true,
        (Protocol::UDP, State::UdpReplied) => true,
        (Protocol::UDP, State::UdpUnreplied) => direction == Direction::Original,
        _ => false,
    };
    (is_allowed && is_steady).then_some(way)
}

/// Whether it is TCP that fills its packets, and neither its sender nor the
/// kernel's GRO has sent many as one: few frames that the worker joins are more to
/// the pod than many that spare the worker.
fn is_segmented(flow: &Flow, direction: Direction, to: &Adjacency) -> bool {
    let packets = flow.packets[direction as usize].max(1);
    let mean = flow.bytes[direction as usize] / packets;
    let mtu = u64::from(to.mtu_bytes);
    flow.original().protocol == Protocol::TCP && (mtu / 2..=mtu).contains(&mean)
}

/// How packets that go this way come in, if they may be relayed from there.
fn arrives(world: &Snapshot, way: Way) -> Option<Arrives> {
    match &world.port(way.arrived_by)?.kind {
        PortKind::Workload(pod) if pod.egress_limit.is_none() => {
            (way.sent_by == PeerId::NONE).then_some(Arrives::Plain { link: pod.link })
        }
        PortKind::Uplink { .. } => {
            // None of `PeerId::NONE`.
            let remote = world.peers.get(way.sent_by.index())?.address;
            let local = world.node.address;
            Some(Arrives::Tunnel { local, remote })
        }
        PortKind::Workload(_) | PortKind::Host => None,
    }
}

/// Where they go, if that is a pod of this node which may be sent any amount.
fn to_pod(world: &Snapshot, way: Way) -> Option<&Adjacency> {
    let to = world.adjacency(way.adjacency);
    let pod = world.workload(to.port)?;
    let is_plain = !to.unresolved && to.tunnel.is_none() && !to.to_host;
    (is_plain && pod.ingress_limit.is_none()).then_some(to)
}

/// Directions of flows that had many packets: a bounded list, which has no
/// places as long as nobody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Busy(Vec<(FlowId, Direction)>);

impl Busy {
    /// Whether the direction's packets, of which one more has just been counted,
    /// are a multiple of 64.
    #[inline(always)]
    pub(crate) fn is_due(flow: &Flow, direction: Direction) -> bool {
        flow.packets[direction as usize].is_multiple_of(EVERY)
    }

    /// Notes a direction that is due if it has no lane and the list has room.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&mut self, id: FlowId, direction: Direction, flow: &Flow) {
        let has_lane = flow.lanes[direction as usize].is_some();
        if !has_lane && self.0.len() < self.0.capacity() {
            self.0.push((id, direction));
        }
    }
}
