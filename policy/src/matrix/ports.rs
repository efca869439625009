//! Traffic that stands for all traffic: one port of every stretch that policies tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Sample;
use crate::ask::{FlowKind, short_name};
use crate::model::{Cluster, PortCondition, PortMatch, Traffic, TrafficSet};
use crate::verdict::{Direction, protocol};

/// What the policies of some clusters name.
#[derive(Debug, Default)]
pub(super) struct Named {
    ports: BTreeMap<u8, Vec<RangeInclusive<u16>>>,
    messages: BTreeSet<(Option<u8>, u8, u8)>,
    others: BTreeSet<u8>,
}

impl Named {
    /// Adds what this cluster's policies name.
    pub(super) fn add(&mut self, cluster: &Cluster) {
        for policy in cluster.policies().values() {
            for direction in [Direction::Ingress, Direction::Egress] {
                for rule in policy.rules(direction).unwrap_or_default() {
                    if let TrafficSet::OneOf(kinds) = &rule.traffic {
                        kinds.iter().for_each(|kind| self.traffic(cluster, kind));
                    }
                }
            }
        }
    }

    fn traffic(&mut self, cluster: &Cluster, traffic: &Traffic) {
        for icmp in [traffic.icmp, traffic.not_icmp].into_iter().flatten() {
            let code = icmp.code.unwrap_or(0);
            self.messages.insert((traffic.protocol, icmp.kind, code));
        }
        let numbers = [traffic.protocol, traffic.not_protocol];
        for number in numbers.into_iter().flatten() {
            if protocol::has_ports(number) {
                self.ports.entry(number).or_default();
            } else if !protocol::is_icmp(number) {
                self.others.insert(number);
            }
        }
        let ported = [
            protocol::TCP,
            protocol::UDP,
            protocol::SCTP,
            protocol::UDPLITE,
        ];
        for number in ported {
            let meant = traffic.protocol.is_none_or(|own| own == number);
            if meant && !traffic.destination.is_any() {
                self.condition(cluster, number, &traffic.destination);
            }
        }
    }

    fn condition(&mut self, cluster: &Cluster, number: u8, condition: &PortCondition) {
        for port in condition.one_of.iter().chain(&condition.none_of) {
            match port {
                PortMatch::Range(range) => {
                    self.ports.entry(number).or_default().push(range.clone());
                }
                PortMatch::Named(name) => {
                    for port in served(cluster, number, name) {
                        self.ports.entry(number).or_default().push(port..=port);
                    }
                }
            }
        }
    }

    /// One flow for every stretch of ports that begins or ends where policy names it, one for all
    /// ports nobody names, every message, every other protocol, and an echo request.
    pub(super) fn samples(mut self) -> Vec<Sample> {
        self.ports.entry(protocol::TCP).or_default();
        let mut samples = Vec::new();
        for (number, ranges) in &self.ports {
            samples.extend(stretches(*number, ranges));
        }
        samples.push(plain(FlowKind::ping()));
        for (protocol, kind, code) in self.messages {
            let message = Some((kind, code));
            samples.push(plain(match protocol {
                Some(protocol::ICMPV6) => FlowKind::IcmpV6 { message },
                _ => FlowKind::Icmp { message },
            }));
        }
        samples.extend(self.others.into_iter().map(|n| plain(FlowKind::Other(n))));
        samples
    }
}

fn plain(kind: FlowKind) -> Sample {
    Sample {
        name: kind.to_string(),
        kind,
    }
}

/// The numbers pods give this name.
fn served(cluster: &Cluster, number: u8, name: &str) -> BTreeSet<u16> {
    let ports = cluster.pods().values().flat_map(|pod| &pod.named_ports);
    ports
        .filter(|port| port.name == name && port.protocol == number)
        .map(|port| port.port)
        .collect()
}

fn stretches(number: u8, ranges: &[RangeInclusive<u16>]) -> Vec<Sample> {
    let name = short_name(number);
    let mut edges: BTreeSet<u32> = BTreeSet::from([1, 65536]);
    for range in ranges {
        edges.insert(u32::from(*range.start()).max(1));
        edges.insert(u32::from(*range.end()) + 1);
    }
    let edges: Vec<u32> = edges.into_iter().collect();
    let (mut named, mut unnamed) = (Vec::new(), None);
    for pair in edges.windows(2) {
        let (Ok(first), Ok(last)) = (u16::try_from(pair[0]), u16::try_from(pair[1] - 1)) else {
            continue;
        };
        let kind = FlowKind::port(number, first);
        if !ranges.iter().any(|range| range.contains(&first)) {
            // The last stretch, if it is one: nobody expects a service there.
            let port = FlowKind::port(number, last);
            unnamed = Some(Sample {
                name: format!("other {name}"),
                kind: port,
            });
        } else if first == last {
            named.push(plain(kind));
        } else {
            let name = format!("{first}-{last}/{name}");
            named.push(Sample { name, kind });
        }
    }
    named.extend(unnamed);
    named
}
