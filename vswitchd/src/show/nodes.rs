//! `show nodes`: this node and its peers, by name.

use serde_json::Value;

use super::{Form, Row, Source, Table, always, maybe, row, text};
use crate::control::{DesiredState, Peer};

/// The AS number of every node: Calico's default (`global.bgp.asNumber`); nobody speaks BGP here.
const AS_NUMBER: u32 = 64_512;

pub(super) const TABLE: Table = Table {
    name: "nodes",
    about: "This node and its peers; wide adds blocks, next hop, MAC and path MTU",
    columns: &[
        "name",
        "asn",
        "ipv4",
        "local",
        "tunnel_address",
        "blocks",
        "next_hop",
        "mac",
        "path_mtu",
    ],
    narrow: 3,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let state = &source.view.desired;
    let mut nodes: Vec<(&str, Row)> = state
        .peers
        .values()
        .map(|peer| (peer.name.as_str(), of_peer(peer)))
        .collect();
    nodes.push((&state.node.name, own(state)));
    nodes.sort_by_key(|(name, _)| *name);
    nodes.into_iter().map(|(_, row)| row).collect()
}

fn own(state: &DesiredState) -> Row {
    row([
        ("name", text(&state.node.name)),
        ("asn", AS_NUMBER.into()),
        ("ipv4", text(state.node.address)),
        ("local", true.into()),
        ("tunnel_address", text(state.node.tunnel_address)),
        ("blocks", state.blocks.iter().map(text).collect()),
        ("next_hop", Value::Null),
        ("mac", text(state.uplink.mac)),
        ("path_mtu", state.uplink.mtu_bytes.into()),
    ])
}

fn of_peer(peer: &Peer) -> Row {
    row([
        ("name", text(&peer.name)),
        ("asn", AS_NUMBER.into()),
        ("ipv4", text(peer.address)),
        ("local", false.into()),
        ("tunnel_address", text(peer.tunnel_address)),
        (
            "blocks",
            peer.routes.iter().map(|r| text(r.block)).collect(),
        ),
        ("next_hop", text(peer.next_hop.address)),
        ("mac", maybe(peer.next_hop.mac)),
        ("path_mtu", peer.path_mtu_bytes.into()),
    ])
}
