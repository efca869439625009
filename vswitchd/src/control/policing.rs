//! What policy is compiled from: the policy source, the workloads, and what is not known yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use cni_shim::protocol::Attachment;
use policy::{
    Cluster, Object, ObjectKey,
    model::{Kind, Labels, NAMESPACE_LABEL, ORCHESTRATOR, ORCHESTRATOR_LABEL, PodKey},
};

use super::{DesiredState, Workload};
use doubt::{Doubt, Facts};

mod doubt;

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
        let isolated: BTreeSet<&Attachment> =
            self.isolated().map(|workload| &workload.id).collect();
        let workloads = self.workloads.values();
        let known = workloads.filter(|workload| !isolated.contains(&workload.id));
        known
            .map(|pod| (PodKey::new(&pod.namespace, &pod.pod), pod.address))
            .collect()
    }

    /// The pods with several interfaces, each with the addresses that policy does not know for its:
    /// all but the last, and these are denied everything. Isolated pods are not among them.
    #[must_use]
    pub fn half_policed(&self) -> BTreeMap<PodKey, Vec<Ipv4Addr>> {
        let mut pods: BTreeMap<PodKey, Vec<&Workload>> = BTreeMap::new();
        for workload in self.workloads.values() {
            let pod = PodKey::new(&workload.namespace, &workload.pod);
            pods.entry(pod).or_default().push(workload);
        }
        pods.retain(|_, interfaces| interfaces.len() > 1 && !self.is_isolated(interfaces[0]));
        let others = pods.into_iter().map(|(pod, mut interfaces)| {
            interfaces.pop();
            (pod, interfaces.iter().map(|other| other.address).collect())
        });
        others.collect()
    }

    /// The workloads of which nobody can say what policy means for them: their Pod or Namespace
    /// object is missing, and there is a policy that looks at labels they would have, to select
    /// them or to name them as a peer. A container that is no pod has no labels, which is known.
    pub fn isolated(&self) -> impl Iterator<Item = &Workload> {
        let mut asked: BTreeMap<Doubt<'_>, bool> = BTreeMap::new();
        self.workloads.values().filter(move |workload| {
            let ask = |doubt| {
                let answer = asked.entry(doubt);
                *answer.or_insert_with_key(|doubt| doubt.matters(&self.policy))
            };
            self.doubt(workload).is_some_and(ask)
        })
    }

    /// Whether this workload is one of [`DesiredState::isolated`].
    #[must_use]
    pub fn is_isolated(&self, workload: &Workload) -> bool {
        self.doubt(workload)
            .is_some_and(|doubt| doubt.matters(&self.policy))
    }

    /// What is not known of this workload; `None` = nothing.
    fn doubt<'a>(&self, workload: &'a Workload) -> Option<Doubt<'a>> {
        let (namespace, pod) = (&workload.namespace[..], &workload.pod);
        let of_pod = key(Kind::Pod, Some(namespace), pod);
        let of_namespace = key(Kind::Namespace, None, namespace);
        let is_known = |key| self.is_read(key) || self.ahead.contains_key(key);
        if namespace.is_empty() || is_known(&of_pod) && is_known(&of_namespace) {
            return None;
        }
        let read = self.policy.endpoint(&PodKey::new(namespace, pod));
        Some(Doubt {
            namespace,
            namespace_labels: Facts {
                labels: self.policy.namespace_labels(namespace),
                complete: self.is_read(&of_namespace),
            },
            labels: Facts {
                complete: read.is_some(),
                labels: match read {
                    Some(endpoint) => endpoint.labels,
                    None => certain_labels(namespace),
                },
            },
        })
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

/// The labels that every pod of this namespace has.
fn certain_labels(namespace: &str) -> Labels {
    let labels = [
        (NAMESPACE_LABEL, namespace),
        (ORCHESTRATOR_LABEL, ORCHESTRATOR),
    ];
    labels
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests;
