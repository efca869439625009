//! Who is who, for the client.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use cni_shim::capture::{Directory, Port};
use dataplane::DropReason;

use crate::control::DesiredState;
use crate::host::TUNNEL;
use crate::show::full_name;
use crate::worker::{HOST, UPLINK, workload_port};

/// The directory of a state.
pub(super) fn of(state: &DesiredState) -> Directory {
    let reasons = DropReason::TABLE.iter().map(|row| row.label.to_owned());
    Directory {
        ports: ports(state),
        names: names(state).into_iter().collect(),
        reasons: reasons.collect(),
    }
}

fn ports(state: &DesiredState) -> Vec<Port> {
    let port = |id: dataplane::PortId, interface: &str, owner: &str| Port {
        id: id.0,
        interface: interface.into(),
        owner: owner.into(),
    };
    let mut ports = vec![
        port(HOST, TUNNEL, "host"),
        port(UPLINK, &state.uplink.name, "uplink"),
    ];
    let workloads = state.workloads.values();
    ports.extend(workloads.map(|workload| {
        let id = workload_port(workload.slot);
        port(id, &workload.host_interface, &full_name(workload))
    }));
    ports
}

/// Nodes, then the pods that policy knows anywhere, then this node's own: the nearest source of a name wins.
fn names(state: &DesiredState) -> BTreeMap<Ipv4Addr, String> {
    let mut names = BTreeMap::new();
    for peer in state.peers.values() {
        names.insert(peer.address.addr(), peer.name.clone());
        names.insert(peer.tunnel_address, peer.name.clone());
    }
    let own = state.node.local_addresses.iter();
    names.extend(own.map(|address| (*address, state.node.name.clone())));
    let pods = state.policy.pods().iter();
    for (key, pod) in pods.filter(|(_, pod)| !pod.host_network) {
        let v4 = pod.addresses.iter().filter_map(|address| match address {
            std::net::IpAddr::V4(address) => Some(*address),
            std::net::IpAddr::V6(_) => None,
        });
        names.extend(v4.map(|address| (address, key.to_string())));
    }
    let workloads = state.workloads.values();
    names.extend(workloads.map(|workload| (workload.address, full_name(workload))));
    names
}
