//! What the micro benches have in common: frames of 64 bytes, routes, a node of a large cluster.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dataplane::{
    AdjacencyId, Description, Fib, GATEWAY_IP, GATEWAY_MAC, Generation, Local, PeerDescription,
    PortId, Snapshot, Target, Time, UplinkDescription, WorkloadDescription, forward,
};
use ipnet::Ipv4Net;
use packet::{Frame, MacAddr, build};
use policy::{Compiler, Settings, Subjects};

use crate::cluster::{LOCAL_PODS, Size};
use crate::{
    HOST, NGINX, NGINX_IP, NGINX_MAC, NODE_IP, OTHER_IP, PEER_IP, PEER_MAC, REMOTE_IP, UPLINK,
    UPLINK_MAC,
};

/// When every packet comes, so that nothing times out.
pub const NOW: Time = Time::from_secs(10);
/// UDP payload of a 64-byte frame, its check sequence counted.
const PAYLOAD: [u8; 18] = [0; 18];
/// Ten thousand policies among as many pods.
pub const MANY_POLICIES: Size = Size {
    pods: 10_000,
    policies: 10_000,
};

/// A kind of frame whose cost is asked for.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happens to it.
    pub name: &'static str,
    /// The port it comes in by.
    pub port: PortId,
    /// The frame.
    pub frame: Frame,
    /// Where its ports stand, counted from the packet, if it is of a flow.
    pub ports_at: Option<usize>,
}

/// The kinds there are, but for the first frame of a flow.
#[must_use]
pub fn cases() -> [Case; 5] {
    let case = |name, port, frame, ports_at| Case {
        name,
        port,
        frame,
        ports_at,
    };
    [
        case("established", NGINX, to(OTHER_IP), Some(20)),
        case("encapsulated", NGINX, to(REMOTE_IP), Some(20)),
        case("decapsulated", UPLINK, from_peer(), Some(40)),
        case("dropped_spoofed", NGINX, spoofed(), None),
        case("arp", NGINX, arp(), None),
    ]
}

impl Case {
    /// Makes `frame` the one of this kind and of this flow.
    pub fn write(&self, flow: u32, frame: &mut Frame) {
        frame.copy_from(&self.frame);
        if let Some(at) = self.ports_at {
            // A destination port below 4789: pods may send no VXLAN.
            let ports = [flow as u16, (flow >> 16) as u16 + 1].map(u16::to_be_bytes);
            frame.packet_mut()[at..at + 4].copy_from_slice(ports.as_flattened());
        }
    }

    /// Walks the first frame of so many flows.
    pub fn fill(&self, world: &Snapshot, local: &mut Local, flows: u32) {
        let mut frame = Frame::new();
        for flow in 0..flows {
            self.write(flow, &mut frame);
            forward(world, local, NOW, self.port, &mut frame);
        }
    }
}

/// A frame of the first pod.
#[must_use]
pub fn to(dst: Ipv4Addr) -> Frame {
    let packet = build::udp(NGINX_IP, dst, 4000, 53, &PAYLOAD);
    Frame::from_ethernet(&build::ethernet(NGINX_MAC, GATEWAY_MAC, &packet))
}

/// A tunnel packet to the first pod.
#[must_use]
pub fn from_peer() -> Frame {
    let inner = build::udp(REMOTE_IP, NGINX_IP, 4000, 53, &PAYLOAD);
    let outer = build::ipip(PEER_IP, NODE_IP, &inner);
    Frame::from_ethernet(&build::ethernet(PEER_MAC, UPLINK_MAC, &outer))
}

/// A frame whose source is not the pod's.
#[must_use]
pub fn spoofed() -> Frame {
    let packet = build::udp(REMOTE_IP, OTHER_IP, 4000, 53, &PAYLOAD);
    Frame::from_ethernet(&build::ethernet(NGINX_MAC, GATEWAY_MAC, &packet))
}

/// The pod asks for its gateway's MAC address.
#[must_use]
pub fn arp() -> Frame {
    Frame::from_ethernet(&build::arp_request(NGINX_MAC, NGINX_IP, GATEWAY_IP))
}

/// A compiler that has been told of no policy.
#[must_use]
pub fn no_policies() -> Compiler {
    Compiler::new(Subjects::Attached, Settings::default())
}

/// A well-mixed number for each number (the finalizer of MurmurHash3): flows and destinations in
/// no order that a cache could guess.
#[must_use]
pub fn mixed(number: u32) -> u32 {
    let mut mixed = number ^ number >> 16;
    mixed = mixed.wrapping_mul(0x85eb_ca6b);
    mixed ^= mixed >> 13;
    mixed = mixed.wrapping_mul(0xc2b2_ae35);
    mixed ^ mixed >> 16
}

/// A table with so many routes: blocks of other nodes, pods of this one, a pool and a default.
///
/// # Panics
/// Never: the prefixes are constants.
#[must_use]
pub fn fib(routes: u32) -> Fib {
    let net = |bits: u32, len| Ipv4Net::new(bits.into(), len).expect("a prefix length");
    let way = |id| Target::Adjacency(AdjacencyId(id));
    let wide = [(net(0, 0), way(0)), (net(0x0a00_0000, 8), way(1))];
    let pods = (0..LOCAL_PODS.min(routes / 2)).map(|pod| (net(0x0a00_0000 + pod, 32), way(2)));
    let blocks = (0..).map(|block| (block_of(block), way(3)));
    let all = wide.into_iter().chain(pods).chain(blocks);
    Fib::from_routes(all.take(routes as usize))
}

/// The block of that number.
///
/// # Panics
/// Never: 26 is a prefix length.
#[must_use]
pub fn block_of(number: u32) -> Ipv4Net {
    let bits = 0x0a00_0100 + (number << 6);
    Ipv4Net::new(bits.into(), 26).expect("a prefix length")
}

/// A node with [`LOCAL_PODS`] pods and so many peers of one block each.
#[must_use]
pub fn large_node(peers: u32) -> Description {
    let mac = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    };
    let own: Ipv4Net = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 25).expect("a prefix length");
    let peer = |number: u32| PeerDescription {
        name: format!("node-{number}"),
        address: (0xac10_0100 + number).into(),
        tunneled_blocks: vec![block_of(number)],
        plain_blocks: Vec::new(),
        next_hop_mac: Some(mac(number)),
        path_mtu_bytes: None,
    };
    let workload = |number: u32| WorkloadDescription {
        port: PortId(number as u16 + 2),
        name: format!("cali{number}"),
        address: (0x0a00_0001 + number).into(),
        mac: mac(number),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit: None,
        ingress_limit: None,
    };
    Description {
        address: NODE_IP,
        tunnel_address: Ipv4Addr::new(10, 0, 0, 0),
        local_addresses: [NODE_IP].into(),
        host_port: HOST,
        host_name: "tunl0".to_owned(),
        host_mtu_bytes: 1480,
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: "eth0".to_owned(),
            mac: UPLINK_MAC,
            mtu_bytes: 1500,
        }),
        pools: vec![Ipv4Net::new(own.network(), 8).expect("a prefix length")],
        routable_pools: Vec::new(),
        own_blocks: vec![own],
        peers: (0..peers).map(peer).collect(),
        workloads: (0..LOCAL_PODS).map(workload).collect(),
    }
}

/// The snapshot of that node.
#[must_use]
pub fn snapshot_of(node: &Description, policy: &Arc<policy::Table>, generation: u32) -> Snapshot {
    dataplane::compile(node, Arc::clone(policy), Generation(generation))
}
