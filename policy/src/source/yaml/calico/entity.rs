//! One end of a rule, Calico's EntityRule: which endpoints, which addresses, which ports.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::selector::both;
use super::{Read, selector, traffic};
use crate::model::{
    End, Members, Namespaces, PortCondition, SERVICE_ACCOUNT_LABEL, Scope, Selector,
};
use crate::source::selector::Dialect;
use crate::source::yaml::Problem;
use crate::source::yaml::validate::object_name;
use crate::source::yaml::view::{Map, View};

/// What an end must satisfy.
#[derive(Debug, Default)]
pub(super) struct Entity<'a> {
    pub(super) end: End,
    pub(super) ports: PortCondition,
    /// Every block and where it stands.
    pub(super) blocks: Vec<(IpNet, View<'a>)>,
    /// A field that needs a protocol with ports.
    pub(super) ports_at: Option<View<'a>>,
}

/// Reads `source` or `destination` of a rule; left out, it asks for nothing.
pub(super) fn read<'a>(rule: &Map<'a>, field: &str, namespace: Option<&str>) -> Read<Entity<'a>> {
    let mut entity = Entity::default();
    let Some(view) = rule.get(field) else {
        return Ok(entity);
    };
    let map = view.map()?;
    map.only(&[
        "nets",
        "notNets",
        "selector",
        "notSelector",
        "namespaceSelector",
        "serviceAccounts",
        "ports",
        "notPorts",
        "services",
    ])?;
    no_services(&map)?;
    let nets = entity.take_blocks(&map, "nets")?;
    entity.end.nets = Some(nets).filter(|nets| !nets.is_empty());
    entity.end.not_nets = entity.take_blocks(&map, "notNets")?;
    (entity.end.scope, entity.end.not_scope) = scopes(&map, namespace)?;
    entity.ports.one_of = entity.take_ports(&map, "ports")?;
    entity.ports.none_of = entity.take_ports(&map, "notPorts")?;
    Ok(entity)
}

/// Who is meant and who is not.
///
/// Without a `namespaceSelector`, the selectors of a namespaced policy mean objects of its own
/// namespace. That goes for `notSelector` in an odd way, which is Calico's: what it excludes is
/// excluded wherever it is, but any selector at all, this one too, limits the rule to the
/// namespaces. So only in a global policy's rule without `namespaceSelector` does `notSelector`
/// alone let addresses outside the cluster match.
fn scopes(map: &Map<'_>, namespace: Option<&str>) -> Read<(Option<Scope>, Option<Scope>)> {
    let labels = selector::read(map, "selector", &Dialect::ENDPOINTS)?;
    let labels = both(service_accounts(map)?, labels);
    let excluded = selector::read(map, "notSelector", &Dialect::ENDPOINTS)?;
    let namespaces = selector::read(map, "namespaceSelector", &Dialect::RULE_NAMESPACES)?;
    let any = labels.is_some() || excluded.is_some() || namespaces.is_some();
    let namespaces = match (namespaces, namespace) {
        (Some(selector), _) => Namespaces::Matching(selector),
        (None, Some(name)) => Namespaces::Named(name.to_owned()),
        (None, None) => Namespaces::Everywhere,
    };
    let limited = any && namespaces != Namespaces::Everywhere;
    let scope = (labels.is_some() || limited)
        .then(|| members(namespaces, labels.unwrap_or_else(Selector::everything)));
    let not_scope = excluded.map(|selector| members(Namespaces::Everywhere, selector));
    Ok((scope, not_scope))
}

fn members(namespaces: Namespaces, labels: Selector) -> Scope {
    Scope {
        members: Members::PodsAndSets,
        namespaces,
        labels,
    }
}

/// `serviceAccounts`: names, one of which the pod's must be, and a selector that its labels must
/// satisfy.
fn service_accounts(map: &Map<'_>) -> Read<Option<Selector>> {
    let Some(view) = map.get("serviceAccounts") else {
        return Ok(None);
    };
    let map = view.map()?;
    map.only(&["names", "selector"])?;
    let labels = selector::read(&map, "selector", &Dialect::ACCOUNTS)?;
    let names = map
        .get("names")
        .map_or(Ok(Vec::new()), |view| view.list())?;
    let names: BTreeSet<String> = names
        .iter()
        .map(|name| object_name(name).map(str::to_owned))
        .collect::<Read<_>>()?;
    let named = Selector::In(SERVICE_ACCOUNT_LABEL.to_owned(), names.clone());
    Ok(both(labels, (!names.is_empty()).then_some(named)))
}

fn no_services(map: &Map<'_>) -> Read<()> {
    map.get("services").map_or(Ok(()), |view| {
        Err(view.error(Problem::Unsupported(
            "not supported: policy sees the pods behind a Service; name them with selector, \
             namespaceSelector and ports",
        )))
    })
}

impl<'a> Entity<'a> {
    fn take_blocks(&mut self, map: &Map<'a>, field: &str) -> Read<Vec<IpNet>> {
        let items = map.get(field).map_or(Ok(Vec::new()), |view| view.list())?;
        let mut nets = Vec::new();
        for view in items {
            let net = strict_block(&view)?;
            nets.push(net);
            self.blocks.push((net, view));
        }
        Ok(nets)
    }

    fn take_ports(&mut self, map: &Map<'a>, field: &str) -> Read<Vec<crate::model::PortMatch>> {
        let Some(view) = map.get(field) else {
            return Ok(Vec::new());
        };
        let ports = view
            .list()?
            .iter()
            .map(traffic::port)
            .collect::<Read<Vec<_>>>()?;
        if !ports.is_empty() {
            self.ports_at.get_or_insert(view);
        }
        Ok(ports)
    }
}

/// An address block. Calico refuses bits beyond the prefix in a rule.
fn strict_block(view: &View<'_>) -> Read<IpNet> {
    let net = view.text()?.parse::<IpNet>().ok();
    match net.filter(|net| net.trunc() == *net) {
        Some(net) => Ok(net),
        None => Err(view.invalid(
            "an address block such as 10.0.0.0/8, without bits beyond the prefix; one address is \
             10.0.0.1/32",
        )),
    }
}
