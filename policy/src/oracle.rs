//! The slow, obvious judge: reads the model as a person would, rule by rule.
//!
//! It is the truth the compiled table is tested against, and explanations ask it. Cost: every
//! policy and rule, for every question.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{
    Action, Cluster, End, EndOfTier, Endpoint, Icmp, Labels, Members, NetworkSet, Peers, Policy,
    PolicyKey, PortCondition, PortMatch, Rule, Scope, Tier, Traffic, TrafficSet,
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
    tiers: Vec<(Tier, Vec<&'a Policy>)>,
}

impl<'a> Oracle<'a> {
    /// An oracle for this state of the cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            owners: cluster.address_owners(),
            tiers: cluster.tiers_in_order(),
        }
    }

    /// May this flow begin, as far as its subject's policies in this direction say?
    #[must_use]
    pub fn judge(&self, direction: Direction, flow: &Flow) -> Judgement {
        let Some(subject) = self.owner(flow.subject) else {
            return deny(RuleDescription::UnknownEndpoint);
        };
        if self.owner(flow.peer).map(|peer| peer.key) == Some(subject.key) {
            return allow(RuleDescription::OwnTraffic);
        }
        if is_neighbour_discovery(flow) {
            return allow(RuleDescription::NeighbourDiscovery);
        }
        self.judge_tiers(direction, flow, subject)
    }

    /// The endpoint behind an address; `None` for everything outside.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&Endpoint<'a>> {
        self.owners.get(&address)
    }

    /// The tiers that hold policies, in order, each with its policies in order.
    #[must_use]
    pub fn tiers(&self) -> &[(Tier, Vec<&'a Policy>)] {
        &self.tiers
    }

    fn judge_tiers(&self, direction: Direction, flow: &Flow, subject: &Endpoint<'_>) -> Judgement {
        let mut fallen_through = RuleDescription::NoPolicySelects;
        for (tier, policies) in &self.tiers {
            let applies = |policy: &&&Policy| {
                policy.rules(direction).is_some() && self.selects(policy, subject)
            };
            let selected: Vec<&Policy> = policies.iter().filter(applies).copied().collect();
            if selected.is_empty() {
                continue;
            }
            match self.first_match(direction, flow, &selected) {
                Some((_, _, Action::Pass)) => {}
                Some((policy, index, action)) => {
                    let reason = RuleDescription::Rule {
                        direction,
                        tier: tier.name.clone(),
                        policy: policy.key.clone(),
                        index,
                        action,
                    };
                    return Judgement {
                        allowed: action == Action::Allow,
                        reason,
                    };
                }
                None if tier.end == EndOfTier::Pass => {}
                None => {
                    let selected_by: Vec<PolicyKey> =
                        selected.iter().map(|policy| policy.key.clone()).collect();
                    return deny(RuleDescription::EndOfTier {
                        direction,
                        tier: tier.name.clone(),
                        selected_by,
                    });
                }
            }
            fallen_through = RuleDescription::NoPolicyDecides;
        }
        allow(fallen_through)
    }

    /// Does the policy select this endpoint?
    #[must_use]
    pub fn selects(&self, policy: &Policy, subject: &Endpoint<'_>) -> bool {
        self.has_endpoint(&policy.subject, subject)
    }

    /// The first rule that decides, in order of policies and rules.
    fn first_match<'p>(
        &self,
        direction: Direction,
        flow: &Flow,
        policies: &[&'p Policy],
    ) -> Option<(&'p Policy, usize, Action)> {
        for policy in policies {
            let rules = policy.rules(direction).unwrap_or_default();
            for (index, rule) in rules.iter().enumerate() {
                if rule.action != Action::Log && self.rule_matches(direction, flow, rule) {
                    return Some((policy, index, rule.action));
                }
            }
        }
        None
    }

    /// Does the rule match this flow?
    #[must_use]
    pub fn rule_matches(&self, direction: Direction, flow: &Flow, rule: &Rule) -> bool {
        let subject = rule.subject.as_ref();
        subject.is_none_or(|end| self.end_matches(end, flow.subject))
            && self.peers_match(&rule.peers, flow.peer)
            && self.traffic_set_matches(&rule.traffic, direction, flow)
    }

    /// Is this address one of the peers?
    #[must_use]
    pub fn peers_match(&self, peers: &Peers, address: IpAddr) -> bool {
        match peers {
            Peers::Any => true,
            Peers::OneOf(ends) => ends.iter().any(|end| self.end_matches(end, address)),
        }
    }

    /// Does this address satisfy the conditions?
    #[must_use]
    pub fn end_matches(&self, end: &End, address: IpAddr) -> bool {
        let member = |scope: &Scope| self.is_member(scope, address);
        end.has_address(address)
            && end.scope.as_ref().is_none_or(member)
            && !end.not_scope.as_ref().is_some_and(member)
    }

    /// Is this address a member of the scope?
    #[must_use]
    pub fn is_member(&self, scope: &Scope, address: IpAddr) -> bool {
        let as_pod = || {
            let owner = self.owner(address);
            owner.is_some_and(|endpoint| self.has_endpoint(scope, endpoint))
        };
        match scope.members {
            Members::Pods => as_pod(),
            Members::PodsAndSets => as_pod() || self.is_in_set(scope, address),
            Members::Nodes => self.cluster.nodes().values().any(|node| {
                node.addresses.contains(&address) && scope.labels.matches(&node.labels)
            }),
        }
    }

    fn is_in_set(&self, scope: &Scope, address: IpAddr) -> bool {
        let contains = |set: &&NetworkSet| set.nets.iter().any(|net| net.contains(&address));
        let mut sets = self.cluster.sets().values();
        sets.any(|set| contains(&set) && self.cluster.has_set(scope, set))
    }

    fn has_endpoint(&self, scope: &Scope, endpoint: &Endpoint<'_>) -> bool {
        let namespace = &endpoint.key.namespace;
        let namespace_labels = self.cluster.namespace_labels(namespace);
        scope.members != Members::Nodes
            && scope.matches(Some(namespace), &namespace_labels, &endpoint.labels)
    }

    /// Is the flow some of this traffic?
    #[must_use]
    pub fn traffic_set_matches(&self, set: &TrafficSet, direction: Direction, flow: &Flow) -> bool {
        match set {
            TrafficSet::Any => true,
            TrafficSet::OneOf(kinds) => kinds
                .iter()
                .any(|traffic| self.traffic_matches(traffic, direction, flow)),
        }
    }

    /// Does the flow satisfy the conditions?
    #[must_use]
    pub fn traffic_matches(&self, traffic: &Traffic, direction: Direction, flow: &Flow) -> bool {
        let (source, destination) = match direction {
            Direction::Ingress => (flow.peer, flow.subject),
            Direction::Egress => (flow.subject, flow.peer),
        };
        let message = flow.icmp.filter(|_| protocol::is_icmp(flow.protocol));
        let is = |icmp: &Icmp| message.is_some_and(|message| icmp.matches(message));
        traffic.protocol.is_none_or(|own| own == flow.protocol)
            && traffic.not_protocol.is_none_or(|own| own != flow.protocol)
            && traffic.icmp.as_ref().is_none_or(is)
            && !traffic.not_icmp.as_ref().is_some_and(is)
            && self.port_fits(&traffic.source, flow.protocol, flow.src_port, source)
            && self.port_fits(
                &traffic.destination,
                flow.protocol,
                flow.dst_port,
                destination,
            )
    }

    fn port_fits(&self, ports: &PortCondition, number: u8, port: u16, at: IpAddr) -> bool {
        if ports.is_any() {
            return true;
        }
        let meant = |one: &PortMatch| match one {
            PortMatch::Range(range) => range.contains(&port),
            PortMatch::Named(name) => self.owner(at).is_some_and(|pod| {
                pod.named_ports
                    .iter()
                    .any(|own| own.name == *name && own.protocol == number && own.port == port)
            }),
        };
        protocol::has_ports(number)
            && (ports.one_of.is_empty() || ports.one_of.iter().any(meant))
            && !ports.none_of.iter().any(meant)
    }
}

impl Cluster {
    /// Does the scope mean this network set?
    pub(crate) fn has_set(&self, scope: &Scope, set: &NetworkSet) -> bool {
        let namespace = set.namespace.as_deref();
        let namespace_labels = namespace.map_or_else(Labels::new, |n| self.namespace_labels(n));
        scope.members == Members::PodsAndSets
            && scope.matches(namespace, &namespace_labels, &set.effective_labels())
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
