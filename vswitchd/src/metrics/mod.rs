//! What `/metrics` says: the daemon's counters, read when somebody asks, in Prometheus' text format.
//!
//! Nothing is kept twice. Workers count for themselves (`dataplane::Counters`), the engine leaves a
//! view, and a scrape reads both: no worker is asked, none waits. Only what must be timed when it
//! happens is observed as it happens, by [`Meters`]. Each file adds the families of one subject.
//!
//! A scrape is bounded: ports beyond [`MAX_WORKLOADS`] pods are counted and not listed, all other
//! labels have few values.

mod conntrack;
mod drops;
mod family;
mod meters;
mod node;
mod policy;
mod ports;
mod process;
mod taps;
mod workers;

pub use meters::Meters;
pub use ports::MAX_WORKLOADS;

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{TextEncoder, proto::MetricFamily};

use crate::control::{Live, View};

/// Content type of the text (Prometheus' exposition formats, version 0.0.4).
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Who knows the numbers.
#[derive(Clone)]
pub struct Exporter {
    /// What the engine left to look at.
    pub view: Arc<ArcSwap<View>>,
    /// What the workers count.
    pub live: Arc<dyn Live>,
    /// What was observed as it happened.
    pub meters: Arc<Meters>,
    /// Connections tracked at most, all workers together.
    pub max_flows: usize,
    /// Records the flow log lost; `None` = there is no log.
    pub flow_log_lost: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// What the families are made of: one reading of everything.
struct Source<'a> {
    view: &'a View,
    live: &'a dyn Live,
    max_flows: usize,
    flow_log_lost: Option<u64>,
}

impl Exporter {
    /// All metrics as text. Costs some microseconds for each pod, and reads files of `/proc/self`.
    ///
    /// # Errors
    /// A family breaks a rule of the format: a bug.
    pub fn text(&self) -> prometheus::Result<String> {
        let view = self.view.load();
        let source = Source {
            view: &view,
            live: &*self.live,
            max_flows: self.max_flows,
            flow_log_lost: (self.flow_log_lost)(),
        };
        let mut families = Vec::new();
        for subject in SUBJECTS {
            families.extend(subject(&source));
        }
        families.extend(self.meters.gather());
        families.retain(|family: &MetricFamily| !family.get_metric().is_empty());
        TextEncoder::new().encode_to_string(&families)
    }
}

/// The families of one subject.
type Subject = fn(&Source<'_>) -> Vec<MetricFamily>;

/// Every subject, in the order of the text.
const SUBJECTS: &[Subject] = &[
    ports::families,
    drops::families,
    conntrack::families,
    policy::families,
    workers::families,
    taps::families,
    node::families,
    process::families,
];

#[cfg(test)]
mod tests;
