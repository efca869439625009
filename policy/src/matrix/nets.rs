//! Outsiders that stand for all outsiders: one address of every block that policies tell apart.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Cluster, End, Peers};
use crate::verdict::Direction;

/// Every block the policies and network sets of a cluster name.
pub(super) fn named(cluster: &Cluster) -> BTreeSet<IpNet> {
    let mut nets = BTreeSet::new();
    for policy in cluster.policies().values() {
        for direction in [Direction::Ingress, Direction::Egress] {
            for rule in policy.rules(direction).unwrap_or_default() {
                if let Peers::OneOf(ends) = &rule.peers {
                    ends.iter().for_each(|end| add(&mut nets, end));
                }
            }
        }
    }
    for set in cluster.sets().values() {
        nets.extend(set.nets.iter().map(IpNet::trunc));
    }
    nets
}

fn add(nets: &mut BTreeSet<IpNet>, end: &End) {
    let inside = end.nets.iter().flatten();
    nets.extend(inside.chain(&end.not_nets).map(IpNet::trunc));
}

/// An address of `net` that no smaller of these blocks contains and that is free; `None` = there
/// is none.
pub(super) fn example(
    net: &IpNet,
    nets: &BTreeSet<IpNet>,
    free: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let smaller: Vec<&IpNet> = nets
        .iter()
        .filter(|other| *other != net && net.contains(*other))
        .collect();
    let own = [
        step(net.network(), 1),
        Some(net.network()),
        step(net.broadcast(), -1),
        Some(net.broadcast()),
    ];
    let beside = smaller.iter().flat_map(|hole| {
        let (first, last) = (hole.network(), hole.broadcast());
        [
            step(last, 1),
            step(last, 2),
            step(first, -1),
            step(first, -2),
        ]
    });
    let fits = |address: &IpAddr| {
        net.contains(address)
            && !smaller.iter().any(|hole| hole.contains(address))
            && free(*address)
    };
    own.into_iter().chain(beside).flatten().find(fits)
}

/// The address so many away; `None` past either end.
fn step(address: IpAddr, by: i8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let moved = u32::from(address).checked_add_signed(by.into())?;
            Some(IpAddr::V4(moved.into()))
        }
        IpAddr::V6(address) => {
            let moved = u128::from(address).checked_add_signed(by.into())?;
            Some(IpAddr::V6(moved.into()))
        }
    }
}

/// An address of documentation (RFC 5737) that no block contains, else of the Internet at large.
pub(super) fn elsewhere(nets: &BTreeSet<IpNet>, free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    const CANDIDATES: [[u8; 4]; 6] = [
        [203, 0, 113, 1],
        [198, 51, 100, 1],
        [192, 0, 2, 1],
        [8, 8, 8, 8],
        [100, 64, 0, 1],
        [233, 252, 0, 1],
    ];
    let mut candidates = CANDIDATES.into_iter().map(IpAddr::from);
    let whole = |net: &&IpNet| net.prefix_len() > 0;
    candidates.find(|address| {
        free(*address) && !nets.iter().filter(whole).any(|net| net.contains(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn of(net: &str, all: &[&str]) -> Option<String> {
        let net: IpNet = net.parse().unwrap();
        example(&net, &nets(all), |_| true).map(|address| address.to_string())
    }

    #[test]
    fn an_example_lies_in_its_block_and_in_no_smaller_one() {
        assert_eq!(of("10.0.0.0/8", &["10.0.0.0/8"]).unwrap(), "10.0.0.1");
        assert_eq!(of("10.0.0.7/32", &["10.0.0.7/32"]).unwrap(), "10.0.0.7");
        let holes = ["10.0.0.0/8", "10.0.0.0/9", "10.255.0.0/16"];
        assert_eq!(of("10.0.0.0/8", &holes).unwrap(), "10.128.0.0");
        assert_eq!(of("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"]), None);
        assert_eq!(of("fd00::/64", &["fd00::/64"]).unwrap(), "fd00::1");
    }

    #[test]
    fn an_example_is_nobodys_address() {
        let net: IpNet = "10.0.0.0/30".parse().unwrap();
        let taken: IpAddr = "10.0.0.1".parse().unwrap();
        let found = example(&net, &nets(&["10.0.0.0/30"]), |address| address != taken);
        assert_eq!(found.unwrap().to_string(), "10.0.0.0");
    }

    #[test]
    fn elsewhere_is_in_no_block_but_the_whole_internet() {
        let nets = nets(&["0.0.0.0/0", "203.0.113.0/24"]);
        let found = elsewhere(&nets, |_| true).unwrap();
        assert_eq!(found.to_string(), "198.51.100.1");
    }
}
