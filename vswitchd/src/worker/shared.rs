//! What the workers and the control plane share.
//!
//! The protocol, which `model/publication.rs` checks in every interleaving:
//!
//! - a worker takes back its wakes, then takes the snapshot in force, works, drops it, and before it works under another
//!   it has reported that one's generation;
//! - the publisher puts a snapshot in force, then wakes; it keeps the one before ([`Retired`]) until every worker has
//!   reported a later one.
//!
//! So no worker frees a snapshot, none works under one that is freed, none sleeps through a publication, and once
//! [`Shared::oldest_used`] has reached a generation no packet is judged under an earlier one.

use dataplane::Generation;

use super::sync::{Arc, ArcSwap, AtomicU32, Counters, Guard, Ordering, Snapshot, Waker};

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

    /// Puts a snapshot in force and wakes everyone; returns the one before,
    /// for [`Retired::keep`].
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

    /// The generation each worker has reported last, in worker order.
    pub(super) fn used(&self) -> impl Iterator<Item = Generation> + '_ {
        let used = self.used.iter();
        used.map(|used| Generation(used.load(Ordering::Acquire)))
    }

    /// The oldest generation any worker still uses.
    pub(super) fn oldest_used(&self) -> Generation {
        self.used().min().unwrap_or(Generation(0))
    }
}

/// Snapshots that some worker may still look at. The publisher owns them, so
/// that no worker ever frees one.
#[derive(Default)]
pub(super) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Keeps a snapshot that is no longer in force.
    pub(super) fn keep(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push(snapshot);
    }

    /// Frees those that every worker has moved past.
    pub(super) fn reclaim(&mut self, shared: &Shared) {
        let oldest = shared.oldest_used();
        self.0.retain(|snapshot| snapshot.generation >= oldest);
    }
}
