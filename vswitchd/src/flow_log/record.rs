//! One line of the log.

use std::{net::Ipv4Addr, sync::Arc};

use ::policy::{RuleDescription, model::PolicyKey};
use packet::{Protocol, flow::FlowKey};
use serde::Serialize;

use super::names::{Names, Party};

/// One line of the log. A key that has no meaning is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Record {
    /// Counts up from 1 since the daemon started.
    pub(super) seq: u64,
    /// RFC 3339, UTC.
    pub(super) time: String,
    /// `begin`, `end` or `deny`.
    pub(super) event: &'static str,
    /// `allow` or `deny`.
    pub(super) verdict: &'static str,
    #[serde(flatten)]
    pub(super) ends: Ends,
    /// What decided, in short: `namespace/policy#rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Arc<str>>,
    /// What decided about egress of the source, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) egress: Option<Arc<str>>,
    /// What decided about ingress of the destination, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress: Option<Arc<str>>,
    /// Packets of the direction in which it began, or denied ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) packets: Option<u64>,
    /// Their bytes, IP header included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    /// Packets the other way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_packets: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_bytes: Option<u64>,
    /// How long it lasted, or how long denied packets were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
    /// Why it ended: `fin`, `reset`, `timeout`, `evicted`, `cut`, `orphaned`, `replaced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
}

/// Who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Ends {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src_pod: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src_node: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dst: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dst_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dst_pod: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dst_node: Option<Arc<str>>,
}

impl Ends {
    /// The ends of a flow, with the names they have now.
    pub(super) fn of(key: &FlowKey, names: &Names) -> Self {
        let has_ports = matches!(key.protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP);
        let port = |port| has_ports.then_some(port);
        let [source, destination] = [key.src, key.dst].map(|address| names.party(address));
        let Party { pod, node } = destination;
        Self {
            protocol: Some(key.protocol.to_string()),
            src: Some(key.src),
            src_port: port(key.src_port),
            src_pod: source.pod,
            src_node: source.node,
            dst: Some(key.dst),
            dst_port: port(key.dst_port),
            dst_pod: pod,
            dst_node: node,
        }
    }

    /// Whether this is at one end: an address, `namespace/pod`, or a pod of any namespace.
    pub(super) fn is_of(&self, wanted: &str) -> bool {
        let is_named = |pod: &str| {
            pod == wanted || pod.split_once('/').is_some_and(|(_, name)| name == wanted)
        };
        let addresses = [self.src, self.dst].into_iter().flatten();
        let pods = [self.src_pod.as_deref(), self.dst_pod.as_deref()];
        addresses
            .map(|address| address.to_string())
            .any(|address| address == wanted)
            || pods.into_iter().flatten().any(is_named)
    }
}

/// What a rule is called, in short and in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) short: Arc<str>,
    pub(super) full: Arc<str>,
    /// A policy decided, not the want of one.
    pub(super) is_policy: bool,
}

impl Rule {
    pub(super) fn of(rule: &RuleDescription) -> Self {
        let (short, is_policy) = match rule {
            RuleDescription::UnknownEndpoint => ("unknown pod".into(), true),
            RuleDescription::NoPolicySelects => ("no policy".into(), false),
            RuleDescription::NoPolicyDecides => ("every tier passes".into(), false),
            RuleDescription::OwnTraffic => ("itself".into(), false),
            RuleDescription::NeighbourDiscovery => ("neighbours".into(), false),
            RuleDescription::Rule { policy, index, .. } => {
                (format!("{}#{index}", name(policy)), true)
            }
            RuleDescription::EndOfTier { selected_by, .. } => (end_of_tier(selected_by), true),
        };
        Self {
            short: short.into(),
            full: rule.to_string().into(),
            is_policy,
        }
    }
}

fn name(policy: &PolicyKey) -> String {
    match &policy.namespace {
        Some(namespace) => format!("{namespace}/{}", policy.name),
        None => policy.name.clone(),
    }
}

/// No rule of these policies matched.
fn end_of_tier(selected_by: &[PolicyKey]) -> String {
    let first = selected_by.first().map(name).unwrap_or_default();
    match selected_by.len() {
        0 | 1 => format!("{first} (no rule)"),
        count => format!("{first} +{} (no rule)", count - 1),
    }
}

/// What decided, egress and ingress together: a policy, where one did.
pub(super) fn in_short(rules: &[Option<Rule>; 2]) -> Option<Arc<str>> {
    let policies: Vec<&str> = rules
        .iter()
        .flatten()
        .filter(|rule| rule.is_policy)
        .map(|rule| &*rule.short)
        .collect();
    match policies.as_slice() {
        [] => Some(Arc::clone(&rules.iter().flatten().next()?.short)),
        both => Some(both.join(", ").into()),
    }
}

#[cfg(test)]
mod tests {
    use ::policy::model::PolicyKind;

    use super::*;

    fn rule(short: &str, is_policy: bool) -> Option<Rule> {
        Some(Rule {
            short: short.into(),
            full: short.into(),
            is_policy,
        })
    }

    #[test]
    fn a_policy_is_named_rather_than_the_want_of_one() {
        let short = |rules| in_short(&rules).map(|text| text.to_string());
        let (none, policy) = (rule("no policy", false), rule("shop/web#0", true));
        assert_eq!(short([None, None]), None);
        assert_eq!(short([none.clone(), none.clone()]).unwrap(), "no policy");
        assert_eq!(short([none, policy.clone()]).unwrap(), "shop/web#0");
        assert_eq!(
            short([policy.clone(), policy]).unwrap(),
            "shop/web#0, shop/web#0"
        );
    }

    #[test]
    fn the_end_of_a_tier_names_who_led_there() {
        let key = |name: &str| PolicyKey {
            kind: PolicyKind::NetworkPolicy,
            namespace: Some("shop".into()),
            name: name.into(),
        };
        assert_eq!(end_of_tier(&[key("a")]), "shop/a (no rule)");
        assert_eq!(end_of_tier(&[key("a"), key("b")]), "shop/a +1 (no rule)");
    }
}
