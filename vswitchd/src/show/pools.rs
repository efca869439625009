//! `show pools`: the ranges pods get their addresses from.

use super::{Form, Row, Source, Table, always, row, text};
use crate::{config::Pool, control::DesiredState};

pub(super) const TABLE: Table = Table {
    name: "pools",
    about: "Address pools; wide adds how many blocks nodes have of each",
    columns: &[
        "name",
        "cidr",
        "block_size",
        "ipip",
        "nat_outgoing",
        "blocks",
    ],
    narrow: 5,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let state = &source.view.desired;
    state.pools.iter().map(|pool| of(state, pool)).collect()
}

fn of(state: &DesiredState, pool: &Pool) -> Row {
    let peers = state.peers.values().flat_map(|peer| &peer.routes);
    let theirs = peers.map(|route| &route.block);
    let blocks = state.blocks.iter().chain(theirs);
    let inside = blocks.filter(|block| pool.cidr.contains(*block)).count();
    row([
        ("name", text(&pool.name)),
        ("cidr", text(pool.cidr)),
        ("block_size", pool.block_size.into()),
        ("ipip", pool.ipip.as_str().into()),
        ("nat_outgoing", pool.nat_outgoing.into()),
        ("blocks", inside.into()),
    ])
}
