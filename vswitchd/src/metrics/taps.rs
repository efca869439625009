//! What watches, and what it lost: a tap loses copies and the flow log records, never frames.

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let running = Family::gauge("vswitchd_taps", "Captures that run.");
    let lost = Family::counter(
        "vswitchd_tap_lost_copies_total",
        "Copies of frames that captures lost because they were not read in time; the frames went on.",
    );
    let mut families = vec![
        running.of(source.live.taps().len() as f64),
        lost.of(source.live.tap_losses() as f64),
    ];
    let unlogged = Family::counter(
        "vswitchd_flow_log_lost_records_total",
        "Flow records that workers could not hand over because the log was behind; absent without a flow log.",
    );
    families.extend(source.flow_log_lost.map(|lost| unlogged.of(lost as f64)));
    families
}
