//! Names of ports as numbers, and who serves what under them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::model::NamedPort;

/// A port name, as a hash with a key of this process that nobody outside knows. Nothing has to be
/// remembered of names that come and go; that two share a number is as likely as guessing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u64);

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Name {
    pub(super) fn of(name: &str) -> Self {
        Self(KEY.hash_one(name))
    }
}

/// A port a pod serves under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    pub(crate) name: Name,
}

/// The ports a pod declares.
pub(super) fn served(ports: &BTreeSet<NamedPort>) -> Arc<[Served]> {
    let ports = ports.iter().map(|port| Served {
        protocol: port.protocol,
        port: port.port,
        name: Name::of(&port.name),
    });
    ports.collect()
}
