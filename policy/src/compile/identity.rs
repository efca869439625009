//! Identities: endpoints that no policy can tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::model::{Cluster, Endpoint, Labels, NamedPort};

/// Who stands behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// What policy sees.
    pub(crate) identity: u32,
    /// Which endpoint it is, so that an endpoint recognises itself.
    pub(crate) endpoint: u32,
}

/// A port an identity serves under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    /// The name, as a number of [`Identities::names`].
    pub(crate) name: u32,
}

/// Every identity of a cluster, and the way from an address to it.
#[derive(Debug, Default)]
pub(crate) struct Identities<'a> {
    /// Labels, by identity.
    pub(crate) labels: Vec<&'a Labels>,
    /// Served ports, by identity.
    pub(crate) served: Vec<Box<[Served]>>,
    /// The identities in each namespace.
    pub(crate) by_namespace: BTreeMap<&'a str, Vec<u32>>,
    /// Owner of each address.
    pub(crate) addresses: FxHashMap<IpAddr, Owner>,
    /// Numbers of port names.
    pub(crate) names: FxHashMap<String, u32>,
}

type Key<'a> = (&'a str, &'a Labels, &'a BTreeSet<NamedPort>);

impl<'a> Identities<'a> {
    /// The identities behind the cluster's addresses.
    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        let mut identities = Self::default();
        let mut known: FxHashMap<Key<'a>, u32> = FxHashMap::default();
        let mut endpoints = BTreeMap::new();
        for (address, endpoint) in cluster.address_owners() {
            let key = (
                endpoint.key.namespace.as_str(),
                endpoint.labels,
                endpoint.named_ports,
            );
            let identity = *known
                .entry(key)
                .or_insert_with(|| identities.add(&endpoint));
            let next = number(endpoints.len());
            let endpoint = *endpoints.entry(endpoint.key).or_insert(next);
            identities
                .addresses
                .insert(address, Owner { identity, endpoint });
        }
        identities
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    fn add(&mut self, endpoint: &Endpoint<'a>) -> u32 {
        let identity = number(self.len());
        let names = &mut self.names;
        let served = endpoint.named_ports.iter().map(|port| Served {
            protocol: port.protocol,
            port: port.port,
            name: intern(names, &port.name),
        });
        self.served.push(served.collect());
        self.labels.push(endpoint.labels);
        self.by_namespace
            .entry(&endpoint.key.namespace)
            .or_default()
            .push(identity);
        identity
    }
}

/// The number of a name; a new one gets the next.
pub(crate) fn intern(names: &mut FxHashMap<String, u32>, name: &str) -> u32 {
    if let Some(known) = names.get(name) {
        return *known;
    }
    let next = number(names.len());
    names.insert(name.to_owned(), next);
    next
}

/// A count as an id.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 of anything")
}
