//! The walk through tiers, policies and rules, written down.

use super::Card;
use super::miss::{Matcher, Miss};
use crate::ask::{FlowKind, NoCommonFamily, Party, PartyKind, Roster};
use crate::model::{Action, EndOfTier, Policy, PolicyKey, Tier};
use crate::oracle::{Oracle, is_neighbour_discovery};
use crate::verdict::{Direction, Flow};
use crate::words;

/// The story of one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Who would open the connection.
    pub from: Card,
    /// To whom.
    pub to: Card,
    /// What would be sent.
    pub kind: FlowKind,
    /// What the source's egress says.
    pub egress: Story,
    /// What the destination's ingress says.
    pub ingress: Story,
}

/// The story of one direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Story {
    /// Policy does not apply to the end, for this reason: allowed.
    NotPoliced(&'static str),
    /// The pod's own node reaches it whatever policy says: allowed.
    OwnNode(String),
    /// A pod reaches itself: allowed.
    OwnTraffic,
    /// IPv6 neighbour discovery: allowed.
    NeighbourDiscovery,
    /// The tiers in which policies select the end, up to the one that decided.
    Tiers(Vec<TierStory>),
}

/// What happened in a tier.
#[derive(Clone, Debug, PartialEq)]
pub struct TierStory {
    /// The tier.
    pub name: String,
    /// Its policies that select the end, in order.
    pub policies: Vec<PolicyStory>,
    /// How it ended.
    pub ending: Ending,
}

/// How a tier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A rule decided: which policy of the story, which rule, and what it says.
    Rule {
        /// Index in [`TierStory::policies`].
        policy: usize,
        /// Index in its rules.
        rule: usize,
        /// Allow, deny or pass.
        action: Action,
    },
    /// No rule matched and the tier ends in a deny.
    Deny,
    /// No rule matched and the tier passes.
    Pass,
}

/// A policy that selects the end.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyStory {
    /// The policy.
    pub key: PolicyKey,
    /// Its rules of this direction, up to the one that decided.
    pub rules: Vec<RuleStory>,
}

/// A rule that was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStory {
    /// The rule in words.
    pub words: String,
    /// What it says.
    pub action: Action,
    /// What is missing for it to match; empty = it matches.
    pub misses: Vec<Miss>,
}

/// Tells why `from` may or may not open such a flow to `to`.
///
/// Cost: about the number of pods and policies of the cluster.
///
/// # Errors
/// The ends have no common address family.
pub fn explain(
    roster: &Roster,
    from: &Party,
    to: &Party,
    kind: FlowKind,
) -> Result<Explanation, NoCommonFamily> {
    let (source, destination) = from
        .meet(to, &kind)
        .ok_or_else(|| NoCommonFamily::between(from, to, &kind))?;
    let oracle = Oracle::new(roster.cluster());
    let tell = |direction, flow| Teller::tell(roster, &oracle, direction, flow);
    let egress = match from.is_policed() {
        true => tell(Direction::Egress, kind.flow(source, destination)),
        false => Story::NotPoliced(from.why_not_policed()),
    };
    let ingress = match (to.is_policed(), &to.kind) {
        (true, PartyKind::Pod { node, .. }) if from.is_own_node_of(to) => {
            Story::OwnNode(node.clone().unwrap_or_default())
        }
        (true, _) => tell(Direction::Ingress, kind.flow(destination, source)),
        (false, _) => Story::NotPoliced(to.why_not_policed()),
    };
    Ok(Explanation {
        from: Card::of(roster, from),
        to: Card::of(roster, to),
        kind,
        egress,
        ingress,
    })
}

/// One walk.
struct Teller<'a> {
    oracle: &'a Oracle<'a>,
    matcher: Matcher<'a>,
}

impl Teller<'_> {
    fn tell(roster: &Roster, oracle: &Oracle<'_>, direction: Direction, flow: Flow) -> Story {
        let owner = |address| oracle.owner(address).map(|endpoint| endpoint.key);
        if owner(flow.subject) == owner(flow.peer) {
            return Story::OwnTraffic;
        }
        if is_neighbour_discovery(&flow) {
            return Story::NeighbourDiscovery;
        }
        let matcher = Matcher {
            oracle,
            cluster: roster.cluster(),
            direction,
            flow,
        };
        Story::Tiers(Teller { oracle, matcher }.tiers())
    }

    fn tiers(&self) -> Vec<TierStory> {
        let mut stories = Vec::new();
        for (tier, policies) in self.oracle.tiers() {
            let selecting: Vec<&Policy> = policies
                .iter()
                .copied()
                .filter(|policy| self.applies(policy))
                .collect();
            if selecting.is_empty() {
                continue;
            }
            let story = self.tier(tier, &selecting);
            let passed = story.passed();
            stories.push(story);
            if !passed {
                break;
            }
        }
        stories
    }

    fn applies(&self, policy: &Policy) -> bool {
        let subject = self.oracle.owner(self.matcher.flow.subject);
        policy.rules(self.matcher.direction).is_some()
            && subject.is_some_and(|subject| self.oracle.selects(policy, subject))
    }

    fn tier(&self, tier: &Tier, selecting: &[&Policy]) -> TierStory {
        let mut ending = None;
        let mut policies = Vec::new();
        for (index, policy) in selecting.iter().enumerate() {
            let asked = ending.is_none();
            let rules = if asked {
                self.rules(policy)
            } else {
                Vec::new()
            };
            if let Some(last) = rules.last().filter(|rule| rule.decides()) {
                ending = Some(Ending::Rule {
                    policy: index,
                    rule: rules.len() - 1,
                    action: last.action,
                });
            }
            let key = policy.key.clone();
            policies.push(PolicyStory { key, rules });
        }
        let end = match tier.end {
            EndOfTier::Deny => Ending::Deny,
            EndOfTier::Pass => Ending::Pass,
        };
        TierStory {
            name: tier.name.clone(),
            policies,
            ending: ending.unwrap_or(end),
        }
    }

    /// The rules of a policy up to the first that decides.
    fn rules(&self, policy: &Policy) -> Vec<RuleStory> {
        let direction = self.matcher.direction;
        let mut stories = Vec::new();
        for rule in policy.rules(direction).unwrap_or_default() {
            let story = RuleStory {
                words: words::rule(direction, rule),
                action: rule.action,
                misses: self.matcher.misses(rule),
            };
            let decides = story.decides();
            stories.push(story);
            if decides {
                break;
            }
        }
        stories
    }
}

impl RuleStory {
    /// Does it match and say more than "log"?
    #[must_use]
    pub fn decides(&self) -> bool {
        self.misses.is_empty() && self.action != Action::Log
    }
}

impl TierStory {
    /// Was the next tier asked?
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(
            self.ending,
            Ending::Pass
                | Ending::Rule {
                    action: Action::Pass,
                    ..
                }
        )
    }

    /// The rule that decided, its policy and its position.
    #[must_use]
    pub fn deciding(&self) -> Option<(&PolicyStory, usize, &RuleStory)> {
        let Ending::Rule { policy, rule, .. } = self.ending else {
            return None;
        };
        let policy = self.policies.get(policy)?;
        Some((policy, rule, policy.rules.get(rule)?))
    }
}

impl Story {
    /// Does this direction allow the flow?
    #[must_use]
    pub fn allowed(&self) -> bool {
        let Self::Tiers(tiers) = self else {
            return true;
        };
        match tiers.last().map(|tier| tier.ending) {
            Some(Ending::Deny) => false,
            Some(Ending::Rule { action, .. }) => action != Action::Deny,
            Some(Ending::Pass) | None => true,
        }
    }
}

impl Explanation {
    /// May the flow begin?
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.egress.allowed() && self.ingress.allowed()
    }
}
