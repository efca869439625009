//! News: what an event touches.

use super::Compiler;
use crate::model::{Cluster, Kind, Object, ObjectKey, PodKey, PolicyKey, with_namespace_labels};

impl Compiler {
    /// Does the object say anything that was not known?
    pub(super) fn is_news(&self, object: &Object) -> bool {
        let cluster = &self.cluster;
        match object {
            Object::Namespace { name, labels } => {
                let labels = with_namespace_labels(labels.clone(), name);
                cluster.namespaces().get(name) != Some(&labels)
            }
            Object::Pod(pod) => cluster.pods().get(&pod.key()) != Some(pod),
            Object::Node(node) => cluster.nodes().get(&node.name) != Some(node),
            Object::ServiceAccount {
                namespace,
                name,
                labels,
            } => cluster.account_labels(namespace, name) != Some(labels),
            Object::NetworkSet(set) => {
                let key = (set.namespace.clone(), set.name.clone());
                cluster.sets().get(&key) != Some(set)
            }
            Object::Tier(tier) => cluster.tiers().get(&tier.name) != Some(tier),
            Object::Policy(policy) => cluster.policies().get(&policy.key) != Some(policy),
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
