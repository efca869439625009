//! The story as text.

use std::fmt::{self, Display, Formatter, Write};

use super::{Card, Ending, Explanation, Miss, RuleStory, Story, TierStory};
use crate::ask::FINISHED;
use crate::model::Action;
use crate::verdict::Direction;
use crate::words;

/// At most so many rules that came close are told of, the closest first.
const CLOSE_ONES: usize = 3;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (from, to) = (&self.from.name, &self.to.name);
        let verdict = match (self.egress.allowed(), self.ingress.allowed()) {
            (true, true) => "allowed".to_owned(),
            (false, true) => format!("denied by the egress policy of {from}"),
            (true, false) => format!("denied by the ingress policy of {to}"),
            (false, false) => {
                format!("denied by the egress policy of {from} and the ingress policy of {to}")
            }
        };
        writeln!(f, "{from} -> {to} {}: {verdict}\n", self.kind)?;
        write_card(f, "from", &self.from)?;
        write_card(f, "to", &self.to)?;
        let half = |direction, subject, peer, story| Half {
            direction,
            subject,
            peer,
            kind: self.kind.to_string(),
            story,
        };
        let egress = half(Direction::Egress, from, to, &self.egress);
        let ingress = half(Direction::Ingress, to, from, &self.ingress);
        write!(f, "\n{egress}\n{ingress}")
    }
}

fn write_card(f: &mut Formatter<'_>, way: &str, card: &Card) -> fmt::Result {
    writeln!(f, "{way:5} {}, {}", card.name, card.what)?;
    for (name, values) in [
        ("labels", &card.labels),
        ("namespace labels", &card.namespace_labels),
    ] {
        if !values.is_empty() {
            writeln!(f, "      {name}: {}", values.join(", "))?;
        }
    }
    match &card.service_account {
        Some(name) => writeln!(f, "      service account: {name}"),
        None => Ok(()),
    }
}

/// One direction, with what its sentences call things.
struct Half<'a> {
    direction: Direction,
    subject: &'a str,
    peer: &'a str,
    kind: String,
    story: &'a Story,
}

impl Display for Half<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let heading = match self.direction {
            Direction::Egress => "Egress",
            Direction::Ingress => "Ingress",
        };
        let subject = self.subject;
        let verdict = match self.story.allowed() {
            true => "allowed",
            false => "denied",
        };
        write!(f, "{heading} of {subject}: {verdict}.")?;
        match self.story {
            Story::NotPoliced(FINISHED) => {
                writeln!(f, " Policy does not apply to it: {FINISHED}.")
            }
            Story::NotPoliced(why) => {
                writeln!(f, " Policy does not apply to it: it is {why}.")
            }
            Story::OwnNode(node) => writeln!(
                f,
                " {} is on its own node {node}, whose traffic always reaches it.",
                self.peer
            ),
            Story::OwnTraffic => writeln!(f, " A pod always reaches itself."),
            Story::NeighbourDiscovery => {
                writeln!(f, " IPv6 neighbour discovery is never filtered.")
            }
            Story::Tiers(tiers) if tiers.is_empty() => {
                writeln!(f, " No policy selects it for {}.", self.direction)
            }
            Story::Tiers(tiers) => self.write_tiers(f, tiers),
        }
    }
}

impl Half<'_> {
    fn write_tiers(&self, f: &mut Formatter<'_>, tiers: &[TierStory]) -> fmt::Result {
        if tiers.iter().all(TierStory::passed) {
            write!(f, " Every tier passes it on, so nothing forbids it.")?;
        }
        writeln!(f)?;
        for tier in tiers {
            let names = words::list(&tier.policies, "and", |policy| policy.key.to_string());
            writeln!(f, "  tier {}: selected by {names}", tier.name)?;
            writeln!(f, "    {}", outcome(tier, self.direction))?;
        }
        match tiers.last() {
            Some(last) if !self.story.allowed() => self.write_advice(f, last),
            _ => Ok(()),
        }
    }

    fn write_advice(&self, f: &mut Formatter<'_>, tier: &TierStory) -> fmt::Result {
        writeln!(f, "  to allow it:")?;
        if let Some((policy, index, _)) = tier.deciding() {
            writeln!(
                f,
                "    - narrow rule {index} of {}, or put a rule that allows it before that one",
                policy.key
            )?;
        }
        let close = self.close_rules(tier);
        for line in &close {
            writeln!(f, "    - {line}")?;
        }
        if tier.deciding().is_some() {
            return Ok(());
        }
        let way = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let start = match close.is_empty() {
            true => "no rule of theirs comes close: add",
            false => "or add",
        };
        let (kind, peer, direction) = (&self.kind, self.peer, self.direction);
        writeln!(
            f,
            "    - {start} an {direction} rule that allows {kind} {way} {peer}"
        )
    }

    /// The rules that would have allowed the flow, had it or its ends been a little different.
    fn close_rules(&self, tier: &TierStory) -> Vec<String> {
        let mut close: Vec<((usize, bool, usize), String)> = Vec::new();
        for policy in &tier.policies {
            for (index, rule) in policy.rules.iter().enumerate() {
                let distance: usize = rule.misses.iter().map(Miss::distance).sum();
                let reachable = rule.action == Action::Allow && (1..1000).contains(&distance);
                if reachable {
                    let name = format!("rule {index} of {}", policy.key);
                    let line = self.almost(&name, rule);
                    let other_traffic = |miss: &Miss| matches!(miss, Miss::Traffic { .. });
                    let other = rule.misses.iter().any(other_traffic);
                    close.push(((rule.misses.len(), other, distance), line));
                }
            }
        }
        close.sort_by_key(|(rank, _)| *rank);
        let close = close.into_iter().take(CLOSE_ONES);
        close.map(|(_, line)| line).collect()
    }

    fn almost(&self, name: &str, rule: &RuleStory) -> String {
        let mut wishes = String::new();
        for (position, miss) in rule.misses.iter().enumerate() {
            let joint = if position > 0 { ", and if " } else { "" };
            let _ = write!(wishes, "{joint}{}", self.wish(miss));
        }
        format!("{name} ({}) would match if {wishes}", rule.words)
    }

    fn wish(&self, miss: &Miss) -> String {
        match miss {
            Miss::Traffic { wanted } => format!("this were {wanted} instead of {}", self.kind),
            Miss::Peer { clauses } => format!("{} {}", self.peer, clauses.join(" and ")),
            Miss::Subject { clauses } => format!("{} {}", self.subject, clauses.join(" and ")),
            Miss::Nobody => "it named any peer".to_owned(),
            Miss::Nothing => "it named any traffic".to_owned(),
        }
    }
}

fn outcome(tier: &TierStory, direction: Direction) -> String {
    let none = match tier.policies.iter().all(|policy| policy.rules.is_empty()) {
        true => format!("They have no {direction} rules"),
        false => format!("None of their {direction} rules matches"),
    };
    match (tier.ending, tier.deciding()) {
        (_, Some((policy, index, rule))) => {
            format!("Rule {index} of {} decides: {}.", policy.key, rule.words)
        }
        (Ending::Pass, None) => format!("{none}, and the tier passes to the next."),
        (_, None) => format!("{none}, and the tier ends in a deny."),
    }
}
