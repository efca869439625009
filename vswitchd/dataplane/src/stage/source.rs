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

/// What the host forwards may come from anywhere but from another node's pods:
/// those come by their tunnel. The underlay could spoof them past the checks of
/// decapsulation, if the host's `rp_filter` lets it. From a peer without a
/// tunnel it is a second copy of what the uplink port has taken.
pub(crate) fn verify_host(world: &Snapshot, header: &ipv4::Header) -> Result<(), DropReason> {
    let Some(way) = world.way_to_peer(header.src) else {
        return Ok(());
    };
    let mut routable = world.node.routable_pools.iter();
    match way.tunnel {
        None => Err(DropReason::HostEcho),
        Some(_) if routable.any(|pool| pool.contains(&header.src)) => Ok(()),
        Some(_) => Err(DropReason::HostSpoofed),
    }
}
