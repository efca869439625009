//! Traffic of each port, with the pod behind it.

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};
use crate::{
    control::{PortCounters, Workload},
    host::TUNNEL,
};

/// Pods whose ports are listed: kubelet's own limit is 110, and what a scrape costs must have an end.
pub const MAX_WORKLOADS: usize = 250;

/// Name, help, and which counter.
type Column = (&'static str, &'static str, fn(&PortCounters) -> u64);

const COLUMNS: [Column; 7] = [
    (
        "vswitchd_port_rx_frames_total",
        "Frames taken from the interface; a super-segment counts as one.",
        |port| port.rx_frames,
    ),
    (
        "vswitchd_port_rx_bytes_total",
        "Bytes taken from the interface, link headers included.",
        |port| port.rx_bytes,
    ),
    (
        "vswitchd_port_tx_frames_total",
        "Frames given to the interface; a super-segment counts as one.",
        |port| port.tx_frames,
    ),
    (
        "vswitchd_port_tx_bytes_total",
        "Bytes given to the interface, link headers included.",
        |port| port.tx_bytes,
    ),
    (
        "vswitchd_port_tx_coalesced_segments_total",
        "TCP segments given to the interface as part of the frame before them.",
        |port| port.tx_coalesced,
    ),
    (
        "vswitchd_port_dropped_frames_total",
        "Frames that came in by the interface and were dropped; vswitchd_drops_total says why.",
        |port| port.drops,
    ),
    (
        "vswitchd_port_missed_frames_total",
        "Frames lost before the switch saw them: it read too slowly, or could not read them.",
        |port| port.missed,
    ),
];

/// A port and its labels.
struct Port<'a> {
    counters: PortCounters,
    kind: &'static str,
    workload: Option<&'a Workload>,
}

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let (ports, unlisted) = listed(source);
    let family = |(name, help, pick): &Column| {
        let mut family = Family::counter(name, help);
        for port in &ports {
            family.add(&port.labels(), pick(&port.counters) as f64);
        }
        family.done()
    };
    let mut families: Vec<MetricFamily> = COLUMNS.iter().map(family).collect();
    let name = "vswitchd_ports_unlisted";
    let help = "Open pod interfaces without metrics of their own, being too many.";
    families.push(Family::gauge(name, help).of(unlisted as f64));
    families
}

/// The host, the uplink, and the pods by slot: a slot stays while its pod is attached, so a pod
/// that is listed stays listed.
fn listed<'a>(source: &'a Source<'_>) -> (Vec<Port<'a>>, usize) {
    let state = &source.view.desired;
    let mut workloads: Vec<&Workload> = state.workloads.values().collect();
    workloads.sort_by_key(|workload| workload.slot);
    let unlisted = workloads.len().saturating_sub(MAX_WORKLOADS);
    let ends = [
        (TUNNEL, "host", None),
        (state.uplink.name.as_str(), "uplink", None),
    ];
    let of_pod = |workload| {
        let workload: &Workload = workload;
        (workload.host_interface.as_str(), "workload", Some(workload))
    };
    let pods = workloads.into_iter().take(MAX_WORKLOADS).map(of_pod);
    let counters = source.live.port_counters();
    let port = |(interface, kind, workload)| {
        // Sorted by interface, see `Live::port_counters`.
        let at = counters.binary_search_by(|port| port.interface.as_str().cmp(interface));
        Some(Port {
            counters: counters[at.ok()?].clone(),
            kind,
            workload,
        })
    };
    (
        ends.into_iter().chain(pods).filter_map(port).collect(),
        unlisted,
    )
}

impl Port<'_> {
    fn labels(&self) -> [(&str, &str); 4] {
        let (namespace, pod) = self
            .workload
            .map_or(("", ""), |pod| (&*pod.namespace, &*pod.pod));
        [
            ("interface", &self.counters.interface),
            ("kind", self.kind),
            ("namespace", namespace),
            ("pod", pod),
        ]
    }
}
