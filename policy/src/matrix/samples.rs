//! A few flows that stand for all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{nets, ports};
use crate::ask::{FlowKind, PartyKind, Roster};
use crate::model::{Cluster, Members, Peers};
use crate::verdict::Direction;

/// A flow that stands for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it stands for: `8000-8999/tcp`, `other tcp`.
    pub name: String,
    /// The flow.
    pub kind: FlowKind,
}

impl From<FlowKind> for Sample {
    fn from(kind: FlowKind) -> Self {
        let name = kind.to_string();
        Self { name, kind }
    }
}

/// What policies tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Traffic: one port of every stretch any policy names, one of all others, and ping. Ports are
    /// judged from a [usual source port](crate::ask::DEFAULT_SOURCE_PORT).
    pub traffic: Vec<Sample>,
    /// Outsiders: an address of every block any policy names, and one of none.
    pub outsiders: Vec<IpAddr>,
    /// Does any policy name nodes?
    pub nodes: bool,
}

impl Samples {
    /// The samples of these clusters together.
    #[must_use]
    pub fn of(rosters: &[&Roster]) -> Self {
        let mut named = ports::Named::default();
        let mut blocks = BTreeSet::new();
        for roster in rosters {
            named.add(roster.cluster());
            blocks.extend(nets::named(roster.cluster()));
        }
        let outside = |roster: &&Roster, address| roster.at(address).kind == PartyKind::Outside;
        let free = |address| rosters.iter().all(|roster| outside(roster, address));
        let examples = blocks
            .iter()
            .filter_map(|net| nets::example(net, &blocks, free));
        let outsiders: BTreeSet<IpAddr> = examples.chain(nets::elsewhere(&blocks, free)).collect();
        Self {
            traffic: named.samples(),
            outsiders: outsiders.into_iter().collect(),
            nodes: rosters.iter().any(|roster| names_nodes(roster.cluster())),
        }
    }
}

fn names_nodes(cluster: &Cluster) -> bool {
    let policies = cluster.policies().values();
    let mut rules = policies.flat_map(|policy| {
        [Direction::Ingress, Direction::Egress]
            .into_iter()
            .flat_map(|direction| policy.rules(direction).unwrap_or_default())
    });
    rules.any(|rule| match &rule.peers {
        Peers::Any => false,
        Peers::OneOf(ends) => ends.iter().any(|end| {
            let scopes = [&end.scope, &end.not_scope];
            let mut scopes = scopes.into_iter().flatten();
            scopes.any(|scope| scope.members == Members::Nodes)
        }),
    })
}
