//! `show taps`: the captures that run.

use super::{Form, Row, Source, Table, always, row, text};
use crate::tap::TapRow;

pub(super) const TABLE: Table = Table {
    name: "taps",
    about: "Captures that run, and what they have matched and lost",
    columns: &[
        "id", "scope", "stages", "filter", "matched", "lost", "snap_len", "reasons",
    ],
    narrow: 6,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    source.live.taps().iter().map(of).collect()
}

fn of(tap: &TapRow) -> Row {
    let capture = &tap.capture;
    let stages: Vec<&str> = capture.stages.iter().map(|stage| stage.as_str()).collect();
    row([
        ("id", tap.id.into()),
        ("scope", text(&capture.scope)),
        ("stages", stages.join(",").into()),
        ("filter", capture.expression.as_str().into()),
        ("matched", tap.stats.matched.into()),
        ("lost", tap.stats.lost.into()),
        ("snap_len", capture.snap_len.into()),
        ("reasons", capture.reasons.join(",").into()),
    ])
}
