//! What the control plane tells a worker, between batches.

use std::sync::Arc;

use crossbeam_channel::Sender;
use dataplane::conntrack::Flow;
use dataplane::{Excerpt, PortCounters, PortId};
use packet::FlowKey;
use port::PortIo;

use crate::tap::Order;

/// Flows and their places in a worker's table.
pub(super) type FlowPage = Vec<(u32, Flow)>;

/// A worker's end of a port.
pub(super) struct End {
    /// What frames come from and go to.
    pub(super) io: Box<dyn PortIo>,
    /// Where those come from that `io` does not hear.
    pub(super) aside: Option<Box<dyn PortIo>>,
    /// The kernel's number of the interface, if the kernel may relay its frames.
    pub(super) relayed: Option<u32>,
}

impl End {
    /// An end whose frames all come the same way, and here.
    pub(super) fn plain(io: Box<dyn PortIo>) -> Self {
        Self {
            io,
            aside: None,
            relayed: None,
        }
    }
}

/// An order to a worker.
pub(super) enum Command {
    /// Serve this port from now on. Sent before the snapshot that knows it.
    Open {
        id: PortId,
        end: End,
        counters: Arc<PortCounters>,
    },
    /// Stop serving it. Sent after the snapshot that no longer knows it.
    Close(PortId),
    /// Answer with up to `limit` tracked flows and how long each may stay.
    Flows {
        limit: usize,
        answer: Sender<Vec<(Flow, u64)>>,
    },
    /// Answer with what a walk of a packet of this flow depends on.
    Excerpt {
        flow: Option<FlowKey>,
        answer: Sender<Excerpt>,
    },
    /// Begin, aim or end a tap.
    Tap(Order),
    /// Show the flows of the next places of the table from `first` on in `page`, and where to go on.
    FlowPage {
        first: usize,
        page: FlowPage,
        answer: Sender<(FlowPage, Option<usize>)>,
    },
    /// End the thread.
    Stop,
}
