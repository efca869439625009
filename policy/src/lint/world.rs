//! The cluster as the checks look at it.

use crate::model::{Cluster, Endpoint, Labels, Members, Policy, Rule, Scope, Tier};
use crate::verdict::Direction;

/// Both directions.
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// A cluster with its endpoints and tiers worked out.
pub(super) struct World<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) endpoints: Vec<(Endpoint<'a>, Labels)>,
    pub(super) tiers: Vec<(Tier, Vec<&'a Policy>)>,
}

impl<'a> World<'a> {
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let with_namespace = |endpoint: Endpoint<'a>| {
            let labels = cluster.namespace_labels(&endpoint.key.namespace);
            (endpoint, labels)
        };
        Self {
            cluster,
            endpoints: cluster.endpoints().map(with_namespace).collect(),
            tiers: cluster.tiers_in_order(),
        }
    }

    pub(super) fn has_pods(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The pods a scope means.
    pub(super) fn pods<'b>(&'b self, scope: &'b Scope) -> impl Iterator<Item = &'b Endpoint<'a>> {
        let pods = scope.members != Members::Nodes;
        let meant = move |(endpoint, labels): &&(Endpoint<'a>, Labels)| {
            pods && scope.matches(Some(&endpoint.key.namespace), labels, &endpoint.labels)
        };
        self.endpoints
            .iter()
            .filter(meant)
            .map(|(endpoint, _)| endpoint)
    }

    /// Does the scope mean anything that is there?
    pub(super) fn is_inhabited(&self, scope: &Scope) -> bool {
        let nodes = || {
            let mut nodes = self.cluster.nodes().values();
            nodes.any(|node| scope.labels.matches(&node.labels))
        };
        let sets = || {
            let mut sets = self.cluster.sets().values();
            sets.any(|set| self.cluster.has_set(scope, set))
        };
        match scope.members {
            Members::Nodes => nodes(),
            Members::Pods => self.pods(scope).next().is_some(),
            Members::PodsAndSets => self.pods(scope).next().is_some() || sets(),
        }
    }
}

/// Every rule of a policy with its direction and index.
pub(super) fn rules(policy: &Policy) -> impl Iterator<Item = (Direction, usize, &Rule)> {
    DIRECTIONS.into_iter().flat_map(|direction| {
        let rules = policy.rules(direction).unwrap_or_default();
        let numbered = rules.iter().enumerate();
        numbered.map(move |(index, rule)| (direction, index, rule))
    })
}
