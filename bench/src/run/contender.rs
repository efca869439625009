//! What is compared, and where: the contenders and the topologies they can be in.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Where two pods are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// On one node.
    SameNode,
    /// On two nodes; the underlay carries super-segments whole, as between virtual machines on one host.
    TwoNode,
    /// On two nodes; the underlay has no TSO, as a plain wire.
    TwoNodeWire,
}

impl Topology {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::SameNode, Self::TwoNode, Self::TwoNodeWire];

    /// Its name on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SameNode => "same-node",
            Self::TwoNode => "two-node",
            Self::TwoNodeWire => "two-node-wire",
        }
    }

    /// As a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::SameNode => "Two pods on one node",
            Self::TwoNode => "Two pods on two nodes",
            Self::TwoNodeWire => "Two pods on two nodes, no TSO on the underlay",
        }
    }

    /// How many nodes it has.
    #[must_use]
    pub fn nodes(self) -> usize {
        if self == Self::SameNode { 1 } else { 2 }
    }
}

/// What the user names behind `--against`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// The kernel's routing.
    Kernel,
    /// The kernel's VXLAN.
    Vxlan,
    /// Open vSwitch's user-space data path.
    Ovs,
    /// A TUN device and a UDP socket.
    Naive,
    /// Packet sockets and nothing between them.
    Pump,
    /// vswitchd itself with `kernel_relay = "off"`: its workers carry every frame.
    Workers,
    /// vswitchd itself with no help of the kernel at all, `kernel_encapsulation = "off"`, too.
    Cut,
}

impl Peer {
    /// Those that are measured against when none is named: whatever is not vswitchd.
    pub const ALL: [Self; 5] = [
        Self::Kernel,
        Self::Vxlan,
        Self::Ovs,
        Self::Naive,
        Self::Pump,
    ];

    /// What stands for it in a topology.
    #[must_use]
    pub fn contenders(self, topology: Topology) -> &'static [Contender] {
        use Contender::{Kernel, Naive, Ovs, OvsTso, Pump, VswitchdCut, VswitchdWorkers, Vxlan};
        match (self, topology) {
            (Self::Kernel, _) => &[Kernel],
            (Self::Ovs, Topology::SameNode) => &[Ovs, OvsTso],
            // With userspace-tso it drops what it should tunnel.
            (Self::Ovs, Topology::TwoNode) => &[Ovs],
            (Self::Vxlan, Topology::TwoNode | Topology::TwoNodeWire) => &[Vxlan],
            (Self::Naive, Topology::TwoNode) => &[Naive],
            (Self::Pump, Topology::SameNode) => &[Pump],
            (Self::Workers, _) => &[VswitchdWorkers],
            (Self::Cut, Topology::TwoNode | Topology::TwoNodeWire) => &[VswitchdCut],
            _ => &[],
        }
    }
}

/// One way to connect two pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// This project's daemon.
    Vswitchd,
    /// The same, its workers carrying every frame.
    VswitchdWorkers,
    /// The same, also cutting every super-segment.
    VswitchdCut,
    /// Another build of it.
    Baseline,
    /// The kernel's routing.
    Kernel,
    /// The kernel's VXLAN.
    Vxlan,
    /// Open vSwitch's user-space data path.
    Ovs,
    /// The same with `userspace-tso-enable`.
    OvsTso,
    /// A TUN device and a UDP socket.
    Naive,
    /// Packet sockets and nothing between them.
    Pump,
    /// The user's own.
    Pair,
}

impl Contender {
    /// Its name in tables, thresholds and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vswitchd => "vswitchd",
            Self::VswitchdWorkers => "vswitchd-workers",
            Self::VswitchdCut => "vswitchd-cut",
            Self::Baseline => "baseline",
            Self::Kernel => "kernel",
            Self::Vxlan => "vxlan",
            Self::Ovs => "ovs",
            Self::OvsTso => "ovs-tso",
            Self::Naive => "naive",
            Self::Pump => "pump",
            Self::Pair => "pair",
        }
    }
}
