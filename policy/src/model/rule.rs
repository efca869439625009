//! Rules: which traffic, with whom, and what then.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::PodScope;

/// What a matching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The flow may begin; nothing further is asked.
    Allow,
    /// The flow may not begin; nothing further is asked.
    Deny,
    /// The rest of this tier is skipped.
    Pass,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pass => "pass",
        })
    }
}

/// One rule: it matches when its peers match the flow's peer and its ports the flow's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What a match means.
    pub action: Action,
    /// The other end.
    pub peers: Peers,
    /// The traffic.
    pub ports: Ports,
}

/// The other ends a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Every address, in the cluster or outside.
    Any,
    /// One of these; an empty list matches nobody.
    OneOf(Vec<Peer>),
}

/// One kind of other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Pods with an identity. Never an outside address, never a host-network pod.
    Pods(PodScope),
    /// Addresses, of pods and of outsiders alike: inside `cidr` and in none of `except`.
    Network {
        /// The block meant.
        cidr: IpNet,
        /// Blocks carved out of this item only.
        except: Vec<IpNet>,
    },
}

impl Peer {
    /// Is this an address item that contains `address`? A v4 block never contains a v6 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Pods(_) => false,
            Self::Network { cidr, except } => {
                cidr.contains(&address) && !except.iter().any(|hole| hole.contains(&address))
            }
        }
    }
}

/// The traffic a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every protocol and port, ICMP included.
    Any,
    /// One of these; an empty list matches nothing.
    OneOf(Vec<PortMatch>),
}

/// One kind of traffic, by protocol number and destination port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// Every port of the protocol.
    Protocol(u8),
    /// The ports of a range of the protocol.
    Range(u8, RangeInclusive<u16>),
    /// The port of this name and protocol in the destination pod, whatever its number there.
    Named(u8, String),
}
