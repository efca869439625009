//! Policies: rules for the endpoints they select.

use std::cmp::Ordering;
use std::fmt;

use super::{DEFAULT_TIER, Labels, Rule, Selector};
use crate::verdict::Direction;

/// Which API a policy was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy,
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetworkPolicy => f.write_str("NetworkPolicy"),
        }
    }
}

/// What names a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// The API it was written in.
    pub kind: PolicyKind,
    /// Its namespace; `None` for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Position of a policy in its tier, or of a tier among tiers: lower first.
#[derive(Clone, Copy, Debug)]
pub struct Order(pub f64);

impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Order {}

/// Which namespaces are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceScope {
    /// The one of this name.
    Named(String),
    /// Those whose labels match.
    Matching(Selector),
}

/// Which pods are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodScope {
    /// The namespaces they are in.
    pub namespaces: NamespaceScope,
    /// What their labels satisfy.
    pub pods: Selector,
}

impl PodScope {
    /// Does a pod with these labels, in this namespace with those labels, belong?
    #[must_use]
    pub fn matches(&self, namespace: &str, namespace_labels: &Labels, pod_labels: &Labels) -> bool {
        let in_scope = match &self.namespaces {
            NamespaceScope::Named(name) => name == namespace,
            NamespaceScope::Matching(selector) => selector.matches(namespace_labels),
        };
        in_scope && self.pods.matches(pod_labels)
    }
}

/// A policy: for the pods it selects, rules per direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What names it.
    pub key: PolicyKey,
    /// The tier it belongs to.
    pub tier: String,
    /// Its place in the tier; the key decides a tie.
    pub order: Order,
    /// The endpoints it selects.
    pub subject: PodScope,
    /// Its ingress rules; `None` when it does not apply to ingress at all.
    pub ingress: Option<Vec<Rule>>,
    /// Its egress rules; `None` when it does not apply to egress at all.
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// A Kubernetes NetworkPolicy that selects pods of its own namespace and applies to no
    /// direction yet. Calico's place for it: default tier, order 1000.
    #[must_use]
    pub fn kubernetes(namespace: &str, name: &str, pods: Selector) -> Self {
        Self {
            key: PolicyKey {
                kind: PolicyKind::NetworkPolicy,
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            },
            tier: DEFAULT_TIER.to_owned(),
            order: Order(1000.0),
            subject: PodScope {
                namespaces: NamespaceScope::Named(namespace.to_owned()),
                pods,
            },
            ingress: None,
            egress: None,
        }
    }

    /// The rules of a direction; `None` when the policy does not apply to it.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}
