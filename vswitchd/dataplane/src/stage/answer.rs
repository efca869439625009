//! ICMP errors: made in one place, on the way out.

use packet::frame::Frame;
use packet::icmpv4::{self, Message};
use packet::{Protocol, ipv4};

use super::{Refusal, link, route, transmit};
use crate::action::Action;
use crate::drop_reason::Answer;
use crate::ids::{AdjacencyId, PortId};
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};
use crate::time::Time;

/// Turns a refused packet into the ICMP error its sender is owed, on its way
/// back, or returns `None`: the reason has no answer, RFC 1122 section 3.2.2
/// forbids one (about an ICMP error, a later fragment, multicast, broadcast),
/// or the port has had too many.
pub(crate) fn answer(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    refusal: Refusal,
) -> Option<Action> {
    let message = message(refusal)?;
    let about = ipv4::Header::parse_quoted(frame.packet()).ok()?;
    if !deserves_answer(frame, &about) {
        return None;
    }
    let back = way_back(world, port, &about)?;
    if !local.may_answer(port, now) {
        local.counters().icmp_limited.add(1);
        return None;
    }
    icmpv4::make_error(frame, message, world.node.tunnel_address);
    local.counters().icmp_sent.add(1);
    Some(transmit::dress(local, world.adjacency(back), frame))
}

fn message(refusal: Refusal) -> Option<Message> {
    match refusal.reason.row().answer {
        Answer::Silence => None,
        Answer::TimeExceeded => Some(Message::TimeExceeded),
        Answer::NetUnreachable => Some(Message::NetUnreachable),
        Answer::HostUnreachable => Some(Message::HostUnreachable),
        Answer::FragmentationNeeded => Some(Message::FragmentationNeeded {
            next_hop_mtu: refusal.mtu_bytes,
        }),
    }
}

fn deserves_answer(frame: &Frame, about: &ipv4::Header) -> bool {
    let is_error = about.protocol == Protocol::ICMP
        && about.fragment_offset_bytes == 0
        && icmpv4::Header::parse(about.payload(frame.packet())).is_ok_and(|icmp| icmp.is_error());
    about.fragment_offset_bytes == 0 && !is_error && link::refuse_special(about).is_ok()
}

/// The host's packets are answered to the host, everyone else's by route.
fn way_back(world: &Snapshot, port: PortId, about: &ipv4::Header) -> Option<AdjacencyId> {
    match world.port(port)?.kind {
        PortKind::Host => Some(world.node.host),
        PortKind::Workload(_) | PortKind::Uplink { .. } => route::by_prefix(world, about.src).ok(),
    }
}
