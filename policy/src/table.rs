//! The compiled table: verdicts by lookup.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::compile::{Owner, Programs, Served, Traffic};
use crate::model::{Action, Policy, PolicyKey, Tier};
use crate::oracle::is_neighbour_discovery;
use crate::verdict::{Direction, Flow, RuleDescription, RuleRef, Verdict};

/// Policy of one state of the cluster, immutable. [`crate::compile()`] makes it.
#[derive(Debug)]
pub struct Table {
    pub(crate) addresses: FxHashMap<IpAddr, Owner>,
    /// Named ports, by identity.
    pub(crate) served: Vec<Box<[Served]>>,
    pub(crate) ingress: Programs,
    pub(crate) egress: Programs,
    pub(crate) reasons: Reasons,
}

impl Table {
    /// May this flow begin, as far as the subject's policies in this direction say?
    ///
    /// Whole-flow policy asks twice: egress of a local source, ingress of a local destination.
    /// A subject the table does not know is denied. A peer it does not know is outside: only
    /// address items and rules without peers match it.
    ///
    /// Cost: a few hash lookups per tier; no allocation.
    #[must_use]
    pub fn verdict(&self, direction: Direction, flow: &Flow) -> Verdict {
        let Some(subject) = self.addresses.get(&flow.subject) else {
            return Verdict {
                allowed: false,
                rule: RuleRef::UNKNOWN_ENDPOINT,
            };
        };
        let peer = self.addresses.get(&flow.peer);
        if peer.is_some_and(|peer| peer.endpoint == subject.endpoint) {
            return Verdict {
                allowed: true,
                rule: RuleRef::OWN_TRAFFIC,
            };
        }
        if is_neighbour_discovery(flow) {
            return Verdict {
                allowed: true,
                rule: RuleRef::NEIGHBOUR_DISCOVERY,
            };
        }
        self.judge_tiers(direction, flow, *subject, peer.map(|peer| peer.identity))
    }

    fn judge_tiers(
        &self,
        direction: Direction,
        flow: &Flow,
        subject: Owner,
        peer: Option<u32>,
    ) -> Verdict {
        let (programs, destination) = match direction {
            Direction::Ingress => (&self.ingress, Some(subject.identity)),
            Direction::Egress => (&self.egress, peer),
        };
        let served = destination.map_or(&[][..], |identity| &self.served[identity as usize]);
        let traffic = Traffic {
            protocol: flow.protocol,
            dst_port: flow.dst_port,
        };
        for tier in programs.of(subject.identity) {
            match tier.judge(flow.peer, peer, traffic, served) {
                (Action::Allow, rule) => {
                    return Verdict {
                        allowed: true,
                        rule,
                    };
                }
                (Action::Deny, rule) => {
                    return Verdict {
                        allowed: false,
                        rule,
                    };
                }
                (Action::Pass, _) => {}
            }
        }
        Verdict {
            allowed: true,
            rule: RuleRef::NO_POLICY,
        }
    }

    /// Does the table know an endpoint with this address?
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// What a reference of this table means, in words. A reference of another table may name the
    /// wrong rule; one beyond this table's end reads as an unknown endpoint.
    #[must_use]
    pub fn describe(&self, rule: RuleRef) -> RuleDescription {
        match rule {
            RuleRef::NO_POLICY => RuleDescription::NoPolicySelects,
            RuleRef::OWN_TRAFFIC => RuleDescription::OwnTraffic,
            RuleRef::NEIGHBOUR_DISCOVERY => RuleDescription::NeighbourDiscovery,
            _ => self
                .reasons
                .describe(rule)
                .unwrap_or(RuleDescription::UnknownEndpoint),
        }
    }
}

/// The first index after the references that mean the same in every table.
const FIRST_REASON: u32 = 4;

/// What the references of a table mean. Policies are kept once and named by number.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    policies: Vec<(PolicyKey, String)>,
    numbers: FxHashMap<PolicyKey, u32>,
    first_rules: FxHashMap<(Direction, u32), u32>,
    reasons: Vec<Reason>,
}

#[derive(Debug)]
enum Reason {
    Rule {
        direction: Direction,
        policy: u32,
        index: u32,
        action: Action,
    },
    EndOfTier {
        direction: Direction,
        selected_by: Box<[u32]>,
    },
}

impl Reasons {
    /// References for the rules of a policy in a direction: that of the first rule, the others
    /// follow in order.
    pub(crate) fn rules_of(&mut self, direction: Direction, tier: &Tier, policy: &Policy) -> u32 {
        let number = self.number(tier, policy);
        if let Some(first) = self.first_rules.get(&(direction, number)) {
            return *first;
        }
        let first = self.next();
        self.first_rules.insert((direction, number), first);
        for (index, rule) in (0..).zip(policy.rules(direction).unwrap_or_default()) {
            let action = rule.action;
            self.reasons.push(Reason::Rule {
                direction,
                policy: number,
                index,
                action,
            });
        }
        first
    }

    /// A reference for the end of a tier in which these policies select the subject.
    pub(crate) fn end_of_tier(
        &mut self,
        direction: Direction,
        tier: &Tier,
        policies: &[&Policy],
    ) -> RuleRef {
        let selected_by = policies
            .iter()
            .map(|policy| self.number(tier, policy))
            .collect();
        let reference = RuleRef(self.next());
        self.reasons.push(Reason::EndOfTier {
            direction,
            selected_by,
        });
        reference
    }

    fn number(&mut self, tier: &Tier, policy: &Policy) -> u32 {
        if let Some(number) = self.numbers.get(&policy.key) {
            return *number;
        }
        let number = u32::try_from(self.policies.len()).expect("fewer than 2^32 policies");
        self.policies.push((policy.key.clone(), tier.name.clone()));
        self.numbers.insert(policy.key.clone(), number);
        number
    }

    fn next(&self) -> u32 {
        FIRST_REASON + u32::try_from(self.reasons.len()).expect("fewer than 2^32 rules")
    }

    fn describe(&self, rule: RuleRef) -> Option<RuleDescription> {
        let reason = self
            .reasons
            .get(rule.index().checked_sub(FIRST_REASON as usize)?)?;
        let named = |number: u32| &self.policies[number as usize];
        Some(match reason {
            Reason::Rule {
                direction,
                policy,
                index,
                action,
            } => {
                let (key, tier) = named(*policy);
                RuleDescription::Rule {
                    direction: *direction,
                    tier: tier.clone(),
                    policy: key.clone(),
                    index: *index as usize,
                    action: *action,
                }
            }
            Reason::EndOfTier {
                direction,
                selected_by,
            } => RuleDescription::EndOfTier {
                direction: *direction,
                tier: named(*selected_by.first()?).1.clone(),
                selected_by: selected_by
                    .iter()
                    .map(|policy| named(*policy).0.clone())
                    .collect(),
            },
        })
    }
}
