//! Identities: endpoints that no policy can tell apart.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::label_index::{Candidates, LabelIndex};
use super::names::{Served, served};
use super::number;
use crate::model::{Labels, NamedPort, Selector};

/// What a table knows of an identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Its class; no meaning for a number that is no identity's.
    pub(crate) class: u32,
    /// The ports it serves under names.
    pub(crate) served: Arc<[Served]>,
}

/// What makes an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: Arc<str>,
    labels: Arc<Labels>,
    ports: Arc<BTreeSet<NamedPort>>,
}

/// An identity.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) namespace: Arc<str>,
    pub(super) labels: Arc<Labels>,
    ports: Arc<BTreeSet<NamedPort>>,
    /// Endpoints that have it.
    endpoints: u32,
    /// Its class, once it has one.
    pub(super) class: Option<u32>,
    /// The ports it serves under names.
    pub(super) served: Arc<[Served]>,
}

/// Every identity, by number. One without endpoints stays for a while: its pods often return.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: HashMap<Key, u32>,
    slots: Vec<Option<Identity>>,
    free: Vec<u32>,
    by_namespace: HashMap<Arc<str>, BTreeSet<u32>>,
    by_label: LabelIndex,
    idle: usize,
}

/// Identities without endpoints that may wait, besides as many as half of the others.
const MAX_IDLE: usize = 1024;

impl Identities {
    /// The number of an identity that gets one more endpoint, and whether it is new.
    pub(super) fn acquire(
        &mut self,
        namespace: &str,
        labels: Labels,
        ports: &BTreeSet<NamedPort>,
    ) -> (u32, bool) {
        let known = self.by_namespace.get_key_value(namespace);
        let namespace = known.map_or_else(|| Arc::from(namespace), |(name, _)| Arc::clone(name));
        let key = Key {
            namespace,
            labels: Arc::new(labels),
            ports: Arc::new(ports.clone()),
        };
        if let Some(known) = self.known.get(&key).copied() {
            let slot = self.slot(known);
            slot.endpoints += 1;
            self.idle -= usize::from(slot.endpoints == 1);
            return (known, false);
        }
        (self.add(key), true)
    }

    fn add(&mut self, key: Key) -> u32 {
        let identity = Identity {
            namespace: Arc::clone(&key.namespace),
            labels: Arc::clone(&key.labels),
            ports: Arc::clone(&key.ports),
            endpoints: 1,
            class: None,
            served: served(&key.ports),
        };
        let number = match self.free.pop() {
            Some(free) => free,
            None => {
                self.slots.push(None);
                number(self.slots.len() - 1)
            }
        };
        self.by_label.add(number, &identity.labels);
        self.slots[number as usize] = Some(identity);
        let namespace = Arc::clone(&key.namespace);
        self.by_namespace
            .entry(namespace)
            .or_default()
            .insert(number);
        self.known.insert(key, number);
        number
    }

    /// Says that an endpoint of the identity is gone.
    pub(super) fn release(&mut self, identity: u32) {
        let slot = self.slot(identity);
        slot.endpoints -= 1;
        self.idle += usize::from(slot.endpoints == 0);
    }

    /// Takes out the identities without endpoints, if they have become many.
    pub(super) fn sweep(&mut self) -> Vec<(u32, Identity)> {
        if self.idle <= MAX_IDLE + (self.known.len() - self.idle) / 2 {
            return Vec::new();
        }
        self.idle = 0;
        let numbers = 0..number(self.slots.len());
        let idle = |id: &u32| {
            self.slots[*id as usize]
                .as_ref()
                .is_some_and(|i| i.endpoints == 0)
        };
        let gone: Vec<u32> = numbers.filter(idle).collect();
        gone.into_iter().map(|id| (id, self.take(id))).collect()
    }

    fn take(&mut self, number: u32) -> Identity {
        let identity = self.slots[number as usize]
            .take()
            .expect("a known identity");
        self.free.push(number);
        self.by_label.remove(number, &identity.labels);
        let namespace = &identity.namespace;
        let peers = self.by_namespace.get_mut(namespace).expect("its namespace");
        peers.remove(&number);
        if peers.is_empty() {
            self.by_namespace.remove(namespace);
        }
        let key = Key {
            namespace: Arc::clone(namespace),
            labels: Arc::clone(&identity.labels),
            ports: Arc::clone(&identity.ports),
        };
        self.known.remove(&key);
        identity
    }

    /// An identity.
    pub(super) fn get(&self, identity: u32) -> &Identity {
        self.slots[identity as usize]
            .as_ref()
            .expect("a known identity")
    }

    /// An identity, to change its class.
    pub(super) fn slot(&mut self, identity: u32) -> &mut Identity {
        self.slots[identity as usize]
            .as_mut()
            .expect("a known identity")
    }

    /// The identities of a namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = u32> + '_ {
        self.by_namespace
            .get(namespace)
            .into_iter()
            .flatten()
            .copied()
    }

    /// Identities among which are all that satisfy the selector, if an index has them.
    pub(super) fn candidates(&self, selector: &Selector) -> Option<Candidates<'_>> {
        self.by_label.candidates(selector)
    }

    /// The namespaces that have identities.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_namespace.keys()
    }
}
