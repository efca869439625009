//! Policies: rules for the endpoints they select.

use std::cmp::Ordering;
use std::fmt;

use super::{DEFAULT_TIER, Namespaces, Rule, Scope, Selector};
use crate::verdict::Direction;

/// Which API a policy was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy,
    /// projectcalico.org/v3 NetworkPolicy.
    CalicoNetworkPolicy,
    /// projectcalico.org/v3 GlobalNetworkPolicy.
    GlobalNetworkPolicy,
    /// policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy.
    ClusterNetworkPolicy,
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::CalicoNetworkPolicy => "CalicoNetworkPolicy",
            Self::GlobalNetworkPolicy => "GlobalNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        })
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

impl Order {
    /// Behind everything that has an order (Calico: order left out).
    pub const LAST: Self = Self(f64::INFINITY);
}

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

/// What a denied sender is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Nothing.
    #[default]
    Drop,
    /// A TCP reset, or ICMP "administratively prohibited" (RFC 1812 section 5.2.7.1).
    Reject,
}

/// What becomes of flows that began before a policy that denies them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Established {
    /// They are cut.
    #[default]
    Recheck,
    /// They go on.
    Keep,
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
    pub subject: Scope,
    /// Its ingress rules; `None` when it does not apply to ingress at all.
    pub ingress: Option<Vec<Rule>>,
    /// Its egress rules; `None` when it does not apply to egress at all.
    pub egress: Option<Vec<Rule>>,
    /// What those it denies are told; `None` for the node's setting.
    pub deny: Option<Reply>,
    /// What becomes of older flows it denies; `None` for the node's setting.
    pub established: Option<Established>,
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
            subject: Scope::pods(Namespaces::Named(namespace.to_owned()), pods),
            ingress: None,
            egress: None,
            deny: None,
            established: None,
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
