//! Named ports that no pod serves.

use super::field;
use super::finding::{Findings, Remark};
use super::world::{World, rules};
use crate::ask::short_name;
use crate::model::{Endpoint, Labels, Members, Peers, Policy, PortMatch, Rule, TrafficSet};
use crate::verdict::Direction;
use crate::words;

pub(super) fn check(world: &World<'_>, policy: &Policy, findings: &mut Findings<'_>) {
    for (direction, index, rule) in rules(policy) {
        let TrafficSet::OneOf(kinds) = &rule.traffic else {
            continue;
        };
        let destinations = destinations(world, policy, direction, rule);
        // That nobody is meant is another finding.
        if destinations.is_empty() && !is_addresses_only(rule, direction) {
            continue;
        }
        for (item, traffic) in kinds.iter().enumerate() {
            for port in &traffic.destination.one_of {
                let PortMatch::Named(name) = port else {
                    continue;
                };
                if !serves(&destinations, name, traffic.protocol) {
                    let path = field::traffic(policy, direction, index, item);
                    let remark = remark(&destinations, name, traffic.protocol);
                    findings.about(policy, path, remark);
                }
            }
        }
    }
}

fn remark(destinations: &[&Endpoint<'_>], name: &str, protocol: Option<u8>) -> Remark {
    let number = protocol.map(short_name).unwrap_or_default();
    let pods = words::list(destinations, "and", |pod| pod.key.to_string());
    let what = match destinations {
        [] => format!("no pod is at these addresses to serve {number} port {name:?}"),
        [_] => format!("{pods} does not declare {number} port {name:?}"),
        _ => format!("none of {pods} declares {number} port {name:?}"),
    };
    let elsewhere = destinations.iter().any(|pod| {
        let mut ports = pod.named_ports.iter();
        ports.any(|port| port.name == name)
    });
    let advice = match elsewhere {
        true => "a pod declares the name for another protocol: correct the protocol",
        false => "declare the port in the pods' containers, or write its number",
    };
    Remark::warning(what, "A port nobody serves matches nothing.", advice)
}

/// The pods whose named ports the rule means.
fn destinations<'a, 'b>(
    world: &'b World<'a>,
    policy: &'b Policy,
    direction: Direction,
    rule: &'b Rule,
) -> Vec<&'b Endpoint<'a>> {
    match direction {
        Direction::Ingress => world.pods(&policy.subject).collect(),
        Direction::Egress => world
            .endpoints
            .iter()
            .filter(|(pod, labels)| is_peer(&rule.peers, pod, labels))
            .map(|(pod, _)| pod)
            .collect(),
    }
}

/// May the pod be one of the peers? A pod without an address is at any.
fn is_peer(peers: &Peers, pod: &Endpoint<'_>, namespace_labels: &Labels) -> bool {
    let Peers::OneOf(ends) = peers else {
        return true;
    };
    let namespace = Some(pod.key.namespace.as_str());
    ends.iter().any(|end| {
        let mut addresses = pod.addresses.iter();
        let member = end.scope.as_ref().is_none_or(|scope| {
            scope.members != Members::Nodes
                && scope.matches(namespace, namespace_labels, &pod.labels)
        });
        member && (pod.addresses.is_empty() || addresses.any(|address| end.has_address(*address)))
    })
}

/// Are the rule's destinations addresses, and nothing else?
fn is_addresses_only(rule: &Rule, direction: Direction) -> bool {
    let Peers::OneOf(ends) = &rule.peers else {
        return false;
    };
    direction == Direction::Egress && ends.iter().all(|end| end.scope.is_none())
}

fn serves(pods: &[&Endpoint<'_>], name: &str, protocol: Option<u8>) -> bool {
    let mut ports = pods.iter().flat_map(|pod| pod.named_ports);
    ports.any(|port| port.name == name && protocol.is_none_or(|own| own == port.protocol))
}
