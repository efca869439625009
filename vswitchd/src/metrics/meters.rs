//! What is observed as it happens, because nobody could tell later: how long answers and compilations take.

use std::time::Duration;

use cni_shim::protocol::Response;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    proto::MetricFamily,
};

/// From a millisecond, which an idle daemon needs, to a minute, after which no runtime waits any more.
const ANSWER_SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0,
];
/// From a hundred microseconds, one pod more, to ten seconds: very many policies read anew.
const COMPILE_SECONDS: [f64; 9] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0, 10.0];

/// Histograms and counters that are written where things happen and read by a scrape.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    cni: HistogramVec,
    requests: IntCounterVec,
    compile: Histogram,
    last_compile: Gauge,
    epoch: IntGauge,
}

impl Meters {
    /// All at zero.
    ///
    /// # Errors
    /// A name or label breaks a rule of Prometheus: a bug.
    pub fn new() -> prometheus::Result<Self> {
        let meters = Self {
            registry: Registry::new(),
            cni: cni()?,
            requests: requests()?,
            compile: compile()?,
            last_compile: Gauge::new(
                "vswitchd_policy_last_compile_seconds",
                "How long the newest compilation of policies took.",
            )?,
            epoch: IntGauge::new(
                "vswitchd_policy_epoch",
                "Epoch of the policy table in force: how often policies were compiled since the start.",
            )?,
        };
        meters.register()?;
        Ok(meters)
    }

    fn register(&self) -> prometheus::Result<()> {
        let registry = &self.registry;
        registry.register(Box::new(self.cni.clone()))?;
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.compile.clone()))?;
        registry.register(Box::new(self.last_compile.clone()))?;
        registry.register(Box::new(self.epoch.clone()))
    }

    /// A request of this name was answered after so long.
    pub fn answered(&self, name: &str, response: &Response, took: Duration) {
        let result = match response {
            Response::Error { .. } => ERROR,
            _ => SUCCESS,
        };
        self.requests.with_label_values(&[name, result]).inc();
        if VERBS.contains(&name) {
            let histogram = self.cni.with_label_values(&[name, result]);
            histogram.observe(took.as_secs_f64());
        }
    }

    /// The policy table of this epoch was compiled in so long.
    pub fn compiled(&self, epoch: u64, took: Duration) {
        self.compile.observe(took.as_secs_f64());
        self.last_compile.set(took.as_secs_f64());
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
    }

    /// How many requests of this name had this result.
    #[cfg(test)]
    pub(crate) fn counted(&self, name: &str, result: &str) -> u64 {
        self.requests.with_label_values(&[name, result]).get()
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn cni() -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(
        "vswitchd_cni_request_duration_seconds",
        "How long the daemon took to answer the CNI plugin; an ADD is an allocate and an attach.",
    );
    let histogram = HistogramVec::new(options.buckets(ANSWER_SECONDS.into()), &["verb", "result"])?;
    for verb in VERBS {
        // There from the start, so that the first slow ADD is an increase.
        histogram.with_label_values(&[*verb, SUCCESS]);
    }
    Ok(histogram)
}

fn requests() -> prometheus::Result<IntCounterVec> {
    let options = Opts::new(
        "vswitchd_admin_requests_total",
        "Requests answered at the daemon's socket.",
    );
    IntCounterVec::new(options, &["request", "result"])
}

fn compile() -> prometheus::Result<Histogram> {
    let options = HistogramOpts::new(
        "vswitchd_policy_compile_seconds",
        "How long compiling what changed of the policies took.",
    );
    Histogram::with_opts(options.buckets(COMPILE_SECONDS.into()))
}

/// Requests the CNI plugin sends, by [`cni_shim::Request::name`].
const VERBS: &[&str] = &["allocate", "attach", "check", "detach", "gc", "status"];
const SUCCESS: &str = "success";
const ERROR: &str = "error";

#[cfg(test)]
mod tests {
    use cni_shim::protocol::Request;

    use super::*;

    #[test]
    fn only_what_the_plugin_asks_is_timed_and_everything_is_counted() {
        let meters = Meters::new().unwrap();
        let took = Duration::from_millis(3);
        meters.answered(Request::Status {}.name(), &Response::Ready {}, took);
        let refused = Response::Error {
            code: 2,
            message: String::new(),
            details: String::new(),
        };
        meters.answered(Request::Doctor {}.name(), &refused, took);
        let timed = meters.cni.with_label_values(&["status", "success"]);
        assert_eq!(timed.get_sample_count(), 1);
        assert!((timed.get_sample_sum() - 0.003).abs() < 1e-9);
        assert_eq!(meters.counted("doctor", "error"), 1);
    }
}
