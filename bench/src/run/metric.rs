//! What is measured: one line each, with its unit and which way is better.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is.
    Higher,
    /// Less is.
    Lower,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in files, thresholds and options.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Of its values.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Whether a ratio of two says something. A few retransmits against none do not.
    pub compared: bool,
}

const fn more(id: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric {
        id,
        title,
        unit,
        better: Better::Higher,
        compared: true,
    }
}

const fn less(id: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric {
        id,
        title,
        unit,
        better: Better::Lower,
        compared: true,
    }
}

const fn count(id: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric {
        compared: false,
        ..less(id, title, unit)
    }
}

/// All of them, in the order of tables.
pub const METRICS: [Metric; 24] = [
    more("tcp1", "TCP, 1 stream", "Gbit/s"),
    more("tcp4", "TCP, 4 streams", "Gbit/s"),
    less("tcp1-cpu", "CPU for a GiB, 1 stream", "CPU s/GiB"),
    less("tcp4-cpu", "CPU for a GiB, 4 streams", "CPU s/GiB"),
    count(
        "tcp1-retransmits",
        "TCP retransmits, 1 stream",
        "segments/GiB",
    ),
    count(
        "tcp4-retransmits",
        "TCP retransmits, 4 streams",
        "segments/GiB",
    ),
    more("udp64", "UDP 64-byte frames, delivered", "kpackets/s"),
    less(
        "udp64-cpu",
        "CPU for a million 64-byte frames at 50 k/s",
        "CPU s/Mpacket",
    ),
    more(
        "udp64-zero-loss",
        "UDP 64-byte frames, without loss",
        "kpackets/s",
    ),
    more("imix", "IMIX, delivered", "kpackets/s"),
    more("connections", "New TCP connections", "per s"),
    less(
        "tcp-rr-one-core-p50",
        "TCP request/response, one core, p50",
        "µs",
    ),
    less(
        "tcp-rr-one-core-p99",
        "TCP request/response, one core, p99",
        "µs",
    ),
    less(
        "tcp-rr-one-core-p999",
        "TCP request/response, one core, p99.9",
        "µs",
    ),
    less(
        "tcp-rr-two-cores-p50",
        "TCP request/response, two cores, p50",
        "µs",
    ),
    less(
        "tcp-rr-two-cores-p99",
        "TCP request/response, two cores, p99",
        "µs",
    ),
    less(
        "tcp-rr-two-cores-p999",
        "TCP request/response, two cores, p99.9",
        "µs",
    ),
    less(
        "udp-rr-one-core-p50",
        "UDP request/response, one core, p50",
        "µs",
    ),
    less(
        "udp-rr-one-core-p99",
        "UDP request/response, one core, p99",
        "µs",
    ),
    less(
        "udp-rr-one-core-p999",
        "UDP request/response, one core, p99.9",
        "µs",
    ),
    less(
        "udp-rr-two-cores-p50",
        "UDP request/response, two cores, p50",
        "µs",
    ),
    less(
        "udp-rr-two-cores-p99",
        "UDP request/response, two cores, p99",
        "µs",
    ),
    less(
        "udp-rr-two-cores-p999",
        "UDP request/response, two cores, p99.9",
        "µs",
    ),
    less("cni-add", "CNI ADD of one pod", "ms"),
];

/// The metric of this name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.id == id)
}
