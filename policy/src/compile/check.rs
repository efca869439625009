//! Checks: the conditions of a rule that no index holds.
//!
//! The index leads to every rule that names the peer's class or address and the traffic's point.
//! Conditions on source ports, on two things at once (a label and an address), on what a peer is
//! *not*, or on the policed endpoint itself are left over; a rule that has one is checked whole.

use std::net::IpAddr;

use ipnet::IpNet;

use super::names::{Names, Served};
use crate::model::{End, PortCondition, PortMatch, Traffic};
use crate::verdict::protocol::{has_ports, is_icmp};
use crate::verdict::{Direction, Flow};

/// An end of a flow as the table sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'t> {
    pub(crate) address: IpAddr,
    /// The endpoint's class; `None` outside the cluster.
    pub(crate) class: Option<u32>,
    /// The features of that class, ascending.
    pub(crate) features: &'t [u32],
    /// The ports it serves under names.
    pub(crate) served: &'t [Served],
}

/// A question as programs see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'t> {
    pub(crate) direction: Direction,
    pub(crate) flow: &'t Flow,
    pub(crate) subject: Party<'t>,
    pub(crate) peer: Party<'t>,
}

impl<'t> Question<'t> {
    /// Where the flow comes from and goes to.
    #[inline]
    pub(crate) fn source_and_destination(&self) -> (&Party<'t>, &Party<'t>) {
        match self.direction {
            Direction::Ingress => (&self.peer, &self.subject),
            Direction::Egress => (&self.subject, &self.peer),
        }
    }
}

/// Everything a rule asks, with scopes and names resolved.
#[derive(Debug)]
pub(crate) struct Check {
    pub(super) subject: Option<EndCheck>,
    /// One of these; `None` for any.
    pub(super) peers: Option<Box<[EndCheck]>>,
    /// One of these; `None` for any.
    pub(super) traffic: Option<Box<[TrafficCheck]>>,
}

/// An [`End`].
#[derive(Debug)]
pub(super) struct EndCheck {
    pub(super) scope: Option<ScopeCheck>,
    pub(super) not_scope: Option<ScopeCheck>,
    /// For the conditions on the address.
    pub(super) end: End,
}

/// Members of a scope: endpoints that have the feature, and addresses.
#[derive(Debug)]
pub(super) struct ScopeCheck {
    pub(super) feature: Option<u32>,
    pub(super) nets: Box<[IpNet]>,
}

/// A [`Traffic`].
#[derive(Debug)]
pub(super) struct TrafficCheck {
    traffic: Traffic,
    source: PortCheck,
    destination: PortCheck,
}

/// A [`PortCondition`] with names as numbers.
#[derive(Debug)]
struct PortCheck {
    any: bool,
    one_of: Box<[One]>,
    none_of: Box<[One]>,
}

#[derive(Debug)]
enum One {
    Range(u16, u16),
    Named(u32),
}

impl Check {
    /// Does the rule match?
    pub(crate) fn holds(&self, question: &Question<'_>) -> bool {
        let subject = self.subject.as_ref();
        subject.is_none_or(|end| end.holds(&question.subject))
            && any_of(self.peers.as_deref(), |end| end.holds(&question.peer))
            && any_of(self.traffic.as_deref(), |kind| kind.holds(question))
    }
}

fn any_of<T>(choices: Option<&[T]>, holds: impl Fn(&T) -> bool) -> bool {
    choices.is_none_or(|choices| choices.iter().any(holds))
}

impl EndCheck {
    fn holds(&self, party: &Party<'_>) -> bool {
        let member = |scope: &ScopeCheck| scope.has(party);
        self.end.has_address(party.address)
            && self.scope.as_ref().is_none_or(member)
            && !self.not_scope.as_ref().is_some_and(member)
    }
}

impl ScopeCheck {
    fn has(&self, party: &Party<'_>) -> bool {
        let feature = self.feature;
        feature.is_some_and(|feature| party.features.binary_search(&feature).is_ok())
            || self.nets.iter().any(|net| net.contains(&party.address))
    }
}

impl TrafficCheck {
    pub(super) fn of(traffic: &Traffic, names: &mut Names) -> Self {
        Self {
            source: PortCheck::of(&traffic.source, names),
            destination: PortCheck::of(&traffic.destination, names),
            traffic: traffic.clone(),
        }
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        let (flow, traffic) = (question.flow, &self.traffic);
        let message = flow.icmp.filter(|_| is_icmp(flow.protocol));
        let is = |icmp: &crate::model::Icmp| message.is_some_and(|own| icmp.matches(own));
        let (source, destination) = question.source_and_destination();
        traffic.protocol.is_none_or(|own| own == flow.protocol)
            && traffic.not_protocol.is_none_or(|own| own != flow.protocol)
            && traffic.icmp.as_ref().is_none_or(is)
            && !traffic.not_icmp.as_ref().is_some_and(is)
            && self
                .source
                .holds(flow.protocol, flow.src_port, source.served)
            && self
                .destination
                .holds(flow.protocol, flow.dst_port, destination.served)
    }
}

impl PortCheck {
    fn of(condition: &PortCondition, names: &mut Names) -> Self {
        let mut all = |ports: &[PortMatch]| {
            let one = |port: &PortMatch| match port {
                PortMatch::Range(range) => One::Range(*range.start(), *range.end()),
                PortMatch::Named(name) => One::Named(names.number(name)),
            };
            ports.iter().map(one).collect()
        };
        Self {
            any: condition.is_any(),
            one_of: all(&condition.one_of),
            none_of: all(&condition.none_of),
        }
    }

    fn holds(&self, protocol: u8, port: u16, served: &[Served]) -> bool {
        let meant = |one: &One| match one {
            One::Range(first, last) => (*first..=*last).contains(&port),
            One::Named(name) => served
                .iter()
                .any(|own| own.name == *name && own.protocol == protocol && own.port == port),
        };
        self.any
            || has_ports(protocol)
                && (self.one_of.is_empty() || self.one_of.iter().any(meant))
                && !self.none_of.iter().any(meant)
    }
}
