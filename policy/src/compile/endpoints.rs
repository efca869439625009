//! Endpoints by address: who owns which, when several claim it.

use std::collections::HashMap;
use std::net::IpAddr;

use super::number;
use super::persistent::Map;
use crate::model::{Claim, PodKey};

/// Who stands behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// What policy sees.
    pub(crate) identity: u32,
    /// Which endpoint it is, so that an endpoint recognises itself.
    pub(crate) endpoint: u32,
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: PodKey,
    pub(super) identity: u32,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) claim: Claim,
    /// Policy is asked about it, not only about its peers.
    pub(super) subject: bool,
}

/// Owners by address; clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    v4: Map<u32, Owner>,
    v6: Map<u128, Owner>,
}

impl Owners {
    /// Who stands behind an address; `None` for everything outside the cluster.
    #[inline]
    pub(crate) fn get(&self, address: IpAddr) -> Option<Owner> {
        match address {
            IpAddr::V4(address) => self.v4.get(address.into()),
            IpAddr::V6(address) => self.v6.get(address.into()),
        }
    }

    /// How many addresses have an owner.
    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    fn set(&mut self, address: IpAddr, owner: Owner) {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.into(), owner),
            IpAddr::V6(address) => self.v6.insert(address.into(), owner),
        }
    }

    fn clear(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.remove(address.into()),
            IpAddr::V6(address) => self.v6.remove(address.into()),
        };
    }
}

/// Every endpoint, by number.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    numbers: HashMap<PodKey, u32>,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Every claimant of an address that has several.
    contested: HashMap<IpAddr, Vec<u32>>,
    pub(super) owners: Owners,
}

impl Endpoints {
    /// Adds an endpoint that is not there.
    pub(super) fn add(&mut self, entry: Entry) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        let addresses = entry.addresses.clone();
        self.numbers.insert(entry.key.clone(), number);
        self.slots[number as usize] = Some(entry);
        for address in addresses {
            self.claim(address, number);
        }
    }

    /// Takes an endpoint out.
    pub(super) fn remove(&mut self, key: &PodKey) -> Option<Entry> {
        let number = self.numbers.remove(key)?;
        let entry = self.slots[number as usize].take()?;
        for address in &entry.addresses {
            self.disclaim(*address, number);
        }
        self.free.push(number);
        Some(entry)
    }

    fn claim(&mut self, address: IpAddr, claimant: u32) {
        let holder = self.owners.get(address).map(|owner| owner.endpoint);
        match holder {
            None => self.give(address, claimant),
            Some(holder) if holder == claimant => {}
            Some(holder) => {
                let claimants = self
                    .contested
                    .entry(address)
                    .or_insert_with(|| vec![holder]);
                claimants.push(claimant);
                self.settle(address);
            }
        }
    }

    fn disclaim(&mut self, address: IpAddr, claimant: u32) {
        let Some(claimants) = self.contested.get_mut(&address) else {
            self.owners.clear(address);
            return;
        };
        claimants.retain(|other| *other != claimant);
        self.settle(address);
        if self.contested[&address].len() == 1 {
            self.contested.remove(&address);
        }
    }

    /// Gives a contested address to the strongest claim, as
    /// [`crate::Cluster::address_owners`] does.
    fn settle(&mut self, address: IpAddr) {
        let strength = |number: &u32| {
            let entry = self.slots[*number as usize].as_ref().expect("a claimant");
            (&entry.claim, std::cmp::Reverse(&entry.key))
        };
        let claimants = &self.contested[&address];
        let strongest = *claimants
            .iter()
            .max_by_key(|n| strength(n))
            .expect("claimants");
        self.give(address, strongest);
    }

    fn give(&mut self, address: IpAddr, endpoint: u32) {
        let entry = self.slots[endpoint as usize].as_ref().expect("an endpoint");
        let identity = entry.identity;
        self.owners.set(address, Owner { identity, endpoint });
    }
}
