//! Becoming another cluster by applying the differences.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Compiler;
use crate::model::{Cluster, Labels, Object, ObjectKey, PodKey, Policy, Tier};

impl Compiler {
    /// Becomes this cluster. Cost: a comparison of the two, and the work of what differs.
    pub fn replace(&mut self, cluster: &Cluster) {
        let before = self.cluster();
        let changes = differences(before, cluster);
        let (old, new) = (before.workloads(), cluster.workloads());
        let detached = old.keys().filter(|key| !new.contains_key(*key));
        let detached: Vec<PodKey> = detached.cloned().collect();
        let attached = new
            .iter()
            .filter(|(key, address)| old.get(*key) != Some(*address));
        let attached: Vec<(PodKey, IpAddr)> = attached.map(|(k, a)| (k.clone(), *a)).collect();
        for key in &changes.gone {
            self.remove(key);
        }
        for object in changes.new {
            self.apply(object);
        }
        for key in &detached {
            self.remove_workload(&key.namespace, &key.name);
        }
        for (key, address) in &attached {
            self.set_workload(&key.namespace, &key.name, *address);
        }
    }
}

/// What makes one cluster of another.
#[derive(Default)]
struct Changes {
    gone: Vec<ObjectKey>,
    new: Vec<Object>,
}

impl Changes {
    fn compare<K: Ord, V: PartialEq>(
        &mut self,
        (before, after): (&BTreeMap<K, V>, &BTreeMap<K, V>),
        object: impl Fn(&K, &V) -> Object,
    ) {
        let gone = before.iter().filter(|(key, _)| !after.contains_key(key));
        self.gone
            .extend(gone.map(|(key, value)| object(key, value).key()));
        let new = after
            .iter()
            .filter(|(key, value)| before.get(key) != Some(value));
        self.new.extend(new.map(|(key, value)| object(key, value)));
    }
}

fn differences(before: &Cluster, after: &Cluster) -> Changes {
    let mut changes = Changes::default();
    changes.compare((before.namespaces(), after.namespaces()), |name, labels| {
        let (name, labels) = (name.clone(), labels.clone());
        Object::Namespace { name, labels }
    });
    changes.compare(
        (before.accounts(), after.accounts()),
        |key, labels: &Labels| {
            let ((namespace, name), labels) = (key.clone(), labels.clone());
            Object::ServiceAccount {
                namespace,
                name,
                labels,
            }
        },
    );
    changes.compare((before.nodes(), after.nodes()), |_, node| {
        Object::Node(node.clone())
    });
    changes.compare((before.sets(), after.sets()), |_, set| {
        Object::NetworkSet(set.clone())
    });
    changes.compare((before.tiers(), after.tiers()), |_, tier: &Tier| {
        Object::Tier(tier.clone())
    });
    changes.compare((before.pods(), after.pods()), |_, pod| {
        Object::Pod(pod.clone())
    });
    changes.compare(
        (before.policies(), after.policies()),
        |_, policy: &Policy| Object::Policy(policy.clone()),
    );
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn what_did_not_change_is_not_applied() {
        let mut before = Cluster::new();
        let namespace = |name: &str, value: &str| Object::Namespace {
            name: name.to_owned(),
            labels: [("team".to_owned(), value.to_owned())].into(),
        };
        before.apply(namespace("same", "a"));
        before.apply(namespace("other", "a"));
        before.apply(namespace("gone", "a"));
        let mut after = Cluster::new();
        after.apply(namespace("same", "a"));
        after.apply(namespace("other", "b"));
        let changes = differences(&before, &after);
        let gone: Vec<_> = changes
            .gone
            .iter()
            .map(|key| (key.kind, key.name.as_str()))
            .collect();
        assert_eq!(gone, [(Kind::Namespace, "gone")]);
        assert_eq!(changes.new.len(), 1);
        assert_eq!(changes.new[0].key().name, "other");
    }
}
