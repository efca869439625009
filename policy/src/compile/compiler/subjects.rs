//! Subjects: the endpoints policy is asked about, and the policies that select them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Compiler, Reselected};
use crate::Subjects;
use crate::compile::endpoints::Entry;
use crate::compile::selection;
use crate::model::{Labels, Namespaces, PodKey, Policy, PolicyKey};
use crate::verdict::RuleRef;

impl Compiler {
    /// Replaces the version of a policy by the present one.
    pub(super) fn renew_policy(
        &mut self,
        key: &PolicyKey,
        reselected: &mut Reselected,
        old_rules: &mut Vec<RuleRef>,
    ) {
        if let Some((number, version)) = self.policies.remove(key) {
            for identity in &version.selects {
                let selected = self
                    .selected
                    .get_mut(identity)
                    .expect("a selected identity");
                selected.policies.remove(&number);
            }
            reselected.extend(version.selects);
            old_rules.extend(
                version
                    .rules
                    .iter()
                    .flatten()
                    .flat_map(|rules| rules.iter()),
            );
        }
        let Some(policy) = self.cluster.policies().get(key) else {
            return;
        };
        let number = self.policies.add(policy, &self.cluster.tier(&policy.tier));
        let version = self.policies.get_mut(number);
        let mut namespaces = HashMap::<_, Labels>::new();
        for (identity, selected) in &mut self.selected {
            let slot = self.identities.get(*identity);
            if !may_select(policy, &slot.namespace) {
                continue;
            }
            let namespace_labels = namespaces
                .entry(Arc::clone(&slot.namespace))
                .or_insert_with_key(|name| self.cluster.namespace_labels(name));
            if selection::selects(policy, &slot.namespace, namespace_labels, &slot.labels) {
                selected.policies.insert(number);
                version.selects.insert(*identity);
                reselected.insert(*identity);
            }
        }
    }

    /// A namespace has other labels: every identity in it may have other features and policies.
    pub(super) fn relabel_namespace(&mut self, namespace: &str, reselected: &mut Reselected) {
        let labels = self.cluster.namespace_labels(namespace);
        let identities: Vec<u32> = self.identities.in_namespace(namespace).collect();
        for identity in identities {
            self.classify(identity, &labels);
            if self.selected.contains_key(&identity) {
                self.select(identity, &labels);
                reselected.insert(identity);
            }
        }
    }

    /// Works out anew which policies select an identity of subjects.
    fn select(&mut self, identity: u32, namespace_labels: &Labels) {
        let slot = self.identities.get(identity);
        let policy = |number: &u32| &self.cluster.policies()[&self.policies.get(*number).key];
        let now: BTreeSet<u32> = self
            .policies
            .candidates(&slot.namespace)
            .into_iter()
            .filter(|number| {
                let policy = policy(number);
                selection::selects(policy, &slot.namespace, namespace_labels, &slot.labels)
            })
            .collect();
        let selected = self.selected.entry(identity).or_default();
        for gone in selected.policies.difference(&now) {
            self.policies.get_mut(*gone).selects.remove(&identity);
        }
        for new in now.difference(&selected.policies) {
            self.policies.get_mut(*new).selects.insert(identity);
        }
        selected.policies = now;
    }

    /// Replaces the endpoint of a pod by the present one.
    pub(super) fn renew_endpoint(&mut self, key: &PodKey, reselected: &mut Reselected) {
        let before = self.endpoints.remove(key);
        if let Some(endpoint) = self.cluster.endpoint(key) {
            let (identity, is_new) =
                self.identities
                    .acquire(&key.namespace, endpoint.labels, endpoint.named_ports);
            let subject =
                self.subjects == Subjects::All || self.cluster.workloads().contains_key(key);
            self.endpoints.add(Entry {
                key: key.clone(),
                identity,
                addresses: endpoint.addresses,
                claim: endpoint.claim,
                subject,
            });
            if is_new {
                let labels = self.cluster.namespace_labels(&key.namespace);
                self.classify(identity, &labels);
            }
            if subject {
                self.add_subject(identity, reselected);
            }
        }
        if let Some(before) = before {
            self.identities.release(before.identity);
            if before.subject {
                self.remove_subject(before.identity, reselected);
            }
        }
    }

    fn add_subject(&mut self, identity: u32, reselected: &mut Reselected) {
        if let Some(selected) = self.selected.get_mut(&identity) {
            selected.endpoints += 1;
            return;
        }
        let namespace = Arc::clone(&self.identities.get(identity).namespace);
        self.select(identity, &self.cluster.namespace_labels(&namespace));
        self.selected.entry(identity).or_default().endpoints = 1;
        reselected.insert(identity);
    }

    fn remove_subject(&mut self, identity: u32, reselected: &mut Reselected) {
        let selected = self
            .selected
            .get_mut(&identity)
            .expect("an identity of subjects");
        selected.endpoints -= 1;
        if selected.endpoints > 0 {
            return;
        }
        let selected = self.selected.remove(&identity).expect("just found");
        for policy in selected.policies {
            self.policies.get_mut(policy).selects.remove(&identity);
        }
        reselected.insert(identity);
    }
}

fn may_select(policy: &Policy, namespace: &str) -> bool {
    match &policy.subject.namespaces {
        Namespaces::Named(name) => name == namespace,
        Namespaces::Everywhere | Namespaces::Matching(_) => true,
    }
}
