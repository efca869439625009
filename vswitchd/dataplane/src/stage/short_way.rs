//! The way of most packets: one table lookup.

use packet::frame::Frame;
use packet::ipv4;

use super::flow_of;
use crate::arrived::From;
use crate::ids::AdjacencyId;
use crate::local::Local;
use crate::snapshot::Snapshot;
use crate::time::Time;

/// The way of one more packet of a settled flow: whole, TCP or UDP, changing
/// nothing about a flow whose decision is of this generation and for packets
/// that come by this port and from this node. It is counted.
///
/// `None`, and nothing done, for every other packet: the long way finds out
/// why. What the long way asks of a packet that the flow's key answers (its
/// addresses, its ports, which worker owns it) has been asked of the one that
/// settled the flow.
#[inline(always)]
pub(crate) fn find(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    from: From,
    header: &ipv4::Header,
    frame: &Frame,
) -> Option<AdjacencyId> {
    frame.check_offload(header).ok()?;
    let packet = flow_of::plain(frame.packet(), header)?;
    let (id, direction) = local.flows.find(&packet.key)?;
    let flow = local
        .flows
        .unchanged(id, direction, packet.transport, now)?;
    let way = *flow.way(direction);
    let is_settled = way.generation == world.generation
        && way.arrived_by == from.port
        && way.sent_by == from.peer;
    if !is_settled {
        return None;
    }
    debug_assert!(flow.judged == world.generation && flow.denied.is_none());
    flow.count(direction, frame.packet_len());
    Some(way.adjacency)
}
