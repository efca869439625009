//! A question about a new flow, and its answer.

use std::fmt;
use std::net::IpAddr;

use crate::model::{Action, Established, PolicyKey, Reply};

/// IP protocol numbers that policy names (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// Internet Control Message Protocol, version 4.
    pub const ICMP: u8 = 1;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// Internet Control Message Protocol, version 6.
    pub const ICMPV6: u8 = 58;
    /// Stream Control Transmission Protocol.
    pub const SCTP: u8 = 132;
    /// Lightweight User Datagram Protocol.
    pub const UDPLITE: u8 = 136;

    /// Do packets of this protocol name ports?
    #[must_use]
    pub fn has_ports(number: u8) -> bool {
        matches!(number, TCP | UDP | SCTP | UDPLITE)
    }

    /// Is it ICMP, of either version?
    #[must_use]
    pub fn is_icmp(number: u8) -> bool {
        matches!(number, ICMP | ICMPV6)
    }

    /// The name policy writes for a protocol number, if it has one.
    #[must_use]
    pub fn name(number: u8) -> Option<&'static str> {
        match number {
            ICMP => Some("ICMP"),
            TCP => Some("TCP"),
            UDP => Some("UDP"),
            ICMPV6 => Some("ICMPv6"),
            SCTP => Some("SCTP"),
            UDPLITE => Some("UDPLite"),
            _ => None,
        }
    }
}

/// Which half of policy is asked, as seen from the endpoint that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Toward the endpoint: the subject is the flow's destination.
    Ingress,
    /// From the endpoint: the subject is the flow's source.
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The first packet of a flow, as one of its two ends sees it.
///
/// For [`Direction::Egress`] the subject is the packet's source and the peer its destination; for
/// [`Direction::Ingress`] the other way round. `dst_port` always is the port of the packet's
/// destination, after any destination NAT, in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The endpoint that is judged.
    pub subject: IpAddr,
    /// The other end.
    pub peer: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port for TCP, UDP, SCTP and UDPLite; ignored for every other protocol.
    pub src_port: u16,
    /// Destination port for the same protocols.
    pub dst_port: u16,
    /// ICMP type and code; `None` for every other protocol, and then no ICMP condition holds.
    pub icmp: Option<(u8, u8)>,
}

/// May the flow begin, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True when the flow may begin.
    pub allowed: bool,
    /// What decided; [`crate::Table::describe`] of the same table resolves it.
    pub rule: RuleRef,
    /// What a deny means for the sender and for flows that began before; no meaning when allowed.
    pub denial: Denial,
}

/// How a deny is carried out: as the policy that decided says, else as the node's settings do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Denial {
    /// What the sender is told.
    pub reply: Reply,
    /// What becomes of flows that began when they were allowed.
    pub established: Established,
}

/// What holds where no policy says otherwise.
pub type Settings = Denial;

/// What decided a verdict, as an index into the table that gave it.
///
/// The associated constants mean the same in every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef(pub(crate) u32);

impl RuleRef {
    /// The subject is no endpoint the table knows: denied (fail closed).
    pub const UNKNOWN_ENDPOINT: Self = Self(0);
    /// No policy selects the subject in this direction: allowed.
    pub const NO_POLICY: Self = Self(1);
    /// An endpoint talks to itself: allowed, as Kubernetes promises.
    pub const OWN_TRAFFIC: Self = Self(2);
    /// IPv6 neighbour discovery and multicast listening: allowed, or no address would resolve.
    pub const NEIGHBOUR_DISCOVERY: Self = Self(3);
    /// Policies select the subject in this direction, and every tier passed: allowed.
    pub const NO_DECISION: Self = Self(4);

    /// The table's index of this reference.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A [`RuleRef`] in words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuleDescription {
    /// See [`RuleRef::UNKNOWN_ENDPOINT`].
    UnknownEndpoint,
    /// See [`RuleRef::NO_POLICY`].
    NoPolicySelects,
    /// See [`RuleRef::NO_DECISION`].
    NoPolicyDecides,
    /// See [`RuleRef::OWN_TRAFFIC`].
    OwnTraffic,
    /// See [`RuleRef::NEIGHBOUR_DISCOVERY`].
    NeighbourDiscovery,
    /// A rule matched and decided.
    Rule {
        /// Which list of the policy the rule stands in.
        direction: Direction,
        /// The policy's tier.
        tier: String,
        /// The policy.
        policy: PolicyKey,
        /// Position of the rule in the policy's list, from 0.
        index: usize,
        /// What the rule says.
        action: Action,
    },
    /// Policies of the tier select the subject, none of their rules matched, and the tier ends in
    /// a deny (Kubernetes' default deny).
    EndOfTier {
        /// The direction judged.
        direction: Direction,
        /// The tier.
        tier: String,
        /// The policies that select the subject in this direction, in order.
        selected_by: Vec<PolicyKey>,
    },
}

impl fmt::Display for RuleDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEndpoint => f.write_str("unknown endpoint"),
            Self::NoPolicySelects => f.write_str("no policy selects"),
            Self::NoPolicyDecides => f.write_str("no policy decides: every tier passes"),
            Self::OwnTraffic => f.write_str("an endpoint may always reach itself"),
            Self::NeighbourDiscovery => f.write_str("IPv6 neighbour discovery"),
            Self::Rule {
                direction,
                tier,
                policy,
                index,
                action,
            } => {
                write!(
                    f,
                    "{policy} {direction} rule {index} ({action}, tier {tier})"
                )
            }
            Self::EndOfTier {
                direction,
                tier,
                selected_by,
            } => {
                write!(
                    f,
                    "no {direction} rule matched, end of tier {tier}; selected by "
                )?;
                write_list(f, selected_by)
            }
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, policies: &[PolicyKey]) -> fmt::Result {
    for (position, policy) in policies.iter().enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{policy}")?;
    }
    Ok(())
}
