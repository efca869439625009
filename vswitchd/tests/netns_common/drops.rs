//! The drop counters of one node: what they rose by.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use lab::Lab;
use serde_json::Value;

/// Longest a frame may take from a sender to a counter.
const COUNTED_WITHIN: Duration = Duration::from_secs(3);
/// A frame that is counted for a wrong reason as well is counted by then.
const SETTLED: Duration = Duration::from_millis(20);

/// The counters of a node's daemon at a moment.
pub(crate) struct Drops<'a> {
    lab: &'a Lab,
    node: &'a str,
    then: BTreeMap<String, u64>,
}

impl<'a> Drops<'a> {
    /// The counters as they are now.
    pub(crate) fn of(lab: &'a Lab, node: &'a str) -> Self {
        let then = read(lab, node);
        Self { lab, node, then }
    }

    /// What rose since, by how much; reasons that did not are absent.
    pub(crate) fn risen(&self) -> BTreeMap<String, u64> {
        let mut now = read(self.lab, self.node);
        for (reason, count) in &mut now {
            *count -= self.then.get(reason).copied().unwrap_or(0);
        }
        now.retain(|_, count| *count > 0);
        now
    }

    /// Waits until these counters rose by exactly so many, and no other one.
    pub(crate) fn rose_by(&self, what: &str, expected: &[(&str, u64)]) {
        let expected: BTreeMap<String, u64> = expected
            .iter()
            .map(|(reason, count)| ((*reason).into(), *count))
            .filter(|(_, count)| *count > 0)
            .collect();
        let start = Instant::now();
        while self.risen() != expected && start.elapsed() < COUNTED_WITHIN {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(SETTLED);
        assert_eq!(self.risen(), expected, "drops at {}: {what}", self.node);
    }
}

fn read(lab: &Lab, node: &str) -> BTreeMap<String, u64> {
    let pair = |row: &serde_json::Map<String, Value>| {
        let reason = row["reason"].as_str().unwrap().to_string();
        (reason, row["count"].as_u64().unwrap())
    };
    super::show(lab, node, "drops").iter().map(pair).collect()
}
