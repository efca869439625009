//! From the wire to a packet whose flow, source and owner are known.

use std::net::Ipv4Addr;

use packet::ethernet::{EtherType, MacAddr};
use packet::frame::Frame;
use packet::{Protocol, ipv4};

use super::{Instead, arp, link, path_mtu, source, tunnel};
use crate::action::{Action, Punt};
use crate::drop_reason::DropReason;
use crate::ids::{PeerId, PortId};
use crate::local::Local;
use crate::snapshot::{Snapshot, Workload};
use crate::time::Time;

/// The header of a packet to go on with, or what was done instead.
type Took = Result<ipv4::Header, Instead>;

/// A pod's packets begin with one link header, from the pod to its gateway.
#[inline(always)]
pub(crate) fn from_workload(
    local: &Local,
    port: PortId,
    workload: &Workload,
    frame: &mut Frame,
) -> Took {
    if !link::is(frame, &workload.link) {
        return Err(not_to_gateway(local, port, workload, frame));
    }
    let header = link::packet(frame)?;
    source::verify_workload(workload, &header)?;
    Ok(header)
}

/// A frame with another link header: ARP, or one that goes no further.
#[inline(never)]
fn not_to_gateway(local: &Local, port: PortId, workload: &Workload, frame: &mut Frame) -> Instead {
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

/// A packet for the uplink's own MAC address.
#[inline(always)]
pub(crate) fn from_uplink(mac: MacAddr, frame: &mut Frame) -> Took {
    if !link::is_ipv4_to(frame, mac) {
        return Err(not_to_uplink(frame).into());
    }
    Ok(link::packet(frame)?)
}

#[cold]
#[inline(never)]
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
#[inline(never)]
pub(crate) fn unusual_from_uplink(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Result<PeerId, Instead> {
    let header = ipv4::Header::parse(frame.packet()).map_err(link::malformed)?;
    if header.protocol == Protocol::IPIP {
        let peer = tunnel::strip_fragment(world, local, now, frame, &header)?;
        return peer.ok_or(Instead::Finished(Action::Punt(Punt::Absorbed)));
    }
    if path_mtu::is_report(frame, &header) && header.dst == world.node.address {
        let took = path_mtu::take(world, local, now, port, frame, &header)?;
        return Err(Instead::Finished(took));
    }
    tunnel::verify_plain(world, &header)?;
    Ok(PeerId::NONE)
}

/// What the host forwards comes without a link header.
pub(crate) fn from_host(world: &Snapshot, frame: &mut Frame) -> Took {
    // A TUN device without packet information: the version is in the packet.
    if frame.packet().first().is_some_and(|byte| byte >> 4 == 6) {
        return Err(DropReason::Ipv6.into());
    }
    let header = link::packet(frame)?;
    source::verify_host(world, &header)?;
    Ok(header)
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
