//! Nodes without a daemon and pods wired by hand, for the contenders that are not ours.
//!
//! The nodes and their underlay are the lab's own, so every contender crosses the same bridge.

use std::net::Ipv4Addr;

use lab::{Config, Lab};

use super::{CLIENT, SERVER};
use crate::run::{
    contender::{Contender, Topology},
    error::Result,
    place::Place,
};

/// The nodes' names; in a topology of one node both pods are on the first.
pub(super) const NODES: [&str; 2] = ["node-a", "node-b"];
/// The nodes' addresses on the underlay.
pub(super) const NODE_ADDRESSES: [Ipv4Addr; 2] =
    [Ipv4Addr::new(172, 16, 30, 6), Ipv4Addr::new(172, 16, 30, 7)];

/// How the names of the bench's labs begin.
pub(super) const LAB_PREFIX: &str = "bench-";

/// The nodes of a topology as a lab's configuration, under a name no other bench has.
pub(super) fn config(contender: Contender, topology: Topology) -> Result<Config> {
    let nodes: Vec<String> = (0..topology.nodes())
        .map(|i| {
            format!(
                "{{ name = '{}', address = '{}' }}",
                NODES[i], NODE_ADDRESSES[i]
            )
        })
        .collect();
    let text = format!(
        "name = '{LAB_PREFIX}{pid}-{place}-{name}'\nunderlay = {{ gateway = '172.16.30.1/24' }}\nnode = [{nodes}]\npool = [{{ name = 'pods', cidr = '10.244.0.0/16' }}]\n",
        pid = std::process::id(),
        place = topology.name(),
        name = contender.name(),
        nodes = nodes.join(", "),
    );
    Ok(Config::parse("the bench's own lab", &text)?)
}

/// A pod to be wired by hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod {
    pub(super) name: &'static str,
    pub(super) node: &'static str,
    pub(super) address: Ipv4Addr,
}

/// The two pods of a topology: subnets 10.245.1.0/24 on the first node and 10.245.2.0/24 on the second.
pub(super) fn pods(topology: Topology) -> [Pod; 2] {
    let (node, subnet) = if topology.nodes() == 1 {
        (NODES[0], 1)
    } else {
        (NODES[1], 2)
    };
    [
        Pod {
            name: CLIENT,
            node: NODES[0],
            address: Ipv4Addr::new(10, 245, 1, 10),
        },
        Pod {
            name: SERVER,
            node,
            address: Ipv4Addr::new(10, 245, subnet, 20),
        },
    ]
}

/// Makes a pod's namespace and a veth pair: `eth0` in the pod, `v-NAME` on the node, both up, no addresses.
pub(super) fn plug(lab: &Lab, pod: Pod, mtu_bytes: u32) -> Result<()> {
    let Pod { name, node, .. } = pod;
    let lines = [
        format!("netns add {name}"),
        format!(
            "link add v-{name} mtu {mtu_bytes} netns {node} type veth peer name eth0 mtu {mtu_bytes} netns {name}"
        ),
    ];
    lab.sandbox().ip_batch("making a pod", None, &lines)?;
    let up = |link: &str| format!("link set {link} up");
    lab.sandbox()
        .ip_batch("raising a pod", Some(name), &[up("lo"), up("eth0")])?;
    Ok(lab.sandbox().ip_batch(
        "raising a pod's port",
        Some(node),
        &[up(&format!("v-{name}"))],
    )?)
}

/// Addresses a pod as Calico does: a /32, the default route to 169.254.1.1, proxy ARP on the node's side.
pub(super) fn route_as_calico(lab: &Lab, pod: Pod) -> Result<()> {
    let Pod {
        name,
        node,
        address,
    } = pod;
    let inside = [
        format!("address add {address}/32 dev eth0"),
        "route add 169.254.1.1 dev eth0 scope link".into(),
        "route add default via 169.254.1.1 dev eth0".into(),
    ];
    lab.sandbox()
        .ip_batch("addressing a pod", Some(name), &inside)?;
    let route = [format!("route add {address}/32 dev v-{name}")];
    lab.sandbox()
        .ip_batch("routing to a pod", Some(node), &route)?;
    let script = format!(
        "echo 1 >/proc/sys/net/ipv4/conf/v-{name}/proxy_arp; echo 0 >/proc/sys/net/ipv4/neigh/v-{name}/proxy_delay"
    );
    lab.sandbox()
        .run("switching proxy ARP on", Some(node), &["sh", "-c", &script])?;
    Ok(())
}

/// `ip` commands on each of the two nodes; `of(own, other)` numbers the nodes from 0.
pub(super) fn on_both(lab: &Lab, of: impl Fn(usize, usize) -> Vec<String>) -> Result<()> {
    for (own, node) in NODES.into_iter().enumerate() {
        lab.sandbox()
            .ip_batch("joining the nodes", Some(node), &of(own, 1 - own))?;
    }
    Ok(())
}

/// The namespaces of the two pods.
pub(super) fn places(lab: &Lab) -> [Place; 2] {
    [CLIENT, SERVER].map(|name| Place::inside(lab.sandbox(), name))
}
