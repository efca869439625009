//! The clusters of the walk-through, with their real names and addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dataplane::{
    Description, Generation, PeerDescription, PortId, UplinkDescription, WorkloadDescription,
};
use ipnet::Ipv4Net;
use packet::MacAddr;

/// Index of the node `minikube` in the house.
pub const MINIKUBE: usize = 0;
/// Index of the node `minikube-m02` in the house.
pub const M02: usize = 1;
/// Index of the node `minikube-m03` in the house.
pub const M03: usize = 2;

/// `default/nginx` on minikube-m02.
pub const NGINX: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
/// A second pod beside nginx on minikube-m02.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 194);
/// `default/nginx-manual` on minikube-m03.
pub const NGINX_MANUAL: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
/// `default/busybox` on minikube: the third pod of its block.
pub const BUSYBOX: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 67);
/// The underlay's gateway, and the router that complains about size.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 1);
/// Somebody outside.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);

/// Port of the host on each node.
pub const HOST_PORT: PortId = PortId(0);
/// Port of the underlay on each node.
pub const UPLINK_PORT: PortId = PortId(1);

/// A node as a test plans it.
#[derive(Clone)]
pub struct NodePlan {
    pub name: &'static str,
    pub address: Ipv4Addr,
    /// The network of its /26.
    pub block: Ipv4Addr,
    pub pods: Vec<(&'static str, Ipv4Addr)>,
}

/// Cluster 1: three nodes on 172.16.30.0/24.
pub fn walk_through() -> Vec<NodePlan> {
    vec![
        NodePlan {
            name: "minikube",
            address: Ipv4Addr::new(172, 16, 30, 6),
            block: Ipv4Addr::new(10, 244, 120, 64),
            pods: vec![("busybox", BUSYBOX)],
        },
        NodePlan {
            name: "minikube-m02",
            address: Ipv4Addr::new(172, 16, 30, 7),
            block: Ipv4Addr::new(10, 244, 205, 192),
            pods: vec![("nginx", NGINX), ("client", CLIENT)],
        },
        NodePlan {
            name: "minikube-m03",
            address: Ipv4Addr::new(172, 16, 30, 8),
            block: Ipv4Addr::new(10, 244, 151, 0),
            pods: vec![("nginx-manual", NGINX_MANUAL)],
        },
    ]
}

/// Cluster 2: two nodes on 192.168.49.0/24.
pub fn cluster_2() -> Vec<NodePlan> {
    let mut plans = walk_through();
    plans.truncate(2);
    plans[0].address = Ipv4Addr::new(192, 168, 49, 2);
    plans[1].address = Ipv4Addr::new(192, 168, 49, 3);
    plans
}

/// The MAC address of the pod (prefix 2) or node (prefix 6) with this address.
fn mac(prefix: u8, address: Ipv4Addr) -> MacAddr {
    let [a, b, c, d] = address.octets();
    MacAddr([prefix, 0, a, b, c, d])
}

/// MAC address of a pod's interface.
pub fn pod_mac(address: Ipv4Addr) -> MacAddr {
    mac(2, address)
}

/// MAC address of a node's eth0.
pub fn node_mac(address: Ipv4Addr) -> MacAddr {
    mac(6, address)
}

fn block(plan: &NodePlan) -> Ipv4Net {
    Ipv4Net::new(plan.block, 26).unwrap()
}

/// What the control plane of node `index` would compile: eth0 of 1500 bytes,
/// everything else 20 less, all peers tunneled and resolved.
pub fn describe(plans: &[NodePlan], index: usize) -> Description {
    let plan = &plans[index];
    let peers = plans.iter().filter(|peer| peer.name != plan.name);
    Description {
        address: plan.address,
        tunnel_address: plan.block,
        local_addresses: BTreeSet::from([plan.address, plan.block]),
        host_port: HOST_PORT,
        host_name: "tunl0".into(),
        host_mtu_bytes: 1480,
        uplink: Some(UplinkDescription {
            port: UPLINK_PORT,
            name: "eth0".into(),
            mac: node_mac(plan.address),
            mtu_bytes: 1500,
        }),
        pools: vec!["10.244.0.0/16".parse().unwrap()],
        routable_pools: vec![],
        own_blocks: vec![block(plan)],
        peers: peers.map(describe_peer).collect(),
        workloads: (2..).zip(&plan.pods).map(describe_workload).collect(),
    }
}

fn describe_peer(plan: &NodePlan) -> PeerDescription {
    PeerDescription {
        name: plan.name.into(),
        address: plan.address,
        tunneled_blocks: vec![block(plan)],
        plain_blocks: vec![],
        next_hop_mac: Some(node_mac(plan.address)),
        path_mtu_bytes: None,
    }
}

fn describe_workload((port, (name, address)): (u16, &(&str, Ipv4Addr))) -> WorkloadDescription {
    WorkloadDescription {
        port: PortId(port),
        name: format!("cali-{name}"),
        address: *address,
        mac: pod_mac(*address),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit: None,
        ingress_limit: None,
    }
}
