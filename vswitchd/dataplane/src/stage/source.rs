//! Is the source who it says it is?

use packet::{Protocol, ipv4, transport};

use crate::drop_reason::DropReason;
use crate::snapshot::{Snapshot, Workload};

/// UDP port of VXLAN (RFC 7348), which Calico forbids to workloads.
const VXLAN_PORT: u16 = 4789;

/// A workload sends from its own address only (Calico: strict RPF).
#[inline(always)]
pub(crate) fn verify_workload(
    workload: &Workload,
    header: &ipv4::Header,
) -> Result<(), DropReason> {
    match header.src == workload.address {
        true => Ok(()),
        false => Err(DropReason::SpoofedSource),
    }
}

/// A workload sends no tunnel packets of its own (Calico:
/// `AllowIPIPPacketsFromWorkloads=false`).
pub(crate) fn refuse_tunnel(packet: &[u8], header: &ipv4::Header) -> Result<(), DropReason> {
    match header.protocol {
        Protocol::IPIP => Err(DropReason::WorkloadIpip),
        Protocol::UDP if header.fragment_offset_bytes == 0 => {
            match transport::ports(Protocol::UDP, header.payload(packet)) {
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
