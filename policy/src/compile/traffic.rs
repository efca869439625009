//! Traffic worked out: which points of which protocols a rule means.

use std::collections::BTreeSet;

use super::names::Name;
use super::stretches::without;
use crate::model::{Icmp, PortCondition, PortMatch, Traffic, TrafficSet};
use crate::verdict::Flow;
use crate::verdict::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, has_ports, is_icmp};

/// Where one end of a flow lies: its protocol and a point on that protocol's line.
///
/// The point is the port at that end, or the ICMP message as type x 256 + code; for every other
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
    pub(crate) fn of_destination(flow: &Flow) -> Self {
        let protocol = flow.protocol;
        let point = match flow.icmp {
            _ if has_ports(protocol) => u32::from(flow.dst_port),
            Some((kind, code)) if is_icmp(protocol) => message(kind, code),
            _ => BEYOND,
        };
        Self { protocol, point }
    }

    #[inline]
    pub(crate) fn of_source(flow: &Flow) -> Self {
        Self {
            protocol: flow.protocol,
            point: u32::from(flow.src_port),
        }
    }
}

fn message(kind: u8, code: u8) -> u32 {
    u32::from(kind) << 8 | u32::from(code)
}

/// Where one end of some traffic lies: points of protocols, and names of ports.
///
/// A point is covered when it is in `ranges`, or a port of that end is served under one of
/// `names`; and is not in `not_ranges`, nor served under one of `not_names`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// Every protocol that is not in `protocols` is covered whole.
    pub(super) others: bool,
    /// The protocols it says something about.
    pub(super) protocols: BTreeSet<u8>,
    /// First and last covered point of a protocol in `protocols`.
    pub(super) ranges: Vec<(u8, u32, u32)>,
    pub(super) names: Vec<(u8, Name)>,
    pub(super) not_ranges: Vec<(u8, u32, u32)>,
    pub(super) not_names: Vec<(u8, Name)>,
}

/// Traffic as columns need it: the same condition on the source for all of it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// One of these.
    pub(super) destination: Vec<Cover>,
    pub(super) source: Cover,
}

/// The lanes of a set of traffic. Kinds without conditions on the source and without exceptions
/// that name ports share one.
pub(super) fn lanes(set: &TrafficSet) -> Vec<Lane> {
    let TrafficSet::OneOf(kinds) = set else {
        let destination = vec![Cover::everything()];
        let source = Cover::everything();
        return vec![Lane {
            destination,
            source,
        }];
    };
    let (mut shared, mut lanes) = (Vec::new(), Vec::new());
    for traffic in kinds {
        let cover = Cover::of_destination(traffic);
        if traffic.source.is_any() && cover.not_ranges.is_empty() && cover.not_names.is_empty() {
            shared.push(cover);
        } else {
            lanes.push(Lane {
                destination: vec![cover],
                source: Cover::of_source(traffic),
            });
        }
    }
    if !shared.is_empty() {
        lanes.push(Lane {
            destination: shared,
            source: Cover::everything(),
        });
    }
    lanes
}

impl Cover {
    pub(super) fn everything() -> Self {
        Self {
            others: true,
            ..Self::default()
        }
    }

    /// Does it cover all there is?
    pub(super) fn is_everything(&self) -> bool {
        self.others && self.protocols.is_empty()
    }

    /// The protocol, the ICMP message and the destination port.
    fn of_destination(traffic: &Traffic) -> Self {
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
            match (about_ports, traffic.icmp) {
                (true, None) if has_ports(protocol) => {
                    cover.add_ports(protocol, &traffic.destination);
                }
                (false, Some(icmp)) if is_icmp(protocol) => {
                    cover.add(protocol, &[messages(icmp)], traffic.not_icmp);
                }
                (false, None) => cover.add(protocol, &[LINE], traffic.not_icmp),
                _ => {}
            }
        }
        cover
    }

    /// The source port; the protocol is the destination's business.
    fn of_source(traffic: &Traffic) -> Self {
        let mut cover = Self::everything();
        if !traffic.source.is_any() {
            cover.protocols.extend(WITH_PORTS);
            for protocol in WITH_PORTS {
                cover.add_ports(protocol, &traffic.source);
            }
        }
        cover
    }

    fn add(&mut self, protocol: u8, points: &[(u32, u32)], except: Option<Icmp>) {
        let except = except.filter(|_| is_icmp(protocol)).map(messages);
        let left = points
            .iter()
            .flat_map(|range| without(*range, except.as_slice()));
        self.ranges
            .extend(left.map(|(from, to)| (protocol, from, to)));
    }

    fn add_ports(&mut self, protocol: u8, ports: &PortCondition) {
        let (meant, names) = divide(&ports.one_of);
        let (excepted, not_names) = divide(&ports.none_of);
        let meant = if ports.one_of.is_empty() {
            vec![LINE]
        } else {
            meant
        };
        let left = meant
            .into_iter()
            .flat_map(|range| without(range, &excepted));
        self.ranges
            .extend(left.map(|(from, to)| (protocol, from, to)));
        if !names.is_empty() {
            let excepted = excepted.iter().map(|(from, to)| (protocol, *from, *to));
            self.not_ranges.extend(excepted);
        }
        self.names
            .extend(names.into_iter().map(|name| (protocol, name)));
        self.not_names
            .extend(not_names.into_iter().map(|name| (protocol, name)));
    }

    /// The covered points of a protocol, names aside.
    pub(super) fn of_protocol(&self, protocol: u8) -> Vec<(u32, u32)> {
        if !self.protocols.contains(&protocol) {
            return if self.others { vec![LINE] } else { vec![] };
        }
        of(&self.ranges, protocol)
    }
}

/// The ranges of a protocol.
pub(super) fn of(ranges: &[(u8, u32, u32)], protocol: u8) -> Vec<(u32, u32)> {
    let own = ranges.iter().filter(|range| range.0 == protocol);
    own.map(|(_, from, to)| (*from, *to)).collect()
}

/// Ranges and names among ports.
fn divide(ports: &[PortMatch]) -> (Vec<(u32, u32)>, Vec<Name>) {
    let (mut ranges, mut names) = (Vec::new(), Vec::new());
    for port in ports {
        match port {
            PortMatch::Range(range) if range.is_empty() => {}
            PortMatch::Range(range) => {
                ranges.push((u32::from(*range.start()), u32::from(*range.end())));
            }
            PortMatch::Named(name) => names.push(Name::of(name)),
        }
    }
    (ranges, names)
}

fn messages(icmp: Icmp) -> (u32, u32) {
    let (first, last) = icmp.code.map_or((0, u8::MAX), |code| (code, code));
    (message(icmp.kind, first), message(icmp.kind, last))
}
