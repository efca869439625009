//! What a worker says about itself, for metrics and probes.

use std::{sync::Arc, time::Duration};

use dataplane::Counters;

/// One worker at this moment.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// The generation it has worked under last; 0 = it has not finished a turn yet.
    pub generation: u64,
    /// What it counts: written by the worker alone, read without asking it.
    pub counters: Arc<Counters>,
    /// How it has spent its time.
    pub load: WorkerLoad,
}

/// How a worker has spent the time since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Moving frames, or looking for some.
    pub awake: Duration,
    /// In epoll, with nothing to do.
    pub asleep: Duration,
}
