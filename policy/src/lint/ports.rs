//! Named ports that no pod serves.

use super::field;
use super::finding::{Findings, Remark};
use super::world::{World, rules};
use crate::ask::short_name;
use crate::model::{Endpoint, Peers, Policy, PortMatch, Rule, TrafficSet};
use crate::verdict::Direction;
use crate::words;

pub(super) fn check(world: &World<'_>, policy: &Policy, findings: &mut Findings<'_>) {
    for (direction, index, rule) in rules(policy) {
        let TrafficSet::OneOf(kinds) = &rule.traffic else {
            continue;
        };
        let destinations = destinations(world, policy, direction, rule);
        // That nobody is selected is another finding.
        if destinations.is_empty() && !world_is_outside(rule, direction) {
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
        [] => format!("no pod can serve port {name:?}: the peers are addresses only"),
        _ => format!("no destination serves {number} port {name:?}: neither of {pods} declares it"),
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
    match (direction, &rule.peers) {
        (Direction::Ingress, _) => world.pods(&policy.subject).collect(),
        (Direction::Egress, Peers::Any) => world
            .endpoints
            .iter()
            .map(|(endpoint, _)| endpoint)
            .collect(),
        (Direction::Egress, Peers::OneOf(ends)) => {
            let scopes = ends.iter().filter_map(|end| end.scope.as_ref());
            scopes.flat_map(|scope| world.pods(scope)).collect()
        }
    }
}

/// Are the rule's destinations addresses, and nothing else?
fn world_is_outside(rule: &Rule, direction: Direction) -> bool {
    let Peers::OneOf(ends) = &rule.peers else {
        return false;
    };
    direction == Direction::Egress && ends.iter().all(|end| end.scope.is_none())
}

fn serves(pods: &[&Endpoint<'_>], name: &str, protocol: Option<u8>) -> bool {
    let mut ports = pods.iter().flat_map(|pod| pod.named_ports);
    ports.any(|port| port.name == name && protocol.is_none_or(|own| own == port.protocol))
}
