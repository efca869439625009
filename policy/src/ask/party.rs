//! One end of a question.

use std::fmt;
use std::net::IpAddr;

use super::FlowKind;
use crate::model::PodKey;

/// One end of a question, with the addresses it may be reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// What it is.
    pub kind: PartyKind,
    /// Its addresses, the first preferred.
    pub addresses: Vec<IpAddr>,
}

/// What an end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartyKind {
    /// A pod with an identity: policy applies to it.
    Pod {
        /// The pod.
        key: PodKey,
        /// The node it runs on, if known.
        node: Option<String>,
    },
    /// A pod on the network of its node: policy cannot tell it from the node.
    HostNetwork {
        /// The pod.
        key: PodKey,
        /// The node it runs on, if known.
        node: Option<String>,
    },
    /// A node.
    Node(String),
    /// A pod that has run to its end, at an address nobody else has by now: policy sees the address
    /// only, as it does an outsider's.
    Finished(PodKey),
    /// An address that belongs to nobody in the cluster.
    Outside,
}

/// Why policy does not apply to a pod that has finished.
pub(crate) const FINISHED: &str = "its pod has finished";

impl Party {
    /// Does policy apply to it?
    #[must_use]
    pub fn is_policed(&self) -> bool {
        matches!(self.kind, PartyKind::Pod { .. })
    }

    /// The pod, if it is one that policy applies to.
    #[must_use]
    pub fn pod(&self) -> Option<&PodKey> {
        match &self.kind {
            PartyKind::Pod { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Is this the node that pod runs on, or a pod on that node's network?
    #[must_use]
    pub fn is_own_node_of(&self, pod: &Self) -> bool {
        let PartyKind::Pod {
            node: Some(home), ..
        } = &pod.kind
        else {
            return false;
        };
        match &self.kind {
            PartyKind::Node(name) => name == home,
            PartyKind::HostNetwork { node, .. } => node.as_ref() == Some(home),
            PartyKind::Pod { .. } | PartyKind::Finished(_) | PartyKind::Outside => false,
        }
    }

    /// Why policy does not apply to it, in words; empty when it does.
    #[must_use]
    pub fn why_not_policed(&self) -> &'static str {
        match self.kind {
            PartyKind::Pod { .. } => "",
            PartyKind::Finished(_) => FINISHED,
            PartyKind::HostNetwork { .. } => "on its node's network",
            PartyKind::Node(_) => "a node",
            PartyKind::Outside => "outside the cluster",
        }
    }

    /// The addresses a flow to `other` has: this party's first that fits the flow and whose family
    /// the other has, too. ICMP goes between IPv4 addresses where it can.
    #[must_use]
    pub fn meet(&self, other: &Self, kind: &FlowKind) -> Option<(IpAddr, IpAddr)> {
        let pairs = || {
            let own = self.addresses.iter().filter(|own| kind.fits(**own));
            own.filter_map(|own| {
                let same = |theirs: &&IpAddr| theirs.is_ipv4() == own.is_ipv4();
                Some((*own, *other.addresses.iter().find(same)?))
            })
        };
        let preferred = pairs().find(|(own, _)| kind.prefers(*own));
        preferred.or_else(|| pairs().next())
    }
}

/// The name a person would use: `ns/pod`, the node's, or the address.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.addresses.first()) {
            (PartyKind::Pod { key, .. } | PartyKind::HostNetwork { key, .. }, _) => key.fmt(f),
            (PartyKind::Finished(key), _) => key.fmt(f),
            (PartyKind::Node(name), _) => write!(f, "node {name}"),
            (PartyKind::Outside, Some(address)) => address.fmt(f),
            (PartyKind::Outside, None) => f.write_str("nobody"),
        }
    }
}
