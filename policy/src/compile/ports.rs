//! Port maps: the first rule of a list that means this protocol and port.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::identity::{Served, intern};
use super::program::Traffic;
use crate::model::{PortMatch, Ports};

/// "No rule": greater than every position, so that a minimum ignores it.
pub(crate) const NONE: u32 = u32::MAX;

/// For a list of rules, the position of the first that matches some traffic.
#[derive(Debug)]
pub(crate) struct PortMap {
    /// First rule for every traffic: what protocols without an entry get.
    otherwise: u32,
    protocols: Box<[ProtocolPorts]>,
}

#[derive(Debug)]
struct ProtocolPorts {
    protocol: u8,
    /// First port of a stretch and the first rule for all of it, ascending; the first stretch
    /// begins at port 0. Rules for every traffic are painted in.
    stretches: Box<[(u16, u32)]>,
    /// First rule by the name of the destination's port.
    named: FxHashMap<u32, u32>,
}

impl PortMap {
    /// The map of these rules, given as ascending positions with what each means.
    pub(crate) fn of(rules: &[(u32, &Ports)], names: &mut FxHashMap<String, u32>) -> Self {
        let any = rules.iter().find(|(_, ports)| matches!(ports, Ports::Any));
        let otherwise = any.map_or(NONE, |(position, _)| *position);
        let mut by_protocol: BTreeMap<u8, Vec<(u32, &PortMatch)>> = BTreeMap::new();
        for (position, ports) in rules {
            let Ports::OneOf(matches) = ports else {
                continue;
            };
            for port in matches {
                by_protocol
                    .entry(protocol_of(port))
                    .or_default()
                    .push((*position, port));
            }
        }
        let protocols = by_protocol
            .into_iter()
            .map(|(protocol, matches)| ProtocolPorts::of(protocol, otherwise, &matches, names))
            .collect();
        Self {
            otherwise,
            protocols,
        }
    }

    /// The first rule for this traffic to a destination that serves these named ports, or
    /// [`NONE`].
    #[inline]
    pub(crate) fn first(&self, traffic: Traffic, served: &[Served]) -> u32 {
        let entry = self
            .protocols
            .iter()
            .find(|entry| entry.protocol == traffic.protocol);
        entry.map_or(self.otherwise, |entry| entry.first(traffic, served))
    }
}

impl ProtocolPorts {
    fn of(
        protocol: u8,
        otherwise: u32,
        matches: &[(u32, &PortMatch)],
        names: &mut FxHashMap<String, u32>,
    ) -> Self {
        let mut ranges = vec![(0, u16::MAX, otherwise)];
        let mut named = FxHashMap::default();
        for (position, port) in matches {
            match port {
                PortMatch::Protocol(_) => ranges.push((0, u16::MAX, *position)),
                PortMatch::Range(_, range) => {
                    ranges.push((*range.start(), *range.end(), *position));
                }
                PortMatch::Named(_, name) => {
                    let first = named.entry(intern(names, name)).or_insert(*position);
                    *first = (*first).min(*position);
                }
            }
        }
        Self {
            protocol,
            stretches: paint(&ranges),
            named,
        }
    }

    fn first(&self, traffic: Traffic, served: &[Served]) -> u32 {
        let after = self
            .stretches
            .partition_point(|(start, _)| *start <= traffic.dst_port);
        let numbered = self.stretches[after - 1].1;
        if self.named.is_empty() {
            return numbered;
        }
        let meant =
            |port: &&Served| port.protocol == traffic.protocol && port.port == traffic.dst_port;
        let by_name = served
            .iter()
            .filter(meant)
            .filter_map(|port| self.named.get(&port.name));
        by_name.fold(numbered, |first, position| first.min(*position))
    }
}

/// Cuts overlapping ranges `(first port, last port, position)` into stretches, each with the
/// lowest position that covers it. One range must cover everything.
fn paint(ranges: &[(u16, u16, u32)]) -> Box<[(u16, u32)]> {
    let mut edges: BTreeMap<u32, Vec<(bool, u32)>> = BTreeMap::new();
    for (start, end, position) in ranges.iter().filter(|(start, end, _)| start <= end) {
        edges
            .entry(u32::from(*start))
            .or_default()
            .push((true, *position));
        edges
            .entry(u32::from(*end) + 1)
            .or_default()
            .push((false, *position));
    }
    let mut covering: BTreeMap<u32, usize> = BTreeMap::new();
    let mut stretches: Vec<(u16, u32)> = Vec::new();
    for (port, changes) in edges {
        for (begins, position) in changes {
            count(&mut covering, begins, position);
        }
        let Ok(port) = u16::try_from(port) else { break };
        let first = covering.keys().next().copied().unwrap_or(NONE);
        if stretches.last().is_none_or(|(_, before)| *before != first) {
            stretches.push((port, first));
        }
    }
    stretches.into()
}

fn count(covering: &mut BTreeMap<u32, usize>, begins: bool, position: u32) {
    let held = covering.entry(position).or_default();
    if begins {
        *held += 1;
    } else {
        *held -= 1;
        if *held == 0 {
            covering.remove(&position);
        }
    }
}

fn protocol_of(port: &PortMatch) -> u8 {
    match port {
        PortMatch::Protocol(protocol)
        | PortMatch::Range(protocol, _)
        | PortMatch::Named(protocol, _) => *protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_position_wins_where_ranges_overlap() {
        let painted = paint(&[
            (0, 65535, NONE),
            (10, 20, 5),
            (15, 30, 2),
            (65535, 65535, 1),
        ]);
        let expected = [(0, NONE), (10, 5), (15, 2), (31, NONE), (65535, 1)];
        assert_eq!(*painted, expected);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_covers_nothing() {
        assert_eq!(*paint(&[(0, 65535, NONE), (20, 10, 1)]), [(0, NONE)]);
    }
}
