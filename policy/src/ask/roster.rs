//! Who is behind a name or an address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;

use super::placeholder::{is_placeholder, with_placeholders};
use super::{Party, PartyKind};
use crate::model::{Cluster, Pod, PodKey};

/// The cluster's inhabitants by name and by address.
#[derive(Debug)]
pub struct Roster {
    cluster: Cluster,
    pods: BTreeMap<IpAddr, PodKey>,
    hosts: BTreeMap<IpAddr, PartyKind>,
    home: Option<String>,
    isolated: BTreeMap<PodKey, IpAddr>,
}

/// An end that cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnknownParty {
    /// Neither a pod's name nor an address.
    #[error("expected NAMESPACE/POD or an IP address, found {0:?}")]
    Malformed(String),
    /// No such pod.
    #[error("expected a pod of the state, found {name:?}, which is not in it{hint}")]
    NoSuchPod {
        /// As it was written.
        name: String,
        /// What there is instead.
        hint: String,
    },
    /// The pod is attached, and nobody knows its labels.
    #[error(
        "expected a pod whose labels are known, found {0}, which is isolated: its Pod or Namespace \
         object is missing and policies select by labels, so everything is denied until it comes"
    )]
    Isolated(PodKey),
    /// The pod has run to its end, and no address can be told to be its own still.
    #[error(
        "expected a pod that is alive or has an address of its own still, found {0}, which has \
         finished and has none"
    )]
    Finished(PodKey),
    /// The pod's addresses are another pod's by now.
    #[error("expected a pod with an address of its own, found {pod}: {address} is {owner}'s")]
    Displaced {
        /// The pod.
        pod: PodKey,
        /// An address it claims.
        address: IpAddr,
        /// Who has it.
        owner: PodKey,
    },
    /// A pod on the network of a node whose address nobody knows.
    #[error(
        "expected a known address, found {0}, which is on its node's network: neither the pod's \
         status nor a Node object says the node's address"
    )]
    NoHostAddress(PodKey),
}

impl Roster {
    /// The roster of this cluster. Pods without an address are given
    /// [placeholders](super::placeholder).
    ///
    /// Cost: about the number of pods and nodes.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let cluster = with_placeholders(cluster);
        let pods = owners(&cluster);
        let hosts = hosts(&cluster);
        Self {
            cluster,
            pods,
            hosts,
            home: None,
            isolated: BTreeMap::new(),
        }
    }

    /// The same roster as the node of this name and these addresses sees it: pods that CNI
    /// attached run on this node, whether their objects say so or not.
    #[must_use]
    pub fn at_home(mut self, node: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        for address in addresses {
            self.hosts.insert(address, PartyKind::Node(node.to_owned()));
        }
        self.home = Some(node.to_owned());
        self
    }

    /// The same roster, in which these pods cannot be judged: they are attached, and isolated until
    /// the objects with their labels are known.
    #[must_use]
    pub fn isolating(mut self, pods: impl IntoIterator<Item = (PodKey, IpAddr)>) -> Self {
        self.isolated.extend(pods);
        self
    }

    /// The cluster, with placeholders.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Every pod policy applies to, in order of name.
    #[must_use]
    pub fn policed(&self) -> Vec<Party> {
        let keys = self.cluster.endpoints().map(|endpoint| endpoint.key);
        keys.filter_map(|key| self.pod(key).ok()).collect()
    }

    /// Every node with an address, in order of name.
    #[must_use]
    pub fn nodes(&self) -> Vec<Party> {
        let nodes = self.cluster.nodes().values();
        let reachable = nodes.filter(|node| !node.addresses.is_empty());
        let party = |node: &crate::model::Node| Party {
            kind: PartyKind::Node(node.name.clone()),
            addresses: node.addresses.clone(),
        };
        reachable.map(party).collect()
    }

    /// The end behind `NAMESPACE/POD` or an address.
    ///
    /// # Errors
    /// It is neither, or a pod that cannot be judged.
    pub fn party(&self, text: &str) -> Result<Party, UnknownParty> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            let mut isolated = self.isolated.iter();
            return match isolated.find(|(_, own)| **own == address) {
                Some((key, _)) => Err(UnknownParty::Isolated(key.clone())),
                None => Ok(self.at(address)),
            };
        }
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && is_name(name) => {
                self.pod(&PodKey::new(namespace, name))
            }
            _ => Err(UnknownParty::Malformed(text.to_owned())),
        }
    }

    /// Whoever has this address. An IPv4-mapped one is the IPv4 address (RFC 4291, 2.5.5.2).
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Party {
        let address = address.to_canonical();
        let kind = match (self.pods.get(&address), self.hosts.get(&address)) {
            (Some(key), _) => self.policed_kind(key),
            (None, Some(host)) => host.clone(),
            (None, None) => PartyKind::Outside,
        };
        Party {
            kind,
            addresses: vec![address],
        }
    }

    /// A pod by its key.
    ///
    /// # Errors
    /// See [`UnknownParty`].
    pub fn pod(&self, key: &PodKey) -> Result<Party, UnknownParty> {
        if self.isolated.contains_key(key) {
            return Err(UnknownParty::Isolated(key.clone()));
        }
        if let Some(endpoint) = self.cluster.endpoint(key) {
            return self.endpoint(key, endpoint.addresses);
        }
        match self.cluster.pods().get(key) {
            Some(pod) if pod.host_network => self.host_network(key, pod),
            Some(pod) => self.finished(key, pod),
            None => Err(self.no_such(key)),
        }
    }

    fn endpoint(&self, key: &PodKey, claimed: Vec<IpAddr>) -> Result<Party, UnknownParty> {
        let own = |address: &&IpAddr| self.pods.get(*address) == Some(key);
        let addresses: Vec<IpAddr> = claimed.iter().filter(own).copied().collect();
        match (addresses.first(), claimed.first()) {
            (None, Some(address)) => Err(UnknownParty::Displaced {
                pod: key.clone(),
                address: *address,
                owner: self.pods.get(address).unwrap_or(key).clone(),
            }),
            _ => Ok(Party {
                kind: self.policed_kind(key),
                addresses,
            }),
        }
    }

    /// A pod that has finished, if an address of its own is nobody else's by now. One that is still
    /// attached is not let out as an outsider.
    fn finished(&self, key: &PodKey, pod: &Pod) -> Result<Party, UnknownParty> {
        let taken = |address: &IpAddr| {
            let isolated = self.isolated.values().any(|own| own == address);
            isolated || self.pods.contains_key(address) || self.hosts.contains_key(address)
        };
        let addresses = pod.addresses.iter().copied();
        let free: Vec<IpAddr> = addresses.filter(|address| !taken(address)).collect();
        if !free.is_empty() && !self.cluster.workloads().contains_key(key) {
            return Ok(Party {
                kind: PartyKind::Finished(key.clone()),
                addresses: free,
            });
        }
        let mut claimed = pod.addresses.iter();
        let displaced = claimed.find_map(|address| Some((address, self.pods.get(address)?)));
        Err(match displaced {
            Some((address, owner)) if free.is_empty() => UnknownParty::Displaced {
                pod: key.clone(),
                address: *address,
                owner: owner.clone(),
            },
            _ => UnknownParty::Finished(key.clone()),
        })
    }

    fn policed_kind(&self, key: &PodKey) -> PartyKind {
        let said = self.cluster.pods().get(key);
        let said = said.and_then(|pod| pod.node.clone());
        let attached = self.cluster.workloads().contains_key(key);
        let home = self.home.clone().filter(|_| attached);
        PartyKind::Pod {
            key: key.clone(),
            node: home.or(said),
        }
    }

    fn host_network(&self, key: &PodKey, pod: &Pod) -> Result<Party, UnknownParty> {
        let node = pod.node.as_ref().and_then(|n| self.cluster.nodes().get(n));
        let addresses = match (pod.addresses.is_empty(), node) {
            (true, Some(node)) => node.addresses.clone(),
            _ => pod.addresses.clone(),
        };
        if addresses.is_empty() {
            return Err(UnknownParty::NoHostAddress(key.clone()));
        }
        let (key, node) = (key.clone(), pod.node.clone());
        let kind = PartyKind::HostNetwork { key, node };
        Ok(Party { kind, addresses })
    }

    fn no_such(&self, key: &PodKey) -> UnknownParty {
        let pods = self.cluster.pods().keys();
        let mut names: Vec<&str> = pods
            .filter(|pod| pod.namespace == key.namespace)
            .map(|pod| pod.name.as_str())
            .collect();
        let more = names.len().saturating_sub(NAMES_SHOWN);
        names.truncate(NAMES_SHOWN);
        let hint = match (names.is_empty(), more) {
            (true, _) => format!("; no pod is in namespace {:?}", key.namespace),
            (false, 0) => format!("; in its namespace: {}", names.join(", ")),
            (false, more) => format!("; in its namespace: {} and {more} more", names.join(", ")),
        };
        UnknownParty::NoSuchPod {
            name: key.to_string(),
            hint,
        }
    }

    /// Was this party given a made-up address?
    #[must_use]
    pub fn is_placed(&self, party: &Party) -> bool {
        party.is_policed() && party.addresses.iter().any(|a| is_placeholder(*a))
    }
}

/// How many names a hint lists.
const NAMES_SHOWN: usize = 8;

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

fn owners(cluster: &Cluster) -> BTreeMap<IpAddr, PodKey> {
    let owners = cluster.address_owners().into_iter();
    owners
        .map(|(address, endpoint)| (address, endpoint.key.clone()))
        .collect()
}

/// The addresses of nodes; where no Node object says one, those of the pods on its network.
fn hosts(cluster: &Cluster) -> BTreeMap<IpAddr, PartyKind> {
    let mut hosts = BTreeMap::new();
    for pod in cluster.pods().values().filter(|pod| pod.host_network) {
        let kind = match &pod.node {
            Some(node) => PartyKind::Node(node.clone()),
            None => PartyKind::HostNetwork {
                key: pod.key(),
                node: None,
            },
        };
        for address in &pod.addresses {
            hosts.insert(*address, kind.clone());
        }
    }
    for node in cluster.nodes().values() {
        for address in &node.addresses {
            hosts.insert(*address, PartyKind::Node(node.name.clone()));
        }
    }
    hosts
}
