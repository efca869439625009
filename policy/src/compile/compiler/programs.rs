//! Programs: which ones subjects need, built when they do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Compiler, Reselected};
use crate::compile::ends::Resolver;
use crate::compile::program::Outcome;
use crate::compile::selection::Subject;
use crate::compile::tiers::{Source, TierKey, scopes};
use crate::model::{Action, EndOfTier, Established, Policy, Reply, Rule};
use crate::verdict::{Denial, Direction, RuleRef};

impl Compiler {
    /// Gives each of these identities the programs of its policies, builds what is missing and
    /// rebuilds what is outdated.
    pub(super) fn assign_programs(&mut self, reselected: &Reselected, outdated: BTreeSet<u32>) {
        let mut to_build = BTreeSet::new();
        let mut released = Vec::new();
        for identity in reselected {
            let before = self.programs.get(*identity).cloned().flatten();
            let selected = self.selected.get(identity);
            let policies = selected.map(|s| s.policies.iter().copied().collect::<Vec<_>>());
            let subject = policies.map(|policies| {
                let mut acquire = |direction| self.acquire(direction, &policies, &mut to_build);
                Subject {
                    ingress: acquire(Direction::Ingress),
                    egress: acquire(Direction::Egress),
                }
            });
            released.extend(
                before
                    .iter()
                    .flat_map(|old| [&old.ingress, &old.egress])
                    .flat_map(|programs| programs.iter().copied()),
            );
            self.programs.set(*identity, subject);
        }
        // Features that programs to come share with programs that go must not go with these.
        for program in &to_build {
            self.require_scopes(*program);
        }
        let gone: BTreeSet<u32> = released.into_iter().filter(|p| self.release(*p)).collect();
        to_build.extend(outdated.iter().filter(|program| !gone.contains(program)));
        for program in &to_build {
            self.build(*program);
        }
    }

    fn acquire(
        &mut self,
        direction: Direction,
        policies: &[u32],
        to_build: &mut BTreeSet<u32>,
    ) -> Arc<[u32]> {
        let applies = |number: &u32| self.policies.get(*number).applies[direction as usize];
        let policies = policies.iter().copied().filter(applies).collect();
        let tiers = self.policies.by_tier(policies);
        let program = |policies| {
            let (number, is_new) = self.tiers.acquire(TierKey {
                direction,
                policies,
            });
            if is_new {
                to_build.insert(number);
            }
            number
        };
        tiers.into_iter().map(program).collect()
    }

    /// True when the program is gone.
    fn release(&mut self, program: u32) -> bool {
        let Some((features, end)) = self.tiers.release(program) else {
            return false;
        };
        for feature in features {
            self.features.leave(feature, program);
        }
        self.member_nets.leave(program);
        if end != RuleRef::NO_DECISION {
            self.reasons.release(end);
        }
        true
    }

    fn require_scopes(&mut self, program: u32) {
        let TierKey {
            direction,
            policies,
        } = self.tiers.key(program).clone();
        let mut scopes_of = Vec::new();
        for number in policies {
            let policy = &self.cluster.policies()[&self.policies.get(number).key];
            let rules = policy.rules(direction).unwrap_or_default();
            scopes_of.extend(rules.iter().flat_map(scopes).cloned());
        }
        for scope in &scopes_of {
            self.require(scope, program);
        }
    }

    fn build(&mut self, program: u32) {
        let TierKey {
            direction,
            policies,
        } = self.tiers.key(program).clone();
        for number in &policies {
            self.refer_to_rules(*number, direction);
        }
        let of = |number: &u32| {
            let version = self.policies.get(*number);
            (version, &self.cluster.policies()[&version.key])
        };
        let mut rules = Vec::new();
        for (version, policy) in policies.iter().map(of) {
            let denial = self.denial([policy]);
            let references = version.rules[direction as usize]
                .as_deref()
                .unwrap_or_default();
            let own = policy.rules(direction).unwrap_or_default();
            rules.extend(own.iter().zip(references).filter_map(|(rule, reference)| {
                let (action, rule_ref) = (rule.action, *reference);
                let outcome = Outcome {
                    action,
                    rule: rule_ref,
                    denial,
                };
                (action != Action::Log).then_some((rule, outcome))
            }));
        }
        let tier = self.cluster.tier(&self.policies.get(policies[0]).name.tier);
        let names = policies
            .iter()
            .map(|n| Arc::clone(&self.policies.get(*n).name))
            .collect();
        let end = match self.tiers.end(program) {
            RuleRef::NO_DECISION => self.reasons.end_of_tier(direction, names),
            known => known,
        };
        let end = Outcome {
            action: match tier.end {
                EndOfTier::Deny => Action::Deny,
                EndOfTier::Pass => Action::Pass,
            },
            rule: end,
            denial: self.denial(policies.iter().map(|number| of(number).1)),
        };
        let resolver = Resolver {
            features: &self.features,
            member_nets: &self.member_nets,
        };
        let source = Source { rules, end };
        self.tiers.build(program, &source, &resolver, &self.classes);
    }

    fn refer_to_rules(&mut self, number: u32, direction: Direction) {
        let version = self.policies.get_mut(number);
        if version.rules[direction as usize].is_some() {
            return;
        }
        let rules = self.cluster.policies()[&version.key].rules(direction);
        let rules = (0..).zip(rules.unwrap_or_default());
        let name = &version.name;
        let refer =
            |(index, rule): (u32, &Rule)| self.reasons.rule(direction, name, index, rule.action);
        version.rules[direction as usize] = Some(rules.map(refer).collect());
    }

    /// How a deny of these policies is carried out. Each of them denies: established flows are kept
    /// only where all keep them, and a reply is sent where one asks for it and none forbids it.
    fn denial<'p>(&self, policies: impl IntoIterator<Item = &'p Policy>) -> Denial {
        let mut denial = self.settings;
        let mut replies = BTreeSet::new();
        let mut keep = true;
        for policy in policies {
            replies.extend(policy.deny.map(|reply| reply == Reply::Reject));
            keep &= policy.established.unwrap_or(self.settings.established) == Established::Keep;
        }
        if let Some(rejects) = replies.first() {
            denial.reply = if *rejects { Reply::Reject } else { Reply::Drop };
        }
        denial.established = if keep {
            Established::Keep
        } else {
            Established::Recheck
        };
        denial
    }
}
