//! Paths of fields, as each kind of policy writes them.

use crate::model::{Policy, PolicyKind};
use crate::verdict::Direction;

/// Whom the policy selects.
pub(super) fn subject(policy: &Policy) -> String {
    match policy.key.kind {
        PolicyKind::NetworkPolicy => "spec.podSelector".to_owned(),
        PolicyKind::CalicoNetworkPolicy | PolicyKind::GlobalNetworkPolicy => {
            "spec.selector".to_owned()
        }
        PolicyKind::ClusterNetworkPolicy => "spec.subject".to_owned(),
    }
}

/// A rule.
pub(super) fn rule(direction: Direction, index: usize) -> String {
    format!("spec.{direction}[{index}]")
}

/// The `item`th of a rule's peers. A Calico rule has one.
pub(super) fn peer(policy: &Policy, direction: Direction, index: usize, item: usize) -> String {
    let rule = rule(direction, index);
    let calico = is_calico(policy);
    match direction {
        Direction::Ingress if calico => format!("{rule}.source"),
        Direction::Egress if calico => format!("{rule}.destination"),
        Direction::Ingress => format!("{rule}.from[{item}]"),
        Direction::Egress => format!("{rule}.to[{item}]"),
    }
}

/// The `item`th of a rule's kinds of traffic.
pub(super) fn traffic(policy: &Policy, direction: Direction, index: usize, item: usize) -> String {
    let rule = rule(direction, index);
    match policy.key.kind {
        PolicyKind::NetworkPolicy => format!("{rule}.ports[{item}]"),
        PolicyKind::ClusterNetworkPolicy => format!("{rule}.protocols[{item}]"),
        _ => format!("{rule}.destination.ports"),
    }
}

/// Is it one of Calico's own kinds?
pub(super) fn is_calico(policy: &Policy) -> bool {
    matches!(
        policy.key.kind,
        PolicyKind::CalicoNetworkPolicy | PolicyKind::GlobalNetworkPolicy
    )
}
