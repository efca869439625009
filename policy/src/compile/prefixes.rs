//! Prefix maps: what holds for the longest prefix around an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

/// Longest-prefix match by one hash map per prefix length in use, longest first: at most 33
/// lookups for IPv4 and 129 for IPv6, however many prefixes there are.
#[derive(Debug, Default)]
pub(crate) struct PrefixMap {
    v4: Vec<(u32, FxHashMap<u32, u32>)>,
    v6: Vec<(u128, FxHashMap<u128, u32>)>,
}

impl PrefixMap {
    /// The map from each network to its value.
    pub(crate) fn of(entries: &BTreeMap<IpNet, u32>) -> Self {
        let mut by_length: BTreeMap<u8, Vec<(IpNet, u32)>> = BTreeMap::new();
        for (net, value) in entries {
            by_length
                .entry(net.prefix_len())
                .or_default()
                .push((*net, *value));
        }
        let mut map = Self::default();
        for nets in by_length.into_values().rev() {
            map.add_length(&nets);
        }
        map
    }

    fn add_length(&mut self, nets: &[(IpNet, u32)]) {
        let (mut v4, mut v6) = (FxHashMap::default(), FxHashMap::default());
        let (mut mask4, mut mask6) = (0, 0);
        for (net, value) in nets {
            match net {
                IpNet::V4(net) => {
                    mask4 = u32::from(net.netmask());
                    v4.insert(u32::from(net.network()), *value);
                }
                IpNet::V6(net) => {
                    mask6 = u128::from(net.netmask());
                    v6.insert(u128::from(net.network()), *value);
                }
            }
        }
        if !v4.is_empty() {
            self.v4.push((mask4, v4));
        }
        if !v6.is_empty() {
            self.v6.push((mask6, v6));
        }
    }

    /// The value of the longest prefix that contains the address.
    #[inline]
    pub(crate) fn get(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                self.v4
                    .iter()
                    .find_map(|(mask, nets)| nets.get(&(bits & mask)).copied())
            }
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                self.v6
                    .iter()
                    .find_map(|(mask, nets)| nets.get(&(bits & mask)).copied())
            }
        }
    }
}

/// An address item of a rule: inside `cidr`, in none of `except`.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) cidr: IpNet,
    pub(crate) except: &'a [IpNet],
    /// The rule's position.
    pub(crate) position: u32,
}

/// For every network that begins or ends a block, the positions of the rules that match an address
/// for which it is the longest such network.
pub(crate) fn positions_by_network(blocks: &[Block<'_>]) -> BTreeMap<IpNet, BTreeSet<u32>> {
    // IpNet orders by family, address, length: a network comes right before those inside it.
    let mut marks: BTreeMap<IpNet, Vec<(usize, bool)>> = BTreeMap::new();
    for (item, block) in blocks.iter().enumerate() {
        marks
            .entry(block.cidr.trunc())
            .or_default()
            .push((item, true));
        for hole in block.except {
            marks.entry(hole.trunc()).or_default().push((item, false));
        }
    }
    let mut around: Vec<(IpNet, BTreeSet<usize>, BTreeSet<usize>)> = Vec::new();
    let mut positions = BTreeMap::new();
    for (net, marks) in marks {
        while around
            .last()
            .is_some_and(|(outer, ..)| !outer.contains(&net))
        {
            around.pop();
        }
        let (mut inside, mut holes) = match around.last() {
            Some((_, inside, holes)) => (inside.clone(), holes.clone()),
            None => Default::default(),
        };
        for (item, begins) in marks {
            if begins {
                inside.insert(item)
            } else {
                holes.insert(item)
            };
        }
        let matching = inside.difference(&holes).map(|item| blocks[*item].position);
        positions.insert(net, matching.collect());
        around.push((net, inside, holes));
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn the_longest_prefix_wins_and_families_do_not_mix() {
        let entries = [
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("0.0.0.0/0", 3),
            ("fd00::/8", 4),
        ];
        let map = PrefixMap::of(&entries.iter().map(|(text, v)| (net(text), *v)).collect());
        let get = |text: &str| map.get(text.parse().expect("an address"));
        assert_eq!(get("10.1.2.3"), Some(2));
        assert_eq!(get("10.2.2.3"), Some(1));
        assert_eq!(get("192.0.2.1"), Some(3));
        assert_eq!(get("fd00::1"), Some(4));
        assert_eq!(get("2001:db8::1"), None);
    }

    #[test]
    fn a_hole_of_one_block_is_no_hole_of_another() {
        let hole = [net("10.1.0.0/16")];
        let blocks = [
            Block {
                cidr: net("10.0.0.0/8"),
                except: &hole,
                position: 0,
            },
            Block {
                cidr: net("10.1.1.0/24"),
                except: &[],
                position: 1,
            },
        ];
        let positions = positions_by_network(&blocks);
        assert_eq!(positions[&net("10.0.0.0/8")], BTreeSet::from([0]));
        assert_eq!(positions[&net("10.1.0.0/16")], BTreeSet::new());
        assert_eq!(positions[&net("10.1.1.0/24")], BTreeSet::from([1]));
    }
}
