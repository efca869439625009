//! `show drops --by-pod`: whose frames were dropped, and on whose account.

use super::{Form, Row, Source, Table, always, row, text};
use crate::control::PortDropRow;

pub(super) const TABLE: Table = Table {
    name: "pod-drops",
    about: "Dropped frames by pod and reason: from it, or toward it on its account",
    columns: &["pod", "way", "reason", "count", "interface", "sentence"],
    narrow: 4,
    form: Form::Columns,
    matters: always,
    rows,
};

/// Most frequent first; a pod that is gone has taken its counters along.
fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut drops = source.live.port_drops();
    drops.sort_by(|a, b| {
        let key = |drop: &PortDropRow| (drop.reason, drop.toward);
        let ties = || (&a.interface, key(a)).cmp(&(&b.interface, key(b)));
        b.count.cmp(&a.count).then_with(ties)
    });
    drops.iter().map(|drop| of(source, drop)).collect()
}

/// `way` is `from` or `toward`.
fn of(source: &Source<'_>, drop: &PortDropRow) -> Row {
    let way = if drop.toward { "toward" } else { "from" };
    let rule = drop.reason.row();
    row([
        ("pod", owner(source, &drop.interface).into()),
        ("way", way.into()),
        ("reason", rule.label.into()),
        ("count", drop.count.into()),
        ("interface", text(&drop.interface)),
        ("sentence", rule.sentence.into()),
    ])
}

/// The pod behind an interface; else what the port is.
fn owner(source: &Source<'_>, interface: &str) -> String {
    let state = &source.view.desired;
    let mut workloads = state.workloads.values();
    let pod = workloads.find(|workload| workload.host_interface == interface);
    match pod {
        Some(pod) => super::endpoints::full_name(pod),
        None if interface == state.uplink.name => "(uplink)".into(),
        None if interface == crate::host::TUNNEL => "(host)".into(),
        None => "-".into(),
    }
}
