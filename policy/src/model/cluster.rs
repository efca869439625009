//! The cluster: every object policy knows, by key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::labels::with_namespace_labels;
use super::{
    Kind, Labels, NetworkSet, Node, Object, ObjectKey, Pod, PodKey, Policy, PolicyKey, Tier,
};

/// The current state of the world. Order of arrival does not matter: what compiles from a cluster
/// is a function of its content only.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub(super) namespaces: BTreeMap<String, Labels>,
    pub(super) pods: BTreeMap<PodKey, Pod>,
    pub(super) workloads: BTreeMap<PodKey, IpAddr>,
    nodes: BTreeMap<String, Node>,
    accounts: BTreeMap<(String, String), Labels>,
    sets: BTreeMap<(Option<String>, String), NetworkSet>,
    tiers: BTreeMap<String, Tier>,
    policies: BTreeMap<PolicyKey, Policy>,
}

impl Default for Cluster {
    fn default() -> Self {
        let built_in = Tier::built_in().map(|tier| (tier.name.clone(), tier));
        Self {
            namespaces: BTreeMap::new(),
            pods: BTreeMap::new(),
            workloads: BTreeMap::new(),
            nodes: BTreeMap::new(),
            accounts: BTreeMap::new(),
            sets: BTreeMap::new(),
            tiers: BTreeMap::from(built_in),
            policies: BTreeMap::new(),
        }
    }
}

impl Cluster {
    /// A cluster with nothing in it but the built-in tiers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object, or replaces the one with the same key.
    pub fn apply(&mut self, object: Object) {
        match object {
            Object::Namespace { name, labels } => {
                let labels = with_namespace_labels(labels, &name);
                self.namespaces.insert(name, labels);
            }
            Object::Pod(pod) => drop(self.pods.insert(pod.key(), pod)),
            Object::Node(node) => drop(self.nodes.insert(node.name.clone(), node)),
            Object::ServiceAccount {
                namespace,
                name,
                labels,
            } => drop(self.accounts.insert((namespace, name), labels)),
            Object::NetworkSet(set) => {
                let key = (set.namespace.clone(), set.name.clone());
                self.sets.insert(key, set);
            }
            Object::Tier(tier) => drop(self.tiers.insert(tier.name.clone(), tier)),
            Object::Policy(policy) => drop(self.policies.insert(policy.key.clone(), policy)),
        }
    }

    /// Takes an object away; false when there was none. A workload attached under the pod's name
    /// stays, without labels, until [`Cluster::remove_workload`].
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        let owner = || namespace.clone().unwrap_or_default();
        match key.kind {
            Kind::Namespace => self.namespaces.remove(&name).is_some(),
            Kind::Node => self.nodes.remove(&name).is_some(),
            Kind::Pod => self.pods.remove(&PodKey::new(&owner(), &name)).is_some(),
            Kind::ServiceAccount => self.accounts.remove(&(owner(), name)).is_some(),
            Kind::NetworkSet | Kind::GlobalNetworkSet => {
                self.sets.remove(&(namespace, name)).is_some()
            }
            Kind::Tier => self.remove_tier(&name),
            Kind::Policy(kind) => {
                let key = PolicyKey {
                    kind,
                    namespace,
                    name,
                };
                self.policies.remove(&key).is_some()
            }
        }
    }

    /// A built-in tier whose object goes has its own order and end again.
    fn remove_tier(&mut self, name: &str) -> bool {
        let built_in = Tier::built_in().into_iter().find(|tier| tier.name == name);
        match built_in {
            Some(tier) => self.tiers.insert(name.to_owned(), tier.clone()) != Some(tier),
            None => self.tiers.remove(name).is_some(),
        }
    }

    /// Says that CNI attached a pod of this node with this address. Until its Pod object comes the
    /// pod has no labels, but it is in its namespace; afterwards this address still wins over the
    /// one the object reports.
    pub fn set_workload(&mut self, namespace: &str, name: &str, address: IpAddr) {
        self.workloads.insert(PodKey::new(namespace, name), address);
    }

    /// Says that CNI detached the pod; false when it was not attached.
    pub fn remove_workload(&mut self, namespace: &str, name: &str) -> bool {
        self.workloads
            .remove(&PodKey::new(namespace, name))
            .is_some()
    }

    /// The labels of a namespace. One without an object has just its name label.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> Labels {
        let known = self.namespaces.get(name).cloned();
        known.unwrap_or_else(|| with_namespace_labels(Labels::new(), name))
    }

    /// The labels of a service account that has an object.
    #[must_use]
    pub fn account_labels(&self, namespace: &str, name: &str) -> Option<&Labels> {
        self.accounts.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The Pod objects, by key.
    #[must_use]
    pub fn pods(&self) -> &BTreeMap<PodKey, Pod> {
        &self.pods
    }

    /// The addresses CNI attached on this node, by pod.
    #[must_use]
    pub fn workloads(&self) -> &BTreeMap<PodKey, IpAddr> {
        &self.workloads
    }

    /// The nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// The namespaces that have an object, with their labels.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
    }

    /// The service accounts that have an object, by namespace and name.
    #[must_use]
    pub fn accounts(&self) -> &BTreeMap<(String, String), Labels> {
        &self.accounts
    }

    /// The network sets, by namespace (`None`: cluster-wide) and name.
    #[must_use]
    pub fn sets(&self) -> &BTreeMap<(Option<String>, String), NetworkSet> {
        &self.sets
    }

    /// The tiers that have an object, and the built-in ones, by name.
    #[must_use]
    pub fn tiers(&self) -> &BTreeMap<String, Tier> {
        &self.tiers
    }

    /// The tier of this name; one nobody defined comes last and is closed at its end.
    #[must_use]
    pub fn tier(&self, name: &str) -> Tier {
        let known = self.tiers.get(name).cloned();
        known.unwrap_or_else(|| Tier::missing(name))
    }

    /// The policies, by key.
    #[must_use]
    pub fn policies(&self) -> &BTreeMap<PolicyKey, Policy> {
        &self.policies
    }

    /// The tiers that hold policies, in the order they are judged, each with its policies in
    /// order. See [`Cluster::tier`] for one that nobody defined.
    #[must_use]
    pub fn tiers_in_order(&self) -> Vec<(Tier, Vec<&Policy>)> {
        let mut by_tier: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
        for policy in self.policies.values() {
            by_tier.entry(&policy.tier).or_default().push(policy);
        }
        let mut tiers: Vec<_> = by_tier
            .into_iter()
            .map(|(name, policies)| (self.tier(name), policies))
            .collect();
        for (_, policies) in &mut tiers {
            policies.sort_by_key(|policy| (policy.order, &policy.key));
        }
        tiers.sort_by(|(a, _), (b, _)| (a.order, &a.name).cmp(&(b.order, &b.name)));
        tiers
    }
}
