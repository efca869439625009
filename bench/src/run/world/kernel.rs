//! The kernel's own routing: proxy ARP between two pods of a node, plain routes between two nodes.

use lab::Lab;

use super::{World, bare};
use crate::run::{
    contender::{Contender, Topology},
    error::Result,
};

/// As vswitchd's pods have it, so that both cut TCP alike.
const MTU_SAME_NODE_BYTES: u32 = 1480;
const MTU_TWO_NODES_BYTES: u32 = 1500;

pub(super) fn build(topology: Topology) -> Result<World> {
    let lab = Lab::underlay(bare::config(Contender::Kernel, topology)?)?;
    let (mtu_bytes, how) = if topology.nodes() == 1 {
        (MTU_SAME_NODE_BYTES, "routing with proxy ARP")
    } else {
        (MTU_TWO_NODES_BYTES, "plain routing, no tunnel")
    };
    let pods = bare::pods(topology);
    for pod in pods {
        bare::plug(&lab, pod, mtu_bytes)?;
        bare::route_as_calico(&lab, pod)?;
    }
    if topology.nodes() == 2 {
        let route = |_: usize, other: usize| {
            vec![format!(
                "route add 10.245.{}.0/24 via {}",
                other + 1,
                bare::NODE_ADDRESSES[other]
            )]
        };
        bare::on_both(&lab, route)?;
    }
    let [client, server] = bare::places(&lab);
    Ok(World {
        contender: Contender::Kernel,
        about: format!(
            "the kernel's {how}, no netfilter rules, no policy; pod MTU {mtu_bytes}. Forwards in softirq on the core of whoever sends: no process of its own"
        ),
        client,
        server,
        address: pods[1].address,
        forwarders: Vec::new(),
        lab: Some(lab),
        programs: None,
    })
}
