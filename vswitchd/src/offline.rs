//! A node as its files describe it, without a kernel, a daemon or privileges.
//!
//! The configuration gives the node, its pools and its peers; the policy directory gives policies,
//! and as this node's pods those whose address lies in a block of this node. What only a running node
//! knows is made up: MAC addresses, and that each peer's is resolved.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use cni_shim::protocol::Attachment;
use cni_shim::{DEFAULT_PREFIX, host_interface_name};
use dataplane::Snapshot;
use dataplane::conntrack::Timeouts;
use ipnet::Ipv4Net;
use packet::MacAddr;
use policy::model::PodKey;

use crate::config::{self, Config, IPIP_OVERHEAD};
use crate::control::{DesiredState, Seed, Update, Uplink, Workload, block_owners};
use crate::ipam::ClaimError;
use crate::trace::Offline;
use crate::worker;

/// MTU of an Ethernet underlay, in bytes.
const UNDERLAY_MTU: u32 = 1500;

/// Why there is no such node.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    /// The configuration leaves to the host what only the host knows.
    #[error("{0}: expected `address`, found none: without the host nobody can tell it")]
    NoAddress(String),
    /// The pools are too small for the nodes.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A policy directory is wrong.
    #[error("{0}")]
    Policy(String),
}

/// A node, and its tables.
#[derive(Debug)]
pub struct OfflineNode {
    /// What it should be doing.
    pub desired: DesiredState,
    /// Its tables.
    pub world: Arc<Snapshot>,
    /// How long it remembers flows.
    pub timeouts: Timeouts,
    /// How many flows it remembers, all workers together.
    pub max_flows: usize,
}

impl OfflineNode {
    /// Reads the configuration, and with it the policy directory it names or this one.
    ///
    /// # Errors
    /// [`OfflineError`].
    pub fn load(config: &Path, policies: Option<&Path>) -> Result<Self, OfflineError> {
        Self::with_strangers(config, policies, &BTreeSet::new())
    }

    /// The same, with a container that is no pod at each of these addresses that lies in a block of
    /// this node and that no manifest gives to a pod.
    ///
    /// # Errors
    /// [`OfflineError`].
    pub fn with_strangers(
        file: &Path,
        policies: Option<&Path>,
        strangers: &BTreeSet<Ipv4Addr>,
    ) -> Result<Self, OfflineError> {
        let config = config::load(file)?;
        let mut desired = DesiredState::new(&config, seed(&config)?)?;
        if let Some(directory) = policies.or(config.policy_dir.as_deref()) {
            desired.apply(Update::Policies(Arc::new(cluster(directory)?)));
        }
        resolve_peers(&mut desired);
        let pod_mtu = config.pod_mtu_bytes(desired.uplink.mtu_bytes);
        attach_pods(&mut desired, strangers, pod_mtu);
        let host_mtu = desired.uplink.mtu_bytes.saturating_sub(IPIP_OVERHEAD);
        let host_mtu = u16::try_from(host_mtu).unwrap_or(u16::MAX);
        let world = worker::offline::snapshot(&desired, config.policy, host_mtu);
        Ok(Self {
            desired,
            world: Arc::new(world),
            timeouts: worker::timeouts(&config.timeouts),
            max_flows: config.max_flows,
        })
    }

    /// What a trace stands on here.
    #[must_use]
    pub fn ground(&self) -> Offline {
        Offline(Arc::clone(&self.world))
    }
}

fn seed(config: &Config) -> Result<Seed, OfflineError> {
    let missing = || OfflineError::NoAddress(config.file.display().to_string());
    let address = config.address.ok_or_else(missing)?;
    let owners = block_owners(config)?;
    let first = owners.get(&config.node).and_then(|blocks| blocks.first());
    let overhead = config.encapsulation_bytes();
    Ok(Seed {
        address,
        tunnel_address: first.map_or(address.addr(), Ipv4Net::network),
        uplink: Uplink {
            name: config.uplink.clone().unwrap_or_else(|| "eth0".to_owned()),
            index: 1,
            mac: made_up(address.addr()),
            mtu_bytes: config.mtu_bytes.map_or(UNDERLAY_MTU, |mtu| mtu + overhead),
            up: true,
        },
    })
}

fn cluster(directory: &Path) -> Result<policy::Cluster, OfflineError> {
    policy::load_dir(directory).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        OfflineError::Policy(lines.join("\n"))
    })
}

fn resolve_peers(desired: &mut DesiredState) {
    let hops: Vec<Ipv4Addr> = desired
        .peers
        .values()
        .map(|peer| peer.next_hop.address)
        .collect();
    for address in hops {
        desired.apply(Update::Neighbour(address, Some(made_up(address))));
    }
}

fn attach_pods(desired: &mut DesiredState, strangers: &BTreeSet<Ipv4Addr>, mtu_bytes: u32) {
    let mut pods: Vec<(Ipv4Addr, PodKey)> = Vec::new();
    for (key, pod) in desired.policy.pods() {
        if pod.host_network {
            continue;
        }
        pods.extend(pod.addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some((*address, key.clone())),
            IpAddr::V6(_) => None,
        }));
    }
    let known: BTreeSet<Ipv4Addr> = pods.iter().map(|(address, _)| *address).collect();
    let unknown = strangers.difference(&known);
    pods.extend(unknown.map(|address| (*address, PodKey::new("", &address.to_string()))));
    let own = desired.blocks.clone();
    let is_own = |address: &Ipv4Addr| own.iter().any(|block| block.contains(address));
    for (address, key) in pods {
        if is_own(&address) && address != desired.node.tunnel_address {
            let workload = workload(address, key, mtu_bytes);
            desired.apply(Update::Attached(Box::new(workload)));
        }
    }
}

fn workload(address: Ipv4Addr, key: PodKey, mtu_bytes: u32) -> Workload {
    Workload {
        id: Attachment {
            container_id: format!("{key} {address}"),
            ifname: "eth0".to_owned(),
        },
        host_interface: host_interface_name(DEFAULT_PREFIX, &key.namespace, &key.name),
        namespace: key.namespace,
        pod: key.name,
        address,
        mac: made_up(address),
        host_index: 0,
        mtu_bytes,
        bandwidth: None,
        port_mappings: Vec::new(),
        slot: 0,
    }
}

/// A locally administered address that says whose it is.
fn made_up(address: Ipv4Addr) -> MacAddr {
    let [a, b, c, d] = address.octets();
    MacAddr([0x02, 0, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The MTU of the pod of a node with this file's keys.
    fn pod_mtu(ipip: &str, key: &str) -> u32 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        let text = format!(
            "node = \"a\"\naddress = \"172.16.30.7/24\"\n{key}\n[[pool]]\nname = \"p\"\n\
             cidr = \"10.244.0.0/26\"\nipip = \"{ipip}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let strangers = BTreeSet::from([Ipv4Addr::new(10, 244, 0, 9)]);
        let node = OfflineNode::with_strangers(&file, None, &strangers).unwrap();
        let mut pods = node.desired.workloads.values();
        pods.next().expect("the stranger").mtu_bytes
    }

    #[test]
    fn a_pod_has_the_mtu_that_the_daemon_gives_it() {
        assert_eq!(pod_mtu("Always", ""), 1480);
        assert_eq!(pod_mtu("CrossSubnet", ""), 1480);
        assert_eq!(pod_mtu("Never", ""), 1500);
        assert_eq!(pod_mtu("Never", "mtu = 1400"), 1400);
        assert_eq!(pod_mtu("Always", "mtu = 8900"), 8900);
    }
}
