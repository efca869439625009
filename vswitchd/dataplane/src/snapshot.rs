//! The immutable world a batch of frames is judged under.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use packet::ethernet::{self, MacAddr};
use policy::Table;
use rustc_hash::FxHashMap;

use crate::adjacency::Adjacency;
use crate::bandwidth::Bandwidth;
use crate::fib::{Fib, Target};
use crate::ids::{AdjacencyId, Generation, PeerId, PortId};

/// Everything forwarding needs to know, as of one generation.
///
/// Each large part is an `Arc` of its own, so that a new snapshot shares what
/// did not change with the one before.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows by one a publication.
    pub generation: Generation,
    /// This node.
    pub node: Arc<Node>,
    /// The ports, by [`PortId`]; a gap where a port went away.
    pub ports: Arc<Vec<Option<Port>>>,
    /// The other nodes, by [`PeerId`].
    pub peers: Arc<Vec<Peer>>,
    /// Underlay address, as a number, to peer.
    pub peer_by_address: Arc<FxHashMap<u32, PeerId>>,
    /// The routes.
    pub fib: Arc<Fib>,
    /// The rewrites, by [`AdjacencyId`].
    pub adjacencies: Arc<Vec<Adjacency>>,
    /// Who may talk to whom.
    pub policy: Arc<Table>,
}

/// This node as its data plane sees it.
#[derive(Clone, Debug)]
pub struct Node {
    /// The address peers send IPIP to.
    pub address: Ipv4Addr,
    /// The address of `tunl0`: source of ICMP errors.
    pub tunnel_address: Ipv4Addr,
    /// Every address of the host's own interfaces. What the host sends from
    /// one of these to a pod is not policed (kubelet probes); what it forwards
    /// for others is.
    pub local_addresses: BTreeSet<Ipv4Addr>,
    /// Pools whose packets other nodes may send to this host without a tunnel.
    pub routable_pools: Vec<Ipv4Net>,
    /// The way to the host kernel.
    pub host: AdjacencyId,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its underlay address.
    pub address: Ipv4Addr,
}

/// An attachment of the switch.
#[derive(Clone, Debug)]
pub struct Port {
    /// The kernel device behind it.
    pub name: String,
    /// What is at the other end.
    pub kind: PortKind,
}

/// What is at the other end of a port.
#[derive(Clone, Debug)]
pub enum PortKind {
    /// A pod's veth.
    Workload(Workload),
    /// The host kernel, behind a TUN device.
    Host,
    /// The underlay; the device's own MAC address.
    Uplink {
        /// Frames to any other address are not for this node.
        mac: MacAddr,
    },
}

/// The one workload behind a port.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its only legitimate source address.
    pub address: Ipv4Addr,
    /// Its only legitimate source MAC address.
    pub mac: MacAddr,
    /// The link header its packets begin with: from there to its gateway.
    pub link: [u8; ethernet::HEADER_LEN],
    /// The way to it.
    pub adjacency: AdjacencyId,
    /// The first generation it was in: flows older than that were another
    /// pod's that had its address.
    pub since: Generation,
    /// Limit of what it sends.
    pub egress_limit: Option<Arc<Bandwidth>>,
    /// Limit of what it is sent.
    pub ingress_limit: Option<Arc<Bandwidth>>,
}

impl Snapshot {
    /// The port with this id, if it is there in this generation.
    #[inline]
    pub fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.get(id.index())?.as_ref()
    }

    /// The workload behind a port.
    #[inline]
    pub fn workload(&self, id: PortId) -> Option<&Workload> {
        match &self.port(id)?.kind {
            PortKind::Workload(workload) => Some(workload),
            PortKind::Host | PortKind::Uplink { .. } => None,
        }
    }

    /// The adjacency with this id. Ids come from the same snapshot's tables.
    #[inline]
    pub fn adjacency(&self, id: AdjacencyId) -> &Adjacency {
        &self.adjacencies[id.index()]
    }

    /// The peer with this underlay address.
    #[inline]
    pub fn peer_at(&self, address: Ipv4Addr) -> Option<PeerId> {
        self.peer_by_address.get(&address.to_bits()).copied()
    }

    /// Whether that peer has this underlay address. [`Snapshot::peer_at`] has
    /// given its id.
    #[inline(always)]
    pub(crate) fn is_peer(&self, id: PeerId, address: Ipv4Addr) -> bool {
        let peer = self.peers.get(id.index());
        peer.is_some_and(|peer| peer.address == address)
    }

    /// The way back to `source` when that is another node's: only that node may
    /// send packets from there.
    #[inline]
    pub fn way_to_peer(&self, source: Ipv4Addr) -> Option<&Adjacency> {
        match self.fib.lookup(source)? {
            Target::Adjacency(id) => Some(self.adjacency(id)).filter(|way| way.peer.is_some()),
            Target::Drop(_) => None,
        }
    }
}
