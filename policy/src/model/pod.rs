//! Pods: the workloads policy selects and protects.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::Labels;

/// Namespace and name of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
}

impl PodKey {
    /// A key from its two parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port a container declares by name. Init and sidecar containers count too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    /// The name policies refer to.
    pub name: String,
    /// IP protocol number; the name only means this protocol.
    pub protocol: u8,
    /// The port number in this pod.
    pub port: u16,
}

/// How far a pod's life has come (`status.phase`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Pending, Running or Unknown: the pod's address is its own.
    #[default]
    Alive,
    /// Succeeded or Failed: the address may already belong to another pod.
    Finished,
}

/// A Pod object, as far as policy needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's labels.
    pub labels: Labels,
    /// Addresses of `status.podIPs`; until the kubelet has reported one, what an annotation notes.
    pub addresses: Vec<IpAddr>,
    /// The addresses are only noted in an annotation, which whoever may write the pod can write:
    /// anybody with a better claim to one of them has it.
    pub noted: bool,
    /// Ports its containers declare by name.
    pub named_ports: BTreeSet<NamedPort>,
    /// `spec.nodeName`, once scheduled.
    pub node: Option<String>,
    /// `spec.serviceAccountName`.
    pub service_account: Option<String>,
    /// The pod shares its node's network: it has no address of its own, so policy cannot see it.
    pub host_network: bool,
    /// How far its life has come.
    pub phase: Phase,
    /// `metadata.deletionTimestamp` is set. The pod keeps its identity until CNI DEL.
    pub terminating: bool,
    /// `metadata.creationTimestamp` (RFC 3339, UTC), which decides when two objects claim one
    /// address.
    pub created: Option<String>,
}

impl Pod {
    /// The pod's key.
    #[must_use]
    pub fn key(&self) -> PodKey {
        PodKey::new(&self.namespace, &self.name)
    }

    /// True while the pod's address stands for the pod: not on the host's network, not finished.
    #[must_use]
    pub fn has_identity(&self) -> bool {
        !self.host_network && self.phase == Phase::Alive
    }
}
