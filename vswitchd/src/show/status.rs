//! `show status`: is all well? One row.

use std::time::SystemTime;

use super::{Form, Row, Source, Table, always, maybe, row, text};
use crate::control::BlockUse;

pub(super) const TABLE: Table = Table {
    name: "status",
    about: "The daemon at a glance: node, uplink, generation, what is wrong",
    columns: &[
        "node",
        "address",
        "tunnel_address",
        "uplink",
        "uplink_up",
        "uplink_mtu",
        "segmentation",
        "relay",
        "generation",
        "uptime_seconds",
        "endpoints",
        "peers",
        "peers_unresolved",
        "addresses_used",
        "addresses_free",
        "addresses_unattached",
        "policies",
        "drops",
        "publish_error",
        "policy_errors",
        "version",
    ],
    narrow: 21,
    form: Form::Record,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let (view, state) = (source.view, &source.view.desired);
    let uptime = SystemTime::now().duration_since(view.started);
    let unresolved = state.peers.values().filter(|p| p.next_hop.mac.is_none());
    let sum = |pick: fn(&BlockUse) -> usize| view.blocks.iter().map(pick).sum::<usize>();
    let drops: u64 = source.live.drops().iter().map(|drop| drop.count).sum();
    vec![row([
        ("node", text(&state.node.name)),
        ("address", text(state.node.address)),
        ("tunnel_address", text(state.node.tunnel_address)),
        ("uplink", text(&state.uplink.name)),
        ("uplink_up", state.uplink.up.into()),
        ("uplink_mtu", state.uplink.mtu_bytes.into()),
        ("segmentation", text(source.live.segmentation())),
        ("relay", text(source.live.relaying())),
        ("generation", view.generation.into()),
        (
            "uptime_seconds",
            uptime.unwrap_or_default().as_secs().into(),
        ),
        ("endpoints", state.workloads.len().into()),
        ("peers", state.peers.len().into()),
        ("peers_unresolved", unresolved.count().into()),
        ("addresses_used", sum(|block| block.used).into()),
        ("addresses_free", sum(|block| block.free).into()),
        ("addresses_unattached", view.unattached.into()),
        ("policies", state.policy.policies().len().into()),
        ("drops", drops.into()),
        ("publish_error", maybe(view.publish_error.as_deref())),
        (
            "policy_errors",
            state.policy_errors.iter().map(text).collect(),
        ),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ])]
}
