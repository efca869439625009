//! Rules that an earlier rule leaves nothing to do.

use super::finding::{Findings, Remark};
use super::world::{DIRECTIONS, World};
use super::{cover, field};
use crate::model::{Action, Policy, PolicyKind, Rule};
use crate::verdict::Direction;

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    for (_, policies) in &world.tiers {
        for direction in DIRECTIONS {
            let mut earlier: Vec<Asked<'_>> = Vec::new();
            for policy in policies {
                let rules = policy.rules(direction).unwrap_or_default();
                for (index, rule) in rules.iter().enumerate() {
                    let this = Asked {
                        policy,
                        index,
                        rule,
                    };
                    if let Some(first) = earlier.iter().find(|first| first.leaves_nothing_to(&this))
                    {
                        let path = field::rule(direction, index);
                        findings.about(policy, path, this.shadowed_by(first, direction));
                    }
                    if rule.action != Action::Log {
                        earlier.push(this);
                    }
                }
                if !is_ordered(policy) {
                    // NetworkPolicies add up; that two of them say the same is nobody's mistake.
                    earlier.retain(|asked| is_ordered(asked.policy));
                }
            }
        }
    }
}

/// A rule and where it stands.
#[derive(Clone, Copy)]
struct Asked<'a> {
    policy: &'a Policy,
    index: usize,
    rule: &'a Rule,
}

impl Asked<'_> {
    fn leaves_nothing_to(&self, later: &Self) -> bool {
        let same = self.policy.key == later.policy.key;
        (same || cover::scope(&self.policy.subject, &later.policy.subject))
            && cover::rule(self.rule, later.rule)
    }

    fn shadowed_by(&self, first: &Self, direction: Direction) -> Remark {
        let rule = field::rule(direction, first.index);
        let first_name = match first.policy.key == self.policy.key {
            true => rule,
            false => format!("{rule} of {}", first.policy.key),
        };
        let (own, other) = (self.rule.action, first.rule.action);
        let what = format!("never decides: {first_name} comes before it and covers all of it");
        match own == other {
            true => Remark::warning(
                what,
                format!("Both say {own}, so this one adds nothing."),
                "delete it, or make the earlier rule narrower",
            ),
            false => Remark::warning(
                what,
                format!("It says {own}, but {other} is what happens."),
                "put it before the other, or make the other narrower",
            ),
        }
    }
}

/// Does the order of such policies decide?
fn is_ordered(policy: &Policy) -> bool {
    policy.key.kind != PolicyKind::NetworkPolicy
}
