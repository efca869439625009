//! What the control plane tells a worker, between batches.

use std::sync::Arc;

use crossbeam_channel::Sender;
use dataplane::conntrack::Flow;
use dataplane::{PortCounters, PortId};
use port::PortIo;

/// An order to a worker.
pub(super) enum Command {
    /// Serve this port from now on. Sent before the snapshot that knows it.
    Open {
        id: PortId,
        io: Box<dyn PortIo>,
        counters: Arc<PortCounters>,
    },
    /// Stop serving it. Sent after the snapshot that no longer knows it.
    Close(PortId),
    /// Answer with up to `limit` tracked flows and how long each may stay.
    Flows {
        limit: usize,
        answer: Sender<Vec<(Flow, u64)>>,
    },
    /// End the thread.
    Stop,
}
