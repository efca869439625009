//! From a description of the node to the tables of a snapshot.
//!
//! A pure function of the present: the same description always gives the same
//! tables, whatever came before. What is unknown compiles to the closed form:
//! a pool without a block is a drop, a peer without a MAC address is carried by
//! the kernel.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use packet::ethernet::{EtherType, Header, MacAddr};
use packet::ipip;
use policy::Table;

use crate::adjacency::{Adjacency, Tunnel};
use crate::bandwidth::Bandwidth;
use crate::drop_reason::DropReason;
use crate::fib::{Fib, Target};
use crate::ids::{AdjacencyId, Generation, PeerId, PortId};
use crate::snapshot::{Node, Peer, Port, PortKind, Snapshot, Workload};
use crate::{GATEWAY_IP, GATEWAY_MAC};

/// A node, its ports, its workloads and its peers.
#[derive(Clone, Debug)]
pub struct Description {
    /// Underlay address of this node.
    pub address: Ipv4Addr,
    /// Address of `tunl0`.
    pub tunnel_address: Ipv4Addr,
    /// Every address of the host's interfaces.
    pub local_addresses: BTreeSet<Ipv4Addr>,
    /// The port toward the host kernel.
    pub host_port: PortId,
    /// Name of its device.
    pub host_name: String,
    /// MTU of the host port, in bytes.
    pub host_mtu_bytes: u16,
    /// The port toward the underlay, once there is one.
    pub uplink: Option<UplinkDescription>,
    /// The pod pools.
    pub pools: Vec<Ipv4Net>,
    /// Those of them that are not masqueraded: packets of their pods may reach
    /// this host without a tunnel, as from a pod of another node to a NodePort.
    pub routable_pools: Vec<Ipv4Net>,
    /// The blocks of this node.
    pub own_blocks: Vec<Ipv4Net>,
    /// The other nodes.
    pub peers: Vec<PeerDescription>,
    /// The pods of this node.
    pub workloads: Vec<WorkloadDescription>,
}

/// The port toward the underlay.
#[derive(Clone, Debug)]
pub struct UplinkDescription {
    /// Its id.
    pub port: PortId,
    /// Its device.
    pub name: String,
    /// The device's own MAC address.
    pub mac: MacAddr,
    /// The device's MTU in bytes.
    pub mtu_bytes: u16,
}

/// Another node.
#[derive(Clone, Debug)]
pub struct PeerDescription {
    /// Its name.
    pub name: String,
    /// Its underlay address.
    pub address: Ipv4Addr,
    /// Its blocks whose packets are encapsulated.
    pub tunneled_blocks: Vec<Ipv4Net>,
    /// Its blocks whose packets the underlay routes as they are.
    pub plain_blocks: Vec<Ipv4Net>,
    /// The MAC address of the next hop toward it, once known.
    pub next_hop_mac: Option<MacAddr>,
    /// The path's MTU in bytes where the underlay reported one.
    pub path_mtu_bytes: Option<u16>,
}

/// A pod of this node.
#[derive(Clone, Debug)]
pub struct WorkloadDescription {
    /// The port toward it.
    pub port: PortId,
    /// The host end of its veth.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The MAC address of its interface.
    pub mac: MacAddr,
    /// The MTU of its interface in bytes.
    pub mtu_bytes: u16,
    /// The first generation it is in.
    pub since: Generation,
    /// Limit of what it sends.
    pub egress_limit: Option<Arc<Bandwidth>>,
    /// Limit of what it is sent.
    pub ingress_limit: Option<Arc<Bandwidth>>,
}

/// Compiles the tables of one generation.
pub fn compile(description: &Description, policy: Arc<Table>, generation: Generation) -> Snapshot {
    let mut tables = Tables::default();
    let host = tables.host(description);
    tables.drops(description);
    for peer in &description.peers {
        tables.peer(description, peer);
    }
    for workload in &description.workloads {
        tables.workload(workload);
    }
    tables.route(
        Ipv4Net::from(GATEWAY_IP),
        Target::Drop(DropReason::GatewayAddress),
    );
    let peer_by_address = tables.peers.iter().enumerate();
    let peer_by_address =
        peer_by_address.map(|(id, peer)| (peer.address.to_bits(), PeerId(id as u16)));
    Snapshot {
        generation,
        node: Arc::new(Node {
            address: description.address,
            tunnel_address: description.tunnel_address,
            local_addresses: description.local_addresses.clone(),
            routable_pools: description.routable_pools.clone(),
            host,
        }),
        peer_by_address: Arc::new(peer_by_address.collect()),
        ports: Arc::new(tables.ports),
        peers: Arc::new(tables.peers),
        fib: Arc::new(tables.fib),
        adjacencies: Arc::new(tables.adjacencies),
        policy,
    }
}

#[derive(Default)]
struct Tables {
    ports: Vec<Option<Port>>,
    peers: Vec<Peer>,
    fib: Fib,
    adjacencies: Vec<Adjacency>,
}

impl Tables {
    fn host(&mut self, description: &Description) -> AdjacencyId {
        let host = self.adjacency(Adjacency {
            port: description.host_port,
            peer: None,
            link: None,
            unresolved: false,
            tunnel: None,
            mtu_bytes: description.host_mtu_bytes,
            to_host: true,
        });
        self.port(
            description.host_port,
            &description.host_name,
            PortKind::Host,
        );
        if let Some(uplink) = &description.uplink {
            self.port(
                uplink.port,
                &uplink.name,
                PortKind::Uplink { mac: uplink.mac },
            );
        }
        self.route(Ipv4Net::default(), Target::Adjacency(host));
        for address in &description.local_addresses {
            self.route(Ipv4Net::from(*address), Target::Adjacency(host));
        }
        self.route(
            Ipv4Net::from(description.tunnel_address),
            Target::Adjacency(host),
        );
        host
    }

    /// What lies in a pool never goes to the host, so that nothing can loop.
    fn drops(&mut self, description: &Description) {
        for pool in &description.pools {
            self.route(*pool, Target::Drop(DropReason::NoRoute));
        }
        for block in &description.own_blocks {
            self.route(*block, Target::Drop(DropReason::NoWorkload));
        }
    }

    fn peer(&mut self, description: &Description, peer: &PeerDescription) {
        let id = PeerId(self.peers.len() as u16);
        self.peers.push(Peer {
            name: peer.name.clone(),
            address: peer.address,
        });
        let Some(uplink) = &description.uplink else {
            return;
        };
        let link = |dst| Header {
            dst,
            src: uplink.mac,
            ethertype: EtherType::IPV4,
        };
        let path_mtu = peer.path_mtu_bytes.unwrap_or(u16::MAX);
        let plain = Adjacency {
            port: uplink.port,
            peer: Some(id),
            link: peer.next_hop_mac.map(|mac| link(mac).emit()),
            unresolved: peer.next_hop_mac.is_none(),
            tunnel: None,
            mtu_bytes: path_mtu.min(uplink.mtu_bytes),
            to_host: false,
        };
        let tunneled = Adjacency {
            tunnel: Some(Tunnel {
                local: description.address,
                remote: peer.address,
            }),
            mtu_bytes: plain.mtu_bytes.saturating_sub(ipip::OVERHEAD as u16),
            ..plain
        };
        self.blocks(&peer.tunneled_blocks, tunneled);
        self.blocks(&peer.plain_blocks, plain);
    }

    fn blocks(&mut self, blocks: &[Ipv4Net], way: Adjacency) {
        if blocks.is_empty() {
            return;
        }
        let way = self.adjacency(way);
        for block in blocks {
            self.route(*block, Target::Adjacency(way));
        }
    }

    fn workload(&mut self, workload: &WorkloadDescription) {
        let link = Header {
            dst: workload.mac,
            src: GATEWAY_MAC,
            ethertype: EtherType::IPV4,
        };
        let adjacency = self.adjacency(Adjacency {
            port: workload.port,
            peer: None,
            link: Some(link.emit()),
            unresolved: false,
            tunnel: None,
            mtu_bytes: workload.mtu_bytes,
            to_host: false,
        });
        let kind = PortKind::Workload(Workload {
            address: workload.address,
            mac: workload.mac,
            link: Header {
                dst: GATEWAY_MAC,
                src: workload.mac,
                ethertype: EtherType::IPV4,
            }
            .emit(),
            adjacency,
            since: workload.since,
            egress_limit: workload.egress_limit.clone(),
            ingress_limit: workload.ingress_limit.clone(),
        });
        self.port(workload.port, &workload.name, kind);
        self.route(
            Ipv4Net::from(workload.address),
            Target::Adjacency(adjacency),
        );
    }

    fn adjacency(&mut self, adjacency: Adjacency) -> AdjacencyId {
        self.adjacencies.push(adjacency);
        AdjacencyId(self.adjacencies.len() as u32 - 1)
    }

    fn route(&mut self, prefix: Ipv4Net, target: Target) {
        self.fib.insert(prefix, target);
    }

    fn port(&mut self, id: PortId, name: &str, kind: PortKind) {
        if self.ports.len() <= id.index() {
            self.ports.resize(id.index() + 1, None);
        }
        self.ports[id.index()] = Some(Port {
            name: name.to_owned(),
            kind,
        });
    }
}
