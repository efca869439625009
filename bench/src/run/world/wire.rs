//! Takes TSO away from an underlay, as a plain wire has none: what crosses it is no longer than the MTU.

use lab::Lab;

use super::bare::NODES;
use crate::run::error::{Error, Result};

/// Segmentation of TCP, plain (all kinds: a veth whose peer has any runs no GRO) and in tunnels.
const OFF: [&str; 8] = [
    "tso",
    "off",
    "tx-udp_tnl-segmentation",
    "off",
    "tx-udp_tnl-csum-segmentation",
    "off",
    "tx-ipxip4-segmentation",
    "off",
];

/// On the nodes' `eth0` and on the bridge's ports; the kernel's GRO stays on at the nodes.
pub(super) fn without_tso(lab: &Lab) -> Result<()> {
    if lab::binaries::in_path("ethtool").is_none() {
        return Err(Error::Absent(
            "`ethtool` is not installed; install the package ethtool".into(),
        ));
    }
    for (i, node) in NODES.iter().enumerate() {
        let port = format!("uplink{i}");
        for (netns, link) in [(Some(*node), "eth0"), (None, port.as_str())] {
            let argv: Vec<&str> = ["ethtool", "-K", link].into_iter().chain(OFF).collect();
            lab.sandbox().run("switching TSO off", netns, &argv)?;
        }
        let gro = ["ethtool", "-K", "eth0", "gro", "on"];
        lab.sandbox().run("switching GRO on", Some(node), &gro)?;
    }
    Ok(())
}
