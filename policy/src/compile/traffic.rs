//! Traffic worked out: which points of which protocols a rule means.

use std::collections::BTreeSet;

use crate::model::{Icmp, PortCondition, PortMatch, Traffic, TrafficSet};
use crate::verdict::Flow;
use crate::verdict::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, has_ports, is_icmp};

/// Where a flow's traffic lies: its protocol and a point on that protocol's line.
///
/// The point is the destination port, or an ICMP message as type x 256 + code; for every other
/// protocol, and an ICMP message that is not known, it is [`BEYOND`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) protocol: u8,
    pub(crate) point: u32,
}

/// The point after all ports.
const BEYOND: u32 = 0x1_0000;

/// A whole line.
const LINE: (u32, u32) = (0, BEYOND);

const WITH_PORTS: [u8; 4] = [TCP, UDP, SCTP, UDPLITE];

impl Spot {
    #[inline]
    pub(crate) fn of(flow: &Flow) -> Self {
        let protocol = flow.protocol;
        let point = match flow.icmp {
            _ if has_ports(protocol) => u32::from(flow.dst_port),
            Some((kind, code)) if is_icmp(protocol) => message(kind, code),
            _ => BEYOND,
        };
        Self { protocol, point }
    }
}

fn message(kind: u8, code: u8) -> u32 {
    u32::from(kind) << 8 | u32::from(code)
}

/// What a [`Traffic`] covers. Where its conditions are not `exact`, it covers more than they mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// Every protocol that is not in `protocols` is covered whole.
    pub(super) others: bool,
    /// The protocols it says something about.
    pub(super) protocols: BTreeSet<u8>,
    /// First and last covered point of a protocol in `protocols`.
    pub(super) ranges: Vec<(u8, u32, u32)>,
    /// Port names covered at the destination, of a protocol in `protocols`.
    pub(super) names: Vec<(u8, String)>,
}

/// Covers of every kind of traffic in the set, and whether together they are exact.
pub(super) fn covers(set: &TrafficSet) -> (Vec<Cover>, bool) {
    match set {
        TrafficSet::Any => (vec![Cover::everything()], true),
        TrafficSet::OneOf(kinds) => {
            let exact = kinds.iter().all(is_exact);
            (kinds.iter().map(Cover::of).collect(), exact)
        }
    }
}

/// Conditions on source ports and exceptions by name are left to a check.
fn is_exact(traffic: &Traffic) -> bool {
    let named = |ports: &[PortMatch]| ports.iter().any(|p| matches!(p, PortMatch::Named(_)));
    let PortCondition { one_of, none_of } = &traffic.destination;
    let exceptions = !none_of.is_empty() && named(one_of) || named(none_of);
    traffic.source.is_any() && !exceptions
}

impl Cover {
    fn everything() -> Self {
        Self {
            others: true,
            ..Self::default()
        }
    }

    fn of(traffic: &Traffic) -> Self {
        let about_ports = !traffic.source.is_any() || !traffic.destination.is_any();
        let mut cover = Self::default();
        if let Some(protocol) = traffic.protocol {
            cover.protocols.insert(protocol);
        } else if about_ports {
            cover.protocols.extend(WITH_PORTS);
        } else if traffic.icmp.is_some() {
            cover.protocols.extend([ICMP, ICMPV6]);
        } else {
            cover.others = true;
            if traffic.not_icmp.is_some() {
                cover.protocols.extend([ICMP, ICMPV6]);
            }
            cover.protocols.extend(traffic.not_protocol);
        }
        for protocol in cover.protocols.clone() {
            if traffic.not_protocol == Some(protocol) {
                continue;
            }
            let points = match (about_ports, traffic.icmp) {
                (true, None) if has_ports(protocol) => cover.ports(protocol, traffic),
                (false, Some(icmp)) if is_icmp(protocol) => vec![messages(icmp)],
                (false, None) => vec![LINE],
                _ => vec![],
            };
            let excepted = traffic.not_icmp.filter(|_| is_icmp(protocol)).map(messages);
            let ranges = points
                .into_iter()
                .flat_map(|range| super::stretches::without(range, excepted.as_slice()));
            cover
                .ranges
                .extend(ranges.map(|(from, to)| (protocol, from, to)));
        }
        cover
    }

    /// The destination ports; all of them where names are excepted as well as meant.
    fn ports(&mut self, protocol: u8, traffic: &Traffic) -> Vec<(u32, u32)> {
        if !is_exact(traffic) {
            return vec![LINE];
        }
        let numbers = |ports: &[PortMatch]| -> Vec<(u32, u32)> {
            let range = |port: &PortMatch| match port {
                PortMatch::Range(range) => {
                    Some((u32::from(*range.start()), u32::from(*range.end())))
                }
                PortMatch::Named(_) => None,
            };
            ports.iter().filter_map(range).collect()
        };
        let PortCondition { one_of, none_of } = &traffic.destination;
        for port in one_of {
            if let PortMatch::Named(name) = port {
                self.names.push((protocol, name.clone()));
            }
        }
        let meant = if one_of.is_empty() {
            vec![LINE]
        } else {
            numbers(one_of)
        };
        let excepted = numbers(none_of);
        meant
            .into_iter()
            .filter(|(from, to)| from <= to)
            .flat_map(|range| super::stretches::without(range, &excepted))
            .collect()
    }

    /// The covered points of a protocol.
    pub(super) fn of_protocol(&self, protocol: u8) -> Vec<(u32, u32)> {
        if !self.protocols.contains(&protocol) {
            return if self.others { vec![LINE] } else { vec![] };
        }
        let own = self.ranges.iter().filter(|range| range.0 == protocol);
        own.map(|(_, from, to)| (*from, *to)).collect()
    }
}

fn messages(icmp: Icmp) -> (u32, u32) {
    let (first, last) = icmp.code.map_or((0, u8::MAX), |code| (code, code));
    (message(icmp.kind, first), message(icmp.kind, last))
}
