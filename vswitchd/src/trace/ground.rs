//! What a walk stands on: a snapshot, and what the owner of a flow knows.

use std::sync::Arc;

use dataplane::conntrack::Timeouts;
use dataplane::{Excerpt, Snapshot, Time, WorkerId};
use packet::FlowKey;

use crate::control;

/// Where a packet is tried.
pub trait Ground {
    /// The snapshot it is judged under.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;

    /// What this worker knows of the flow.
    fn excerpt(&self, worker: WorkerId, flow: Option<FlowKey>) -> Option<Excerpt>;
}

/// The node as it runs.
pub struct Live<'a>(pub &'a dyn control::Live);

impl Ground for Live<'_> {
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.snapshot()
    }

    fn excerpt(&self, worker: WorkerId, flow: Option<FlowKey>) -> Option<Excerpt> {
        self.0.excerpt(worker, flow)
    }
}

/// A node as its files describe it: one worker, no flows, long after its start.
pub struct Offline(pub Arc<Snapshot>);

impl Ground for Offline {
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(Arc::clone(&self.0))
    }

    fn excerpt(&self, worker: WorkerId, _flow: Option<FlowKey>) -> Option<Excerpt> {
        Some(Excerpt {
            worker,
            workers: 1,
            now: Time::from_secs(1_000_000),
            pick_up_until: Time::default(),
            identification: 0,
            timeouts: Timeouts::default(),
            flow: None,
            is_full: false,
        })
    }
}
