//! From the workers to the flow log: a bounded ring each, and the tables that know the rules.
//!
//! A worker writes an event by copying it into its ring; full, the event is counted and lost. Rules are written as
//! references into the policy table of a generation. The publisher leaves each table here before workers can use it, and
//! whoever drains the rings drops those that no event can name any more: a worker writes its events before it reports the
//! generation they are of, so once all have reported a generation *and then* the rings were emptied, the earlier ones are
//! done with.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use crossbeam_queue::ArrayQueue;
use dataplane::{Counter, FlowEvent, FlowLog, Generation, JournalConfig, Time};
use policy::Table;

/// Events a worker may be ahead of the log; 96 bytes each.
const CAPACITY: usize = 8_192;
/// Above this no flow begins to be logged, so that those that are can end.
const BEGIN_BELOW: usize = CAPACITY / 4 * 3;

/// The rings of all workers.
#[derive(Debug)]
pub struct FlowRecorder {
    rings: Vec<Arc<Ring>>,
    tables: Mutex<VecDeque<(Generation, Arc<Table>)>>,
    config: JournalConfig,
    /// When the workers' clock was 0.
    epoch: OnceLock<SystemTime>,
}

#[derive(Debug)]
struct Ring {
    events: ArrayQueue<FlowEvent>,
    lost: Counter,
}

/// The end of a worker.
#[derive(Debug)]
struct Pen(Arc<Ring>);

impl FlowLog for Pen {
    fn has_room(&self) -> bool {
        let has_room = self.0.events.len() < BEGIN_BELOW;
        if !has_room {
            self.0.lost.add(1);
        }
        has_room
    }

    fn record(&mut self, event: FlowEvent) -> bool {
        let is_written = self.0.events.push(event).is_ok();
        if !is_written {
            self.0.lost.add(1);
        }
        is_written
    }
}

impl FlowRecorder {
    /// Empty rings for so many workers.
    #[must_use]
    pub fn new(workers: usize, config: JournalConfig) -> Self {
        let ring = || Ring {
            events: ArrayQueue::new(CAPACITY),
            lost: Counter::default(),
        };
        Self {
            rings: (0..workers.max(1)).map(|_| Arc::new(ring())).collect(),
            tables: Mutex::default(),
            config,
            epoch: OnceLock::new(),
        }
    }

    /// What this worker writes with. Each has one.
    pub(super) fn pen(&self, worker: usize) -> (Box<dyn FlowLog>, JournalConfig) {
        (Box::new(Pen(Arc::clone(&self.rings[worker]))), self.config)
    }

    /// The workers' clock begins now.
    pub(super) fn begin(&self) {
        let _ = self.epoch.set(SystemTime::now());
    }

    /// A table that is about to be in force.
    pub(super) fn keep(&self, generation: Generation, table: &Arc<Table>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.push_back((generation, Arc::clone(table)));
    }

    /// Events that found no room, and flows that were not logged for want of it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rings.iter().map(|ring| ring.lost.get()).sum()
    }

    /// The time of day of an event.
    #[must_use]
    pub fn time_of(&self, time: Time) -> SystemTime {
        let epoch = self.epoch.get().copied().unwrap_or(SystemTime::UNIX_EPOCH);
        epoch + Duration::from_nanos(time.as_nanos())
    }

    /// The policy of a generation.
    #[must_use]
    pub fn table(&self, generation: Generation) -> Option<Arc<Table>> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tables.binary_search_by_key(&generation, |(generation, _)| *generation);
        Some(Arc::clone(&tables.get(at.ok()?)?.1))
    }

    /// Empties the rings, each in its order, worker by worker. `used` is the oldest generation any worker uses, read
    /// before: earlier tables are dropped.
    pub fn drain(&self, used: Generation, mut take: impl FnMut(usize, FlowEvent)) {
        let mut is_behind = false;
        for (worker, ring) in self.rings.iter().enumerate() {
            // A worker that never stops writing must not keep the others waiting.
            let events = std::iter::from_fn(|| ring.events.pop()).take(CAPACITY);
            let taken = events.map(|event| take(worker, event)).count();
            is_behind |= taken == CAPACITY;
        }
        // What was in a full ring at the call has been taken, but not what of that moment was written meanwhile.
        if !is_behind {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            while tables
                .front()
                .is_some_and(|(generation, _)| *generation < used)
            {
                tables.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use dataplane::FlowNews;
    use packet::{Protocol, flow::FlowKey};

    use super::*;

    const CONFIG: JournalConfig = JournalConfig {
        sample: 1,
        aggregate_nanos: 1,
    };

    fn event(at: u64) -> FlowEvent {
        FlowEvent {
            at: Time::from_secs(at),
            generation: Generation(2),
            key: FlowKey {
                src: Ipv4Addr::LOCALHOST,
                dst: Ipv4Addr::LOCALHOST,
                src_port: 1,
                dst_port: 2,
                protocol: Protocol::UDP,
            },
            news: FlowNews::DeniedOthers {
                packets: 1,
                bytes: 1,
                since: Time::default(),
            },
        }
    }

    #[test]
    fn a_full_ring_counts_what_it_loses_and_leaves_room_for_ends_before() {
        let recorder = FlowRecorder::new(2, CONFIG);
        let (mut pen, _) = recorder.pen(1);
        let mut began = 0;
        for at in 0..CAPACITY as u64 + 5 {
            began += u64::from(pen.has_room());
            pen.record(event(at));
        }
        assert_eq!(began, BEGIN_BELOW as u64);
        assert_eq!(recorder.lost(), (CAPACITY - BEGIN_BELOW) as u64 + 5 + 5);
        let mut taken = Vec::new();
        recorder.drain(Generation(1), |worker, event| {
            taken.push((worker, event.at));
        });
        assert_eq!(taken.len(), CAPACITY);
        assert_eq!(taken[3], (1, Time::from_secs(3)));
    }

    #[test]
    fn a_table_is_kept_as_long_as_a_worker_uses_it_or_a_later_one_is_not_used() {
        let recorder = FlowRecorder::new(1, CONFIG);
        let table = Arc::new(policy::compile(&policy::Cluster::new()));
        for generation in [1, 2, 4] {
            recorder.keep(Generation(generation), &table);
        }
        recorder.drain(Generation(2), |_, _| {});
        let kept = [1, 2, 3, 4].map(|number| recorder.table(Generation(number)).is_some());
        assert_eq!(kept, [false, true, false, true]);
    }
}
