//! What a lane is.

use std::net::Ipv4Addr;

use packet::flow::FlowKey;

/// Where a program of a [`Relay`](crate::Relay) is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The host end of a pod's veth: bare packets, lanes that arrive [`Plain`](Arrives::Plain). What comes with an 802.1Q
    /// tag is dropped: a socket bound to IPv4 would hear it without its tag.
    Workload,
    /// The interface to the other nodes: IPIP, lanes that arrive by [`Tunnel`](Arrives::Tunnel).
    Uplink,
}

/// One direction of a flow, what its frames look like and what is done with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneSpec {
    /// Number of the interface its frames arrive at.
    pub interface: u32,
    /// TCP or UDP.
    pub flow: FlowKey,
    /// How they arrive; others with the same key go on to the daemon, neither counted nor marked.
    pub arrives: Arrives,
    /// Number of the interface they leave by, in the same network namespace: another [`Side::Workload`]'s, because what a pod
    /// left to the device to fill in is not looked at.
    pub to_interface: u32,
    /// The link header they leave with: destination, source, the ethertype of IPv4.
    pub link: [u8; 14],
    /// Bytes of IP packet, at most; for a super-segment, of each of its segments.
    pub mtu_bytes: u16,
    /// What a marked frame's destination MAC begins with.
    pub mark: [u8; 4],
}

/// How the frames of a lane arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrives {
    /// By a [`Side::Workload`], behind exactly this link header: destination, source, the ethertype of IPv4.
    Plain {
        /// The link header.
        link: [u8; 14],
    },
    /// By the [`Side::Uplink`], in IPIP.
    Tunnel {
        /// Outer destination: this node.
        local: Ipv4Addr,
        /// Outer source: the other node.
        remote: Ipv4Addr,
    },
}

/// What a program has counted of a lane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RelayCounts {
    /// All its frames. Wraps after 2⁴⁰.
    pub seen: u64,
    /// Frames relayed; a super-segment is one. One that the other interface then drops counts too.
    pub packets: u64,
    /// Bytes of them as they arrived, link header and outer header included.
    pub bytes: u64,
    /// Frames dropped because the kernel failed half way.
    pub lost: u64,
}
