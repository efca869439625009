//! Names of ports as numbers, and which identity serves what under them.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::number;
use super::persistent::Pages;
use crate::model::NamedPort;

/// A port a pod serves under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Served {
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    /// The name's number.
    pub(crate) name: u32,
}

/// Numbers of port names. A name keeps its number.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: FxHashMap<String, u32>,
}

impl Names {
    /// The number of a name.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let next = number(self.numbers.len());
        self.numbers.insert(name.to_owned(), next);
        next
    }

    /// Named ports with numbers for names.
    pub(super) fn served(&mut self, ports: &BTreeSet<NamedPort>) -> Arc<[Served]> {
        let ports = ports.iter().map(|port| Served {
            protocol: port.protocol,
            port: port.port,
            name: self.number(&port.name),
        });
        ports.collect()
    }
}

/// Lists of named ports, each once.
#[derive(Debug, Default)]
pub(super) struct ServedLists {
    known: FxHashMap<Arc<[Served]>, u32>,
    pub(super) lists: Pages<Arc<[Served]>>,
}

impl ServedLists {
    pub(super) fn number(&mut self, list: Arc<[Served]>) -> u32 {
        if let Some(known) = self.known.get(&list) {
            return *known;
        }
        let next = number(self.known.len());
        self.lists.set(next, Arc::clone(&list));
        self.known.insert(list, next);
        next
    }
}
