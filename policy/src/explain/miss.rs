//! Why a rule does not match a flow.

use std::net::IpAddr;

use super::wish;
use crate::model::{Cluster, End, Peers, PortCondition, PortMatch, Rule, Traffic, TrafficSet};
use crate::oracle::Oracle;
use crate::verdict::{Direction, Flow, protocol};
use crate::words;

/// One condition of a rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The rule is about other traffic.
    Traffic {
        /// What it is about.
        wanted: String,
    },
    /// The rule is about other peers.
    Peer {
        /// What the peer closest to them would have to be like.
        clauses: Vec<String>,
    },
    /// The rule is about others among the endpoints its policy selects.
    Subject {
        /// What the endpoint would have to be like.
        clauses: Vec<String>,
    },
    /// The rule's list of peers is empty: it never matches.
    Nobody,
    /// The rule's list of traffic is empty: it never matches.
    Nothing,
}

impl Miss {
    /// How far the flow is from satisfying the condition; one no flow satisfies is furthest.
    pub(super) fn distance(&self) -> usize {
        match self {
            Self::Traffic { .. } => 1,
            Self::Peer { clauses } | Self::Subject { clauses } => clauses.len(),
            Self::Nobody | Self::Nothing => 1000,
        }
    }
}

/// Rules against one flow.
pub(super) struct Matcher<'a> {
    pub(super) oracle: &'a Oracle<'a>,
    pub(super) cluster: &'a Cluster,
    pub(super) direction: Direction,
    pub(super) flow: Flow,
}

impl Matcher<'_> {
    /// What is missing for the rule to match; empty = it matches.
    pub(super) fn misses(&self, rule: &Rule) -> Vec<Miss> {
        let subject = rule.subject.as_ref().and_then(|end| {
            let clauses = self.wish(end, self.flow.subject);
            (!clauses.is_empty()).then_some(Miss::Subject { clauses })
        });
        let peer = self.peer_miss(&rule.peers);
        let traffic = self.traffic_miss(&rule.traffic);
        [peer, traffic, subject].into_iter().flatten().collect()
    }

    fn wish(&self, end: &End, address: IpAddr) -> Vec<String> {
        wish::of_end(self.oracle, self.cluster, end, address)
    }

    fn peer_miss(&self, peers: &Peers) -> Option<Miss> {
        if self.oracle.peers_match(peers, self.flow.peer) {
            return None;
        }
        let Peers::OneOf(ends) = peers else {
            return None;
        };
        let wishes = ends.iter().map(|end| self.wish(end, self.flow.peer));
        let closest = wishes.min_by_key(Vec::len);
        Some(closest.map_or(Miss::Nobody, |clauses| Miss::Peer { clauses }))
    }

    fn traffic_miss(&self, set: &TrafficSet) -> Option<Miss> {
        let matches = self
            .oracle
            .traffic_set_matches(set, self.direction, &self.flow);
        match set {
            TrafficSet::OneOf(kinds) if !matches && kinds.is_empty() => Some(Miss::Nothing),
            TrafficSet::OneOf(kinds) if !matches => Some(Miss::Traffic {
                wanted: self.wanted(kinds),
            }),
            _ => None,
        }
    }

    /// The traffic of a rule; of a named port also what the destination has under that name.
    fn wanted(&self, kinds: &[Traffic]) -> String {
        words::list(kinds, "or", |traffic| {
            let mut text = words::traffic(traffic);
            let protocol = traffic.protocol.unwrap_or(self.flow.protocol);
            for name in names(&traffic.destination) {
                text.push_str(&self.served(name, protocol));
            }
            text
        })
    }

    fn served(&self, name: &str, number: u8) -> String {
        let destination = match self.direction {
            Direction::Ingress => self.flow.subject,
            Direction::Egress => self.flow.peer,
        };
        let Some(pod) = self.oracle.owner(destination) else {
            return format!(" (a name only pods have: {destination} is none)");
        };
        let named = pod.named_ports.iter().filter(|port| port.name == name);
        let (same, other): (Vec<_>, Vec<_>) = named.partition(|port| port.protocol == number);
        match (same.first(), other.first()) {
            (Some(port), _) => format!(" ({} in {})", port.port, pod.key),
            (None, Some(port)) => {
                let is = protocol::name(port.protocol).unwrap_or("another protocol");
                format!(" ({} declares {name} for {is} only)", pod.key)
            }
            (None, None) => format!(" ({} declares no port {name})", pod.key),
        }
    }
}

fn names(condition: &PortCondition) -> impl Iterator<Item = &str> {
    condition.one_of.iter().filter_map(|port| match port {
        PortMatch::Named(name) => Some(name.as_str()),
        PortMatch::Range(_) => None,
    })
}
