//! Is the source who it says it is?

use packet::frame::Frame;
use packet::{Protocol, ipv4, transport};

use crate::drop_reason::DropReason;
use crate::snapshot::{Snapshot, Workload};

/// UDP port of VXLAN (RFC 7348), which Calico forbids to workloads.
const VXLAN_PORT: u16 = 4789;

/// A workload sends from its own address only, and no tunnel packets (Calico:
/// strict RPF, and `AllowIPIPPacketsFromWorkloads=false`).
#[inline]
pub(crate) fn verify_workload(
    workload: &Workload,
    frame: &Frame,
    header: &ipv4::Header,
) -> Result<(), DropReason> {
    if header.src != workload.address {
        return Err(DropReason::SpoofedSource);
    }
    match header.protocol {
        Protocol::IPIP => Err(DropReason::WorkloadIpip),
        Protocol::UDP if header.fragment_offset_bytes == 0 => {
            match transport::ports(Protocol::UDP, header.payload(frame.packet())) {
                Some(ports) if ports.dst == VXLAN_PORT => Err(DropReason::WorkloadVxlan),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// What the host forwards may come from anywhere; but from a peer without a
/// tunnel it is a second copy of what the uplink port has taken.
pub(crate) fn verify_host(world: &Snapshot, header: &ipv4::Header) -> Result<(), DropReason> {
    match world.way_to_peer(header.src) {
        Some(way) if way.tunnel.is_none() => Err(DropReason::HostEcho),
        _ => Ok(()),
    }
}
