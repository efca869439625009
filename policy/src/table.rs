//! The compiled table: verdicts by lookup.

use std::net::IpAddr;
use std::sync::Arc;

use crate::compile::{
    Owner, Owners, Pages, Party, Profile, Question, Reasons, Subject, TierProgram,
};
use crate::model::Action;
use crate::oracle::is_neighbour_discovery;
use crate::verdict::{Denial, Direction, Flow, RuleDescription, RuleRef, Verdict};

/// Policy of one state of the cluster, immutable. [`crate::compile()`] makes one, and
/// [`crate::Compiler`] one after each change. A clone costs nothing.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) owners: Owners,
    /// By identity.
    pub(crate) profiles: Pages<Profile>,
    /// By identity; one that no subject has is not there.
    pub(crate) subjects: Pages<Option<Subject>>,
    pub(crate) programs: Pages<Option<Arc<TierProgram>>>,
    pub(crate) reasons: Reasons,
}

impl Table {
    /// May this flow begin, as far as the subject's policies in this direction say?
    ///
    /// Whole-flow policy asks twice: egress of a local source, ingress of a local destination.
    /// A subject the table does not know is denied. A peer it does not know is outside: only
    /// address items and rules without peers match it.
    ///
    /// Cost: a few lookups per tier, and an instruction or so for every ten rules that select the
    /// subject in it; no allocation.
    #[must_use]
    pub fn verdict(&self, direction: Direction, flow: &Flow) -> Verdict {
        let owner = self.owners.get(flow.subject);
        let known = owner.and_then(|owner| Some((owner, self.subject(owner.identity)?)));
        let Some((owner, subject)) = known else {
            return decided(false, RuleRef::UNKNOWN_ENDPOINT);
        };
        let peer = self.owners.get(flow.peer);
        if peer.is_some_and(|peer| peer.endpoint == owner.endpoint) {
            return decided(true, RuleRef::OWN_TRAFFIC);
        }
        if is_neighbour_discovery(flow) {
            return decided(true, RuleRef::NEIGHBOUR_DISCOVERY);
        }
        let programs = subject.programs(direction);
        if programs.is_empty() {
            return decided(true, RuleRef::NO_POLICY);
        }
        let question = Question {
            direction,
            flow,
            subject: self.party(flow.subject, Some(owner)),
            peer: self.party(flow.peer, peer),
        };
        self.judge(programs, &question)
    }

    fn judge(&self, programs: &[u32], question: &Question<'_>) -> Verdict {
        for program in programs {
            let Some(Some(program)) = self.programs.get(*program) else {
                return decided(false, RuleRef::UNKNOWN_ENDPOINT);
            };
            let outcome = program.judge(question);
            let allowed = match outcome.action {
                Action::Allow => true,
                Action::Deny => false,
                Action::Pass | Action::Log => continue,
            };
            return Verdict {
                allowed,
                rule: outcome.rule,
                denial: outcome.denial,
            };
        }
        decided(true, RuleRef::NO_DECISION)
    }

    #[inline]
    fn subject(&self, identity: u32) -> Option<&Subject> {
        self.subjects.get(identity)?.as_ref()
    }

    #[inline]
    fn party(&self, address: IpAddr, owner: Option<Owner>) -> Party<'_> {
        let profile = owner.and_then(|owner| self.profiles.get(owner.identity));
        Party {
            address,
            class: profile.map(|profile| profile.class),
            served: profile.map_or(&[], |profile| &profile.served),
        }
    }

    /// Does the table know an endpoint with this address?
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.owners.get(address).is_some()
    }

    /// How many addresses have an endpoint.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.owners.len()
    }

    /// What a reference of this table means, in words. A reference of another table may name the
    /// wrong rule; one that is not in use reads as an unknown endpoint.
    #[must_use]
    pub fn describe(&self, rule: RuleRef) -> RuleDescription {
        match rule {
            RuleRef::NO_POLICY => RuleDescription::NoPolicySelects,
            RuleRef::OWN_TRAFFIC => RuleDescription::OwnTraffic,
            RuleRef::NEIGHBOUR_DISCOVERY => RuleDescription::NeighbourDiscovery,
            RuleRef::NO_DECISION => RuleDescription::NoPolicyDecides,
            _ => self
                .reasons
                .describe(rule)
                .unwrap_or(RuleDescription::UnknownEndpoint),
        }
    }
}

fn decided(allowed: bool, rule: RuleRef) -> Verdict {
    let denial = Denial::default();
    Verdict {
        allowed,
        rule,
        denial,
    }
}
