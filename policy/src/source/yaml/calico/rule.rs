//! A rule of a Calico policy.
//!
//! Source and destination are the packet's. For an ingress rule the source is the peer and the
//! destination the policed endpoint itself, which a rule may narrow further; for an egress rule it
//! is the other way round.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Read;
use super::entity::{self, Entity};
use super::traffic::{self, Protocols};
use crate::model::{Action, End, Peers, Rule, Traffic, TrafficSet};
use crate::source::yaml::Problem;
use crate::source::yaml::view::{Map, View};
use crate::verdict::protocol::{ICMP, ICMPV6};

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ingress,
    Egress,
}

impl Side {
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

const FIELDS: [&str; 10] = [
    "action",
    "ipVersion",
    "protocol",
    "notProtocol",
    "icmp",
    "notICMP",
    "source",
    "destination",
    "http",
    "metadata",
];

/// Reads a rule of a policy in this namespace; `None`: of a global one.
pub(super) fn read(view: &View<'_>, side: Side, namespace: Option<&str>) -> Read<Rule> {
    let map = view.map()?;
    map.only(&FIELDS)?;
    check_rest(&map)?;
    let action = action(&map.require("action")?)?;
    let protocols = Protocols::read(&map)?;
    let family = Family::read(&map, &protocols)?;
    let source = entity::read(&map, "source", namespace)?;
    let destination = entity::read(&map, "destination", namespace)?;
    let family = one_family(family, [&source, &destination])?;
    protocols.check_ports([&source, &destination])?;
    let traffic = Traffic {
        protocol: protocols.is,
        not_protocol: protocols.is_not,
        icmp: traffic::icmp(&map, "icmp")?,
        not_icmp: traffic::icmp(&map, "notICMP")?,
        source: source.ports,
        destination: destination.ports,
    };
    let (peer, subject) = match side {
        Side::Ingress => (source.end, destination.end),
        Side::Egress => (destination.end, source.end),
    };
    Ok(Rule {
        subject: condition(subject),
        peers: peers(peer, family),
        traffic: match traffic == Traffic::default() {
            true => TrafficSet::Any,
            false => TrafficSet::OneOf(vec![traffic]),
        },
        ..Rule::any(action)
    })
}

/// The peers: those of the rule's family, if it has one and no block of theirs says so already.
fn peers(mut peer: End, family: Option<Family>) -> Peers {
    if let (Some(family), None) = (family, &peer.nets) {
        peer.nets = Some(vec![family.every_address()]);
    }
    condition(peer).map_or(Peers::Any, |end| Peers::OneOf(vec![end]))
}

/// An end that asks for something.
fn condition(end: End) -> Option<End> {
    (end != End::default()).then_some(end)
}

fn action(view: &View<'_>) -> Read<Action> {
    match view.text()? {
        "Allow" => Ok(Action::Allow),
        "Deny" => Ok(Action::Deny),
        "Log" => Ok(Action::Log),
        "Pass" => Ok(Action::Pass),
        _ => Err(view.invalid("Allow, Deny, Log or Pass")),
    }
}

/// `http`, which nothing here can judge, and `metadata`, which decides nothing.
fn check_rest(map: &Map<'_>) -> Read<()> {
    if let Some(http) = map.get("http") {
        return Err(http.error(Problem::Unsupported(
            "not supported: policy judges packets, not requests; use protocol and \
             destination.ports here, and a proxy for methods and paths",
        )));
    }
    let Some(metadata) = map.get("metadata") else {
        return Ok(());
    };
    let metadata = metadata.map()?;
    metadata.only(&["annotations"])?;
    if let Some(annotations) = metadata.get("annotations") {
        for (_, value) in annotations.map()?.entries() {
            value.text()?;
        }
    }
    Ok(())
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// `ipVersion`, which must fit the protocol.
    fn read(map: &Map<'_>, protocols: &Protocols<'_>) -> Read<Option<Self>> {
        let Some(view) = map.get("ipVersion") else {
            return Ok(None);
        };
        let (family, of_the_other) = match view.integer()? {
            4 => (Self::V4, ICMPV6),
            6 => (Self::V6, ICMP),
            _ => return Err(view.invalid("4 or 6")),
        };
        if protocols.name(of_the_other) {
            return Err(view.error(Problem::Conflict(
                "ipVersion must be 4 in a rule that names ICMP, 6 in one that names ICMPv6",
            )));
        }
        Ok(Some(family))
    }

    fn of(net: IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    fn every_address(self) -> IpNet {
        match self {
            Self::V4 => Ipv4Net::default().into(),
            Self::V6 => Ipv6Net::default().into(),
        }
    }
}

/// The family of a rule: that of its `ipVersion`, or else of its blocks, which are all of one.
///
/// A block makes the whole rule its family's, one of `notNets` too: `notNets: [10.0.0.0/8]` means
/// no IPv6 address, although none is in 10.0.0.0/8. (felix/rules/policy.go,
/// `FilterRuleToIPVersion`: for a family that none of the blocks of a field is of, the rule is not
/// there.)
fn one_family(mut family: Option<Family>, ends: [&Entity<'_>; 2]) -> Read<Option<Family>> {
    for (net, view) in ends.into_iter().flat_map(|end| &end.blocks) {
        let own = Family::of(*net);
        if family.is_some_and(|family| family != own) {
            return Err(view.invalid("blocks of one family in a rule, that of its ipVersion"));
        }
        family = Some(own);
    }
    Ok(family)
}
