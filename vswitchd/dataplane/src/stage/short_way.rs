//! The way of most packets: one table lookup.
//!
//! It asks of a packet what the long way asks, and either does all that is to
//! be done with it or nothing at all: whatever is not as it should be, the long
//! way finds out again, and why. What it asks of a packet that the flow's key
//! answers (its addresses, its ports, which worker owns it) has been asked of
//! the one that settled the flow.

use packet::ethernet::MacAddr;
use packet::frame::Frame;
use packet::{Protocol, ipip, ipv4};

use super::{flow_of, link, source, transmit, tunnel};
use crate::adjacency::Adjacency;
use crate::conntrack::Way;
use crate::ids::{PeerId, PortId};
use crate::lane::Busy;
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot, Workload};
use crate::time::Time;

/// A packet from a verified source; its frame is still as it came.
struct Packet<'a> {
    bytes: &'a [u8],
    header: ipv4::Header,
    /// The header of the tunnel it came by.
    outer: Option<ipv4::Header>,
    from_host: bool,
}

/// What is to be done with a packet.
struct Settled<'a> {
    to: &'a Adjacency,
    header: ipv4::Header,
    outer: Option<ipv4::Header>,
    takes_hop: bool,
}

/// Sends on one more packet of a settled flow: whole, TCP or UDP, changing
/// nothing about a flow whose decision is of this generation and for packets
/// that come by this port and from this node. The frame is then dressed for the
/// port returned, and counted.
///
/// `None`, and nothing done, for every other packet.
#[inline(never)]
pub(crate) fn take(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Option<PortId> {
    // The rest once for each kind of port, which spares it what the others need.
    let settled = match &world.port(port)?.kind {
        PortKind::Workload(workload) => Packet::from_workload(workload, frame)?
            .settled(world, local, now, port, frame)?
            .send(local, frame),
        PortKind::Uplink { mac } => Packet::from_uplink(world, *mac, frame)?
            .settled(world, local, now, port, frame)?
            .send(local, frame),
        PortKind::Host => Packet::from_host(world, frame)?
            .settled(world, local, now, port, frame)?
            .send(local, frame),
    };
    Some(settled)
}

impl<'a> Packet<'a> {
    #[inline(always)]
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = ipv4::Header::parse_plain(bytes)?;
        Some(Self {
            bytes: bytes.get(..header.total_len)?,
            header,
            outer: None,
            from_host: false,
        })
    }

    #[inline(always)]
    fn from_workload(workload: &Workload, frame: &'a Frame) -> Option<Self> {
        if !link::is(frame, &workload.link) {
            return None;
        }
        let packet = Self::read(frame.packet())?;
        source::verify_workload(workload, &packet.header).ok()?;
        Some(packet)
    }

    #[inline(always)]
    fn from_host(world: &Snapshot, frame: &'a Frame) -> Option<Self> {
        let packet = Self::read(frame.packet())?;
        source::verify_host(world, &packet.header).ok()?;
        Some(Self {
            from_host: true,
            ..packet
        })
    }

    /// Which node a tunnel packet is from is asked of the way: see `came_by`.
    #[inline(always)]
    fn from_uplink(world: &Snapshot, mac: MacAddr, frame: &'a Frame) -> Option<Self> {
        if !link::is_ipv4_to(frame, mac) {
            return None;
        }
        let packet = Self::read(frame.packet())?;
        let outer = packet.header;
        if outer.protocol != Protocol::IPIP {
            tunnel::verify_plain(world, &outer).ok()?;
            return Some(packet);
        }
        if outer.dst != world.node.address {
            return None;
        }
        let inner = Self::read(&packet.bytes[ipv4::HEADER_LEN..])?;
        Some(Self {
            header: ipip::marked(&outer, &inner.header)?,
            outer: Some(outer),
            ..inner
        })
    }

    /// What is to be done with it if it is one more of a settled flow, in which
    /// it is then counted.
    #[inline(always)]
    fn settled<'w>(
        self,
        world: &'w Snapshot,
        local: &mut Local,
        now: Time,
        port: PortId,
        frame: &Frame,
    ) -> Option<Settled<'w>> {
        let start = self.outer.map_or(0, |_| ipv4::HEADER_LEN);
        let (l4, end) = (start + self.header.header_len, start + self.bytes.len());
        frame.offload.check(&self.header, l4, end).ok()?;
        let plain = flow_of::plain(self.bytes, &self.header)?;
        let (id, direction) = local.flows.find(&plain.key)?;
        let flow = local.flows.unchanged(id, direction, plain.transport, now)?;
        let way = *flow.way(direction);
        if way.generation != world.generation || !self.came_by(world, port, way) {
            return None;
        }
        debug_assert!(flow.judged == world.generation && flow.denied.is_none());
        let to = world.adjacency(way.adjacency);
        let takes_hop = transmit::takes_hop(self.from_host, to);
        // With padding behind the packet this may be too much: then the long way will see.
        let wire_len = frame.wire_packet_len() - start;
        if takes_hop && self.header.ttl <= 1 || wire_len > to.mtu_bytes.into() || to.unresolved {
            return None;
        }
        flow.count(direction, self.bytes.len());
        if Busy::is_due(flow, direction) {
            local.busy.note(id, direction, flow);
        }
        Some(Settled {
            to,
            header: self.header,
            outer: self.outer,
            takes_hop,
        })
    }

    /// Whether the way was decided for packets that come as this one came: by
    /// this port and, if by a tunnel, from the node with this address.
    #[inline(always)]
    fn came_by(&self, world: &Snapshot, port: PortId, way: Way) -> bool {
        let is_sender = match self.outer {
            None => way.sent_by == PeerId::NONE,
            Some(outer) => world.is_peer(way.sent_by, outer.src),
        };
        is_sender && way.arrived_by == port
    }
}

impl Settled<'_> {
    /// Takes off what is around the packet, takes its hop and dresses it.
    #[inline(always)]
    fn send(self, local: &mut Local, frame: &mut Frame) -> PortId {
        match &self.outer {
            Some(outer) => ipip::strip(frame, outer, &self.header),
            None => frame.truncate_packet(self.header.total_len),
        }
        if self.takes_hop {
            ipv4::decrement_ttl(frame.ip_header_mut());
        }
        transmit::dress_resolved(local, self.to, frame)
    }
}
