//! Does one condition hold whenever another does? "No" may mean "not plainly".

use ipnet::IpNet;

use crate::model::{
    End, Members, Namespaces, Peers, PortCondition, PortMatch, Rule, Scope, Selector, Traffic,
    TrafficSet,
};

/// Does `one` match whenever `other` does?
pub(super) fn rule(one: &Rule, other: &Rule) -> bool {
    let subject = match (&one.subject, &other.subject) {
        (None, _) => true,
        (Some(one), Some(other)) => end(one, other),
        (Some(_), None) => false,
    };
    subject && peers(&one.peers, &other.peers) && traffic_set(&one.traffic, &other.traffic)
}

fn peers(one: &Peers, other: &Peers) -> bool {
    match (one, other) {
        (Peers::Any, _) => true,
        (Peers::OneOf(_), Peers::Any) => false,
        (Peers::OneOf(ones), Peers::OneOf(others)) => others
            .iter()
            .all(|other| ones.iter().any(|one| end(one, other))),
    }
}

fn end(one: &End, other: &End) -> bool {
    let inside = |net: &IpNet, nets: &[IpNet]| nets.iter().any(|outer| outer.contains(net));
    let members = match (&one.scope, &other.scope) {
        (None, _) => true,
        (Some(one), Some(other)) => scope(one, other),
        (Some(_), None) => false,
    };
    let excluded = one.not_scope.is_none() || one.not_scope == other.not_scope;
    let nets = match (&one.nets, &other.nets) {
        (None, _) => true,
        (Some(ones), Some(others)) => others.iter().all(|net| inside(net, ones)),
        (Some(_), None) => false,
    };
    // What the first excludes, the second must exclude, too, or never reach.
    let apart = |hole: &IpNet| {
        let reached = |net: &IpNet| net.contains(hole) || hole.contains(net);
        let never = other
            .nets
            .as_ref()
            .is_some_and(|nets| !nets.iter().any(reached));
        never || inside(hole, &other.not_nets)
    };
    members && excluded && nets && one.not_nets.iter().all(apart)
}

/// Does `one` mean everybody that `other` means?
pub(super) fn scope(one: &Scope, other: &Scope) -> bool {
    let members = one.members == other.members
        || (one.members == Members::PodsAndSets && other.members == Members::Pods);
    let namespaces = match (&one.namespaces, &other.namespaces) {
        (Namespaces::Everywhere, _) => true,
        (Namespaces::Matching(one), Namespaces::Matching(other)) => selector(one, other),
        // A namespace by name is one whatever its labels are.
        (Namespaces::Matching(one), Namespaces::Named(_)) => one.is_everything(),
        (one, other) => one == other,
    };
    members && namespaces && selector(&one.labels, &other.labels)
}

/// Do all labels that satisfy `other` satisfy `one`?
fn selector(one: &Selector, other: &Selector) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (Selector::All(parts), _) => parts.iter().all(|part| selector(part, other)),
        (_, Selector::All(parts)) => parts.iter().any(|part| selector(one, part)),
        (_, Selector::Any(parts)) => parts.iter().all(|part| selector(one, part)),
        (Selector::Any(parts), _) => parts.iter().any(|part| selector(part, other)),
        (Selector::In(a, ones), Selector::In(b, others)) => a == b && others.is_subset(ones),
        (
            Selector::Has(a),
            Selector::In(b, _)
            | Selector::StartsWith(b, _)
            | Selector::EndsWith(b, _)
            | Selector::Contains(b, _),
        ) => a == b,
        _ => false,
    }
}

fn traffic_set(one: &TrafficSet, other: &TrafficSet) -> bool {
    match (one, other) {
        (TrafficSet::Any, _) => true,
        (TrafficSet::OneOf(_), TrafficSet::Any) => false,
        (TrafficSet::OneOf(ones), TrafficSet::OneOf(others)) => others
            .iter()
            .all(|other| ones.iter().any(|one| traffic(one, other))),
    }
}

fn traffic(one: &Traffic, other: &Traffic) -> bool {
    let protocol = one.protocol.is_none() || one.protocol == other.protocol;
    let not_protocol = one.not_protocol.is_none() || one.not_protocol == other.not_protocol;
    let icmp = match (&one.icmp, &other.icmp) {
        (None, _) => true,
        (Some(one), Some(other)) => {
            one.kind == other.kind && (one.code.is_none() || one.code == other.code)
        }
        (Some(_), None) => false,
    };
    let not_icmp = one.not_icmp.is_none() || one.not_icmp == other.not_icmp;
    protocol
        && not_protocol
        && icmp
        && not_icmp
        && ports(&one.source, &other.source)
        && ports(&one.destination, &other.destination)
}

fn ports(one: &PortCondition, other: &PortCondition) -> bool {
    let within = |port: &PortMatch| one.one_of.iter().any(|outer| port_match(outer, port));
    let named =
        one.one_of.is_empty() || (!other.one_of.is_empty() && other.one_of.iter().all(within));
    let excluded = |hole: &PortMatch| other.none_of.iter().any(|outer| port_match(outer, hole));
    named && one.none_of.iter().all(excluded)
}

fn port_match(outer: &PortMatch, inner: &PortMatch) -> bool {
    match (outer, inner) {
        (PortMatch::Range(outer), PortMatch::Range(inner)) => {
            outer.contains(inner.start()) && outer.contains(inner.end())
        }
        (outer, inner) => outer == inner,
    }
}
