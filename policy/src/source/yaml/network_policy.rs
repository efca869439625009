//! networking.k8s.io/v1 NetworkPolicy, read as strictly as the API server does.
//!
//! Source: k8s.io/api/networking/v1 types, pkg/apis/networking/v1/defaults.go (protocol TCP,
//! policyTypes) and pkg/apis/networking/validation.

use ipnet::IpNet;

use super::metadata::Metadata;
use super::selector;
use super::validate::{block, is_port_name};
use super::view::{Map, View};
use super::{ManifestError, Problem};
use crate::model::{
    Action, End, Namespaces, Peers, Policy, Rule, Scope, Selector, Traffic, TrafficSet,
};
use crate::verdict::protocol::{SCTP, TCP, UDP};

type Read<T> = Result<T, ManifestError>;

/// Reads a NetworkPolicy.
pub(super) fn read(object: &Map<'_>, metadata: &Metadata<'_>) -> Read<Policy> {
    object.only(&["apiVersion", "kind", "metadata", "spec", "status"])?;
    metadata.only_known_fields()?;
    let namespace = metadata.namespace()?;
    let annotations = metadata.policy_annotations()?;
    let Some(spec) = object.get("spec") else {
        let mut policy = without_spec(&namespace, &metadata.name);
        (policy.deny, policy.established) = (annotations.deny, annotations.established);
        return Ok(policy);
    };
    let spec = spec.map()?;
    spec.only(&["podSelector", "policyTypes", "ingress", "egress"])?;
    let selected = optional_selector(&spec, "podSelector")?.unwrap_or_else(Selector::everything);
    let mut policy = Policy::kubernetes(&namespace, &metadata.name, selected);
    // Both lists are checked even when policyTypes leaves one out.
    let ingress = read_rules(&spec, "ingress", "from", &namespace)?;
    let egress = read_rules(&spec, "egress", "to", &namespace)?;
    let types = read_types(&spec, !egress.is_empty())?;
    policy.ingress = types.ingress.then_some(ingress);
    policy.egress = types.egress.then_some(egress);
    (policy.deny, policy.established) = (annotations.deny, annotations.established);
    Ok(policy)
}

/// The API server takes a policy without a spec: it selects every pod and allows no ingress.
fn without_spec(namespace: &str, name: &str) -> Policy {
    let mut policy = Policy::kubernetes(namespace, name, Selector::everything());
    policy.ingress = Some(Vec::new());
    policy
}

/// Which directions a policy applies to.
struct Types {
    ingress: bool,
    egress: bool,
}

/// `policyTypes`. Left out or empty it means Ingress, and Egress if there are egress rules.
fn read_types(spec: &Map<'_>, has_egress_rules: bool) -> Read<Types> {
    let written = spec.get("policyTypes");
    let items = written.as_ref().map_or(Ok(Vec::new()), View::list)?;
    if items.is_empty() {
        return Ok(Types {
            ingress: true,
            egress: has_egress_rules,
        });
    }
    if items.len() > 2 {
        return Err(items[2].invalid("at most two policy types"));
    }
    let mut types = Types {
        ingress: false,
        egress: false,
    };
    for item in items {
        match item.text()? {
            "Ingress" => types.ingress = true,
            "Egress" => types.egress = true,
            _ => return Err(item.invalid("Ingress or Egress")),
        }
    }
    Ok(types)
}

fn read_rules(spec: &Map<'_>, list: &str, peers: &str, namespace: &str) -> Read<Vec<Rule>> {
    let Some(list) = spec.get(list) else {
        return Ok(Vec::new());
    };
    list.list()?
        .iter()
        .map(|rule| read_rule(rule, peers, namespace))
        .collect()
}

/// A rule. Peers, or ports, that are missing or empty mean all of them.
fn read_rule(view: &View<'_>, peers: &str, namespace: &str) -> Read<Rule> {
    let rule = view.map()?;
    rule.only(&[peers, "ports"])?;
    let items = |field| rule.get(field).map_or(Ok(Vec::new()), |view| view.list());
    let peers = items(peers)?
        .iter()
        .map(|item| read_peer(item, namespace))
        .collect();
    let ports = items("ports")?.iter().map(read_port).collect();
    Ok(Rule {
        peers: non_empty(peers)?.map_or(Peers::Any, Peers::OneOf),
        traffic: non_empty(ports)?.map_or(TrafficSet::Any, TrafficSet::OneOf),
        ..Rule::any(Action::Allow)
    })
}

fn non_empty<T>(items: Read<Vec<T>>) -> Read<Option<Vec<T>>> {
    Ok(Some(items?).filter(|items| !items.is_empty()))
}

fn read_peer(view: &View<'_>, namespace: &str) -> Read<End> {
    let map = view.map()?;
    map.only(&["podSelector", "namespaceSelector", "ipBlock"])?;
    let pods = optional_selector(&map, "podSelector")?;
    let namespaces = optional_selector(&map, "namespaceSelector")?;
    match (map.get("ipBlock"), pods, namespaces) {
        (Some(block), None, None) => read_block(&block),
        (Some(block), ..) => Err(block.error(Problem::Conflict(
            "ipBlock and a selector exclude each other",
        ))),
        (None, None, None) => {
            Err(view.invalid("one of podSelector, namespaceSelector and ipBlock"))
        }
        (None, pods, namespaces) => {
            let namespaces = namespaces.map_or_else(
                || Namespaces::Named(namespace.to_owned()),
                Namespaces::Matching,
            );
            let pods = pods.unwrap_or_else(Selector::everything);
            Ok(End::members(Scope::pods(namespaces, pods)))
        }
    }
}

fn read_block(view: &View<'_>) -> Read<End> {
    let map = view.map()?;
    map.only(&["cidr", "except"])?;
    let cidr = block(&map.require("cidr")?)?;
    let holes = map
        .get("except")
        .map_or(Ok(Vec::new()), |view| view.list())?;
    let except = holes
        .iter()
        .map(|hole| read_hole(hole, cidr))
        .collect::<Read<_>>()?;
    Ok(End::block(cidr, except))
}

fn read_hole(view: &View<'_>, cidr: IpNet) -> Read<IpNet> {
    let hole = block(view)?;
    if cidr.contains(&hole) && cidr != hole {
        return Ok(hole);
    }
    Err(view.invalid(format!("a block inside of {cidr} and smaller")))
}

fn read_port(view: &View<'_>) -> Read<Traffic> {
    let map = view.map()?;
    map.only(&["protocol", "port", "endPort"])?;
    let protocol = map
        .get("protocol")
        .map_or(Ok(TCP), |view| protocol(&view))?;
    let end = map.get("endPort");
    let Some(port) = map.get("port") else {
        return match end {
            Some(end) => Err(end.error(Problem::Conflict("endPort needs port"))),
            None => Ok(Traffic::protocol(protocol)),
        };
    };
    match (port.integer_or_text()?, end) {
        (Ok(number), end) => {
            let first = port_number(&port, number)?;
            let last = end.map_or(Ok(first), |end| last_port(&end, first))?;
            Ok(Traffic::range(protocol, first..=last))
        }
        (Err(_), Some(end)) => {
            Err(end.error(Problem::Conflict("endPort needs a port that is a number")))
        }
        (Err(name), None) if is_port_name(name) => Ok(Traffic::named(protocol, name)),
        (Err(_), None) => Err(port.invalid(
            "a port number without quotes, or a port name of at most 15 lower-case letters, \
             digits and '-' with at least one letter",
        )),
    }
}

fn last_port(view: &View<'_>, first: u16) -> Read<u16> {
    let last = port_number(view, view.integer()?)?;
    if last >= first {
        Ok(last)
    } else {
        Err(view.invalid(format!("at least port {first}")))
    }
}

fn port_number(view: &View<'_>, number: i64) -> Read<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    port.ok_or_else(|| view.invalid("a port from 1 to 65535"))
}

/// A protocol policies can name.
pub(super) fn protocol(view: &View<'_>) -> Read<u8> {
    match view.text()? {
        "TCP" => Ok(TCP),
        "UDP" => Ok(UDP),
        "SCTP" => Ok(SCTP),
        _ => Err(view.invalid("TCP, UDP or SCTP")),
    }
}

fn optional_selector(map: &Map<'_>, field: &str) -> Read<Option<Selector>> {
    map.get(field).map(|view| selector::read(&view)).transpose()
}
