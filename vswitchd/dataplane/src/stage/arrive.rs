//! From the wire to a packet whose flow, source and owner are known.

use std::net::Ipv4Addr;

use packet::ethernet::{EtherType, MacAddr};
use packet::frame::Frame;
use packet::{Protocol, ipv4};

use super::{Instead, arp, link, path_mtu, source, tunnel};
use crate::action::{Action, Punt};
use crate::arrived::From;
use crate::drop_reason::DropReason;
use crate::ids::{PeerId, PortId};
use crate::local::Local;
use crate::notebook::Note;
use crate::snapshot::{PortKind, Snapshot, Workload};
use crate::time::Time;

/// Where a packet to go on with came from, and its header, or what was done
/// instead.
type Took = Result<(From, ipv4::Header), Instead>;

/// Takes a frame for its packet, whose source is then verified.
pub(crate) fn verified(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Took {
    match &world.port(port).ok_or(DropReason::NoPort)?.kind {
        PortKind::Workload(workload) => from_workload(local, port, workload, frame),
        PortKind::Uplink { mac } if link::is_ipv4_to(frame, *mac) => {
            from_uplink(world, local, now, port, frame)
        }
        PortKind::Uplink { .. } => Err(not_to_uplink(frame).into()),
        PortKind::Host => from_host(world, port, frame),
    }
}

/// A pod's packets begin with one link header, from the pod to its gateway.
fn from_workload(local: &mut Local, port: PortId, workload: &Workload, frame: &mut Frame) -> Took {
    if !link::is(frame, &workload.link) {
        return Err(not_to_gateway(local, port, workload, frame));
    }
    let header = link::packet(frame)?;
    source::verify_workload(workload, &header)?;
    Ok((From::port(port), header))
}

/// A frame with another link header: ARP, or one that goes no further.
fn not_to_gateway(
    local: &mut Local,
    port: PortId,
    workload: &Workload,
    frame: &mut Frame,
) -> Instead {
    let link = match link::read(frame) {
        Ok(link) => link,
        Err(reason) => return reason.into(),
    };
    if link.ethertype == EtherType::ARP {
        return match arp::answer(local, port, workload, &link, frame) {
            Ok(action) => Instead::Finished(action),
            Err(reason) => reason.into(),
        };
    }
    if link.src != workload.mac {
        return DropReason::SpoofedMac.into();
    }
    match link::packet(frame) {
        Ok(header) => not_ours(link.dst, header.src, header.dst).into(),
        Err(reason) => reason.into(),
    }
}

/// A packet for the uplink's own MAC address: of another node's tunnel, mostly.
fn from_uplink(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Took {
    let outer = link::packet(frame)?;
    let (peer, header) = match outer.protocol == Protocol::IPIP && !outer.is_fragment() {
        true => tunnel::strip(world, frame, &outer)?,
        false => unusual_from_uplink(world, local, now, port, frame)?,
    };
    if peer != PeerId::NONE {
        local.observer.note(|| Note::Decapsulated { peer });
    }
    Ok((From::peer(port, peer), header))
}

fn not_to_uplink(frame: &mut Frame) -> DropReason {
    match link::read(frame) {
        Err(reason) => reason,
        Ok(link) if link.ethertype == EtherType::ARP => DropReason::UplinkNotTunnel,
        Ok(link) => match link::packet(frame) {
            Err(reason) => reason,
            Ok(header) => not_ours(link.dst, header.src, header.dst),
        },
    }
}

/// Fragments of tunnel packets, packets of blocks that need no tunnel, and
/// reports about this node's own tunnel packets. The frame is then a packet to
/// go on with, from this peer if by its tunnel.
fn unusual_from_uplink(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Result<(PeerId, ipv4::Header), Instead> {
    let header = ipv4::Header::parse(frame.packet()).map_err(link::malformed)?;
    if header.protocol == Protocol::IPIP {
        let whole = tunnel::strip_fragment(world, local, now, frame, &header)?;
        return whole.ok_or(Instead::Finished(Action::Punt(Punt::Absorbed)));
    }
    if path_mtu::is_report(frame, &header) && header.dst == world.node.address {
        let took = path_mtu::take(world, local, now, port, frame, &header)?;
        return Err(Instead::Finished(took));
    }
    tunnel::verify_plain(world, &header)?;
    Ok((PeerId::NONE, header))
}

/// What the host forwards comes without a link header.
fn from_host(world: &Snapshot, port: PortId, frame: &mut Frame) -> Took {
    // A TUN device without packet information: the version is in the packet.
    if frame.packet().first().is_some_and(|byte| byte >> 4 == 6) {
        return Err(DropReason::Ipv6.into());
    }
    let header = link::packet(frame)?;
    source::verify_host(world, &header)?;
    Ok((From::host(port), header))
}

/// Frames for somebody else's MAC address are not ours; what is sent to all is
/// refused by the name of its IPv4 destination.
#[cold]
fn not_ours(found: MacAddr, src: Ipv4Addr, dst: Ipv4Addr) -> DropReason {
    match link::refuse_special(src, dst) {
        Err(special) if found.is_multicast() => special,
        _ => DropReason::OtherMac,
    }
}
