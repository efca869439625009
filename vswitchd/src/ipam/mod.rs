//! Addresses of pods: which blocks are this node's, and who has which address of them.
//!
//! [`claim()`] says which blocks belong to which node, [`Ipam`] is the pure book of this node's
//! blocks, [`AddressBook`] keeps it on disk so that an answer is never given before it is safe.
//! Everything follows Calico's IPAM; see each file for the source.

mod block;
mod book;
mod claim;
mod gorand;
pub mod pick;

pub use block::{Allocation, Block, Owner};
pub use book::{AddressBook, BookError};
pub use claim::{ClaimError, Claimant, claim};

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Handle of a container's interface: the container id, and the interface unless it is `eth0`.
#[must_use]
pub fn handle(container_id: &str, ifname: &str) -> String {
    match ifname {
        "eth0" => container_id.to_owned(),
        other => format!("{container_id}.{other}"),
    }
}

/// Handle of a node's tunnel address (Calico: `node/pkg/allocateip`).
#[must_use]
pub fn tunnel_handle(node: &str) -> String {
    format!("ipip-tunnel-addr-{node}")
}

/// Why no address was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// Every address of every block is in use.
    #[error(
        "no free address: all {addresses} addresses of this node's blocks ({blocks}) are in use; \
         delete pods or give the node another block"
    )]
    Full {
        /// How many there are.
        addresses: usize,
        /// The blocks.
        blocks: String,
    },
    /// An address was asked for that belongs to no block of this node.
    #[error("address {address} was asked for, but this node's blocks are {blocks}")]
    Foreign {
        /// The address asked for.
        address: Ipv4Addr,
        /// The blocks.
        blocks: String,
    },
    /// An address was asked for that somebody else has.
    #[error("address {address} was asked for, but {handle} has it")]
    InUse {
        /// The address asked for.
        address: Ipv4Addr,
        /// Its holder.
        handle: String,
    },
    /// The state on disk has a block in use that the configuration gives to nobody or another node.
    #[error(
        "block {block} is no longer this node's, but {used} addresses of it are in use; \
         restore it in the configuration or delete those pods first"
    )]
    LostBlock {
        /// The block.
        block: Ipv4Net,
        /// Addresses in use, the tunnel's not counted.
        used: usize,
    },
}

/// The book of one node's blocks. Pure: nothing is written anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    blocks: Vec<Block>,
}

impl Ipam {
    /// A book of empty blocks, used in the order given.
    #[must_use]
    pub fn new(blocks: &[Ipv4Net]) -> Self {
        let blocks = blocks.iter().copied().map(Block::new).collect();
        Self { blocks }
    }

    /// The blocks, in the order they are used.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The address a handle holds.
    #[must_use]
    pub fn held_by(&self, handle: &str) -> Option<Ipv4Addr> {
        self.blocks.iter().find_map(|block| block.held_by(handle))
    }

    /// Gives an address: the one the handle holds already, else the one `requested`, else the
    /// longest free one of the first block that is not full.
    ///
    /// # Errors
    /// All blocks are full, or the requested address is foreign or taken.
    pub fn allocate(
        &mut self,
        handle: &str,
        owner: Owner,
        requested: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, IpamError> {
        if let Some(address) = self.held_by(handle) {
            return self.same_address(address, handle, requested);
        }
        let handle = handle.to_owned();
        let allocation = Allocation { handle, owner };
        match requested {
            Some(address) => self.take_address(address, allocation),
            None => self.take_any(allocation),
        }
    }

    /// Releases every address a handle holds; an unknown handle holds none.
    pub fn release(&mut self, handle: &str) -> Vec<Ipv4Addr> {
        let blocks = self.blocks.iter_mut();
        blocks.flat_map(|block| block.release(handle)).collect()
    }

    /// Brings the book in line with the blocks the configuration gives this node: new ones are
    /// added, unused ones dropped, the order follows the configuration.
    ///
    /// # Errors
    /// A block with pods in it is not in the list.
    pub fn reconcile(&mut self, node: &str, owned: &[Ipv4Net]) -> Result<(), IpamError> {
        let tunnel = tunnel_handle(node);
        for block in &self.blocks {
            let pods = block.allocations().filter(|(_, a)| a.handle != tunnel);
            let (used, kept) = (pods.count(), owned.contains(&block.cidr()));
            if used > 0 && !kept {
                let block = block.cidr();
                return Err(IpamError::LostBlock { block, used });
            }
        }
        let known = |cidr: &Ipv4Net| self.blocks.iter().find(|block| block.cidr() == *cidr);
        let keep = |cidr| known(cidr).cloned().unwrap_or_else(|| Block::new(*cidr));
        self.blocks = owned.iter().map(keep).collect();
        Ok(())
    }

    /// True when every block is, and no two blocks overlap.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let mut ranges: Vec<Ipv4Net> = self.blocks.iter().map(Block::cidr).collect();
        ranges.sort_by_key(Ipv4Net::network);
        let apart = |pair: &[Ipv4Net]| pair[0].broadcast() < pair[1].network();
        self.blocks.iter().all(Block::is_consistent) && ranges.windows(2).all(apart)
    }

    fn same_address(
        &self,
        held: Ipv4Addr,
        handle: &str,
        requested: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, IpamError> {
        match requested {
            Some(address) if address != held => Err(IpamError::InUse {
                address: held,
                handle: handle.to_owned(),
            }),
            _ => Ok(held),
        }
    }

    fn take_address(
        &mut self,
        address: Ipv4Addr,
        allocation: Allocation,
    ) -> Result<Ipv4Addr, IpamError> {
        let blocks = self.names();
        let block = self
            .blocks
            .iter_mut()
            .find(|block| block.cidr().contains(&address));
        let block = block.ok_or(IpamError::Foreign { address, blocks })?;
        if let Some(holder) = block.holder(address) {
            let handle = holder.handle.clone();
            return Err(IpamError::InUse { address, handle });
        }
        block.take_address(address, allocation);
        Ok(address)
    }

    fn take_any(&mut self, allocation: Allocation) -> Result<Ipv4Addr, IpamError> {
        let mut blocks = self.blocks.iter_mut();
        let address = blocks.find_map(|block| block.take(allocation.clone()));
        address.ok_or_else(|| IpamError::Full {
            addresses: self.blocks.iter().map(|b| b.allocations().count()).sum(),
            blocks: self.names(),
        })
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.blocks.iter().map(|b| b.cidr().to_string()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
