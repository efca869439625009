//! NetworkPolicy and GlobalNetworkPolicy.

use super::rule::{self, Side};
use super::{Read, selector, stored};
use crate::model::{
    DEFAULT_TIER, Namespaces, Order, Policy, PolicyKey, PolicyKind, Scope, Selector,
};
use crate::source::selector::Dialect;
use crate::source::yaml::Problem;
use crate::source::yaml::metadata::Metadata;
use crate::source::yaml::validate::object_name;
use crate::source::yaml::view::{Map, View};

const FIELDS: [&str; 8] = [
    "tier",
    "order",
    "selector",
    "serviceAccountSelector",
    "types",
    "ingress",
    "egress",
    "performanceHints",
];
const GLOBAL_FIELDS: [&str; 4] = [
    "namespaceSelector",
    "applyOnForward",
    "preDNAT",
    "doNotTrack",
];

/// Reads a NetworkPolicy, or without a namespace a GlobalNetworkPolicy.
pub(super) fn read(
    object: &Map<'_>,
    metadata: &Metadata<'_>,
    namespace: Option<String>,
) -> Read<Policy> {
    let spec = object.require("spec")?.map()?;
    known_fields(&spec, namespace.is_none())?;
    let annotations = stored::annotations(object, metadata)?;
    // Both lists are checked even when types leaves one out.
    let ingress = rules(&spec, Side::Ingress, namespace.as_deref())?;
    let egress = rules(&spec, Side::Egress, namespace.as_deref())?;
    let types = types(&spec, !ingress.is_empty(), !egress.is_empty())?;
    Ok(Policy {
        tier: tier(&spec)?,
        order: order(&spec)?,
        subject: subject(&spec, namespace.as_deref())?,
        ingress: types.ingress.then_some(ingress),
        egress: types.egress.then_some(egress),
        deny: annotations.deny,
        established: annotations.established,
        key: PolicyKey {
            kind: match namespace {
                Some(_) => PolicyKind::CalicoNetworkPolicy,
                None => PolicyKind::GlobalNetworkPolicy,
            },
            namespace,
            name: metadata.name.clone(),
        },
    })
}

/// `order`; whatever has none comes last. The YAML reader lets no infinite number through.
pub(super) fn order(spec: &Map<'_>) -> Read<Order> {
    match spec.get("order") {
        Some(view) => view.number().map(Order),
        None => Ok(Order::LAST),
    }
}

fn known_fields(spec: &Map<'_>, global: bool) -> Read<()> {
    let more = if global { &GLOBAL_FIELDS[..] } else { &[] };
    spec.only(&[&FIELDS[..], more].concat())?;
    performance_hints(spec)?;
    // Without host endpoints this changes nothing.
    flag(spec, "applyOnForward")?;
    for field in ["preDNAT", "doNotTrack"] {
        if let Some(view) = flag(spec, field)? {
            return Err(view.error(Problem::Unsupported(
                "true is for host endpoints, and here are none: policies apply to pods, after \
                 connection tracking and NAT; leave it out",
            )));
        }
    }
    Ok(())
}

/// A boolean field, if it is true.
fn flag<'a>(spec: &Map<'a>, field: &str) -> Read<Option<View<'a>>> {
    match spec.get(field) {
        Some(view) => Ok(view.boolean()?.then_some(view)),
        None => Ok(None),
    }
}

/// Hints decide nothing.
fn performance_hints(spec: &Map<'_>) -> Read<()> {
    let hints = spec.get("performanceHints");
    for hint in hints.map_or(Ok(Vec::new()), |view| view.list())? {
        if hint.text()? != "AssumeNeededOnEveryNode" {
            return Err(hint.invalid("AssumeNeededOnEveryNode"));
        }
    }
    Ok(())
}

fn tier(spec: &Map<'_>) -> Read<String> {
    match spec.get("tier") {
        Some(view) => Ok(object_name(&view)?.to_owned()),
        None => Ok(DEFAULT_TIER.to_owned()),
    }
}

/// The pods a policy applies to. Host endpoints, which a GlobalNetworkPolicy could also select, are
/// not there.
fn subject(spec: &Map<'_>, namespace: Option<&str>) -> Read<Scope> {
    let labels = selector::read(spec, "selector", &Dialect::ENDPOINTS)?;
    let (namespaces, accounts) = match namespace {
        Some(name) => (Namespaces::Named(name.to_owned()), Dialect::ACCOUNTS),
        None => (
            selector::read(spec, "namespaceSelector", &Dialect::POLICY_NAMESPACES)?
                .map_or(Namespaces::Everywhere, Namespaces::Matching),
            Dialect::GLOBAL_POLICY_ACCOUNTS,
        ),
    };
    let accounts = selector::read(spec, "serviceAccountSelector", &accounts)?;
    let labels = selector::both(labels, accounts);
    Ok(Scope::pods(
        namespaces,
        labels.unwrap_or_else(Selector::everything),
    ))
}

/// Which directions a policy applies to.
struct Types {
    ingress: bool,
    egress: bool,
}

/// `types`. Left out or empty it means the directions that have rules, and Ingress when none has.
fn types(spec: &Map<'_>, ingress_rules: bool, egress_rules: bool) -> Read<Types> {
    let written = spec.get("types");
    let items = written.as_ref().map_or(Ok(Vec::new()), View::list)?;
    if items.is_empty() {
        return Ok(Types {
            ingress: ingress_rules || !egress_rules,
            egress: egress_rules,
        });
    }
    let mut types = Types {
        ingress: false,
        egress: false,
    };
    for item in items {
        let direction = match item.text()? {
            "Ingress" => &mut types.ingress,
            "Egress" => &mut types.egress,
            _ => return Err(item.invalid("Ingress or Egress")),
        };
        if std::mem::replace(direction, true) {
            return Err(item.invalid("each type once"));
        }
    }
    Ok(types)
}

fn rules(spec: &Map<'_>, side: Side, namespace: Option<&str>) -> Read<Vec<crate::model::Rule>> {
    let list = spec.get(side.field());
    let list = list.map_or(Ok(Vec::new()), |view| view.list())?;
    list.iter()
        .map(|view| rule::read(view, side, namespace))
        .collect()
}
