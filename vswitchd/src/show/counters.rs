//! `show counters`: what the workers count besides drops.

use dataplane::{CounterRow, Counters};
use serde_json::Value;

use super::{Form, Row, Source, Table, row};

/// Of these two, `show workers` makes a share.
const TIMES: [&str; 2] = ["asleep_nanos", "asleep_since"];

pub(super) const TABLE: Table = Table {
    name: "counters",
    about: "What the workers count besides drops; wide shows each worker and counters at zero",
    columns: &["counter", "total", "sentence", "by_worker"],
    narrow: 3,
    form: Form::Columns,
    matters: |row| row.get("total").and_then(Value::as_u64) != Some(0),
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let workers = source.live.workers();
    let table = Counters::TABLE.iter();
    let table = table.filter(|counter| !TIMES.contains(&counter.name));
    let of_workers = table.map(|counter| {
        let values = workers
            .iter()
            .map(|worker| (counter.of)(&worker.counters).get());
        of(counter, values.collect())
    });
    of_workers.chain([coalesced(source)]).collect()
}

/// `by_worker` is in worker order.
fn of(counter: &CounterRow, by_worker: Vec<u64>) -> Row {
    row([
        ("counter", counter.name.into()),
        ("total", by_worker.iter().sum::<u64>().into()),
        ("sentence", counter.sentence.into()),
        ("by_worker", by_worker.into()),
    ])
}

/// Counted by port; here they are added up.
fn coalesced(source: &Source<'_>) -> Row {
    let ports = source.live.port_counters();
    let total: u64 = ports.iter().map(|port| port.tx_coalesced).sum();
    row([
        ("counter", "tx_coalesced".into()),
        ("total", total.into()),
        (
            "sentence",
            "TCP segments given to a device as part of the frame before them.".into(),
        ),
        ("by_worker", Value::Null),
    ])
}
