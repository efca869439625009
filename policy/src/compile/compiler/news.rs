//! News: what an event touches.

use super::Compiler;
use crate::model::{
    Cluster, Kind, Labels, NetworkSet, Node, ObjectKey, Pod, PodKey, Policy, PolicyKey, Tier,
};

/// What an object contributes to policy, to see whether an event says anything new.
#[derive(PartialEq)]
pub(super) enum Marks {
    Labels(Option<Labels>),
    Node(Option<Node>),
    Pod(Option<Pod>),
    Set(Option<NetworkSet>),
    Tier(Tier),
    Policy(Option<Policy>),
}

impl Compiler {
    /// What an object with this key contributes to policy now.
    pub(super) fn marks(&self, key: &ObjectKey) -> Marks {
        let (cluster, namespace) = (&self.cluster, key.namespace.clone());
        let owner = || namespace.clone().unwrap_or_default();
        match key.kind {
            Kind::Namespace => Marks::Labels(cluster.namespaces().get(&key.name).cloned()),
            Kind::Node => Marks::Node(cluster.nodes().get(&key.name).cloned()),
            Kind::Pod => Marks::Pod(
                cluster
                    .pods()
                    .get(&PodKey::new(&owner(), &key.name))
                    .cloned(),
            ),
            Kind::ServiceAccount => {
                Marks::Labels(cluster.account_labels(&owner(), &key.name).cloned())
            }
            Kind::NetworkSet | Kind::GlobalNetworkSet => {
                Marks::Set(cluster.sets().get(&(namespace, key.name.clone())).cloned())
            }
            Kind::Tier => Marks::Tier(cluster.tier(&key.name)),
            Kind::Policy(kind) => {
                let name = key.name.clone();
                let key = PolicyKey {
                    kind,
                    namespace,
                    name,
                };
                Marks::Policy(cluster.policies().get(&key).cloned())
            }
        }
    }

    /// Notes what has to be worked out again after a change of an object.
    pub(super) fn mark(&mut self, key: &ObjectKey) {
        let namespace = key.namespace.clone().unwrap_or_default();
        match key.kind {
            Kind::Namespace => {
                self.dirty.namespaces.insert(key.name.clone());
                self.dirty.members = true;
            }
            Kind::Node | Kind::NetworkSet | Kind::GlobalNetworkSet => self.dirty.members = true,
            Kind::Pod => {
                self.dirty.pods.insert(PodKey::new(&namespace, &key.name));
            }
            Kind::ServiceAccount => {
                let pods = self.cluster.pods_of_account(&namespace, &key.name);
                self.dirty.pods.extend(pods.cloned());
            }
            Kind::Tier => {
                let policies = self.cluster.policies().values();
                let own = policies.filter(|policy| policy.tier == key.name);
                self.dirty
                    .policies
                    .extend(own.map(|policy| policy.key.clone()));
            }
            Kind::Policy(kind) => {
                let (namespace, name) = (key.namespace.clone(), key.name.clone());
                self.dirty.policies.insert(PolicyKey {
                    kind,
                    namespace,
                    name,
                });
            }
        }
    }
}

/// Pods by service account.
impl Cluster {
    fn pods_of_account<'a>(
        &'a self,
        namespace: &str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a PodKey> {
        let from = PodKey::new(namespace, "");
        let namespace = namespace.to_owned();
        self.pods()
            .range(from..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .filter(move |(_, pod)| pod.service_account.as_deref().unwrap_or("default") == name)
            .map(|(key, _)| key)
    }
}
