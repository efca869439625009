//! `show drops`: what was dropped, how often, and what that means.

use serde_json::Value;

use super::{Form, Row, Source, Table, row};
use crate::control::DropRow;

pub(super) const TABLE: Table = Table {
    name: "drops",
    about: "Dropped frames by reason, most frequent first; wide shows reasons never met, too",
    columns: &["reason", "count", "sentence"],
    narrow: 3,
    form: Form::Columns,
    matters: |row| row.get("count").and_then(Value::as_u64) != Some(0),
    rows,
};

/// Most frequent first; reasons as frequent stay in the order of the walk.
fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut drops = source.live.drops();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    drops.into_iter().map(of).collect()
}

fn of(drop: DropRow) -> Row {
    row([
        ("reason", drop.label.into()),
        ("count", drop.count.into()),
        ("sentence", drop.sentence.into()),
    ])
}
