//! The cluster: every object policy knows, by key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{
    Kind, Labels, NAMESPACE_NAME_LABEL, Node, Object, ObjectKey, Pod, PodKey, Policy, PolicyKey,
    Tier,
};

/// The current state of the world. Order of arrival does not matter: what compiles from a cluster
/// is a function of its content only.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub(super) namespaces: BTreeMap<String, Labels>,
    pub(super) pods: BTreeMap<PodKey, Pod>,
    pub(super) workloads: BTreeMap<PodKey, IpAddr>,
    nodes: BTreeMap<String, Node>,
    tiers: BTreeMap<String, Tier>,
    policies: BTreeMap<PolicyKey, Policy>,
}

impl Default for Cluster {
    fn default() -> Self {
        let tier = Tier::default_tier();
        Self {
            namespaces: BTreeMap::new(),
            pods: BTreeMap::new(),
            workloads: BTreeMap::new(),
            nodes: BTreeMap::new(),
            tiers: BTreeMap::from([(tier.name.clone(), tier)]),
            policies: BTreeMap::new(),
        }
    }
}

impl Cluster {
    /// A cluster with nothing in it but the default tier.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object, or replaces the one with the same key.
    pub fn apply(&mut self, object: Object) {
        match object {
            Object::Namespace { name, mut labels } => {
                labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.clone());
                self.namespaces.insert(name, labels);
            }
            Object::Pod(pod) => drop(self.pods.insert(pod.key(), pod)),
            Object::Node(node) => drop(self.nodes.insert(node.name.clone(), node)),
            Object::Policy(policy) => drop(self.policies.insert(policy.key.clone(), policy)),
        }
    }

    /// Takes an object away; false when there was none. A workload attached under the pod's name
    /// stays, without labels, until [`Cluster::remove_workload`].
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        match key.kind {
            Kind::Namespace => self.namespaces.remove(&key.name).is_some(),
            Kind::Node => self.nodes.remove(&key.name).is_some(),
            Kind::Pod => {
                let namespace = key.namespace.as_deref().unwrap_or_default();
                self.pods
                    .remove(&PodKey::new(namespace, &key.name))
                    .is_some()
            }
            Kind::Policy(kind) => {
                let (namespace, name) = (key.namespace.clone(), key.name.clone());
                self.policies
                    .remove(&PolicyKey {
                        kind,
                        namespace,
                        name,
                    })
                    .is_some()
            }
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

    /// Adds a tier, or replaces the one of the same name.
    pub fn set_tier(&mut self, tier: Tier) {
        self.tiers.insert(tier.name.clone(), tier);
    }

    /// The labels of a namespace. One without an object has just its name label.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> Labels {
        self.namespaces
            .get(name)
            .cloned()
            .unwrap_or_else(|| Labels::from([(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned())]))
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

    /// The policies, by key.
    #[must_use]
    pub fn policies(&self) -> &BTreeMap<PolicyKey, Policy> {
        &self.policies
    }

    /// The tiers that hold policies, in the order they are judged, each with its policies in
    /// order. A policy that names an unknown tier gets a closed one.
    #[must_use]
    pub fn tiers_in_order(&self) -> Vec<(Tier, Vec<&Policy>)> {
        let mut by_tier: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
        for policy in self.policies.values() {
            by_tier.entry(&policy.tier).or_default().push(policy);
        }
        let mut tiers: Vec<_> = by_tier
            .into_iter()
            .map(|(name, policies)| {
                let tier = self
                    .tiers
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| Tier::closed(name));
                (tier, policies)
            })
            .collect();
        for (_, policies) in &mut tiers {
            policies.sort_by_key(|policy| (policy.order, &policy.key));
        }
        tiers.sort_by(|(a, _), (b, _)| (a.order, &a.name).cmp(&(b.order, &b.name)));
        tiers
    }
}
