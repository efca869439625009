//! What the workers and the control plane share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard};
use dataplane::{Counters, Generation, Snapshot};
use port::Waker;

/// The current snapshot and which generation each worker uses.
pub(super) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    used: Vec<AtomicU32>,
    pub(super) wakers: Vec<Waker>,
    pub(super) counters: Vec<Arc<Counters>>,
}

impl Shared {
    pub(super) fn new(first: Snapshot, wakers: Vec<Waker>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(first),
            used: wakers.iter().map(|_| AtomicU32::new(0)).collect(),
            counters: wakers.iter().map(|_| Arc::default()).collect(),
            wakers,
        }
    }

    /// The snapshot to judge the next batch under.
    #[inline]
    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts a snapshot in force and wakes everyone; returns the one before.
    /// The caller keeps that until [`Shared::oldest_used`] has passed it, so
    /// that no worker ever frees one.
    pub(super) fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let before = self.snapshot.swap(Arc::new(snapshot));
        self.wakers.iter().for_each(Waker::wake);
        before
    }

    /// A worker says that it is done with everything before `generation`.
    #[inline]
    pub(super) fn report(&self, worker: usize, generation: Generation) {
        if self.used[worker].load(Ordering::Relaxed) != generation.0 {
            self.used[worker].store(generation.0, Ordering::Release);
        }
    }

    /// The oldest generation any worker still uses.
    pub(super) fn oldest_used(&self) -> Generation {
        let used = self.used.iter().map(|used| used.load(Ordering::Acquire));
        Generation(used.min().unwrap_or(0))
    }
}
