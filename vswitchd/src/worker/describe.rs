//! The desired state in the data plane's words.

use dataplane::{Description, PeerDescription, UplinkDescription, WorkloadDescription};
use ipnet::Ipv4Net;

use super::limits::Limits;
use super::ports::{self, HOST, UPLINK};
use crate::control::{DesiredState, Encapsulation, Peer};

/// The host port's device, by Calico's name.
pub(super) const HOST_INTERFACE: &str = "tunl0";

/// A node without uplink, peers or pods: what workers have until the first
/// publication.
pub(super) fn closed(state: &DesiredState, host_mtu_bytes: u16) -> Description {
    Description {
        address: state.node.address.addr(),
        tunnel_address: state.node.tunnel_address,
        local_addresses: state.node.local_addresses.clone(),
        host_port: HOST,
        host_name: HOST_INTERFACE.to_owned(),
        host_mtu_bytes,
        uplink: None,
        pools: state.pools.iter().map(|pool| pool.cidr).collect(),
        routable_pools: state
            .pools
            .iter()
            .filter(|pool| !pool.nat_outgoing)
            .map(|pool| pool.cidr)
            .collect(),
        own_blocks: state.blocks.clone(),
        peers: Vec::new(),
        workloads: Vec::new(),
    }
}

pub(super) fn describe(state: &DesiredState, limits: &Limits, host_mtu_bytes: u16) -> Description {
    Description {
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: state.uplink.name.clone(),
            mac: state.uplink.mac,
            mtu_bytes: to_u16(state.uplink.mtu_bytes),
        }),
        peers: state.peers.values().map(describe_peer).collect(),
        workloads: state
            .workloads
            .values()
            .map(|workload| {
                let kept = limits.of(workload);
                WorkloadDescription {
                    port: ports::workload_port(workload.slot),
                    name: workload.host_interface.clone(),
                    address: workload.address,
                    mac: workload.mac,
                    mtu_bytes: to_u16(workload.mtu_bytes),
                    since: kept.since,
                    egress_limit: kept.egress,
                    ingress_limit: kept.ingress,
                }
            })
            .collect(),
        ..closed(state, host_mtu_bytes)
    }
}

fn describe_peer(peer: &Peer) -> PeerDescription {
    let blocks = |wanted: Encapsulation| -> Vec<Ipv4Net> {
        let routes = peer.routes.iter();
        routes
            .filter(|route| route.encapsulation == wanted)
            .map(|route| route.block)
            .collect()
    };
    PeerDescription {
        name: peer.name.clone(),
        address: peer.address.addr(),
        tunneled_blocks: blocks(Encapsulation::Ipip),
        plain_blocks: blocks(Encapsulation::Plain),
        next_hop_mac: peer.next_hop.mac,
        path_mtu_bytes: Some(to_u16(peer.path_mtu_bytes)),
    }
}

/// Sizes beyond IPv4's largest packet do not exist for us.
fn to_u16(bytes: u32) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}
