//! `show ports`: what the switch is attached to, and what went in and out there.

use serde_json::Value;

use super::{Form, Row, Source, Table, always, maybe, row, text};
use crate::{
    control::{PortCounters, Workload},
    host::TUNNEL,
};

pub(super) const TABLE: Table = Table {
    name: "ports",
    about: "Ports and their counters, as seen from the switch",
    columns: &[
        "interface",
        "kind",
        "rx_frames",
        "rx_bytes",
        "tx_frames",
        "tx_bytes",
        "drops",
        "missed",
        "tx_coalesced",
        "owner",
        "index",
        "mtu",
    ],
    narrow: 8,
    form: Form::Columns,
    matters: always,
    rows,
};

/// What a port is, besides its counters.
struct Port<'a> {
    interface: &'a str,
    kind: &'static str,
    owner: Option<String>,
    index: Option<u32>,
    mtu_bytes: Option<u32>,
}

fn rows(source: &Source<'_>) -> Vec<Row> {
    let state = &source.view.desired;
    let counters = source.live.port_counters();
    let mut workloads: Vec<&Workload> = state.workloads.values().collect();
    workloads.sort_by_key(|workload| workload.slot);
    let host = Port {
        interface: TUNNEL,
        kind: "host",
        owner: None,
        index: None,
        mtu_bytes: None,
    };
    let uplink = Port {
        interface: &state.uplink.name,
        kind: "uplink",
        owner: None,
        index: Some(state.uplink.index),
        mtu_bytes: Some(state.uplink.mtu_bytes),
    };
    let all = [host, uplink].into_iter();
    let all = all.chain(workloads.into_iter().map(of_workload));
    all.map(|port| of(&port, &counters)).collect()
}

fn of_workload(workload: &Workload) -> Port<'_> {
    Port {
        interface: &workload.host_interface,
        kind: "workload",
        owner: Some(super::endpoints::full_name(workload)),
        index: Some(workload.host_index),
        mtu_bytes: Some(workload.mtu_bytes),
    }
}

/// A port without counters is not open: its cells are null.
fn of(port: &Port<'_>, counters: &[PortCounters]) -> Row {
    let counted = counters.iter().find(|c| c.interface == port.interface);
    let count = |pick: fn(&PortCounters) -> u64| counted.map_or(Value::Null, |c| pick(c).into());
    row([
        ("interface", text(port.interface)),
        ("kind", text(port.kind)),
        ("rx_frames", count(|c| c.rx_frames)),
        ("rx_bytes", count(|c| c.rx_bytes)),
        ("tx_frames", count(|c| c.tx_frames)),
        ("tx_bytes", count(|c| c.tx_bytes)),
        ("drops", count(|c| c.drops)),
        ("missed", count(|c| c.missed)),
        ("tx_coalesced", count(|c| c.tx_coalesced)),
        ("owner", maybe(port.owner.as_deref())),
        ("index", port.index.into()),
        ("mtu", port.mtu_bytes.into()),
    ])
}
