//! Scopes resolved into identities, each once.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::Identities;
use crate::model::{Cluster, Labels, NamespaceScope, PodScope, Selector};

/// Resolves scopes over a fixed set of identities.
pub(crate) struct Scopes<'a> {
    identities: &'a Identities<'a>,
    namespaces: BTreeMap<&'a str, Labels>,
    resolved: FxHashMap<PodScope, Rc<[u32]>>,
}

impl<'a> Scopes<'a> {
    pub(crate) fn new(cluster: &Cluster, identities: &'a Identities<'a>) -> Self {
        let names = identities.by_namespace.keys();
        let namespaces = names
            .map(|name| (*name, cluster.namespace_labels(name)))
            .collect();
        Self {
            identities,
            namespaces,
            resolved: FxHashMap::default(),
        }
    }

    /// The identities in the scope, in ascending order.
    pub(crate) fn resolve(&mut self, scope: &PodScope) -> Rc<[u32]> {
        if let Some(known) = self.resolved.get(scope) {
            return Rc::clone(known);
        }
        let found: Rc<[u32]> = self.search(scope).into();
        self.resolved.insert(scope.clone(), Rc::clone(&found));
        found
    }

    fn search(&self, scope: &PodScope) -> Vec<u32> {
        let mut found = match &scope.namespaces {
            NamespaceScope::Named(name) => self.in_namespace(name, &scope.pods),
            NamespaceScope::Matching(selector) => self
                .namespaces
                .iter()
                .filter(|(_, labels)| selector.matches(labels))
                .flat_map(|(name, _)| self.in_namespace(name, &scope.pods))
                .collect(),
        };
        found.sort_unstable();
        found
    }

    fn in_namespace(&self, namespace: &str, pods: &Selector) -> Vec<u32> {
        let all = self
            .identities
            .by_namespace
            .get(namespace)
            .map_or(&[][..], Vec::as_slice);
        let matches = |id: &u32| pods.matches(self.identities.labels[*id as usize]);
        all.iter().copied().filter(matches).collect()
    }
}
