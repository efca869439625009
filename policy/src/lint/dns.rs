//! Pods whose egress is closed and that may not ask for names.

use std::collections::{BTreeMap, BTreeSet};

use super::field;
use super::finding::{Findings, Level, Remark};
use super::world::World;
use crate::model::{
    Action, EndOfTier, Endpoint, Labels, Policy, PolicyKey, PortCondition, PortMatch, Traffic,
    TrafficSet,
};
use crate::verdict::{Direction, protocol};

/// The port of DNS (RFC 1035).
const DOMAIN: u16 = 53;

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    let mut seen: BTreeSet<(&str, &Labels)> = BTreeSet::new();
    let mut mute: BTreeMap<&PolicyKey, (&Policy, Vec<&Endpoint<'_>>)> = BTreeMap::new();
    for (endpoint, labels) in &world.endpoints {
        if !seen.insert((&endpoint.key.namespace, &endpoint.labels)) {
            continue;
        }
        if let Some(policy) = silenced_by(world, endpoint, labels) {
            let entry = mute.entry(&policy.key).or_insert((policy, Vec::new()));
            entry.1.push(endpoint);
        }
    }
    for (policy, pods) in mute.into_values() {
        let pod = pods.first().map(|pod| pod.key.to_string());
        let remark = Remark {
            level: Level::Hint,
            what: format!(
                "closes egress, and nothing lets {} ask for names (53/udp)",
                pod.unwrap_or_default()
            ),
            why: "Most programs resolve a name before they connect.".to_owned(),
            advice: "allow 53/udp and 53/tcp to the cluster's DNS, if these pods use names"
                .to_owned(),
        };
        findings.about(policy, field::subject(policy), remark);
    }
}

/// The policy that closes the pod's egress, if no rule of any policy might let a question out.
fn silenced_by<'a>(
    world: &World<'a>,
    endpoint: &Endpoint<'_>,
    namespace_labels: &Labels,
) -> Option<&'a Policy> {
    let namespace = Some(endpoint.key.namespace.as_str());
    let mut closing = None;
    for (tier, policies) in &world.tiers {
        for policy in policies {
            let scope = &policy.subject;
            let Some(rules) = policy.rules(Direction::Egress) else {
                continue;
            };
            if !scope.matches(namespace, namespace_labels, &endpoint.labels) {
                continue;
            }
            let lets_out = |action| matches!(action, Action::Allow | Action::Pass);
            if rules
                .iter()
                .any(|rule| lets_out(rule.action) && may_be_dns(&rule.traffic))
            {
                return None;
            }
            if tier.end == EndOfTier::Deny {
                closing = closing.or(Some(*policy));
            }
        }
    }
    closing
}

fn may_be_dns(set: &TrafficSet) -> bool {
    match set {
        TrafficSet::Any => true,
        TrafficSet::OneOf(kinds) => kinds.iter().any(is_dns),
    }
}

fn is_dns(traffic: &Traffic) -> bool {
    traffic.protocol.is_none_or(|own| own == protocol::UDP)
        && traffic.not_protocol != Some(protocol::UDP)
        && traffic.icmp.is_none()
        && may_be_domain(&traffic.destination)
}

/// A named port may be anything.
fn may_be_domain(condition: &PortCondition) -> bool {
    let is = |port: &PortMatch, unknown: bool| match port {
        PortMatch::Range(range) => range.contains(&DOMAIN),
        PortMatch::Named(_) => unknown,
    };
    (condition.one_of.is_empty() || condition.one_of.iter().any(|port| is(port, true)))
        && !condition.none_of.iter().any(|port| is(port, false))
}
