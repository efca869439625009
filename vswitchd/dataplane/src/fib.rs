//! Longest-prefix match over /32 workloads, blocks, pools and the default.
//!
//! One hash map a prefix length, longest first. A cluster has four or five
//! lengths whatever its size, so a lookup is at most that many hash probes;
//! and only a new or stale flow asks. A property test holds it against a
//! linear scan.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rustc_hash::FxHashMap;

use crate::drop_reason::DropReason;
use crate::ids::AdjacencyId;

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Forwarded this way.
    Adjacency(AdjacencyId),
    /// A blackhole: dropped for this reason.
    Drop(DropReason),
}

/// The routes of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Fib {
    /// Longest prefix first; no length twice, no map empty.
    levels: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Level {
    prefix_len: u8,
    mask: u32,
    routes: FxHashMap<u32, Target>,
}

impl Fib {
    /// A table with these routes; a later one replaces an equal earlier one.
    pub fn from_routes(routes: impl IntoIterator<Item = (Ipv4Net, Target)>) -> Self {
        let mut fib = Self::default();
        for (prefix, target) in routes {
            fib.insert(prefix, target);
        }
        fib
    }

    /// Adds or replaces the route of `prefix`; host bits are ignored.
    pub fn insert(&mut self, prefix: Ipv4Net, target: Target) {
        let len = prefix.prefix_len();
        let at = self.levels.partition_point(|level| level.prefix_len > len);
        if self
            .levels
            .get(at)
            .is_none_or(|level| level.prefix_len != len)
        {
            let mask = u32::from(prefix.netmask());
            self.levels.insert(
                at,
                Level {
                    prefix_len: len,
                    mask,
                    routes: FxHashMap::default(),
                },
            );
        }
        self.levels[at]
            .routes
            .insert(u32::from(prefix.network()), target);
    }

    /// The route of the longest prefix that holds `destination`.
    #[inline]
    pub fn lookup(&self, destination: Ipv4Addr) -> Option<Target> {
        let destination = u32::from(destination);
        self.levels
            .iter()
            .find_map(|level| level.routes.get(&(destination & level.mask)).copied())
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.levels.iter().map(|level| level.routes.len()).sum()
    }

    /// Whether there is no route.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Every route, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Net, Target)> + '_ {
        self.levels.iter().flat_map(|level| {
            level.routes.iter().filter_map(|(network, target)| {
                let prefix = Ipv4Net::new(Ipv4Addr::from(*network), level.prefix_len).ok()?;
                Some((prefix, *target))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(routes: &[(Ipv4Net, Target)], destination: Ipv4Addr) -> Option<Target> {
        routes
            .iter()
            .enumerate()
            .filter(|(_, (prefix, _))| prefix.contains(&destination))
            .max_by_key(|(index, (prefix, _))| (prefix.prefix_len(), *index))
            .map(|(_, (_, target))| *target)
    }

    prop_compose! {
        fn route()(bits in 0u32..64, len in 0u8..=32, id in 0u32..1000) -> (Ipv4Net, Target) {
            let address = Ipv4Addr::from(0x0af4_0000 | bits.reverse_bits() >> 16 | bits);
            (Ipv4Net::new(address, len).unwrap().trunc(), Target::Adjacency(AdjacencyId(id)))
        }
    }

    proptest! {
        #[test]
        fn lookup_equals_a_linear_scan(
            routes in proptest::collection::vec(route(), 0..60),
            probes in proptest::collection::vec(any::<u32>(), 0..30),
        ) {
            let fib = Fib::from_routes(routes.iter().copied());
            let near = routes.iter().map(|(prefix, _)| prefix.broadcast());
            for probe in probes.into_iter().map(Ipv4Addr::from).chain(near) {
                prop_assert_eq!(fib.lookup(probe), scan(&routes, probe));
            }
        }

        #[test]
        fn iter_gives_back_what_was_put_in(routes in proptest::collection::vec(route(), 0..60)) {
            let fib = Fib::from_routes(routes.iter().copied());
            prop_assert_eq!(fib.iter().count(), fib.len());
            prop_assert!(fib.iter().all(|route| routes.contains(&route)));
        }
    }
}
