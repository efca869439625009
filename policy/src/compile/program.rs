//! Programs: what the policies of a tier say to the endpoints they select, ready to be asked.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::candidates::{Candidates, NONE};
use super::check::{Check, Question};
use super::networks::NetworkMap;
use super::ports::PortMap;
use super::traffic::Spot;
use crate::model::Action;
use crate::verdict::{Denial, RuleRef};

/// What a rule, or the end of a tier, means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) action: Action,
    pub(crate) rule: RuleRef,
    pub(crate) denial: Denial,
}

/// The policies of one tier that select some endpoints, for one direction.
///
/// Rules are known by their position in the order in which they are judged. The peer's class and
/// the peer's address each lead to a port map, that to [candidates](super::candidates), and the
/// first candidate of either decides.
#[derive(Clone, Debug)]
pub(crate) struct TierProgram {
    /// By position.
    pub(super) outcomes: Arc<[Outcome]>,
    /// By position; empty when no rule needs one.
    pub(super) checks: Arc<[Option<Check>]>,
    /// Port map for peers of a class that some rule names.
    pub(super) by_class: FxHashMap<u32, u32>,
    /// Port map for every other peer: rules for any peer.
    pub(super) by_default: u32,
    /// Port map of the address items, asked besides the two above.
    pub(super) by_network: Arc<NetworkMap>,
    pub(super) port_maps: Vec<Arc<PortMap>>,
    pub(super) candidates: Candidates,
    /// What stands after the last rule.
    pub(super) end: Outcome,
}

impl TierProgram {
    /// What the tier says.
    #[inline]
    pub(crate) fn judge(&self, question: &Question<'_>) -> &Outcome {
        let by_class = question
            .peer
            .class
            .and_then(|class| self.by_class.get(&class));
        let as_member = by_class.copied().unwrap_or(self.by_default);
        let as_address = self.by_network.at(question.peer.address);
        let position = if self.checks.is_empty() {
            self.first(question, [as_member, as_address])
        } else {
            self.first_checked(question, [as_member, as_address])
        };
        if position == NONE {
            &self.end
        } else {
            &self.outcomes[position as usize]
        }
    }

    #[inline]
    fn first(&self, question: &Question<'_>, maps: [u32; 2]) -> u32 {
        let mut first = NONE;
        self.visit(question, maps, |list| {
            first = first.min(self.candidates.first(list));
        });
        first
    }

    fn first_checked(&self, question: &Question<'_>, maps: [u32; 2]) -> u32 {
        let mut last = None;
        loop {
            let mut next = NONE;
            self.visit(question, maps, |list| {
                next = next.min(self.candidates.after(list, last));
            });
            let holds = |check: &Option<Check>| check.as_ref().is_none_or(|c| c.holds(question));
            if next == NONE || holds(&self.checks[next as usize]) {
                return next;
            }
            last = Some(next);
        }
    }

    #[inline]
    fn visit(&self, question: &Question<'_>, maps: [u32; 2], mut see: impl FnMut(u32)) {
        let spot = Spot::of(question.flow);
        let (_, destination) = question.source_and_destination();
        for map in maps {
            self.port_maps[map as usize].visit(spot, destination.served, &mut see);
        }
    }
}
