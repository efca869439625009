//! The walk-through's node `minikube-m02` as a world for benchmarks: two pods,
//! two peers, real addresses, no devices.

#![forbid(unsafe_code)]

pub mod cluster;
pub mod micro;
pub mod run;
pub mod soak;

use std::net::Ipv4Addr;
use std::sync::Arc;

use dataplane::{
    Counters, Description, Generation, Local, LocalConfig, PeerDescription, PortId, Snapshot, Time,
    UplinkDescription, WorkerId, WorkloadDescription, compile,
};
use packet::MacAddr;
use policy::model::Pod;
use policy::{Compiler, Object};

use crate::cluster::Size;

/// Port of the host, of the uplink and of the two pods.
pub const HOST: PortId = PortId(0);
/// Port of the underlay.
pub const UPLINK: PortId = PortId(1);
/// Port of the first pod.
pub const NGINX: PortId = PortId(2);
/// The first pod.
pub const NGINX_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
/// The second pod of the same node.
pub const OTHER_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 194);
/// A pod of `minikube-m03`.
pub const REMOTE_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
/// This node and the one the remote pod is on.
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
/// `minikube-m03`.
pub const PEER_IP: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 8);
/// The first pod's MAC address.
pub const NGINX_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The uplink's MAC address.
pub const UPLINK_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
/// The peer's MAC address.
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

/// The world as of `generation`, with the policies of a cluster that has an application in its
/// first namespace: the two pods and the remote one are of that application.
///
/// # Panics
/// Never: the addresses are constants.
#[must_use]
pub fn world_in(compiler: &mut Compiler, generation: u32) -> Snapshot {
    let net = |text: &str| text.parse().expect("a constant prefix");
    let pods = [
        ("nginx", NGINX_IP, true),
        ("other", OTHER_IP, true),
        ("remote", REMOTE_IP, false),
    ];
    for (name, address, is_here) in pods {
        let like = Size {
            pods: 100,
            policies: 0,
        }
        .pod(0);
        let (name, addresses) = (name.to_owned(), vec![address.into()]);
        if is_here {
            compiler.set_workload(&like.namespace, &name, address.into());
        }
        compiler.apply(Object::Pod(Pod {
            name,
            addresses,
            ..like
        }));
    }
    let workload = |port, last: u8, address| WorkloadDescription {
        port,
        name: format!("cali{last}"),
        address,
        mac: MacAddr([2, 0, 0, 0, 0, last]),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit: None,
        ingress_limit: None,
    };
    let peer = |name: &str, last: u8, block: &str| PeerDescription {
        name: name.to_owned(),
        address: Ipv4Addr::new(172, 16, 30, last),
        tunneled_blocks: vec![net(block)],
        plain_blocks: vec![],
        next_hop_mac: Some(MacAddr([2, 0, 0, 0, 0, last])),
        path_mtu_bytes: None,
    };
    let tunnel_address = Ipv4Addr::new(10, 244, 205, 192);
    let description = Description {
        address: NODE_IP,
        tunnel_address,
        local_addresses: [NODE_IP, tunnel_address].into(),
        host_port: HOST,
        host_name: "tunl0".to_owned(),
        host_mtu_bytes: 1480,
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: "eth0".to_owned(),
            mac: UPLINK_MAC,
            mtu_bytes: 1500,
        }),
        pools: vec![net("10.244.0.0/16")],
        routable_pools: vec![],
        own_blocks: vec![net("10.244.205.192/26")],
        peers: vec![
            peer("minikube", 6, "10.244.120.64/26"),
            peer("minikube-m03", 8, "10.244.151.0/26"),
        ],
        workloads: vec![
            workload(NGINX, 1, NGINX_IP),
            workload(PortId(3), 2, OTHER_IP),
        ],
    };
    compile(
        &description,
        Arc::new(compiler.table()),
        Generation(generation),
    )
}

/// A worker's state with room for `flows`.
#[must_use]
pub fn local(flows: usize) -> Local {
    let config = LocalConfig {
        worker: WorkerId(0),
        workers: 1,
        max_flows: flows,
        timeouts: dataplane::conntrack::Timeouts::default(),
        seed: [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03],
        pick_up_until: Time::default(),
    };
    Local::new(config, Arc::new(Counters::default()))
}
