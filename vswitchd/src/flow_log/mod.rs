//! The flow log: who began to talk to whom, who was denied, and by which policy.
//!
//! `workers -> rings -> Collector (a thread) -> Names -> Store, Sink`. Workers write numbers only; the thread joins them
//! with the names of pods and policies as of then, keeps the last records for `vswitchctl flows`, and writes them to a
//! file if the configuration names one. Under load workers lose events, counted, and never wait.

mod active;
mod collector;
mod names;
mod record;
mod sink;
mod store;
mod timestamp;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use dataplane::JournalConfig;

pub use store::{Answer, Query};

use crate::{
    admin::Row,
    config,
    control::{Live, View},
    worker::FlowRecorder,
};
use active::Rates;
use collector::Collector;
use names::Names;
use sink::Sink;
use store::Store;

/// Why the flow log did not start.
#[derive(Debug, thiserror::Error)]
pub enum FlowLogError {
    /// The file cannot be written.
    #[error("flow_log.file {}: {source}", path.display())]
    File {
        /// Which one.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread was refused.
    #[error("starting the thread of the flow log: {0}")]
    Thread(std::io::Error),
}

/// Flows, for whoever asks: the log, where there is one, and those of this moment.
pub struct Flows {
    log: Option<Log>,
    view: Arc<ArcSwap<View>>,
    live: Arc<dyn Live>,
    rates: Mutex<Rates>,
}

struct Log {
    recorder: Arc<FlowRecorder>,
    store: Arc<Mutex<Store>>,
}

/// The rings for so many workers, where the log is on.
#[must_use]
pub fn recorder(config: Option<&config::FlowLog>, workers: usize) -> Option<Arc<FlowRecorder>> {
    let config = config?;
    let journal = JournalConfig {
        sample: config.sample,
        aggregate_nanos: config.aggregate.as_nanos() as u64,
    };
    Some(Arc::new(FlowRecorder::new(workers, journal)))
}

impl Flows {
    /// Starts the thread that empties the rings, if there are any.
    ///
    /// # Errors
    /// [`FlowLogError`]: the file cannot be written, or there is no thread.
    pub fn start(
        config: Option<&config::FlowLog>,
        recorder: Option<Arc<FlowRecorder>>,
        view: Arc<ArcSwap<View>>,
        live: Arc<dyn Live>,
    ) -> Result<Arc<Self>, FlowLogError> {
        let log = match (config, recorder) {
            (Some(config), Some(recorder)) => {
                Some(Log::start(config, recorder, view.clone(), live.clone())?)
            }
            _ => None,
        };
        Ok(Arc::new(Self {
            log,
            view,
            live,
            rates: Mutex::default(),
        }))
    }

    /// Records of the log.
    ///
    /// # Errors
    /// There is no log; what to do about that.
    pub fn query(&self, query: &Query) -> Result<Answer, String> {
        let off = "the flow log is off: write a section [flow_log] into the daemon's TOML and start it again; \
                   `vswitchctl flows --active` works without it";
        let log = self.log.as_ref().ok_or(off)?;
        let mut answer = locked(&log.store).query(query);
        answer.unlogged = log.recorder.lost();
        if query.labels {
            let view = self.view.load();
            answer
                .rows
                .iter_mut()
                .for_each(|row| names::add_labels(&view, row));
        }
        Ok(answer)
    }

    /// Records that found their ring full, since the start; `None` = there is no log.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        Some(self.log.as_ref()?.recorder.lost())
    }

    /// The flows of this moment that send most, at most `limit` of them; of `pod` (`namespace/pod`, `pod` or an address), if any.
    #[must_use]
    pub fn active(&self, limit: usize, pod: Option<&str>) -> Vec<Row> {
        let names = Names::of(self.view.load_full());
        let policies = |worker, slot, began| {
            let store = &self.log.as_ref()?.store;
            locked(store).policy_of(worker, slot, began)
        };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.top(&*self.live, &names, &policies, pod, limit)
    }
}

impl Log {
    fn start(
        config: &config::FlowLog,
        recorder: Arc<FlowRecorder>,
        view: Arc<ArcSwap<View>>,
        live: Arc<dyn Live>,
    ) -> Result<Self, FlowLogError> {
        let sink = config.file.as_ref().map(|path| {
            let sink = Sink::open(path, config.max_bytes, config.files);
            sink.map_err(|source| FlowLogError::File {
                path: path.clone(),
                source,
            })
        });
        let store = Arc::<Mutex<Store>>::default();
        let collector = Collector::new(
            recorder.clone(),
            store.clone(),
            sink.transpose()?,
            view,
            live,
        );
        std::thread::Builder::new()
            .name("flow-log".into())
            .spawn(|| collector.run())
            .map_err(FlowLogError::Thread)?;
        Ok(Self { recorder, store })
    }
}

fn locked(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To two places.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}
