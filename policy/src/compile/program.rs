//! Programs: what one list of policies says, ready to be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Served;
use super::identity::number;
use super::ports::{NONE, PortMap};
use super::prefixes::{Block, PrefixMap, positions_by_network};
use super::scope::Scopes;
use crate::model::{Action, EndOfTier, Peer, Peers, Policy, Ports, Rule, Tier};
use crate::table::Reasons;
use crate::verdict::{Direction, RuleRef};

/// The part of a flow that port matches look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) protocol: u8,
    pub(crate) dst_port: u16,
}

/// One tier's policies for one kind of subject.
#[derive(Debug)]
pub(crate) struct TierProgram {
    /// The rules in order; a position is an index here.
    rules: Box<[(Action, RuleRef)]>,
    /// Port map for peers of an identity that some rule names.
    by_identity: FxHashMap<u32, u32>,
    /// Port map for every other peer: rules without peers.
    by_default: u32,
    /// Port map of the address items, asked besides the two above.
    by_network: PrefixMap,
    port_maps: Box<[PortMap]>,
    /// What stands after the last rule.
    end: (Action, RuleRef),
}

impl TierProgram {
    /// What the tier says about this peer and traffic.
    #[inline]
    pub(crate) fn judge(
        &self,
        peer: IpAddr,
        peer_identity: Option<u32>,
        traffic: Traffic,
        served: &[Served],
    ) -> (Action, RuleRef) {
        let first = |map: u32| self.port_maps[map as usize].first(traffic, served);
        let known = peer_identity.and_then(|identity| self.by_identity.get(&identity));
        let as_pod = first(known.copied().unwrap_or(self.by_default));
        let as_address = self.by_network.get(peer).map_or(NONE, first);
        let position = as_pod.min(as_address);
        if position == NONE {
            self.end
        } else {
            self.rules[position as usize]
        }
    }
}

/// A policy that selects an identity, by tier and position in the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Selected {
    pub(crate) tier: usize,
    pub(crate) position: usize,
}

/// What building a program needs besides its policies.
pub(crate) struct Builder<'b, 'a> {
    pub(crate) scopes: &'b mut Scopes<'a>,
    pub(crate) reasons: &'b mut Reasons,
    pub(crate) names: &'b mut FxHashMap<String, u32>,
}

impl Builder<'_, '_> {
    /// The program of these policies, tier by tier.
    pub(crate) fn program(
        &mut self,
        direction: Direction,
        tiers: &[(Tier, Vec<&Policy>)],
        selected: &[Selected],
    ) -> Box<[TierProgram]> {
        let by_tier = selected.chunk_by(|a, b| a.tier == b.tier);
        by_tier
            .map(|chunk| {
                let (tier, policies) = &tiers[chunk[0].tier];
                let policies: Vec<_> = chunk.iter().map(|s| policies[s.position]).collect();
                self.tier_program(direction, tier, &policies)
            })
            .collect()
    }

    fn tier_program(
        &mut self,
        direction: Direction,
        tier: &Tier,
        policies: &[&Policy],
    ) -> TierProgram {
        let mut rules = Vec::new();
        let mut sorted = Sorted::default();
        for policy in policies {
            let first = self.reasons.rules_of(direction, tier, policy);
            for (index, rule) in policy
                .rules(direction)
                .unwrap_or_default()
                .iter()
                .enumerate()
            {
                sorted.add(number(rules.len()), rule, self.scopes);
                rules.push((rule.action, RuleRef(first + number(index))));
            }
        }
        let end = match tier.end {
            EndOfTier::Deny => Action::Deny,
            EndOfTier::Pass => Action::Pass,
        };
        let end = (end, self.reasons.end_of_tier(direction, tier, policies));
        sorted.finish(rules.into(), end, self.names)
    }
}

/// The rules of a tier sorted by what they ask of the peer.
#[derive(Default)]
struct Sorted<'p> {
    ports: Vec<&'p Ports>,
    for_all: BTreeSet<u32>,
    for_identity: BTreeMap<u32, BTreeSet<u32>>,
    blocks: Vec<Block<'p>>,
}

impl<'p> Sorted<'p> {
    fn add(&mut self, position: u32, rule: &'p Rule, scopes: &mut Scopes<'_>) {
        self.ports.push(&rule.ports);
        let Peers::OneOf(peers) = &rule.peers else {
            self.for_all.insert(position);
            return;
        };
        for peer in peers {
            match peer {
                Peer::Network { cidr, except } => {
                    self.blocks.push(Block {
                        cidr: *cidr,
                        except,
                        position,
                    });
                }
                Peer::Pods(scope) => {
                    for identity in scopes.resolve(scope).iter() {
                        self.for_identity
                            .entry(*identity)
                            .or_default()
                            .insert(position);
                    }
                }
            }
        }
    }

    fn finish(
        self,
        rules: Box<[(Action, RuleRef)]>,
        end: (Action, RuleRef),
        names: &mut FxHashMap<String, u32>,
    ) -> TierProgram {
        let mut maps = PortMaps {
            ports: &self.ports,
            names,
            known: FxHashMap::default(),
            maps: vec![],
        };
        let by_default = maps.of(self.for_all.iter().copied().collect());
        let by_identity = self
            .for_identity
            .iter()
            .map(|(identity, own)| {
                (
                    *identity,
                    maps.of(own.union(&self.for_all).copied().collect()),
                )
            })
            .collect();
        let networks = positions_by_network(&self.blocks)
            .into_iter()
            .map(|(net, positions)| (net, maps.of(positions.into_iter().collect())))
            .collect();
        let by_network = PrefixMap::of(&networks);
        let port_maps = maps.maps.into();
        TierProgram {
            rules,
            by_identity,
            by_default,
            by_network,
            port_maps,
            end,
        }
    }
}

/// Port maps by the rules they are made of, each once.
struct PortMaps<'s, 'p> {
    ports: &'s [&'p Ports],
    names: &'s mut FxHashMap<String, u32>,
    known: FxHashMap<Vec<u32>, u32>,
    maps: Vec<PortMap>,
}

impl PortMaps<'_, '_> {
    /// The map of the rules at these ascending positions.
    fn of(&mut self, positions: Vec<u32>) -> u32 {
        if let Some(known) = self.known.get(&positions) {
            return *known;
        }
        let rules: Vec<_> = positions
            .iter()
            .map(|position| (*position, self.ports[*position as usize]))
            .collect();
        self.maps.push(PortMap::of(&rules, self.names));
        let id = number(self.maps.len() - 1);
        self.known.insert(positions, id);
        id
    }
}
