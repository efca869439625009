//! policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy, read as strictly as its CRD validates.
//!
//! `Admin` becomes Calico's tier `kube-admin`, `Baseline` `kube-baseline`: both pass at their end.
//! The priority is the order within the tier. Host-network pods are neither subjects nor peers,
//! because they have no identity in the model.
//!
//! Source: kubernetes-sigs/network-policy-api, apis/v1alpha2 and the experimental CRD, which adds
//! the peers `nodes` and `domainNames` and `destinationNamedPort` to the standard one.

use super::metadata::Metadata;
use super::selector;
use super::validate::{block, is_port_name};
use super::view::{Map, View};
use super::{ManifestError, Problem};
use crate::model::{
    ADMIN_TIER, Action, BASELINE_TIER, End, Members, Namespaces, Order, Peers, Policy, PolicyKey,
    PolicyKind, PortCondition, PortMatch, Rule, Scope, Selector, Traffic, TrafficSet,
};
use crate::verdict::protocol::{SCTP, TCP, UDP};

#[cfg(test)]
mod tests;

/// The API.
pub(super) const V1ALPHA2: &str = "policy.networking.k8s.io/v1alpha2";

/// Rules in a direction, peers or protocols of a rule, networks of a peer: never more than this.
const MOST: usize = 25;

/// Characters in the name of a rule.
const LONGEST_NAME: usize = 100;

type Read<T> = Result<T, ManifestError>;

/// Reads a ClusterNetworkPolicy.
pub(super) fn read(object: &Map<'_>, metadata: &Metadata<'_>) -> Read<Policy> {
    object.only(&["apiVersion", "kind", "metadata", "spec", "status"])?;
    metadata.only_known_fields()?;
    no_namespace(object)?;
    let annotations = metadata.policy_annotations()?;
    let spec = object.require("spec")?.map()?;
    spec.only(&["tier", "priority", "subject", "ingress", "egress"])?;
    Ok(Policy {
        key: PolicyKey {
            kind: PolicyKind::ClusterNetworkPolicy,
            namespace: None,
            name: metadata.name.clone(),
        },
        tier: tier(&spec.require("tier")?)?.to_owned(),
        order: priority(&spec.require("priority")?)?,
        subject: subject(&spec.require("subject")?)?,
        ingress: rules(&spec, Side::Ingress)?,
        egress: rules(&spec, Side::Egress)?,
        deny: annotations.deny,
        established: annotations.established,
    })
}

fn no_namespace(object: &Map<'_>) -> Read<()> {
    let written = object.require("metadata")?.map()?.get("namespace");
    written.map_or(Ok(()), |view| {
        Err(view.error(Problem::Conflict(
            "a ClusterNetworkPolicy is in no namespace: leave it out",
        )))
    })
}

fn tier(view: &View<'_>) -> Read<&'static str> {
    match view.text()? {
        "Admin" => Ok(ADMIN_TIER),
        "Baseline" => Ok(BASELINE_TIER),
        _ => Err(view.invalid("Admin or Baseline")),
    }
}

fn priority(view: &View<'_>) -> Read<Order> {
    match u16::try_from(view.integer()?) {
        Ok(priority @ 0..=1000) => Ok(Order(priority.into())),
        _ => Err(view.invalid("a priority from 0 to 1000")),
    }
}

fn subject(view: &View<'_>) -> Read<Scope> {
    let map = view.map()?;
    let (field, value) = the_only(&map, &["namespaces", "pods"])?;
    match field {
        "namespaces" => all_pods_of(&value),
        _ => namespaced_pods(&value),
    }
}

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ingress,
    Egress,
}

impl Side {
    fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// Peers that are no pods can only be called, not call.
    fn kinds_of_peer(self) -> &'static [&'static str] {
        match self {
            Self::Ingress => &["namespaces", "pods"],
            Self::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
        }
    }
}

/// The rules of a direction. A policy without any does not apply to it.
fn rules(spec: &Map<'_>, side: Side) -> Read<Option<Vec<Rule>>> {
    let Some(list) = spec.get(side.field()) else {
        return Ok(None);
    };
    let rules = at_most(&list)?
        .iter()
        .map(|view| rule(view, side))
        .collect::<Read<Vec<_>>>()?;
    Ok(Some(rules).filter(|rules| !rules.is_empty()))
}

fn rule(view: &View<'_>, side: Side) -> Read<Rule> {
    let map = view.map()?;
    map.only(&["name", "action", side.peers(), "protocols"])?;
    let peers = at_least_one(&map.require(side.peers())?)?;
    let protocols = map.get("protocols").map(|list| at_least_one(&list));
    let protocols = protocols.transpose()?.unwrap_or_default();
    names_need_pods(&peers, &protocols)?;
    let peers: Vec<End> = peers
        .iter()
        .map(|view| peer(view, side))
        .collect::<Read<_>>()?;
    let traffic: Vec<Traffic> = protocols.iter().map(protocol).collect::<Read<_>>()?;
    Ok(Rule {
        name: name(&map)?,
        action: action(&map.require("action")?)?,
        subject: None,
        peers: Peers::OneOf(peers),
        traffic: match traffic.is_empty() {
            true => TrafficSet::Any,
            false => TrafficSet::OneOf(traffic),
        },
    })
}

fn name(rule: &Map<'_>) -> Read<Option<String>> {
    let Some(view) = rule.get("name") else {
        return Ok(None);
    };
    let name = view.text()?;
    if name.chars().count() > LONGEST_NAME {
        return Err(view.invalid(format!("a name of at most {LONGEST_NAME} characters")));
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

fn action(view: &View<'_>) -> Read<Action> {
    match view.text()? {
        "Accept" => Ok(Action::Allow),
        "Deny" => Ok(Action::Deny),
        "Pass" => Ok(Action::Pass),
        _ => Err(view.invalid("Accept, Deny or Pass")),
    }
}

/// Nodes and networks have no ports with names.
fn names_need_pods(peers: &[View<'_>], protocols: &[View<'_>]) -> Read<()> {
    for view in protocols {
        let Some(named) = view.map()?.get("destinationNamedPort") else {
            continue;
        };
        for peer in peers {
            let peer = peer.map()?;
            if peer.get("nodes").or_else(|| peer.get("networks")).is_some() {
                return Err(named.error(Problem::Conflict(
                    "destinationNamedPort needs peers that are pods: nodes and networks have no \
                     named ports",
                )));
            }
        }
    }
    Ok(())
}

fn peer(view: &View<'_>, side: Side) -> Read<End> {
    let map = view.map()?;
    let (field, value) = the_only(&map, side.kinds_of_peer())?;
    match field {
        "namespaces" => all_pods_of(&value).map(End::members),
        "pods" => namespaced_pods(&value).map(End::members),
        "nodes" => nodes(&value).map(End::members),
        "networks" => networks(&value),
        _ => Err(value.error(Problem::Unsupported(
            "not supported: policy sees addresses, not the names they were asked by; list the \
             addresses under networks",
        ))),
    }
}

fn all_pods_of(view: &View<'_>) -> Read<Scope> {
    let namespaces = Namespaces::Matching(selector::read(view)?);
    Ok(Scope::pods(namespaces, Selector::everything()))
}

/// Pods by their own and their namespace's labels; every namespace if none are asked for.
fn namespaced_pods(view: &View<'_>) -> Read<Scope> {
    let map = view.map()?;
    map.only(&["namespaceSelector", "podSelector"])?;
    let namespaces = match map.get("namespaceSelector") {
        Some(view) => selector::read(&view)?,
        None => Selector::everything(),
    };
    let pods = selector::read(&map.require("podSelector")?)?;
    Ok(Scope::pods(Namespaces::Matching(namespaces), pods))
}

fn nodes(view: &View<'_>) -> Read<Scope> {
    Ok(Scope {
        members: Members::Nodes,
        namespaces: Namespaces::Everywhere,
        labels: selector::read(view)?,
    })
}

/// Blocks; they match pods as well as outsiders.
fn networks(view: &View<'_>) -> Read<End> {
    let mut written = Vec::new();
    let mut nets = Vec::new();
    for item in at_least_one(view)? {
        let text = item.text()?;
        if written.contains(&text) {
            return Err(item.error(Problem::Conflict("stands here twice")));
        }
        written.push(text);
        nets.push(block(&item)?);
    }
    Ok(End {
        nets: Some(nets),
        ..End::default()
    })
}

fn protocol(view: &View<'_>) -> Read<Traffic> {
    let map = view.map()?;
    let (field, value) = the_only(&map, &["tcp", "udp", "sctp", "destinationNamedPort"])?;
    match field {
        "tcp" => to_port(TCP, &value),
        "udp" => to_port(UDP, &value),
        "sctp" => to_port(SCTP, &value),
        _ => named_port(&value),
    }
}

fn to_port(protocol: u8, view: &View<'_>) -> Read<Traffic> {
    let map = view.map()?;
    map.only(&["destinationPort"])?;
    let port = map.require("destinationPort")?.map()?;
    let (field, value) = the_only(&port, &["number", "range"])?;
    let range = match field {
        "number" => {
            let port = port_number(&value)?;
            port..=port
        }
        _ => {
            let range = value.map()?;
            range.only(&["start", "end"])?;
            let start = port_number(&range.require("start")?)?;
            let end = range.require("end")?;
            let last = port_number(&end)?;
            if last <= start {
                return Err(end.invalid(format!("a port above start, which is {start}")));
            }
            start..=last
        }
    };
    Ok(Traffic::range(protocol, range))
}

fn port_number(view: &View<'_>) -> Read<u16> {
    let port = u16::try_from(view.integer()?).ok();
    port.filter(|port| *port > 0)
        .ok_or_else(|| view.invalid("a port from 1 to 65535"))
}

/// A name stands for a port of whichever protocol the pod declares it for.
fn named_port(view: &View<'_>) -> Read<Traffic> {
    let name = view.text()?;
    if !is_port_name(name) {
        return Err(view.invalid(
            "a port name of at most 15 lower-case letters, digits and '-' with at least one letter",
        ));
    }
    Ok(Traffic {
        destination: PortCondition {
            one_of: vec![PortMatch::Named(name.to_owned())],
            none_of: Vec::new(),
        },
        ..Traffic::default()
    })
}

/// The one field that is set, of those that exclude each other.
fn the_only<'a>(map: &Map<'a>, accepted: &[&'static str]) -> Read<(&'static str, View<'a>)> {
    map.only(accepted)?;
    let mut set = accepted
        .iter()
        .filter_map(|field| Some((*field, map.get(field)?)));
    match (set.next(), set.next()) {
        (Some(only), None) => Ok(only),
        (Some((first, _)), Some((second, view))) => Err(view.error(Problem::Invalid {
            expected: format!("exactly one of {}", accepted.join(", ")),
            found: format!("{second} besides {first}"),
        })),
        (None, _) => Err(map.view.invalid(format!("one of {}", accepted.join(", ")))),
    }
}

fn at_most<'a>(list: &View<'a>) -> Read<Vec<View<'a>>> {
    let items = list.list()?;
    match items.get(MOST) {
        Some(first_too_many) => Err(first_too_many.invalid(format!("at most {MOST} entries"))),
        None => Ok(items),
    }
}

fn at_least_one<'a>(list: &View<'a>) -> Read<Vec<View<'a>>> {
    let items = at_most(list)?;
    match items.is_empty() {
        true => Err(list.invalid("at least one entry")),
        false => Ok(items),
    }
}
