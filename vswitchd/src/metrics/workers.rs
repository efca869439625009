//! The workers: how busy each is, and whether it is behind.

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let newest = source.view.generation;
    let generation = Family::gauge(
        "vswitchd_snapshot_generation",
        "Generation of the newest snapshot published.",
    );
    let in_force = Family::gauge(
        "vswitchd_snapshot_in_force",
        "1 when the newest state is in force at every worker, 0 when it could not be published.",
    );
    let mut lag = Family::gauge(
        "vswitchd_worker_generation_lag",
        "Generations the worker is behind the newest snapshot.",
    );
    let mut busy = Family::counter(
        "vswitchd_worker_busy_seconds_total",
        "Time the worker was awake, moving frames or looking for some; its rate is the share of a core.",
    );
    for (index, worker) in source.live.workers().iter().enumerate() {
        let index = index.to_string();
        let behind = newest.saturating_sub(worker.generation);
        lag.add(&[("worker", &index)], behind as f64);
        busy.add(&[("worker", &index)], worker.load.awake.as_secs_f64());
    }
    let published = source.view.publish_error.is_none();
    vec![
        generation.of(newest as f64),
        in_force.of(f64::from(u8::from(published))),
        lag.done(),
        busy.done(),
    ]
}
