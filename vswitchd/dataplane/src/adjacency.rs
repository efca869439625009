//! Adjacencies: the ready-made rewrite toward a next hop, small and indexed.

use std::net::Ipv4Addr;

use crate::ids::{PeerId, PortId};

/// The outer addresses of an IPIP tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// This node's underlay address.
    pub local: Ipv4Addr,
    /// The peer node's underlay address.
    pub remote: Ipv4Addr,
}

/// Everything a frame needs on its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjacency {
    /// Where the frame leaves.
    pub port: PortId,
    /// The node it goes to, when that is another one.
    pub peer: Option<PeerId>,
    /// The link header, ready to be written; `None` on a port without one
    /// (the host's TUN device) and while the next hop is `unresolved`.
    pub link: Option<[u8; 14]>,
    /// The next hop's MAC address is not known yet.
    pub unresolved: bool,
    /// Encapsulated toward here, if at all.
    pub tunnel: Option<Tunnel>,
    /// The largest packet that may be handed over, before encapsulation.
    pub mtu_bytes: u16,
    /// The host kernel is next: it takes the hop off the TTL where it forwards.
    pub to_host: bool,
}
