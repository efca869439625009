//! The connection tables, and what senders were told, all workers together.

use dataplane::{Counter, Counters};
use prometheus::proto::MetricFamily;

use super::{Source, family::Family};
use crate::control::WorkerReport;

/// Name, help, and which counter.
type Column = (&'static str, &'static str, fn(&Counters) -> &Counter);

const COLUMNS: [Column; 12] = [
    (
        "vswitchd_conntrack_created_total",
        "Connections put into the table.",
        |c| &c.flows_created,
    ),
    (
        "vswitchd_conntrack_evicted_total",
        "Connections thrown out of the table because it was full.",
        |c| &c.flows_evicted,
    ),
    (
        "vswitchd_conntrack_expired_total",
        "Connections forgotten because they were silent for too long.",
        |c| &c.flows_expired,
    ),
    (
        "vswitchd_conntrack_orphaned_total",
        "Connections forgotten because the pod at one end is gone.",
        |c| &c.flows_orphaned,
    ),
    (
        "vswitchd_conntrack_cut_total",
        "Connections cut because a newer policy denies them.",
        |c| &c.flows_cut,
    ),
    (
        "vswitchd_conntrack_kept_total",
        "Connections that a newer policy denies and lets go on.",
        |c| &c.flows_kept,
    ),
    (
        "vswitchd_icmp_errors_sent_total",
        "ICMP errors sent, those for policy not among them.",
        |c| &c.icmp_sent,
    ),
    (
        "vswitchd_icmp_errors_limited_total",
        "ICMP errors not sent for the rate limit.",
        |c| &c.icmp_limited,
    ),
    (
        "vswitchd_policy_rejects_sent_total",
        "Packets denied by policy whose sender was told, by a TCP reset or an ICMP error.",
        |c| &c.rejects_sent,
    ),
    (
        "vswitchd_policy_rejects_limited_total",
        "Packets denied by policy whose sender was not told for the rate limit.",
        |c| &c.rejects_limited,
    ),
    (
        "vswitchd_arp_answered_total",
        "ARP requests of pods answered.",
        |c| &c.arp_answered,
    ),
    (
        "vswitchd_handed_off_frames_total",
        "Frames handed to the worker that owns their connection.",
        |c| &c.handed_off,
    ),
];

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let workers = source.live.workers();
    let entries = Family::gauge(
        "vswitchd_conntrack_entries",
        "Connections in the table now, time-outs not yet noticed among them.",
    );
    let limit = Family::gauge(
        "vswitchd_conntrack_entries_limit",
        "Connections tracked at most.",
    );
    let mut families = vec![
        entries.of(sum(&workers, |c| &c.flows)),
        limit.of(source.max_flows as f64),
    ];
    let counter =
        |(name, help, pick): &Column| Family::counter(name, help).of(sum(&workers, *pick));
    families.extend(COLUMNS.iter().map(counter));
    families
}

fn sum(workers: &[WorkerReport], pick: fn(&Counters) -> &Counter) -> f64 {
    let values = workers.iter().map(|worker| pick(&worker.counters).get());
    values.sum::<u64>() as f64
}
