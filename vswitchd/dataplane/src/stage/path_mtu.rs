//! The underlay says a tunnel packet was too big (RFC 2003 section 5, RFC 1191).

use packet::frame::Frame;
use packet::{Protocol, icmpv4, ipip, ipv4};

use super::{Refusal, answer};
use crate::action::{Action, Punt};
use crate::drop_reason::DropReason;
use crate::ids::PortId;
use crate::local::{Event, Local};
use crate::notebook::Note;
use crate::snapshot::Snapshot;
use crate::time::Time;

/// No IPv4 path is narrower (RFC 791), and Linux believes in none below 552.
const LEAST_MTU: u16 = 576;

/// Whether this is a report about one of this node's tunnel packets: the port's
/// filter lets few others through.
pub(crate) fn is_report(frame: &Frame, header: &ipv4::Header) -> bool {
    header.protocol == Protocol::ICMP
        && !header.is_fragment()
        && icmpv4::Header::parse(header.payload(frame.packet()))
            .is_ok_and(|icmp| icmp.next_hop_mtu().is_some())
}

/// Takes the report: tells the control plane, and passes it on to the pod if
/// the router quoted enough of the inner packet to say which.
pub(crate) fn take(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    header: &ipv4::Header,
) -> Result<Action, DropReason> {
    let payload = header.payload(frame.packet());
    let forged = DropReason::PathMtuForged;
    if header.dst != world.node.address || !icmpv4::verify_checksum(payload) {
        return Err(forged);
    }
    let icmp = icmpv4::Header::parse(payload).map_err(|_| forged)?;
    let quoted = icmp.quoted(payload).ok_or(forged)?;
    let outer = ipv4::Header::parse_quoted(quoted).map_err(|_| forged)?;
    let peer = world.peer_at(outer.dst).ok_or(forged)?;
    let mtu_bytes = icmp
        .next_hop_mtu()
        .filter(|mtu| *mtu >= LEAST_MTU)
        .ok_or(forged)?;
    if outer.protocol != Protocol::IPIP || outer.src != world.node.address {
        return Err(forged);
    }
    local.tell(Event::PathMtu {
        peer,
        address: outer.dst,
        mtu_bytes,
    });
    local.observer.note(|| Note::PathMtu { peer, mtu_bytes });
    let inner_at = header.header_len + icmpv4::HEADER_LEN + outer.header_len;
    frame.pull_packet(inner_at.min(frame.packet_len()));
    if !is_from_here(world, frame) {
        return Ok(Action::Punt(Punt::Absorbed));
    }
    let refusal = Refusal {
        mtu_bytes: mtu_bytes - ipip::OVERHEAD as u16,
        ..DropReason::FragmentationNeeded.into()
    };
    let told = answer::answer(world, local, now, port, frame, refusal);
    Ok(told.unwrap_or(Action::Punt(Punt::Absorbed)))
}

/// This node encapsulates for its own pods and host only. A quotation that says
/// otherwise is an attempt to have an error sent to somebody else's pod.
fn is_from_here(world: &Snapshot, frame: &Frame) -> bool {
    ipv4::Header::parse_quoted(frame.packet())
        .is_ok_and(|inner| world.way_to_peer(inner.src).is_none())
}
