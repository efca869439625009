//! The last records, and the flows that go on.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use dataplane::Time;
use serde_json::Value;

use super::record::{Ends, Record};
use crate::admin::Row;

/// Records kept.
const KEPT: usize = 16_384;
/// Records of an answer when nobody says how many.
pub(super) const DEFAULT_LIMIT: usize = 1_000;

/// Which records are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Those after this one; `None` = the last ones.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Of this pod: `namespace/pod`, `pod` or an address, at either end.
    pub pod: Option<String>,
    /// Of this verdict: `allow` or `deny`.
    pub verdict: Option<String>,
    /// With the labels that the pods have now.
    pub labels: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Records, oldest first.
    pub rows: Vec<Row>,
    /// The last record looked at: to go on from.
    pub next: u64,
    /// Records after the one asked for that were forgotten before.
    pub lost: u64,
    /// Events since the start that the workers had no room to write.
    pub unlogged: u64,
}

/// A flow that has begun and not ended.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) began: Time,
    /// The ends, with the names they had then.
    pub(super) ends: Ends,
    pub(super) policy: Option<Arc<str>>,
}

/// The last records, and the flows that go on by worker and place.
#[derive(Debug, Default)]
pub(super) struct Store {
    records: VecDeque<Arc<Record>>,
    last: u64,
    open: HashMap<(usize, u32), Open>,
}

impl Store {
    /// Numbers a record and keeps it.
    pub(super) fn add(&mut self, mut record: Record) -> Arc<Record> {
        self.last += 1;
        record.seq = self.last;
        let record = Arc::new(record);
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        self.records.push_back(record.clone());
        record
    }

    /// A flow has begun. Whatever was in its place has ended unheard.
    pub(super) fn opened(&mut self, worker: usize, slot: u32, open: Open) {
        self.open.insert((worker, slot), open);
    }

    /// A flow has ended; what was known of it, if it is that one.
    pub(super) fn closed(&mut self, worker: usize, slot: u32, began: Time) -> Option<Open> {
        let open = self.open.remove(&(worker, slot))?;
        (open.began == began).then_some(open)
    }

    /// What allowed a flow that goes on.
    pub(super) fn policy_of(&self, worker: usize, slot: u32, began: Time) -> Option<Arc<str>> {
        let open = self.open.get(&(worker, slot))?;
        open.policy.clone().filter(|_| open.began == began)
    }

    /// The records that are wanted.
    pub(super) fn query(&self, query: &Query) -> Answer {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        let wanted = |record: &&Arc<Record>| query.wants(record);
        let Some(after) = query.after.filter(|after| *after <= self.last) else {
            let last = self.records.iter().rev().filter(wanted).take(limit);
            let mut rows: Vec<Row> = last.map(|record| row(record)).collect();
            rows.reverse();
            return Answer {
                rows,
                next: self.last,
                ..Answer::default()
            };
        };
        let oldest = self
            .records
            .front()
            .map_or(self.last + 1, |record| record.seq);
        let lost = oldest.saturating_sub(after + 1);
        let skipped = usize::try_from(after.saturating_add(1).saturating_sub(oldest));
        let rest = self.records.iter().skip(skipped.unwrap_or(usize::MAX));
        let (mut rows, mut next) = (Vec::new(), self.last);
        for record in rest.filter(wanted) {
            if rows.len() == limit {
                break;
            }
            rows.push(row(record));
            if rows.len() == limit {
                next = record.seq;
            }
        }
        Answer {
            rows,
            next,
            lost,
            unlogged: 0,
        }
    }
}

impl Query {
    fn wants(&self, record: &Record) -> bool {
        let verdict = self.verdict.as_deref();
        verdict.is_none_or(|wanted| record.verdict == wanted)
            && self.pod.as_deref().is_none_or(|pod| record.ends.is_of(pod))
    }
}

fn row(record: &Record) -> Row {
    match serde_json::to_value(record) {
        Ok(Value::Object(row)) => row,
        _ => Row::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pod: &str, verdict: &'static str) -> Record {
        Record {
            verdict,
            ends: Ends {
                src_pod: Some(pod.into()),
                ..Ends::default()
            },
            ..Record::default()
        }
    }

    fn numbers(answer: &Answer) -> Vec<u64> {
        let numbers = answer.rows.iter().map(|row| row["seq"].as_u64().unwrap());
        numbers.collect()
    }

    #[test]
    fn a_cursor_leads_through_all_that_is_wanted_and_tells_what_was_missed() {
        let mut store = Store::default();
        for number in 1..=KEPT as u64 + 10 {
            let verdict = if number.is_multiple_of(2) {
                "deny"
            } else {
                "allow"
            };
            store.add(record("shop/web", verdict));
        }
        let mut query = Query {
            after: Some(3),
            limit: Some(4_000),
            verdict: Some("deny".into()),
            ..Query::default()
        };
        let (mut seen, mut lost) = (Vec::new(), 0);
        loop {
            let answer = store.query(&query);
            lost += answer.lost;
            if answer.rows.is_empty() {
                break;
            }
            seen.extend(numbers(&answer));
            query.after = Some(answer.next);
        }
        assert_eq!(lost, 7, "4 to 10 are forgotten");
        let all: Vec<u64> = (12..=KEPT as u64 + 10).step_by(2).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn without_a_cursor_the_last_ones_come_and_a_cursor_of_another_life_is_none() {
        let mut store = Store::default();
        (0..9).for_each(|_| drop(store.add(record("shop/web", "allow"))));
        let mut query = Query {
            limit: Some(2),
            ..Query::default()
        };
        assert_eq!(numbers(&store.query(&query)), [8, 9]);
        query.after = Some(500);
        assert_eq!(numbers(&store.query(&query)), [8, 9]);
        query.after = Some(9);
        assert_eq!(numbers(&store.query(&query)), [0; 0]);
    }

    #[test]
    fn a_pod_is_meant_with_or_without_its_namespace() {
        let record = record("shop/web", "allow");
        let wants = |pod: &str| {
            let pod = Some(pod.into());
            let query = Query {
                pod,
                ..Query::default()
            };
            query.wants(&record)
        };
        let found = ["shop/web", "web", "shop", "we", "bar/web"].map(wants);
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn an_end_belongs_to_the_flow_that_began_then() {
        let mut store = Store::default();
        let open = |second| Open {
            began: Time::from_secs(second),
            ends: Ends::default(),
            policy: None,
        };
        store.opened(0, 5, open(1));
        assert!(store.closed(1, 5, Time::from_secs(1)).is_none());
        assert!(
            store.closed(0, 5, Time::from_secs(2)).is_none(),
            "another's"
        );
        store.opened(0, 5, open(3));
        assert!(store.closed(0, 5, Time::from_secs(3)).is_some());
        assert!(store.closed(0, 5, Time::from_secs(3)).is_none(), "once");
    }
}
