//! Who is who on this node: addresses, ports and nodes by the names people use.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::{PeerId, PortId, PortKind, Snapshot};
use policy::model::PodKey;

use super::TraceError;
use crate::control::{BlockRoute, DesiredState, Encapsulation, Peer, Workload};

/// Names shown where one is not known.
const HINT: usize = 8;

/// The names of one state.
pub(crate) struct Names<'a> {
    pub(crate) desired: &'a DesiredState,
    pub(crate) world: &'a Snapshot,
}

/// Where an address is.
pub(crate) enum Place<'a> {
    /// A pod of this node, behind this port.
    Workload(&'a Workload),
    /// This node's host.
    Host,
    /// A pod or the host of another node.
    Peer(&'a Peer, Encapsulation),
    /// Beyond the nodes.
    Outside,
}

impl<'a> Names<'a> {
    pub(crate) fn new(desired: &'a DesiredState, world: &'a Snapshot) -> Self {
        Self { desired, world }
    }

    /// The address of an end: of a pod, of `host`, of a node's host in the pod network, or itself.
    pub(crate) fn address(&self, what: &'static str, text: &str) -> Result<Ipv4Addr, TraceError> {
        let node = &self.desired.node;
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        if text == "host" || text == node.name {
            return Ok(node.tunnel_address);
        }
        if let Some(peer) = self.desired.peers.get(text) {
            return Ok(peer.tunnel_address);
        }
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        self.pod(namespace, name)
            .ok_or_else(|| TraceError::Unknown {
                what,
                found: text.to_owned(),
                hint: self.hint(),
            })
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Ipv4Addr> {
        let mut workloads = self.desired.workloads.values();
        let here = workloads.find(|pod| (&*pod.namespace, &*pod.pod) == (namespace, name));
        here.map(|workload| workload.address).or_else(|| {
            let pods = self.desired.policy.pods();
            let pod = pods.get(&PodKey::new(namespace, name))?;
            pod.addresses.iter().find_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            })
        })
    }

    fn hint(&self) -> String {
        let workloads = self.desired.workloads.values();
        let known: Vec<String> = workloads.take(HINT).map(full_name).collect();
        match known.is_empty() {
            true => String::new(),
            false => format!("; on this node: {}", known.join(", ")),
        }
    }

    /// Where packets from this address come from.
    pub(crate) fn place(&self, address: Ipv4Addr) -> Place<'a> {
        if let Some(workload) = self.desired.workload_at(address) {
            return Place::Workload(workload);
        }
        if self.desired.node.local_addresses.contains(&address) {
            return Place::Host;
        }
        match self.block(address) {
            Some((peer, route)) => Place::Peer(peer, route.encapsulation),
            None => Place::Outside,
        }
    }

    /// The other node that an address's block belongs to.
    pub(crate) fn block(&self, address: Ipv4Addr) -> Option<(&'a Peer, BlockRoute)> {
        self.desired.peers.values().find_map(|peer| {
            let mut routes = peer.routes.iter();
            let route = routes.find(|route| route.block.contains(&address))?;
            Some((peer, *route))
        })
    }

    /// Is it an address that only a pod of this node could have?
    pub(crate) fn is_own(&self, address: Ipv4Addr) -> bool {
        let mut blocks = self.desired.blocks.iter();
        blocks.any(|block| block.contains(&address))
    }

    /// `default/nginx (10.244.205.193)`, or the bare address of nobody known.
    pub(crate) fn who(&self, address: Ipv4Addr) -> String {
        match self.name(address) {
            Some(name) => format!("{name} ({address})"),
            None => address.to_string(),
        }
    }

    /// An end as `vswitchctl policy explain` takes it.
    pub(crate) fn pod_or_address(&self, address: Ipv4Addr) -> String {
        let pod = self.name(address).filter(|name| name.contains('/'));
        pod.unwrap_or_else(|| address.to_string())
    }

    fn name(&self, address: Ipv4Addr) -> Option<String> {
        let desired = self.desired;
        if let Some(workload) = desired.workload_at(address) {
            return Some(full_name(workload));
        }
        if desired.node.local_addresses.contains(&address) {
            return Some(format!("host {}", desired.node.name));
        }
        let is_host = |peer: &&Peer| [peer.tunnel_address, peer.address.addr()].contains(&address);
        if let Some(peer) = desired.peers.values().find(is_host) {
            return Some(format!("host {}", peer.name));
        }
        let mut pods = desired.policy.pods().iter();
        let pod =
            pods.find(|(_, pod)| !pod.host_network && pod.addresses.contains(&address.into()));
        pod.map(|(key, _)| key.to_string())
    }

    /// A port with what is behind it.
    pub(crate) fn port(&self, id: PortId) -> String {
        let Some(port) = self.world.port(id) else {
            return format!("port {id}");
        };
        match &port.kind {
            PortKind::Host => format!("{} (the host)", port.name),
            PortKind::Uplink { .. } => format!("{} (the uplink)", port.name),
            PortKind::Workload(workload) => match self.desired.workload_at(workload.address) {
                Some(pod) => format!("{} ({})", port.name, full_name(pod)),
                None => format!("{} ({})", port.name, workload.address),
            },
        }
    }

    /// A port as `vswitchctl capture` names it: `host`, `uplink`, or its pod.
    pub(crate) fn owner(&self, id: PortId) -> String {
        match self.world.port(id).map(|port| &port.kind) {
            Some(PortKind::Host) => "host".to_owned(),
            Some(PortKind::Uplink { .. }) => "uplink".to_owned(),
            Some(PortKind::Workload(workload)) => {
                match self.desired.workload_at(workload.address) {
                    Some(pod) => full_name(pod),
                    None => workload.address.to_string(),
                }
            }
            None => format!("port {id}"),
        }
    }

    /// The port of this name: `uplink`, `host`, a pod, or an interface.
    pub(crate) fn port_named(&self, text: &str) -> Result<PortId, TraceError> {
        let pod = || {
            let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
            self.pod(namespace, name)
        };
        let is_it = |id: &PortId| {
            self.world.port(*id).is_some_and(|port| match &port.kind {
                _ if port.name == text => true,
                PortKind::Host => text == "host",
                PortKind::Uplink { .. } => text == "uplink",
                PortKind::Workload(workload) => {
                    Some(workload.address) == text.parse().ok().or_else(pod)
                }
            })
        };
        self.ports()
            .find(is_it)
            .ok_or_else(|| TraceError::UnknownPort(text.to_owned()))
    }

    /// The port towards the host, the uplink or the pod with this address.
    pub(crate) fn port_of(&self, place: &Place<'_>) -> Option<PortId> {
        let is_it = |id: &PortId| match (&self.world.port(*id)?.kind, place) {
            (PortKind::Host, Place::Host | Place::Outside) => Some(()),
            (PortKind::Uplink { .. }, Place::Peer(..)) => Some(()),
            (PortKind::Workload(here), Place::Workload(pod)) => {
                (here.address == pod.address).then_some(())
            }
            _ => None,
        };
        self.ports().find(|id| is_it(id).is_some())
    }

    fn ports(&self) -> impl Iterator<Item = PortId> {
        (0..self.world.ports.len()).map(|index| PortId(index as u16))
    }

    /// Another node, by the snapshot's number.
    pub(crate) fn peer(&self, id: PeerId) -> String {
        let peer = self.world.peers.get(id.index());
        peer.map_or_else(
            || format!("node {id}"),
            |peer| format!("{} ({})", peer.name, peer.address),
        )
    }
}

/// `namespace/pod`, or the container id of a container that is no pod.
pub(crate) fn full_name(workload: &Workload) -> String {
    match workload.namespace.as_str() {
        "" => workload.pod.clone(),
        namespace => format!("{namespace}/{}", workload.pod),
    }
}
