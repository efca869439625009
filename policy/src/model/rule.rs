//! Rules: which traffic, with whom, and what then.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::Scope;

/// What a matching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The flow may begin; nothing further is asked.
    Allow,
    /// The flow may not begin; nothing further is asked.
    Deny,
    /// The rest of this tier is skipped.
    Pass,
    /// Nothing is decided: the next rule is asked (Calico's `Log`).
    Log,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pass => "pass",
            Self::Log => "log",
        })
    }
}

/// One rule: it matches when every one of its conditions does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The name its author gave it; it decides nothing.
    pub name: Option<String>,
    /// What a match means.
    pub action: Action,
    /// What the policed endpoint itself must satisfy, besides being selected by the policy.
    pub subject: Option<End>,
    /// The other end.
    pub peers: Peers,
    /// The traffic.
    pub traffic: TrafficSet,
}

impl Rule {
    /// A rule of this action for every peer and all traffic.
    #[must_use]
    pub fn any(action: Action) -> Self {
        Self {
            name: None,
            action,
            subject: None,
            peers: Peers::Any,
            traffic: TrafficSet::Any,
        }
    }
}

/// The other ends a rule means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peers {
    /// Every address, in the cluster or outside.
    Any,
    /// One of these; an empty list matches nobody.
    OneOf(Vec<End>),
}

/// One end of a flow: every condition that is given must hold. The default holds for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// It is a member. An address outside the cluster is none, unless in a network set that is.
    pub scope: Option<Scope>,
    /// It is no member. Addresses outside the cluster satisfy this.
    pub not_scope: Option<Scope>,
    /// Its address is in one of these blocks. A v4 block never contains a v6 address.
    pub nets: Option<Vec<IpNet>>,
    /// Its address is in none of these blocks.
    pub not_nets: Vec<IpNet>,
}

impl End {
    /// The members of a scope.
    #[must_use]
    pub fn members(scope: Scope) -> Self {
        Self {
            scope: Some(scope),
            ..Self::default()
        }
    }

    /// Kubernetes' ipBlock: addresses of pods and of outsiders alike, inside `cidr` and in none of
    /// `except`.
    #[must_use]
    pub fn block(cidr: IpNet, except: Vec<IpNet>) -> Self {
        Self {
            nets: Some(vec![cidr]),
            not_nets: except,
            ..Self::default()
        }
    }

    /// Do the conditions on the address hold?
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        let inside = |nets: &Vec<IpNet>| nets.iter().any(|net| net.contains(&address));
        self.nets.as_ref().is_none_or(inside) && !inside(&self.not_nets)
    }
}

/// The traffic a rule means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrafficSet {
    /// Every protocol and port, ICMP included.
    Any,
    /// One of these; an empty list matches nothing.
    OneOf(Vec<Traffic>),
}

/// One kind of traffic: every condition that is given must hold. The default holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Traffic {
    /// The IP protocol number.
    pub protocol: Option<u8>,
    /// Not this IP protocol number.
    pub not_protocol: Option<u8>,
    /// The ICMP message. Holds only for ICMP and ICMPv6.
    pub icmp: Option<Icmp>,
    /// Not this ICMP message. Holds for every other protocol.
    pub not_icmp: Option<Icmp>,
    /// Where it comes from.
    pub source: PortCondition,
    /// Where it goes to.
    pub destination: PortCondition,
}

impl Traffic {
    /// Every port of a protocol.
    #[must_use]
    pub fn protocol(protocol: u8) -> Self {
        Self {
            protocol: Some(protocol),
            ..Self::default()
        }
    }

    /// The destination ports of a range.
    #[must_use]
    pub fn range(protocol: u8, ports: RangeInclusive<u16>) -> Self {
        Self::to(protocol, PortMatch::Range(ports))
    }

    /// The destination port of this name, whatever its number there.
    #[must_use]
    pub fn named(protocol: u8, name: &str) -> Self {
        Self::to(protocol, PortMatch::Named(name.to_owned()))
    }

    fn to(protocol: u8, port: PortMatch) -> Self {
        let mut traffic = Self::protocol(protocol);
        traffic.destination.one_of.push(port);
        traffic
    }
}

/// An ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Icmp {
    /// Its type.
    pub kind: u8,
    /// Its code; `None` for every code of the type.
    pub code: Option<u8>,
}

impl Icmp {
    /// Is a message of this type and code meant?
    #[must_use]
    pub fn matches(&self, (kind, code): (u8, u8)) -> bool {
        self.kind == kind && self.code.is_none_or(|own| own == code)
    }
}

/// A condition on one of a flow's ports. Protocols without ports satisfy only the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortCondition {
    /// One of these; an empty list means every port.
    pub one_of: Vec<PortMatch>,
    /// None of these.
    pub none_of: Vec<PortMatch>,
}

impl PortCondition {
    /// Does it hold for every port, and for protocols without ports?
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.one_of.is_empty() && self.none_of.is_empty()
    }
}

/// A port or ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// Those of a range.
    Range(RangeInclusive<u16>),
    /// The one a pod declares under this name for the flow's protocol: the destination's pod for a
    /// destination port, the source's for a source port. For anybody else, none.
    Named(String),
}

impl Ord for PortMatch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |port: &Self| match port {
            Self::Range(range) => (0, *range.start(), *range.end(), String::new()),
            Self::Named(name) => (1, 0, 0, name.clone()),
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for PortMatch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
