//! `show workers`: how the work is divided.

use super::{Form, Row, Source, Table, always, row};
use crate::control::{WorkerLoad, WorkerReport};

pub(super) const TABLE: Table = Table {
    name: "workers",
    about: "The workers: the share of their time that they are awake, and their flows",
    columns: &[
        "worker",
        "busy_percent",
        "flows",
        "flows_created",
        "handed_off",
        "lanes",
        "relayed",
        "awake_seconds",
        "asleep_seconds",
    ],
    narrow: 5,
    form: Form::Columns,
    matters: always,
    rows,
};

/// `busy_percent` is of the time since the start. `vswitchctl top` shows that of this moment.
fn rows(source: &Source<'_>) -> Vec<Row> {
    let of = |(worker, report): (usize, WorkerReport)| {
        let WorkerReport { counters, load, .. } = report;
        row([
            ("worker", worker.into()),
            ("busy_percent", percent(&load).into()),
            ("flows", counters.flows.get().into()),
            ("flows_created", counters.flows_created.get().into()),
            ("handed_off", counters.handed_off.get().into()),
            ("lanes", counters.lanes.get().into()),
            ("relayed", counters.relayed.get().into()),
            ("awake_seconds", load.awake.as_secs_f64().into()),
            ("asleep_seconds", load.asleep.as_secs_f64().into()),
        ])
    };
    let workers = source.live.workers().into_iter();
    workers.enumerate().map(of).collect()
}

/// To a tenth.
fn percent(load: &WorkerLoad) -> f64 {
    let all = (load.awake + load.asleep).as_secs_f64();
    match all > 0.0 {
        true => (load.awake.as_secs_f64() / all * 1000.0).round() / 10.0,
        false => 0.0,
    }
}
