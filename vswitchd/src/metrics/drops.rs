//! Drops by reason.

use dataplane::DropReason;
use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

/// Every reason is there from the start, at zero: their number is fixed and small, a rate sees the
/// first drop, and an alert needs no `absent()`.
pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let mut family = Family::counter(
        "vswitchd_drops_total",
        "Frames dropped, by reason and by the stage of their walk; `vswitchctl show drops -o wide` \
         explains each reason.",
    );
    for (row, drop) in DropReason::TABLE.iter().zip(source.live.drops()) {
        let stage = row.stage.to_string();
        family.add(
            &[("reason", row.label), ("stage", &stage)],
            drop.count as f64,
        );
    }
    vec![family.done()]
}
