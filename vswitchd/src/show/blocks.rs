//! `show blocks`: who owns which block, and how full this node's are.

use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Form, Row, Source, Table, always, maybe, row, text};
use crate::control::{DesiredState, Encapsulation};

pub(super) const TABLE: Table = Table {
    name: "blocks",
    about: "Blocks and their nodes; used and free are known of this node's own",
    columns: &[
        "name",
        "cidr",
        "node",
        "used",
        "free",
        "pool",
        "encapsulation",
    ],
    narrow: 5,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut blocks = own(source);
    blocks.extend(peers(&source.view.desired));
    blocks.sort_by_key(|(block, _)| (block.network(), block.prefix_len()));
    blocks.into_iter().map(|(_, row)| row).collect()
}

fn own(source: &Source<'_>) -> Vec<(Ipv4Net, Row)> {
    let state = &source.view.desired;
    let usage = |block: &Ipv4Net| source.view.blocks.iter().find(|usage| usage.cidr == *block);
    let of = |block: &Ipv4Net| {
        let usage = usage(block);
        let used = usage.map_or(Value::Null, |usage| usage.used.into());
        let free = usage.map_or(Value::Null, |usage| usage.free.into());
        let row = block_row(state, *block, &state.node.name, [used, free], None);
        (*block, row)
    };
    state.blocks.iter().map(of).collect()
}

fn peers(state: &DesiredState) -> impl Iterator<Item = (Ipv4Net, Row)> {
    state.peers.values().flat_map(move |peer| {
        peer.routes.iter().map(move |route| {
            let how = match route.encapsulation {
                Encapsulation::Ipip => "ipip",
                Encapsulation::Plain => "none",
            };
            let unknown = [Value::Null, Value::Null];
            let row = block_row(state, route.block, &peer.name, unknown, Some(how));
            (route.block, row)
        })
    })
}

fn block_row(
    state: &DesiredState,
    block: Ipv4Net,
    node: &str,
    [used, free]: [Value; 2],
    encapsulation: Option<&str>,
) -> Row {
    let holding = state.pools.iter().filter(|pool| pool.cidr.contains(&block));
    let pool = holding.max_by_key(|pool| pool.cidr.prefix_len());
    row([
        ("name", text(resource_name(block))),
        ("cidr", text(block)),
        ("node", text(node)),
        ("used", used),
        ("free", free),
        ("pool", maybe(pool.map(|pool| &pool.name))),
        ("encapsulation", maybe(encapsulation)),
    ])
}

/// The name of Calico's IPAMBlock resource: `10-244-120-64-26` for 10.244.120.64/26.
fn resource_name(block: Ipv4Net) -> String {
    block.to_string().replace(['.', '/'], "-")
}
