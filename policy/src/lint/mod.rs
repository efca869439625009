//! What a person should look at again: policies that are valid and still do not do what somebody
//! who wrote them meant.
//!
//! One file per kind of mistake. What needs pods to be judged (selectors that select nothing, ports
//! nobody serves) is left out for a state that has none: a directory of policies alone is not
//! scolded for that.

mod cover;
mod dns;
mod field;
mod finding;
mod never;
mod ports;
mod selects;
mod shadow;
mod tiers;
mod world;
mod written;

pub use finding::{Finding, Level};

use crate::source::yaml::{Loaded, Text};
use finding::Findings;
use world::World;

/// Examines every policy of a state. `texts` are those it was loaded from: what a policy leaves
/// without effect is in no model. Findings are in order of object and field.
///
/// Cost: about policies x (pods + rules of the same tier).
#[must_use]
pub fn lint(loaded: &Loaded, texts: &[Text]) -> Vec<Finding> {
    let world = World::of(&loaded.cluster);
    let mut findings = Findings::new(&loaded.places);
    written::check(texts, &mut findings);
    tiers::check(&world, &mut findings);
    for policy in loaded.cluster.policies().values() {
        never::check(policy, &mut findings);
        if world.has_pods() {
            selects::check(&world, policy, &mut findings);
            ports::check(&world, policy, &mut findings);
        }
    }
    shadow::check(&world, &mut findings);
    if world.has_pods() {
        dns::check(&world, &mut findings);
    }
    findings.sorted()
}

#[cfg(test)]
mod tests;
