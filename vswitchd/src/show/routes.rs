//! `show routes`: where the switch sends packets, written as `ip route` writes a Calico node's table.

use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Form, Row, Source, Table, always, maybe, row};
use crate::{
    control::{BlockRoute, DesiredState, Encapsulation, Peer, Workload},
    host::TUNNEL,
};

pub(super) const TABLE: Table = Table {
    name: "routes",
    about: "Routes in the words of `ip route`; wide shows columns and whose each is",
    columns: &[
        "dst", "via", "dev", "type", "scope", "onlink", "src", "owner",
    ],
    narrow: 7,
    form: Form::Lines(line),
    matters: always,
    rows,
};

/// One route, before it is a row.
#[derive(Default)]
struct Route {
    dst: Ipv4Net,
    via: Option<String>,
    dev: Option<String>,
    blackhole: bool,
    on_the_link: bool,
    onlink: bool,
    src: Option<String>,
    owner: Option<String>,
}

fn rows(source: &Source<'_>) -> Vec<Row> {
    let state = &source.view.desired;
    let mut routes: Vec<Route> = default(source).into_iter().collect();
    for peer in state.peers.values() {
        routes.extend(peer.routes.iter().map(|route| to_block(state, peer, route)));
    }
    routes.extend(state.blocks.iter().map(|block| own_block(state, *block)));
    routes.extend(state.workloads.values().map(to_workload));
    routes.extend(underlay(state));
    routes.sort_by_key(|route| (route.dst.network(), route.dst.prefix_len()));
    routes.into_iter().map(of).collect()
}

/// Outside all pools the host decides, so this is the host's own route.
fn default(source: &Source<'_>) -> Option<Route> {
    let route = (source.default_route)()?;
    Some(Route {
        via: route.via.map(|via| via.to_string()),
        dev: Some(route.dev),
        on_the_link: route.via.is_none(),
        ..Route::default()
    })
}

fn to_block(state: &DesiredState, peer: &Peer, route: &BlockRoute) -> Route {
    let (via, dev, onlink) = match route.encapsulation {
        Encapsulation::Ipip => (peer.address.addr(), TUNNEL, true),
        Encapsulation::Plain => (peer.next_hop.address, state.uplink.name.as_str(), false),
    };
    Route {
        dst: route.block,
        via: Some(via.to_string()),
        dev: Some(dev.to_owned()),
        onlink,
        owner: Some(peer.name.clone()),
        ..Route::default()
    }
}

/// What of an own block no pod has is dropped, never sent out again.
fn own_block(state: &DesiredState, block: Ipv4Net) -> Route {
    Route {
        dst: block,
        blackhole: true,
        owner: Some(state.node.name.clone()),
        ..Route::default()
    }
}

fn to_workload(workload: &Workload) -> Route {
    Route {
        dst: workload.address.into(),
        dev: Some(workload.host_interface.clone()),
        on_the_link: true,
        owner: Some(super::endpoints::full_name(workload)),
        ..Route::default()
    }
}

/// The underlay's subnet; an uplink with a /32 has none.
fn underlay(state: &DesiredState) -> Option<Route> {
    let address = state.node.address;
    (address.prefix_len() < 32).then(|| Route {
        dst: address.trunc(),
        dev: Some(state.uplink.name.clone()),
        on_the_link: true,
        src: Some(address.addr().to_string()),
        ..Route::default()
    })
}

fn of(route: Route) -> Row {
    let kind = if route.blackhole {
        "blackhole"
    } else {
        "unicast"
    };
    let scope = if route.on_the_link { "link" } else { "global" };
    row([
        ("dst", destination(route.dst).into()),
        ("via", maybe(route.via)),
        ("dev", maybe(route.dev)),
        ("type", kind.into()),
        ("scope", scope.into()),
        ("onlink", route.onlink.into()),
        ("src", maybe(route.src)),
        ("owner", maybe(route.owner)),
    ])
}

/// As `ip route` writes it: `default`, and no `/32`.
fn destination(dst: Ipv4Net) -> String {
    match dst.prefix_len() {
        0 => "default".into(),
        32 => dst.addr().to_string(),
        _ => dst.to_string(),
    }
}

/// One row as the line `ip route` would print.
fn line(row: &Row) -> String {
    let cell = |key| row.get(key).and_then(Value::as_str);
    let mut words = Vec::new();
    words.extend(cell("type").filter(|kind| *kind != "unicast"));
    words.extend(cell("dst"));
    for key in ["via", "dev"] {
        words.extend(cell(key).into_iter().flat_map(|value| [key, value]));
    }
    words.extend((row.get("onlink") == Some(&Value::Bool(true))).then_some("onlink"));
    let scope = cell("scope").filter(|scope| *scope != "global");
    words.extend(scope.into_iter().flat_map(|scope| ["scope", scope]));
    words.extend(cell("src").into_iter().flat_map(|src| ["src", src]));
    words.join(" ")
}
