//! The kernel's VXLAN between two nodes, as flannel sets it up: a device on each, the other's pods behind it.

use lab::Lab;

use super::{World, bare};
use crate::run::{
    contender::{Contender, Topology},
    error::Result,
};

const MTU_BYTES: u32 = 1450;

pub(super) fn build(topology: Topology) -> Result<World> {
    let lab = Lab::underlay(bare::config(Contender::Vxlan, topology)?)?;
    let pods = bare::pods(topology);
    for pod in pods {
        bare::plug(&lab, pod, MTU_BYTES)?;
        bare::route_as_calico(&lab, pod)?;
    }
    bare::on_both(&lab, |own, other| {
        let (local, remote) = (bare::NODE_ADDRESSES[own], bare::NODE_ADDRESSES[other]);
        vec![
            format!(
                "link add vx0 type vxlan id 42 dstport 4789 local {local} remote {remote} dev eth0"
            ),
            format!("link set vx0 mtu {MTU_BYTES} up"),
            format!("address add 10.245.{}.0/32 dev vx0", own + 1),
            format!(
                "route add 10.245.{0}.0/24 via 10.245.{0}.0 dev vx0 onlink",
                other + 1
            ),
        ]
    })?;
    let [client, server] = bare::places(&lab);
    Ok(World {
        contender: Contender::Vxlan,
        about: format!(
            "the kernel's routing and VXLAN, no netfilter rules, no policy; pod MTU {MTU_BYTES}. Both nodes forward in softirq: no process of its own"
        ),
        client,
        server,
        address: pods[1].address,
        forwarders: Vec::new(),
        lab: Some(lab),
        programs: None,
    })
}
