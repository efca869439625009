//! The connection tables, and what senders were told, all workers together.
//!
//! What each counter means is said once, where it is declared (`dataplane::Counters`).

use dataplane::{Counter, Counters};
use prometheus::proto::MetricFamily;

use super::{Source, family::Family};
use crate::control::WorkerReport;

/// The name of a counter, and that of its metric.
const NAMES: &[(&str, &str)] = &[
    ("flows_created", "vswitchd_conntrack_created_total"),
    ("flows_expired", "vswitchd_conntrack_expired_total"),
    ("flows_evicted", "vswitchd_conntrack_evicted_total"),
    ("flows_orphaned", "vswitchd_conntrack_orphaned_total"),
    ("flows_cut", "vswitchd_conntrack_cut_total"),
    ("flows_kept", "vswitchd_conntrack_kept_total"),
    ("icmp_sent", "vswitchd_icmp_errors_sent_total"),
    ("icmp_limited", "vswitchd_icmp_errors_limited_total"),
    ("rejects_sent", "vswitchd_policy_rejects_sent_total"),
    ("rejects_limited", "vswitchd_policy_rejects_limited_total"),
    ("arp_answered", "vswitchd_arp_answered_total"),
    ("handed_off", "vswitchd_handed_off_frames_total"),
    ("relayed", "vswitchd_relayed_frames_total"),
];

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let workers = source.live.workers();
    let entries = Family::gauge(
        "vswitchd_conntrack_entries",
        "Flows in the table now, those that timed out unnoticed among them.",
    );
    let lanes = Family::gauge(
        "vswitchd_relay_lanes",
        "Directions of settled flows whose frames the kernel relays, or soon will.",
    );
    let limit = Family::gauge("vswitchd_conntrack_entries_limit", "Flows tracked at most.");
    let mut families = vec![
        entries.of(sum(&workers, |c| &c.flows)),
        limit.of(source.max_flows as f64),
        lanes.of(sum(&workers, |c| &c.lanes)),
    ];
    for row in Counters::TABLE {
        if let Some((_, metric)) = NAMES.iter().find(|(name, _)| *name == row.name) {
            families.push(Family::counter(metric, row.sentence).of(sum(&workers, row.of)));
        }
    }
    families
}

fn sum(workers: &[WorkerReport], pick: fn(&Counters) -> &Counter) -> f64 {
    let values = workers.iter().map(|worker| pick(&worker.counters).get());
    values.sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No counters: now, or by another metric.
    const OTHERS: [&str; 4] = ["flows", "lanes", "asleep_nanos", "asleep_since"];

    #[test]
    fn every_counter_of_the_workers_has_a_metric() {
        for row in Counters::TABLE {
            let named = NAMES.iter().any(|(name, _)| *name == row.name);
            assert!(
                named != OTHERS.contains(&row.name),
                "{}: see NAMES",
                row.name
            );
        }
        assert_eq!(NAMES.len() + OTHERS.len(), Counters::TABLE.len());
    }
}
