//! The flows of this moment, and how fast they are.

use std::{collections::HashMap, sync::Arc};

use dataplane::{Time, conntrack::Flow};
use serde_json::Value;

use super::{names::Names, record::Ends, seconds};
use crate::{admin::Row, control::Live};

/// A measurement is kept for at least so long: rates over less say nothing.
const LEAST_NANOS: u64 = 400_000_000;

/// Flows held beyond twice the limit before the slower ones are let go.
const SPARE: usize = 64;

/// What allowed a flow: by worker, place and beginning.
pub(super) type Policies<'a> = dyn Fn(usize, u32, Time) -> Option<Arc<str>> + 'a;

/// Bytes of every flow when they were looked at last.
#[derive(Default)]
pub(super) struct Rates {
    at: Time,
    bytes: HashMap<Id, u64>,
}

/// A flow: its worker, its place there, and when it began.
type Id = (usize, u32, Time);

/// A flow and the bytes a second it had lately, both ways.
struct Fast {
    id: Id,
    flow: Flow,
    rate: f64,
}

impl Rates {
    /// The fastest flows since this was asked last, fastest first; of this pod, if one is named.
    pub(super) fn top(
        &mut self,
        live: &dyn Live,
        names: &Names,
        policies: &Policies<'_>,
        pod: Option<&str>,
        limit: usize,
    ) -> Vec<Row> {
        let now = live.now();
        let (mut bytes, mut fastest) = (HashMap::new(), Vec::new());
        live.flows(&mut |worker, slot, flow| {
            let id = (worker, slot, flow.began);
            let total = flow.bytes.iter().sum();
            let rate = self.rate(now, id, total);
            bytes.insert(id, total);
            if pod.is_none_or(|pod| Ends::of(&flow.original(), names).is_of(pod)) {
                let flow = flow.clone();
                fastest.push(Fast { id, flow, rate });
            }
            if fastest.len() > limit.saturating_mul(2).saturating_add(SPARE) {
                keep(&mut fastest, limit);
            }
        });
        if now.nanos_since(self.at) >= LEAST_NANOS {
            (self.at, self.bytes) = (now, bytes);
        }
        keep(&mut fastest, limit);
        let row = |fast: &Fast| fast.row(now, names, policies);
        fastest.iter().map(row).collect()
    }

    /// Of a flow that was not there then: since it began.
    fn rate(&self, now: Time, id: Id, total: u64) -> f64 {
        let (before, since) = match self.bytes.get(&id) {
            Some(before) => (*before, self.at),
            None => (0, id.2),
        };
        let nanos = now.nanos_since(since).max(1_000_000);
        total.saturating_sub(before) as f64 * 1e9 / nanos as f64
    }
}

/// The fastest `limit` of them, fastest first.
fn keep(flows: &mut Vec<Fast>, limit: usize) {
    flows.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    flows.truncate(limit);
}

impl Fast {
    fn row(&self, now: Time, names: &Names, policies: &Policies<'_>) -> Row {
        let Self { id, flow, rate } = self;
        let ends = Ends::of(&flow.original(), names);
        let mut row = match serde_json::to_value(ends) {
            Ok(Value::Object(row)) => row,
            _ => Row::new(),
        };
        let policy = policies(id.0, id.1, id.2);
        let cells: [(&str, Value); 9] = [
            ("state", flow.state.to_string().into()),
            ("bits_per_second", ((rate * 8.0) as u64).into()),
            ("packets", flow.packets[0].into()),
            ("bytes", flow.bytes[0].into()),
            ("reply_packets", flow.packets[1].into()),
            ("reply_bytes", flow.bytes[1].into()),
            ("seconds", seconds(now.since(flow.began)).into()),
            ("policy", policy.as_deref().into()),
            ("worker", id.0.into()),
        ];
        let cells = cells.into_iter();
        row.extend(cells.map(|(key, value)| (key.to_owned(), value)));
        row
    }
}
