//! `show conntrack`: the flows the workers remember.

use super::{Form, Row, Source, Table, always, row, text};
use crate::control::ConntrackRow;

/// Most flows shown when nobody says how many.
pub const DEFAULT_LIMIT: usize = 1_000;

pub(super) const TABLE: Table = Table {
    name: "conntrack",
    about: "Tracked connections, 1000 unless --limit says otherwise",
    columns: &[
        "protocol", "state", "src", "src_port", "dst", "dst_port", "packets", "expires", "worker",
    ],
    narrow: 8,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let limit = source.limit.unwrap_or(DEFAULT_LIMIT);
    source.live.conntrack(limit).into_iter().map(of).collect()
}

/// `expires` is in seconds.
fn of(flow: ConntrackRow) -> Row {
    row([
        ("protocol", flow.protocol.into()),
        ("state", flow.state.into()),
        ("src", text(flow.src)),
        ("src_port", flow.src_port.into()),
        ("dst", text(flow.dst)),
        ("dst_port", flow.dst_port.into()),
        ("packets", flow.packets.into()),
        ("expires", flow.expires_seconds.into()),
        ("worker", flow.worker.into()),
    ])
}
