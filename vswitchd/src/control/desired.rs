//! The one description of what this node should be doing. Pure data; [`super::Update`] changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use cni_shim::protocol::{Attachment, Bandwidth, PortMapping};
use ipnet::Ipv4Net;
use packet::ethernet::MacAddr;

use crate::{
    config::{Config, IpipMode, Pool},
    ipam::{ClaimError, Claimant, claim},
};

/// This node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    /// Its underlay address and prefix.
    pub address: Ipv4Net,
    /// The address of `tunl0`.
    pub tunnel_address: Ipv4Addr,
    /// Every IPv4 address of the host, `tunl0`'s included.
    pub local_addresses: BTreeSet<Ipv4Addr>,
}

/// The underlay interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its MTU in bytes.
    pub mtu_bytes: u32,
    /// Is it up?
    pub up: bool,
}

/// How packets to a block of another node travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Inside IPIP to the node's address.
    Ipip,
    /// As they are: the underlay routes them.
    Plain,
}

/// One block of another node, and how to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRoute {
    /// The block.
    pub block: Ipv4Net,
    /// How its packets travel.
    pub encapsulation: Encapsulation,
}

/// Where frames to a node go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The node itself, or the router towards it.
    pub address: Ipv4Addr,
    /// Its MAC address, once the kernel has resolved it.
    pub mac: Option<MacAddr>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its underlay address and prefix.
    pub address: Ipv4Net,
    /// The address of its `tunl0`: the first of its first block.
    pub tunnel_address: Ipv4Addr,
    /// Its blocks.
    pub routes: Vec<BlockRoute>,
    /// Where frames to it go first.
    pub next_hop: NextHop,
    /// Largest packet the path to it takes, outer header included, in bytes.
    pub path_mtu_bytes: u32,
}

/// One attached pod interface of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Whose interface it is.
    pub id: Attachment,
    /// Kubernetes namespace; empty for a container that is no pod.
    pub namespace: String,
    /// Kubernetes name; the container id for a container that is no pod.
    pub pod: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// MAC address of the pod's end.
    pub mac: MacAddr,
    /// Host end of the veth pair.
    pub host_interface: String,
    /// Index of the host end.
    pub host_index: u32,
    /// MTU of the pod's end in bytes.
    pub mtu_bytes: u32,
    /// Rate limits.
    pub bandwidth: Option<Bandwidth>,
    /// Published ports, for people.
    pub port_mappings: Vec<PortMapping>,
    /// Number of its port among the workload ports: stays the same while it is attached, and is
    /// given to another once it is not. Given by [`super::Update::Attached`].
    pub slot: u32,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredState {
    /// This node.
    pub node: Node,
    /// The underlay interface.
    pub uplink: Uplink,
    /// Address pools, in the file's order.
    pub pools: Vec<Pool>,
    /// This node's blocks.
    pub blocks: Vec<Ipv4Net>,
    /// The other nodes by name.
    pub peers: BTreeMap<String, Peer>,
    /// Attached interfaces.
    pub workloads: BTreeMap<Attachment, Workload>,
    /// Policies and what they select on, from the policy source; workloads are not in it.
    pub policy: Arc<policy::Cluster>,
    /// Pods and Namespaces of the policy source that are newer than `policy`.
    pub ahead: BTreeMap<policy::ObjectKey, policy::Object>,
    /// Why the newest policies are not in force; empty = they are.
    pub policy_errors: Vec<String>,
}

/// What a [`DesiredState`] starts from, besides the configuration.
#[derive(Clone, Debug)]
pub struct Seed {
    /// This node's underlay address.
    pub address: Ipv4Net,
    /// The address of `tunl0`.
    pub tunnel_address: Ipv4Addr,
    /// The underlay interface.
    pub uplink: Uplink,
}

/// Owners of all blocks, by node name, as the configuration gives or implies them.
///
/// # Errors
/// The pools are too small for the nodes.
pub fn block_owners(config: &Config) -> Result<BTreeMap<String, Vec<Ipv4Net>>, ClaimError> {
    let own = Claimant {
        node: &config.node,
        blocks: &config.blocks,
    };
    let peers = config.peers.iter().map(|peer| Claimant {
        node: &peer.name,
        blocks: &peer.blocks,
    });
    let nodes: Vec<Claimant<'_>> = std::iter::once(own).chain(peers).collect();
    claim(&config.pools, &nodes, config.blocks_per_node)
}

impl DesiredState {
    /// The state before any workload, policy or neighbour is known.
    ///
    /// # Errors
    /// The pools are too small for the nodes.
    pub fn new(config: &Config, seed: Seed) -> Result<Self, ClaimError> {
        let mut owners = block_owners(config)?;
        let blocks = owners.remove(&config.node).unwrap_or_default();
        let peer = |peer: &crate::config::Peer| {
            let blocks = owners.get(&peer.name).map_or(&[][..], Vec::as_slice);
            let state = new_peer(config, &seed, peer, blocks);
            (peer.name.clone(), state)
        };
        let peers = config.peers.iter().map(peer).collect();
        let local_addresses = [seed.address.addr(), seed.tunnel_address].into();
        Ok(Self {
            node: Node {
                name: config.node.clone(),
                address: seed.address,
                tunnel_address: seed.tunnel_address,
                local_addresses,
            },
            uplink: seed.uplink,
            pools: config.pools.clone(),
            blocks,
            peers,
            workloads: BTreeMap::new(),
            policy: Arc::new(policy::Cluster::new()),
            ahead: BTreeMap::new(),
            policy_errors: Vec::new(),
        })
    }

    /// The workload with an address.
    #[must_use]
    pub fn workload_at(&self, address: Ipv4Addr) -> Option<&Workload> {
        let mut workloads = self.workloads.values();
        workloads.find(|workload| workload.address == address)
    }

    /// The lowest slot no workload has.
    pub(super) fn free_slot(&self) -> u32 {
        let taken: BTreeSet<u32> = self.workloads.values().map(|w| w.slot).collect();
        let mut free = (0..).filter(|slot| !taken.contains(slot));
        free.next().unwrap_or(u32::MAX)
    }
}

fn new_peer(config: &Config, seed: &Seed, peer: &crate::config::Peer, blocks: &[Ipv4Net]) -> Peer {
    let same_subnet = seed.address.contains(&peer.address.addr());
    let route = |block: &Ipv4Net| BlockRoute {
        block: *block,
        encapsulation: encapsulation(config.pool_of(block.network()), same_subnet),
    };
    let tunnel_address = blocks.first().map_or(peer.address.addr(), Ipv4Net::network);
    Peer {
        name: peer.name.clone(),
        address: peer.address,
        tunnel_address,
        routes: blocks.iter().map(route).collect(),
        next_hop: NextHop {
            address: peer.address.addr(),
            mac: None,
        },
        path_mtu_bytes: seed.uplink.mtu_bytes,
    }
}

/// Calico's rule: CrossSubnet encapsulates only towards nodes outside this node's subnet.
fn encapsulation(pool: Option<&Pool>, same_subnet: bool) -> Encapsulation {
    match pool.map_or(IpipMode::Always, |pool| pool.ipip) {
        IpipMode::Always => Encapsulation::Ipip,
        IpipMode::CrossSubnet if same_subnet => Encapsulation::Plain,
        IpipMode::CrossSubnet => Encapsulation::Ipip,
        IpipMode::Never => Encapsulation::Plain,
    }
}
