//! Reasons: what the references of a table mean.

use std::sync::Arc;

use super::persistent::Pages;
use crate::model::{Action, PolicyKey};
use crate::verdict::{Direction, RuleDescription, RuleRef};

/// The first reference that does not mean the same in every table.
const FIRST: u32 = 5;

/// Meanings by reference; clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons {
    meanings: Pages<Option<Meaning>>,
}

#[derive(Clone, Debug)]
enum Meaning {
    Rule {
        direction: Direction,
        policy: Arc<PolicyName>,
        index: u32,
        action: Action,
    },
    EndOfTier {
        direction: Direction,
        selected_by: Arc<[Arc<PolicyName>]>,
    },
}

/// A policy and its tier, as reasons name them.
#[derive(Debug)]
pub(crate) struct PolicyName {
    pub(crate) key: PolicyKey,
    pub(crate) tier: String,
}

impl Reasons {
    /// What a reference means; `None` for one that is not in use.
    pub(crate) fn describe(&self, rule: RuleRef) -> Option<RuleDescription> {
        Some(
            match self.meanings.get(rule.0.checked_sub(FIRST)?)?.as_ref()? {
                Meaning::Rule {
                    direction,
                    policy,
                    index,
                    action,
                } => RuleDescription::Rule {
                    direction: *direction,
                    tier: policy.tier.clone(),
                    policy: policy.key.clone(),
                    index: *index as usize,
                    action: *action,
                },
                Meaning::EndOfTier {
                    direction,
                    selected_by,
                } => RuleDescription::EndOfTier {
                    direction: *direction,
                    tier: selected_by.first()?.tier.clone(),
                    selected_by: selected_by
                        .iter()
                        .map(|policy| policy.key.clone())
                        .collect(),
                },
            },
        )
    }
}

/// Gives out references.
#[derive(Debug, Default)]
pub(super) struct ReasonBook {
    pub(super) reasons: Reasons,
    free: Vec<u32>,
    next: u32,
}

impl ReasonBook {
    /// A reference for a rule.
    pub(super) fn rule(
        &mut self,
        direction: Direction,
        policy: &Arc<PolicyName>,
        index: u32,
        action: Action,
    ) -> RuleRef {
        let policy = Arc::clone(policy);
        self.add(Meaning::Rule {
            direction,
            policy,
            index,
            action,
        })
    }

    /// A reference for the end of a tier in which these policies select the subject.
    pub(super) fn end_of_tier(
        &mut self,
        direction: Direction,
        selected_by: Arc<[Arc<PolicyName>]>,
    ) -> RuleRef {
        self.add(Meaning::EndOfTier {
            direction,
            selected_by,
        })
    }

    /// Takes a reference back: tables made from now on may give it another meaning.
    pub(super) fn release(&mut self, rule: RuleRef) {
        self.reasons.meanings.set(rule.0 - FIRST, None);
        self.free.push(rule.0 - FIRST);
    }

    fn add(&mut self, meaning: Meaning) -> RuleRef {
        let number = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.reasons.meanings.set(number, Some(meaning));
        RuleRef(FIRST + number)
    }
}
