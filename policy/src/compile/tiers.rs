//! Tiers compiled: a program for every set of policies that some subjects share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::candidates::CandidateLists;
use super::check::{Check, EndCheck, ScopeCheck, TrafficCheck};
use super::classes::Classes;
use super::features::Features;
use super::names::Names;
use super::networks::{Block, NetworkMap, blocks};
use super::number;
use super::persistent::Pages;
use super::ports::{Painted, PortMap};
use super::program::{Outcome, TierProgram};
use super::traffic::covers;
use crate::model::{Cluster, End, Members, Peers, Rule, Scope, TrafficSet};
use crate::verdict::{Direction, RuleRef};

/// What a program is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TierKey {
    pub(super) direction: Direction,
    /// Versions of policies of one tier, in order.
    pub(super) policies: Box<[u32]>,
}

/// A program with what it takes to change it.
#[derive(Debug)]
struct Slot {
    key: TierKey,
    /// Identities of subjects that must pass it.
    users: u32,
    /// The features its rules name.
    features: BTreeSet<u32>,
    /// It holds addresses of network sets or nodes.
    holds_members: bool,
    end: RuleRef,
    parts: Parts,
}

/// The rules of a program by what they ask of the peer.
#[derive(Debug, Default)]
struct Parts {
    rules: Vec<Painted>,
    for_all: BTreeSet<u32>,
    by_feature: FxHashMap<u32, BTreeSet<u32>>,
    lists: CandidateLists,
    known_maps: FxHashMap<Vec<u32>, u32>,
    port_maps: Vec<Arc<PortMap>>,
}

/// Every program, by number.
#[derive(Debug, Default)]
pub(super) struct Tiers {
    numbers: FxHashMap<TierKey, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    pub(super) programs: Pages<Option<Arc<TierProgram>>>,
}

/// The rules of a program in order, each with its outcome.
pub(super) struct Source<'p> {
    pub(super) rules: Vec<(&'p Rule, Outcome)>,
    pub(super) end: Outcome,
}

/// What compiling reads besides.
pub(super) struct Context<'c> {
    pub(super) cluster: &'c Cluster,
    pub(super) features: &'c Features,
    pub(super) classes: &'c Classes,
    pub(super) names: &'c mut Names,
}

impl Tiers {
    /// The number of the program of this key for one more user, and whether it must be built.
    pub(super) fn acquire(&mut self, key: TierKey) -> (u32, bool) {
        if let Some(known) = self.numbers.get(&key).copied() {
            self.slot(known).users += 1;
            return (known, false);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        self.numbers.insert(key.clone(), number);
        self.slots[number as usize] = Some(Slot {
            key,
            users: 1,
            features: BTreeSet::new(),
            holds_members: false,
            end: RuleRef::NO_DECISION,
            parts: Parts::default(),
        });
        (number, true)
    }

    /// One user less. The last takes the program along: what remains are its features and the
    /// reference of its end.
    pub(super) fn release(&mut self, number: u32) -> Option<(BTreeSet<u32>, RuleRef)> {
        let slot = self.slot(number);
        slot.users -= 1;
        if slot.users > 0 {
            return None;
        }
        let slot = self.slots[number as usize]
            .take()
            .expect("a program in use");
        self.numbers.remove(&slot.key);
        self.programs.set(number, None);
        self.free.push(number);
        Some((slot.features, slot.end))
    }

    /// What a program is made for.
    pub(super) fn key(&self, number: u32) -> &TierKey {
        &self.slots[number as usize]
            .as_ref()
            .expect("a program in use")
            .key
    }

    /// Programs that hold addresses of network sets or nodes.
    pub(super) fn holding_members(&self) -> Vec<u32> {
        let slots = (0..).zip(&self.slots);
        let holding = |(number, slot): (u32, &Option<Slot>)| {
            slot.as_ref()
                .is_some_and(|slot| slot.holds_members)
                .then_some(number)
        };
        slots.filter_map(holding).collect()
    }

    /// The reference of a program's end.
    pub(super) fn end(&self, number: u32) -> RuleRef {
        self.slots[number as usize]
            .as_ref()
            .expect("a program in use")
            .end
    }

    /// Builds a program, or builds it anew. Every scope its rules name has a feature by now.
    pub(super) fn build(&mut self, number: u32, source: &Source<'_>, context: &mut Context<'_>) {
        let mut sorting = Sorting::default();
        for (position, (rule, _)) in (0..).zip(&source.rules) {
            sorting.add(position, rule, context);
        }
        let Sorting {
            mut parts,
            blocks,
            checks,
            features,
            holds_members,
        } = sorting;
        let names = &mut *context.names;
        parts.map(Vec::new(), names);
        let by_default = parts.map(parts.for_all.iter().copied().collect(), names);
        let by_network = NetworkMap::of(&blocks, |positions| parts.map(positions, names));
        let mut program = TierProgram {
            outcomes: source.rules.iter().map(|(_, outcome)| *outcome).collect(),
            checks: if checks.iter().any(Option::is_some) {
                checks.into()
            } else {
                Arc::default()
            },
            by_class: FxHashMap::default(),
            by_default,
            by_network: Arc::new(by_network),
            port_maps: Vec::new(),
            candidates: parts.lists.made.clone(),
            end: source.end,
        };
        let classes: BTreeSet<u32> = features
            .iter()
            .filter_map(|feature| context.features.get(*feature))
            .flat_map(|feature| &feature.classes)
            .copied()
            .collect();
        for class in classes {
            let map = parts.map_of_class(&context.classes.features_of(class), names);
            program.by_class.extend(map.map(|map| (class, map)));
        }
        program.port_maps.clone_from(&parts.port_maps);
        program.candidates = parts.lists.made.clone();
        self.programs.set(number, Some(Arc::new(program)));
        let slot = self.slot(number);
        (slot.parts, slot.features) = (parts, features);
        (slot.holds_members, slot.end) = (holds_members, source.end.rule);
    }

    /// Tells a program about a class that is new or gone.
    pub(super) fn patch(
        &mut self,
        number: u32,
        class: u32,
        features: Option<&[u32]>,
        names: &mut Names,
    ) {
        let Some(Some(program)) = self.programs.get(number) else {
            return;
        };
        let mut program = Arc::clone(program);
        let parts = &mut self.slot(number).parts;
        let map = features.and_then(|features| parts.map_of_class(features, names));
        let changed = Arc::make_mut(&mut program);
        match map {
            Some(map) => drop(changed.by_class.insert(class, map)),
            None => drop(changed.by_class.remove(&class)),
        }
        if changed.port_maps.len() < parts.port_maps.len() {
            changed.port_maps.clone_from(&parts.port_maps);
            changed.candidates = parts.lists.made.clone();
        }
        self.programs.set(number, Some(program));
    }

    fn slot(&mut self, number: u32) -> &mut Slot {
        self.slots[number as usize]
            .as_mut()
            .expect("a program in use")
    }
}

impl Parts {
    /// The port map of the rules at these ascending positions.
    fn map(&mut self, positions: Vec<u32>, names: &mut Names) -> u32 {
        if let Some(known) = self.known_maps.get(&positions) {
            return *known;
        }
        let map = PortMap::of(&positions, &self.rules, &mut self.lists, names);
        self.port_maps.push(Arc::new(map));
        let number = number(self.port_maps.len() - 1);
        self.known_maps.insert(positions, number);
        number
    }

    /// The port map for peers of a class; `None` when no rule names any of its features.
    fn map_of_class(&mut self, features: &[u32], names: &mut Names) -> Option<u32> {
        let own = features
            .iter()
            .filter_map(|feature| self.by_feature.get(feature));
        let mut positions: BTreeSet<u32> = own.flatten().copied().collect();
        if positions.is_empty() {
            return None;
        }
        positions.extend(&self.for_all);
        Some(self.map(positions.into_iter().collect(), names))
    }
}

/// The rules of a program while they are sorted.
#[derive(Default)]
struct Sorting {
    parts: Parts,
    blocks: Vec<Block>,
    checks: Vec<Option<Check>>,
    features: BTreeSet<u32>,
    holds_members: bool,
}

impl Sorting {
    fn add(&mut self, position: u32, rule: &Rule, context: &mut Context<'_>) {
        let (covers, exact) = covers(&rule.traffic);
        let mut certain = exact && rule.subject.is_none();
        match &rule.peers {
            Peers::Any => drop(self.parts.for_all.insert(position)),
            Peers::OneOf(ends) => {
                for end in ends {
                    certain &= is_indexed(end);
                    self.add_peer(position, end, context);
                }
            }
        }
        let check = (!certain).then(|| self.check(rule, context));
        self.checks.push(check);
        self.parts.rules.push(Painted { covers, certain });
    }

    fn add_peer(&mut self, position: u32, end: &End, context: &Context<'_>) {
        if let Some(scope) = &end.scope {
            let members = self.members(scope, context);
            if let Some(feature) = members.feature {
                let positions = self.parts.by_feature.entry(feature).or_default();
                positions.insert(position);
            }
            if !members.nets.is_empty() {
                self.blocks
                    .extend(blocks(Some(&members.nets), &[], position));
            }
        } else if end.nets.is_some() || !end.not_nets.is_empty() {
            let nets = end.nets.as_deref();
            self.blocks.extend(blocks(nets, &end.not_nets, position));
        } else {
            self.parts.for_all.insert(position);
        }
    }

    fn check(&mut self, rule: &Rule, context: &mut Context<'_>) -> Check {
        let peers = match &rule.peers {
            Peers::Any => None,
            Peers::OneOf(ends) => Some(ends.iter().map(|end| self.end(end, context)).collect()),
        };
        let traffic = match &rule.traffic {
            TrafficSet::Any => None,
            TrafficSet::OneOf(kinds) => {
                let check = |kind| TrafficCheck::of(kind, context.names);
                Some(kinds.iter().map(check).collect())
            }
        };
        Check {
            subject: rule.subject.as_ref().map(|end| self.end(end, context)),
            peers,
            traffic,
        }
    }

    fn end(&mut self, end: &End, context: &Context<'_>) -> EndCheck {
        let mut members = |scope: &Option<Scope>| {
            let scope = scope.as_ref();
            scope.map(|scope| self.members(scope, context))
        };
        EndCheck {
            scope: members(&end.scope),
            not_scope: members(&end.not_scope),
            end: end.clone(),
        }
    }

    fn members(&mut self, scope: &Scope, context: &Context<'_>) -> ScopeCheck {
        self.holds_members |= scope.members != Members::Pods;
        let feature = match scope.members {
            Members::Pods | Members::PodsAndSets => context.features.number(scope),
            Members::Nodes => None,
        };
        self.features.extend(feature);
        ScopeCheck {
            feature,
            nets: addresses_of(scope, context.cluster),
        }
    }
}

/// Does the index hold every condition of this end? One that has two kinds of them is found by one
/// and checked for the other.
fn is_indexed(end: &End) -> bool {
    let by_address = end.nets.is_some() || !end.not_nets.is_empty();
    end.not_scope.is_none() && !(by_address && end.scope.is_some())
}

/// The scopes a rule names that pods can be members of.
pub(super) fn scopes(rule: &Rule) -> impl Iterator<Item = &Scope> {
    let peers = match &rule.peers {
        Peers::Any => &[],
        Peers::OneOf(ends) => ends.as_slice(),
    };
    let ends = peers.iter().chain(&rule.subject);
    ends.flat_map(|end| [&end.scope, &end.not_scope])
        .flatten()
        .filter(|scope| scope.members != Members::Nodes)
}

/// The addresses of a scope's members that are not pods.
fn addresses_of(scope: &Scope, cluster: &Cluster) -> Box<[IpNet]> {
    match scope.members {
        Members::Pods => Box::default(),
        Members::PodsAndSets => {
            let sets = cluster.sets().values();
            let members = sets.filter(|set| cluster.has_set(scope, set));
            members.flat_map(|set| &set.nets).copied().collect()
        }
        Members::Nodes => {
            let nodes = cluster.nodes().values();
            let members = nodes.filter(|node| scope.labels.matches(&node.labels));
            let addresses = members.flat_map(|node| &node.addresses);
            addresses.map(|address| IpNet::from(*address)).collect()
        }
    }
}

/// Programs that name any of these features.
pub(super) fn users(features: &Features, of: &[u32]) -> BTreeSet<u32> {
    of.iter()
        .filter_map(|feature| features.get(*feature))
        .flat_map(|feature| &feature.users)
        .copied()
        .collect()
}

/// Identities by class.
pub(super) type ByClass = BTreeMap<u32, Vec<u32>>;
