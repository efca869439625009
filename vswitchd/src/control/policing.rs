//! What policy is compiled from: the policy source, the workloads, and what is not known yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use cni_shim::protocol::Attachment;
use policy::{
    Cluster, Object, ObjectKey,
    model::{CALICO_NAME_LABEL, Kind, Namespaces, PodKey, Policy, Selector},
};

use super::{DesiredState, Workload};

impl DesiredState {
    /// Policies together with the workloads they may select: what a table is compiled from.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        let mut cluster = (*self.policy).clone();
        for object in self.ahead.values() {
            cluster.apply(object.clone());
        }
        for (pod, address) in self.policed() {
            cluster.set_workload(&pod.namespace, &pod.name, address.into());
        }
        cluster
    }

    /// The workloads that policy knows, with their addresses; of a pod with several interfaces, the
    /// last. One that is isolated is missing here, and so denied everything.
    #[must_use]
    pub fn policed(&self) -> BTreeMap<PodKey, Ipv4Addr> {
        let workloads = self.workloads.values();
        let known = workloads.filter(|workload| !self.is_isolated(workload));
        known
            .map(|pod| (PodKey::new(&pod.namespace, &pod.pod), pod.address))
            .collect()
    }

    /// Whether nobody can say which policies hold for this workload: its Pod or Namespace object is
    /// missing, and there is a policy that looks at labels they would have. A container that is no
    /// pod has no labels, which is known.
    #[must_use]
    pub fn is_isolated(&self, workload: &Workload) -> bool {
        let namespace = &workload.namespace;
        if namespace.is_empty() {
            return false;
        }
        let pod = PodKey::new(namespace, &workload.pod);
        let pod_known = self.policy.pods().contains_key(&pod)
            || self.is_ahead(Kind::Pod, Some(namespace), &workload.pod);
        let namespace_known = self.policy.namespaces().contains_key(namespace)
            || self.is_ahead(Kind::Namespace, None, namespace);
        if pod_known && namespace_known {
            return false;
        }
        let undecided = |policy: &Policy| {
            let (decided, may_match) = match &policy.subject.namespaces {
                Namespaces::Everywhere => (true, true),
                Namespaces::Named(name) => (true, name == namespace),
                Namespaces::Matching(labels) => (namespace_known || is_any(labels), true),
            };
            let pods_decided = pod_known || policy.subject.labels.is_everything();
            may_match && !(decided && pods_decided)
        };
        self.policy.policies().values().any(undecided)
    }

    /// The Pods and Namespaces of these attachments that the last whole reading did not have.
    pub(super) fn unknown_to_policy(&self, ids: &BTreeSet<Attachment>) -> BTreeSet<ObjectKey> {
        let workloads = ids.iter().filter_map(|id| self.workloads.get(id));
        let pods = workloads.filter(|workload| !workload.namespace.is_empty());
        let keys = pods.flat_map(|pod| {
            [
                key(Kind::Pod, Some(&pod.namespace), &pod.pod),
                key(Kind::Namespace, None, &pod.namespace),
            ]
        });
        keys.filter(|key| !self.is_read(key)).collect()
    }

    fn is_read(&self, key: &ObjectKey) -> bool {
        match (key.kind, &key.namespace) {
            (Kind::Pod, Some(namespace)) => {
                let pod = PodKey::new(namespace, &key.name);
                self.policy.pods().contains_key(&pod)
            }
            (Kind::Namespace, None) => self.policy.namespaces().contains_key(&key.name),
            _ => false,
        }
    }

    fn is_ahead(&self, kind: Kind, namespace: Option<&str>, name: &str) -> bool {
        self.ahead.contains_key(&key(kind, namespace, name))
    }

    /// After a whole reading: what it holds is no longer ahead of it. A reading that began before a
    /// pod's object was there must not take from the pod what its ADD had learned.
    pub(super) fn catch_up(&mut self) -> bool {
        let (before, workloads, policy) = (self.ahead.len(), &self.workloads, &self.policy);
        let is_attached = |fits: &dyn Fn(&Workload) -> bool| workloads.values().any(fits);
        self.ahead.retain(|_, object| match object {
            Object::Pod(pod) => {
                let is_own = |w: &Workload| w.namespace == pod.namespace && w.pod == pod.name;
                !policy.pods().contains_key(&pod.key()) && is_attached(&is_own)
            }
            Object::Namespace { name, .. } => {
                let is_own = |w: &Workload| w.namespace == *name;
                !policy.namespaces().contains_key(name) && is_attached(&is_own)
            }
            _ => false,
        });
        before != self.ahead.len()
    }

    /// Takes in objects of the policy source ahead of its next whole reading. Not what is known
    /// already: half of a change must not be in force.
    pub(super) fn look_ahead(&mut self, objects: Vec<Object>) -> bool {
        let mut changed = false;
        for object in objects {
            if self.is_read(&object.key()) {
                continue;
            }
            changed |= self.ahead.get(&object.key()) != Some(&object);
            self.ahead.insert(object.key(), object);
        }
        changed
    }
}

fn key(kind: Kind, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

/// Calico's `all()` for namespaces: each has this label.
fn is_any(namespaces: &Selector) -> bool {
    namespaces.is_everything() || *namespaces == Selector::Has(CALICO_NAME_LABEL.to_owned())
}

#[cfg(test)]
mod tests;
