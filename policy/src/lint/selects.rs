//! Selectors that select nothing that is there.

use super::field;
use super::finding::{Findings, Remark};
use super::world::{World, rules};
use crate::model::{Members, Namespaces, Peers, Policy, Scope};
use crate::words;

pub(super) fn check(world: &World<'_>, policy: &Policy, findings: &mut Findings<'_>) {
    if world.pods(&policy.subject).next().is_none() {
        let remark = Remark::warning(
            format!("selects no pod: {}", missing(world, &policy.subject)),
            "The policy protects nobody, and nobody is told.",
            "compare the labels with those of the pods it is meant for",
        );
        findings.about(policy, field::subject(policy), remark);
    }
    for (direction, index, rule) in rules(policy) {
        let Peers::OneOf(ends) = &rule.peers else {
            continue;
        };
        for (item, end) in ends.iter().enumerate() {
            let empty = end
                .scope
                .as_ref()
                .filter(|scope| !world.is_inhabited(scope));
            if let Some(scope) = empty {
                let remark = Remark::warning(
                    format!("selects nothing: {}", missing(world, scope)),
                    "As a peer it matches nobody.",
                    "compare the labels with those of the peers that are meant",
                );
                let path = field::peer(policy, direction, index, item);
                findings.about(policy, path, remark);
            }
        }
    }
}

/// Which half of the scope is to blame.
fn missing(world: &World<'_>, scope: &Scope) -> String {
    let namespaces = world.cluster.namespaces();
    let pods = world.cluster.pods();
    match &scope.namespaces {
        _ if scope.members == Members::Nodes => {
            format!("there are no {}", words::scope(scope))
        }
        Namespaces::Named(name)
            if !namespaces.contains_key(name) && !pods.keys().any(|key| key.namespace == *name) =>
        {
            format!("there is no namespace {name}")
        }
        Namespaces::Matching(selector) if !namespaces.values().any(|own| selector.matches(own)) => {
            format!("no namespace has labels that satisfy {selector}")
        }
        _ => format!("there are no {}", words::scope(scope)),
    }
}
