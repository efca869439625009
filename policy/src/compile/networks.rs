//! Addresses: ranges of both families, and which columns mean them.

use std::collections::HashMap;
use std::net::IpAddr;

use super::rows::RowBook;
use super::stretches::{Group, Range, Stretches, common, without};
use ipnet::IpNet;

/// Addresses of both families, as ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Addresses {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
}

impl Addresses {
    /// Every address.
    pub(super) fn all() -> Self {
        Self {
            v4: vec![(0, u32::MAX)],
            v6: vec![(0, u128::MAX)],
        }
    }

    /// The addresses in these blocks.
    pub(super) fn of(nets: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self { v4, v6 }
    }

    /// Those that are in these blocks too.
    pub(super) fn and(&self, nets: &[IpNet]) -> Self {
        let nets = Self::of(nets);
        Self {
            v4: common(&self.v4, &nets.v4),
            v6: common(&self.v6, &nets.v6),
        }
    }

    /// Those that are in none of these blocks.
    pub(super) fn except(&self, nets: &[IpNet]) -> Self {
        let holes = Self::of(nets);
        let outside4 = self.v4.iter().flat_map(|range| without(*range, &holes.v4));
        let outside6 = self.v6.iter().flat_map(|range| without(*range, &holes.v6));
        Self {
            v4: outside4.collect(),
            v6: outside6.collect(),
        }
    }

    /// Both.
    pub(super) fn or(mut self, mut other: Self) -> Self {
        self.v4.append(&mut other.v4);
        self.v6.append(&mut other.v6);
        self
    }
}

/// Rows by address.
#[derive(Debug)]
pub(crate) struct NetworkIndex {
    v4: Stretches<u32>,
    v6: Stretches<u128>,
}

impl NetworkIndex {
    /// The index of columns that mean these addresses, and of those that mean `always` any.
    pub(super) fn of(
        columns: HashMap<&Addresses, Vec<u32>>,
        always: &[u64],
        rows: &mut RowBook,
    ) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (addresses, columns) in columns {
            v4.push(Group {
                ranges: addresses.v4.clone(),
                columns: columns.clone(),
            });
            v6.push(Group {
                ranges: addresses.v6.clone(),
                columns,
            });
        }
        Self {
            v4: Stretches::of(&v4, always, rows),
            v6: Stretches::of(&v6, always, rows),
        }
    }

    /// The row of an address. A v4 block says nothing about v6 addresses.
    #[inline]
    pub(crate) fn at(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => self.v4.at(address.into()),
            IpAddr::V6(address) => self.v6.at(address.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect()
    }

    #[test]
    fn a_hole_of_one_block_is_no_hole_of_another() {
        let one = Addresses::of(&nets(&["10.0.0.0/8"])).except(&nets(&["10.1.0.0/16"]));
        let other = Addresses::of(&nets(&["10.1.1.0/24"]));
        let six = Addresses::all().except(&nets(&["0.0.0.0/0"]));
        let columns = [(&one, vec![0]), (&other, vec![1]), (&six, vec![2])];
        let mut rows = RowBook::new(4);
        let index = NetworkIndex::of(columns.into_iter().collect(), &[0b1000], &mut rows);
        let at = |text: &str| rows.rows.row(index.at(text.parse().expect("an address")))[0];
        assert_eq!(at("10.2.0.1"), 0b1001);
        assert_eq!(at("10.1.0.1"), 0b1000);
        assert_eq!(at("10.1.1.1"), 0b1010);
        assert_eq!(at("fd00::1"), 0b1100);
        assert_eq!(at("255.255.255.255"), 0b1000);
    }

    #[test]
    fn what_two_sets_have_in_common_is_of_one_family() {
        let four = Addresses::all().and(&nets(&["10.0.0.0/8"]));
        assert_eq!(four, Addresses::of(&nets(&["10.0.0.0/8"])));
        assert_eq!(four.and(&nets(&["fd00::/8"])), Addresses::of(&[]));
    }
}
