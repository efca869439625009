//! Rules that can never match, whatever the cluster is like.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::field;
use super::finding::{Findings, Remark};
use super::world::rules;
use crate::model::{
    End, Namespaces, Peers, Policy, PortCondition, PortMatch, Scope, Selector, TrafficSet,
};
use crate::words;

pub(super) fn check(policy: &Policy, findings: &mut Findings<'_>) {
    if let Some(reason) = scope_contradiction(&policy.subject) {
        let remark = Remark::warning(
            format!("selects nothing, ever: {reason}"),
            "The policy has no effect.",
            "correct the selector, or delete the policy",
        );
        findings.about(policy, field::subject(policy), remark);
    }
    for (direction, index, rule) in rules(policy) {
        if let Peers::OneOf(ends) = &rule.peers {
            if ends.is_empty() {
                let remark = never("its list of peers is empty");
                findings.about(policy, field::rule(direction, index), remark);
            }
            for (item, end) in ends.iter().enumerate() {
                if let Some(reason) = end_contradiction(end) {
                    let path = field::peer(policy, direction, index, item);
                    findings.about(policy, path, never(reason));
                }
            }
        }
        if let Some(reason) = rule.subject.as_ref().and_then(end_contradiction) {
            findings.about(policy, field::rule(direction, index), never(reason));
        }
        check_traffic(policy, direction, index, &rule.traffic, findings);
    }
}

fn never(reason: impl Into<String>) -> Remark {
    Remark::warning(
        format!("never matches: {}", reason.into()),
        "The rule looks as if it did something, and does not.",
        "correct it, or delete it",
    )
}

fn check_traffic(
    policy: &Policy,
    direction: crate::Direction,
    index: usize,
    set: &TrafficSet,
    findings: &mut Findings<'_>,
) {
    let TrafficSet::OneOf(kinds) = set else {
        return;
    };
    if kinds.is_empty() {
        let remark = never("its list of traffic is empty");
        findings.about(policy, field::rule(direction, index), remark);
    }
    for (item, traffic) in kinds.iter().enumerate() {
        let excluded = traffic.protocol.is_some() && traffic.protocol == traffic.not_protocol;
        let reason = if excluded {
            Some("it excludes the protocol it is about".to_owned())
        } else {
            let conditions = [&traffic.destination, &traffic.source];
            conditions.into_iter().find_map(port_contradiction)
        };
        if let Some(reason) = reason {
            let path = field::traffic(policy, direction, index, item);
            findings.about(policy, path, never(reason));
        }
    }
}

fn port_contradiction(condition: &PortCondition) -> Option<String> {
    let excluded = |port: &PortMatch| {
        let mut others = condition.none_of.iter();
        others.any(|other| match (other, port) {
            (PortMatch::Range(other), PortMatch::Range(port)) => {
                other.contains(port.start()) && other.contains(port.end())
            }
            (other, port) => other == port,
        })
    };
    let all = !condition.one_of.is_empty() && condition.one_of.iter().all(excluded);
    all.then(|| "its notPorts exclude every one of its ports".to_owned())
}

fn end_contradiction(end: &End) -> Option<String> {
    if let Some(nets) = &end.nets {
        if nets.is_empty() {
            return Some("its list of address blocks is empty".to_owned());
        }
        let holes = IpNet::aggregate(&end.not_nets);
        if nets
            .iter()
            .all(|net| holes.iter().any(|hole| hole.contains(net)))
        {
            let holes = words::blocks(&end.not_nets, "and");
            let nets = words::blocks(nets, "and");
            return Some(format!("nothing is left of {nets} without {holes}"));
        }
    }
    if end.scope.is_some() && end.scope == end.not_scope {
        return Some("it excludes the very pods it is about".to_owned());
    }
    end.scope.as_ref().and_then(scope_contradiction)
}

fn scope_contradiction(scope: &Scope) -> Option<String> {
    let namespaces = match &scope.namespaces {
        Namespaces::Matching(selector) => contradiction(selector),
        Namespaces::Everywhere | Namespaces::Named(_) => None,
    };
    namespaces.or_else(|| contradiction(&scope.labels))
}

/// Why no labels satisfy the selector, if that is plain to see.
fn contradiction(selector: &Selector) -> Option<String> {
    let mut parts = Vec::new();
    flatten(selector, &mut parts);
    for part in &parts {
        if matches!(part, Selector::Any(choices) if choices.iter().all(|c| contradiction(c).is_some()))
        {
            return Some(format!("nothing satisfies {part}"));
        }
        let Some((key, values)) = needs(part) else {
            continue;
        };
        if let Some(other) = parts.iter().find(|other| forbids(other, key, values)) {
            return Some(format!("{part} and {other} exclude each other"));
        }
    }
    None
}

fn flatten<'a>(selector: &'a Selector, parts: &mut Vec<&'a Selector>) {
    match selector {
        Selector::All(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        part => parts.push(part),
    }
}

/// The label a condition needs, and the values it may have (`None`: any).
fn needs(selector: &Selector) -> Option<(&str, Option<&BTreeSet<String>>)> {
    match selector {
        Selector::In(key, values) => Some((key, Some(values))),
        Selector::Has(key)
        | Selector::StartsWith(key, _)
        | Selector::EndsWith(key, _)
        | Selector::Contains(key, _) => Some((key, None)),
        _ => None,
    }
}

/// Does this condition forbid every one of these values of the label?
fn forbids(selector: &Selector, key: &str, values: Option<&BTreeSet<String>>) -> bool {
    match (selector, values) {
        (Selector::In(own, allowed), Some(values)) if own == key => allowed.is_disjoint(values),
        (Selector::Not(inner), values) => match (&**inner, values) {
            (Selector::Has(own), _) => own == key,
            (Selector::In(own, forbidden), Some(values)) => {
                own == key && values.is_subset(forbidden)
            }
            _ => false,
        },
        _ => false,
    }
}
