//! Port maps: which rules of a list may mean this traffic.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::candidates::CandidateLists;
use super::names::{Names, Served};
use super::stretches::Stretches;
use super::traffic::{Cover, Spot};

/// For a list of rules, the [candidates](super::candidates) for some traffic.
#[derive(Debug)]
pub(crate) struct PortMap {
    /// Candidates for protocols without an entry.
    others: u32,
    protocols: Box<[Line]>,
}

/// The points of a protocol.
#[derive(Debug)]
struct Line {
    protocol: u8,
    by_point: Stretches<u32>,
    /// Candidates by the name of the destination's port.
    by_name: FxHashMap<u32, u32>,
}

/// A rule as a port map needs it.
#[derive(Clone, Debug)]
pub(super) struct Painted {
    /// What its traffic covers.
    pub(super) covers: Vec<Cover>,
    /// A match of index entries is a match of the rule.
    pub(super) certain: bool,
}

impl PortMap {
    /// The map of the rules at these ascending positions.
    pub(super) fn of(
        positions: &[u32],
        rules: &[Painted],
        lists: &mut CandidateLists,
        names: &mut Names,
    ) -> Self {
        let covers = |position: &u32| &rules[*position as usize].covers;
        let certain = |position: u32| rules[position as usize].certain;
        let protocols: BTreeSet<u8> = positions
            .iter()
            .flat_map(|position| covers(position).iter().flat_map(|cover| &cover.protocols))
            .copied()
            .collect();
        let everywhere = |position: &&u32| covers(position).iter().any(|cover| cover.others);
        let others = lists.of(&mut positions.iter().filter(everywhere).copied(), certain);
        let line = |protocol| {
            let mut ranges = Vec::new();
            let mut named: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
            for position in positions {
                for cover in covers(position) {
                    let points = cover.of_protocol(protocol);
                    ranges.extend(points.into_iter().map(|(from, to)| (from, to, *position)));
                    for (_, name) in cover.names.iter().filter(|(own, _)| *own == protocol) {
                        named.entry(name).or_default().insert(*position);
                    }
                }
            }
            Line {
                protocol,
                by_point: Stretches::of(&ranges, |covering| lists.of(covering, certain)),
                by_name: named
                    .into_iter()
                    .map(|(name, at)| (names.number(name), lists.of(&mut at.into_iter(), certain)))
                    .collect(),
            }
        };
        let protocols = protocols.into_iter().map(line).collect();
        Self { others, protocols }
    }

    /// Shows every list of candidates for this traffic to a destination that serves these ports.
    #[inline]
    pub(crate) fn visit(&self, spot: Spot, served: &[Served], mut see: impl FnMut(u32)) {
        let line = self.protocols.iter().find(|l| l.protocol == spot.protocol);
        let Some(line) = line else {
            see(self.others);
            return;
        };
        see(line.by_point.at(spot.point));
        if line.by_name.is_empty() {
            return;
        }
        let at_this_port =
            |own: &&Served| own.protocol == spot.protocol && u32::from(own.port) == spot.point;
        for port in served.iter().filter(at_this_port) {
            if let Some(list) = line.by_name.get(&port.name) {
                see(*list);
            }
        }
    }
}
