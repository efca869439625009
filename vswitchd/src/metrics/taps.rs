//! Captures, and what they lost: a tap loses copies, never frames.

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let running = Family::gauge("vswitchd_taps", "Captures that run.");
    let lost = Family::counter(
        "vswitchd_tap_lost_copies_total",
        "Copies of frames that captures lost because they were not read in time; the frames went on.",
    );
    vec![
        running.of(source.live.taps().len() as f64),
        lost.of(source.live.tap_losses() as f64),
    ]
}
