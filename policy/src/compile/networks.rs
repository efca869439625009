//! Network maps: what holds for an address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::stretches::{Range, Stretches, without};

/// Values by address. A v4 block says nothing about v6 addresses.
#[derive(Debug)]
pub(crate) struct NetworkMap {
    v4: Stretches<u32>,
    v6: Stretches<u128>,
}

/// Addresses a rule means: inside `net`, in none of `holes`.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) net: IpNet,
    pub(super) holes: Vec<IpNet>,
    /// The rule's position.
    pub(super) position: u32,
}

impl NetworkMap {
    /// The map of these blocks. `value` is told the positions that hold for some addresses, in
    /// ascending order, and says what stands for them.
    pub(super) fn of(blocks: &[Block], mut value: impl FnMut(Vec<u32>) -> u32) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in blocks {
            match bounds(&block.net) {
                Bounds::V4(whole) => cut(whole, block, Bounds::v4, &mut v4),
                Bounds::V6(whole) => cut(whole, block, Bounds::v6, &mut v6),
            }
        }
        let mut collected = |marks: &mut dyn Iterator<Item = u32>| value(marks.collect());
        Self {
            v4: Stretches::of(&v4, &mut collected),
            v6: Stretches::of(&v6, &mut collected),
        }
    }

    /// What holds for an address.
    #[inline]
    pub(crate) fn at(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => self.v4.at(address.into()),
            IpAddr::V6(address) => self.v6.at(address.into()),
        }
    }
}

/// First and last address of a block.
enum Bounds {
    V4((u32, u32)),
    V6((u128, u128)),
}

impl Bounds {
    fn v4(self) -> Option<(u32, u32)> {
        match self {
            Self::V4(bounds) => Some(bounds),
            Self::V6(_) => None,
        }
    }

    fn v6(self) -> Option<(u128, u128)> {
        match self {
            Self::V6(bounds) => Some(bounds),
            Self::V4(_) => None,
        }
    }
}

fn bounds(net: &IpNet) -> Bounds {
    match net {
        IpNet::V4(net) => Bounds::V4((net.network().into(), net.broadcast().into())),
        IpNet::V6(net) => Bounds::V6((net.network().into(), net.broadcast().into())),
    }
}

fn cut<K: super::stretches::Point>(
    whole: (K, K),
    block: &Block,
    family: fn(Bounds) -> Option<(K, K)>,
    ranges: &mut Vec<Range<K>>,
) {
    let holes: Vec<_> = block
        .holes
        .iter()
        .filter_map(|net| family(bounds(net)))
        .collect();
    let left = without(whole, &holes);
    ranges.extend(
        left.into_iter()
            .map(|(from, to)| (from, to, block.position)),
    );
}

/// The blocks that stand for an end of a rule which only speaks of addresses.
pub(super) fn blocks(nets: Option<&[IpNet]>, holes: &[IpNet], position: u32) -> Vec<Block> {
    let everything = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a network"));
    let nets: BTreeSet<IpNet> = nets.unwrap_or(&everything).iter().copied().collect();
    let block = |net| Block {
        net,
        holes: holes.to_vec(),
        position,
    };
    nets.into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn a_hole_of_one_block_is_no_hole_of_another() {
        let mut all = blocks(Some(&[net("10.0.0.0/8")]), &[net("10.1.0.0/16")], 0);
        all.extend(blocks(Some(&[net("10.1.1.0/24")]), &[], 1));
        all.extend(blocks(None, &[net("0.0.0.0/0")], 2));
        let mut seen = Vec::new();
        let map = NetworkMap::of(&all, |positions| {
            seen.push(positions);
            u32::try_from(seen.len() - 1).expect("few")
        });
        let at = |text: &str| seen[map.at(text.parse().expect("an address")) as usize].clone();
        assert_eq!(at("10.2.0.1"), [0]);
        assert!(at("10.1.0.1").is_empty());
        assert_eq!(at("10.1.1.1"), [1]);
        assert_eq!(at("fd00::1"), [2]);
        assert!(at("255.255.255.255").is_empty());
    }
}
