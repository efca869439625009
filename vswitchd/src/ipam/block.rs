//! One block: which of its addresses are free, in which order they will be given, who has the rest.
//!
//! The rules are those of Calico's IPAMBlock: `unallocated` is a queue that starts as 0, 1, 2, ...;
//! an address is taken from its head and released to its tail; network and broadcast addresses of
//! the block are ordinary addresses.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Position of an address in its block, from 0.
type Ordinal = u32;

/// For whom an address is held. For people and for finding leaks; [`Allocation::handle`] decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Kubernetes namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Kubernetes name of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The network namespace the address was asked for; `None` for the node's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
}

/// One address in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Who holds it, see [`super::handle`].
    pub handle: String,
    /// For whom.
    #[serde(default)]
    pub owner: Owner,
}

/// One block and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    cidr: Ipv4Net,
    unallocated: VecDeque<Ordinal>,
    allocations: BTreeMap<Ordinal, Allocation>,
}

impl Block {
    /// An empty block.
    #[must_use]
    pub fn new(cidr: Ipv4Net) -> Self {
        Self {
            cidr: cidr.trunc(),
            unallocated: (0..size(cidr)).collect(),
            allocations: BTreeMap::new(),
        }
    }

    /// Its range.
    #[must_use]
    pub fn cidr(&self) -> Ipv4Net {
        self.cidr
    }

    /// How many addresses are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.unallocated.len()
    }

    /// Addresses in use with their holders, lowest first.
    pub fn allocations(&self) -> impl Iterator<Item = (Ipv4Addr, &Allocation)> {
        let held = self.allocations.iter();
        held.map(|(ordinal, allocation)| (self.address(*ordinal), allocation))
    }

    /// The address a handle holds here.
    #[must_use]
    pub fn held_by(&self, handle: &str) -> Option<Ipv4Addr> {
        let mut held = self.allocations().filter(|(_, held)| held.handle == handle);
        held.next().map(|(address, _)| address)
    }

    /// Who holds an address of this block.
    #[must_use]
    pub fn holder(&self, address: Ipv4Addr) -> Option<&Allocation> {
        self.allocations.get(&self.ordinal(address)?)
    }

    /// Takes the address that has been free longest; `None` = full.
    pub fn take(&mut self, allocation: Allocation) -> Option<Ipv4Addr> {
        let ordinal = self.unallocated.pop_front()?;
        self.allocations.insert(ordinal, allocation);
        Some(self.address(ordinal))
    }

    /// Takes one particular address; `false` = not of this block, or not free.
    pub fn take_address(&mut self, address: Ipv4Addr, allocation: Allocation) -> bool {
        let free = |ordinal| self.unallocated.iter().position(|free| *free == ordinal);
        let Some(position) = self.ordinal(address).and_then(free) else {
            return false;
        };
        let ordinal = self.unallocated.remove(position);
        self.allocations
            .extend(ordinal.map(|ordinal| (ordinal, allocation)));
        true
    }

    /// Releases every address a handle holds, to the tail of the queue.
    pub fn release(&mut self, handle: &str) -> Vec<Ipv4Addr> {
        let held = self.allocations.iter();
        let ordinals: Vec<Ordinal> = held
            .filter(|(_, allocation)| allocation.handle == handle)
            .map(|(ordinal, _)| *ordinal)
            .collect();
        for ordinal in &ordinals {
            self.allocations.remove(ordinal);
            self.unallocated.push_back(*ordinal);
        }
        ordinals.into_iter().map(|o| self.address(o)).collect()
    }

    /// Is every ordinal either free or in use, exactly once? A block read from disk must be.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let used = self.allocations.keys();
        let mut ordinals: Vec<Ordinal> = self.unallocated.iter().chain(used).copied().collect();
        ordinals.sort_unstable();
        ordinals.into_iter().eq(0..size(self.cidr)) && self.cidr == self.cidr.trunc()
    }

    fn address(&self, ordinal: Ordinal) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()).wrapping_add(ordinal))
    }

    fn ordinal(&self, address: Ipv4Addr) -> Option<Ordinal> {
        let inside = self.cidr.contains(&address);
        inside.then(|| u32::from(address) - u32::from(self.cidr.network()))
    }
}

/// Addresses of a block; blocks are /20 to /32, see the configuration.
fn size(cidr: Ipv4Net) -> Ordinal {
    1 << (32 - cidr.prefix_len()).min(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(handle: &str) -> Allocation {
        let owner = Owner::default();
        Allocation {
            handle: handle.into(),
            owner,
        }
    }

    fn block() -> Block {
        Block::new("10.244.205.192/26".parse().unwrap())
    }

    #[test]
    fn addresses_come_lowest_first_and_the_network_address_is_one_of_them() {
        let mut block = block();
        assert_eq!(
            block.take(holder("tunl0")),
            Some(Ipv4Addr::new(10, 244, 205, 192))
        );
        assert_eq!(
            block.take(holder("a")),
            Some(Ipv4Addr::new(10, 244, 205, 193))
        );
    }

    #[test]
    fn a_released_address_goes_to_the_end_of_the_queue() {
        let mut block = block();
        for handle in ["tunl0", "a", "b"] {
            block.take(holder(handle));
        }
        assert_eq!(block.release("a"), [Ipv4Addr::new(10, 244, 205, 193)]);
        let rest: Vec<_> = std::iter::from_fn(|| block.take(holder("x"))).collect();
        assert_eq!(rest.first(), Some(&Ipv4Addr::new(10, 244, 205, 195)));
        assert_eq!(rest.last(), Some(&Ipv4Addr::new(10, 244, 205, 193)));
        assert_eq!(rest.len(), 62);
        assert!(block.is_consistent());
    }

    #[test]
    fn one_particular_address_is_given_once() {
        let mut block = block();
        let wanted = Ipv4Addr::new(10, 244, 205, 200);
        assert!(block.take_address(wanted, holder("a")));
        assert!(!block.take_address(wanted, holder("b")));
        assert!(!block.take_address(Ipv4Addr::new(10, 244, 206, 1), holder("b")));
        assert_eq!(block.holder(wanted).unwrap().handle, "a");
    }

    #[test]
    fn a_block_with_an_ordinal_twice_is_not_consistent() {
        let mut block = block();
        block.unallocated.push_back(3);
        assert!(!block.is_consistent());
    }
}
