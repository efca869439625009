//! The slow, obvious judge: reads the model as a person would, rule by rule.
//!
//! It is the truth the compiled table is tested against, and it explains. Cost: every policy and
//! rule, for every question.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{
    Action, Cluster, EndOfTier, Endpoint, Peer, Peers, Policy, PolicyKey, PortMatch, Ports, Rule,
};
use crate::verdict::{Direction, Flow, RuleDescription, protocol};

/// An answer with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// True when the flow may begin.
    pub allowed: bool,
    /// What decided.
    pub reason: RuleDescription,
}

/// A cluster with its address owners worked out, ready for questions.
#[derive(Debug)]
pub struct Oracle<'a> {
    cluster: &'a Cluster,
    owners: BTreeMap<IpAddr, Endpoint<'a>>,
}

impl<'a> Oracle<'a> {
    /// An oracle for this state of the cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            owners: cluster.address_owners(),
        }
    }

    /// May this flow begin, as far as its subject's policies in this direction say?
    #[must_use]
    pub fn judge(&self, direction: Direction, flow: &Flow) -> Judgement {
        let Some(subject) = self.owners.get(&flow.subject) else {
            return deny(RuleDescription::UnknownEndpoint);
        };
        let owner = |address| self.owners.get(address).map(|endpoint| endpoint.key);
        if owner(&flow.peer) == Some(subject.key) {
            return allow(RuleDescription::OwnTraffic);
        }
        if is_neighbour_discovery(flow) {
            return allow(RuleDescription::NeighbourDiscovery);
        }
        self.judge_tiers(direction, flow, subject)
    }

    fn judge_tiers(&self, direction: Direction, flow: &Flow, subject: &Endpoint<'_>) -> Judgement {
        for (tier, policies) in self.cluster.tiers_in_order() {
            let applies = |policy: &&Policy| {
                policy.rules(direction).is_some() && self.selects(policy, subject)
            };
            let selected: Vec<&Policy> = policies.into_iter().filter(applies).collect();
            match self.first_match(direction, flow, &selected) {
                Some((policy, index, action)) if action != Action::Pass => {
                    let policy = policy.key.clone();
                    let reason = RuleDescription::Rule {
                        direction,
                        tier: tier.name,
                        policy,
                        index,
                        action,
                    };
                    return Judgement {
                        allowed: action == Action::Allow,
                        reason,
                    };
                }
                Some(_) => {}
                None if selected.is_empty() || tier.end == EndOfTier::Pass => {}
                None => {
                    let selected_by: Vec<PolicyKey> =
                        selected.iter().map(|policy| policy.key.clone()).collect();
                    let tier = tier.name;
                    return deny(RuleDescription::EndOfTier {
                        direction,
                        tier,
                        selected_by,
                    });
                }
            }
        }
        allow(RuleDescription::NoPolicySelects)
    }

    fn selects(&self, policy: &Policy, subject: &Endpoint<'_>) -> bool {
        let namespace = &subject.key.namespace;
        let namespace_labels = self.cluster.namespace_labels(namespace);
        policy
            .subject
            .matches(namespace, &namespace_labels, subject.labels)
    }

    fn first_match<'p>(
        &self,
        direction: Direction,
        flow: &Flow,
        policies: &[&'p Policy],
    ) -> Option<(&'p Policy, usize, Action)> {
        for policy in policies {
            for (index, rule) in policy
                .rules(direction)
                .unwrap_or_default()
                .iter()
                .enumerate()
            {
                if self.rule_matches(direction, flow, rule) {
                    return Some((policy, index, rule.action));
                }
            }
        }
        None
    }

    fn rule_matches(&self, direction: Direction, flow: &Flow, rule: &Rule) -> bool {
        let destination = match direction {
            Direction::Ingress => flow.subject,
            Direction::Egress => flow.peer,
        };
        let peer_matches = match &rule.peers {
            Peers::Any => true,
            Peers::OneOf(peers) => peers.iter().any(|peer| self.peer_matches(peer, flow.peer)),
        };
        let traffic_matches = match &rule.ports {
            Ports::Any => true,
            Ports::OneOf(ports) => ports
                .iter()
                .any(|port| self.port_matches(port, flow, destination)),
        };
        peer_matches && traffic_matches
    }

    fn peer_matches(&self, peer: &Peer, address: IpAddr) -> bool {
        match peer {
            Peer::Network { .. } => peer.contains(address),
            Peer::Pods(scope) => self.owners.get(&address).is_some_and(|pod| {
                let namespace = &pod.key.namespace;
                scope.matches(
                    namespace,
                    &self.cluster.namespace_labels(namespace),
                    pod.labels,
                )
            }),
        }
    }

    fn port_matches(&self, port: &PortMatch, flow: &Flow, destination: IpAddr) -> bool {
        match port {
            PortMatch::Protocol(protocol) => *protocol == flow.protocol,
            PortMatch::Range(protocol, range) => {
                *protocol == flow.protocol && range.contains(&flow.dst_port)
            }
            PortMatch::Named(protocol, name) => {
                *protocol == flow.protocol
                    && self.owners.get(&destination).is_some_and(|pod| {
                        pod.named_ports.iter().any(|served| {
                            served.name == *name
                                && served.protocol == *protocol
                                && served.port == flow.dst_port
                        })
                    })
            }
        }
    }
}

/// ICMPv6 that keeps addresses resolving: multicast listening (130-132), router solicitation
/// (133), neighbour solicitation (135) and advertisement (136). Calico exempts the same types;
/// router advertisements and redirects are not a pod's to send.
pub(crate) fn is_neighbour_discovery(flow: &Flow) -> bool {
    let exempt = matches!(flow.icmp, Some((130..=133 | 135 | 136, _)));
    flow.protocol == protocol::ICMPV6 && flow.subject.is_ipv6() && exempt
}

fn allow(reason: RuleDescription) -> Judgement {
    Judgement {
        allowed: true,
        reason,
    }
}

fn deny(reason: RuleDescription) -> Judgement {
    Judgement {
        allowed: false,
        reason,
    }
}
