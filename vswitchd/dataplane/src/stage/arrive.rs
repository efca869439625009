//! From the wire to a packet whose flow, source and owner are known.

use packet::ethernet::MacAddr;
use packet::frame::Frame;
use packet::{Protocol, ipv4};

use super::flow_of;
use super::link::{self, Carried};
use super::{Refusal, arp, path_mtu, source, tunnel};
use crate::GATEWAY_MAC;
use crate::action::{Action, Punt};
use crate::arrived::Arrived;
use crate::drop_reason::DropReason;
use crate::ids::PortId;
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot, Workload};
use crate::time::Time;

/// How arriving ended.
pub(crate) enum Arrival {
    Packet(Arrived),
    Finished(Action),
}

/// Parses, answers ARP, decapsulates, checks the source, finds the flow.
#[inline]
pub(crate) fn arrive(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Result<Arrival, Refusal> {
    let header = match &world.port(port).ok_or(DropReason::NoPort)?.kind {
        PortKind::Workload(workload) => match from_workload(local, port, workload, frame)? {
            Ok(header) => header,
            Err(answered) => return Ok(Arrival::Finished(answered)),
        },
        PortKind::Uplink { mac } => match from_uplink(world, local, now, port, *mac, frame)? {
            Ok(header) => header,
            Err(action) => return Ok(Arrival::Finished(action)),
        },
        PortKind::Host => from_host(world, frame)?,
    };
    link::refuse_special(&header)?;
    frame
        .check_offload(&header)
        .map_err(|_| DropReason::OffloadForged)?;
    let flow = flow_of::read(local, now, frame, &header)?;
    Ok(Arrival::Packet(Arrived { port, header, flow }))
}

/// Either a packet to go on with, or what was done instead.
type Took = Result<Result<ipv4::Header, Action>, DropReason>;

fn from_workload(local: &Local, port: PortId, workload: &Workload, frame: &mut Frame) -> Took {
    let (ethernet, carried) = link::read(frame)?;
    match carried {
        Carried::Arp => arp::answer(local, port, workload, &ethernet, frame).map(Err),
        Carried::Ipv4 { src, .. } if src != workload.mac => Err(DropReason::SpoofedMac),
        Carried::Ipv4 { dst, .. } => {
            let header = link::packet(frame)?;
            check_mac(dst, GATEWAY_MAC, &header)?;
            source::verify_workload(workload, frame, &header)?;
            Ok(Ok(header))
        }
    }
}

fn from_uplink(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    mac: MacAddr,
    frame: &mut Frame,
) -> Took {
    let (_, carried) = link::read(frame)?;
    let Carried::Ipv4 { dst, .. } = carried else {
        return Err(DropReason::UplinkNotTunnel);
    };
    let header = link::packet(frame)?;
    check_mac(dst, mac, &header)?;
    if header.protocol == Protocol::IPIP {
        let inner = tunnel::strip(world, local, now, frame, &header)?;
        return Ok(inner.ok_or(Action::Punt(Punt::Absorbed)));
    }
    if path_mtu::is_report(frame, &header) && header.dst == world.node.address {
        return path_mtu::take(world, local, now, port, frame, &header).map(Err);
    }
    tunnel::verify_plain(world, &header)?;
    Ok(Ok(header))
}

fn from_host(world: &Snapshot, frame: &mut Frame) -> Result<ipv4::Header, DropReason> {
    // A TUN device without packet information: the version is in the packet.
    if frame.packet().first().is_some_and(|byte| byte >> 4 == 6) {
        return Err(DropReason::Ipv6);
    }
    let header = link::packet(frame)?;
    source::verify_host(world, &header)?;
    Ok(header)
}

/// Frames for somebody else's MAC address are not ours; what is sent to all is
/// refused by the name of its IPv4 destination.
fn check_mac(found: MacAddr, own: MacAddr, header: &ipv4::Header) -> Result<(), DropReason> {
    if found == own {
        return Ok(());
    }
    if found.is_multicast() {
        link::refuse_special(header)?;
    }
    Err(DropReason::OtherMac)
}
