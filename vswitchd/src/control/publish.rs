//! What the control plane asks of the workers, as traits: the worker side implements them, tests
//! record.

use std::{net::Ipv4Addr, sync::Arc};

use dataplane::{DropReason, Excerpt, Snapshot, Time, WorkerId, conntrack::Flow};
use packet::FlowKey;
use serde::Serialize;

use super::{DesiredState, Relaying, Segmentation, WorkerReport};
use crate::tap::TapRow;

/// Why a state is not in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A port could not be opened; the state without that workload can be.
    #[error("port {interface}: {reason}")]
    Port {
        /// The host interface.
        interface: String,
        /// What the kernel said, or what is missing.
        reason: String,
    },
    /// The workers did not take the generation over in time.
    #[error("generation {generation} is not in force at every worker after {waited_ms} ms")]
    Late {
        /// The generation.
        generation: u64,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Brings a state into force. Call [`Publisher::publish`], then [`Publisher::wait`] for its answer.
pub trait Publisher: Send {
    /// Compiles the state into a snapshot and hands it to the workers; returns its generation.
    ///
    /// # Errors
    /// The state cannot be compiled or a port not opened; the previous snapshot stays in force.
    fn publish(&mut self, state: &DesiredState) -> Result<u64, PublishError>;

    /// Returns when every worker uses this generation or a newer one.
    ///
    /// # Errors
    /// It takes too long: a worker hangs.
    fn wait(&mut self, generation: u64) -> Result<(), PublishError>;
}

/// One line of `show drops`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DropRow {
    /// The reason's name.
    pub reason: String,
    /// Its metric label.
    pub label: String,
    /// Frames that died of it, all workers together.
    pub count: u64,
    /// What it means, for the operator.
    pub sentence: String,
}

/// One line of `show conntrack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConntrackRow {
    /// Worker that owns the entry.
    pub worker: usize,
    /// `tcp`, `udp`, `icmp` or a number.
    pub protocol: String,
    /// Who began the flow.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
    /// Transport port, or ICMP echo identifier; 0 where there is none.
    pub src_port: u16,
    /// Transport port, or ICMP echo identifier; 0 where there is none.
    pub dst_port: u16,
    /// State, such as `established`.
    pub state: String,
    /// Seconds until it is forgotten.
    pub expires_seconds: u64,
    /// Packets, both ways together.
    pub packets: u64,
}

/// Counters of one port, by its interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PortCounters {
    /// The interface.
    pub interface: String,
    /// Frames received from it.
    pub rx_frames: u64,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Frames given to it.
    pub tx_frames: u64,
    /// Bytes given to it.
    pub tx_bytes: u64,
    /// TCP segments that were given to it as part of the frame before them.
    pub tx_coalesced: u64,
    /// Frames that came by it and were dropped.
    pub drops: u64,
    /// Frames lost before the switch saw them: it read too slowly, or could not read them.
    pub missed: u64,
}

/// Frames dropped at one port for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortDropRow {
    /// The port's interface.
    pub interface: String,
    /// They were for the port and dropped on its account; else they came in by it.
    pub toward: bool,
    /// The row of the drop table.
    pub reason: DropReason,
    /// How many, all workers together.
    pub count: u64,
}

/// What only the workers know at this moment. May block for a batch or two.
pub trait Live: Send + Sync {
    /// Every drop reason with its count, zeros included.
    fn drops(&self) -> Vec<DropRow>;

    /// At most `limit` tracked connections.
    fn conntrack(&self, limit: usize) -> Vec<ConntrackRow>;

    /// Shows every tracked flow, with its worker and its place there. Workers go on working in between.
    fn flows(&self, show: &mut dyn FnMut(usize, u32, &Flow));

    /// The workers' clock.
    fn now(&self) -> Time;

    /// Counters of every port.
    fn port_counters(&self) -> Vec<PortCounters>;

    /// What was dropped at each port, zeros left out.
    fn port_drops(&self) -> Vec<PortDropRow>;

    /// Every worker, in order. Reads what the workers write anyway and waits for none.
    fn workers(&self) -> Vec<WorkerReport>;

    /// Who cuts the super-segments that leave inside IPIP.
    fn segmentation(&self) -> Segmentation;

    /// Who carries the frames of settled flows.
    fn relaying(&self) -> Relaying {
        Relaying::Off("nobody forwards".to_owned())
    }

    /// The snapshot in force; `None` where nobody forwards.
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }

    /// What a walk of a packet of this flow depends on at this worker; `None` if it does not
    /// answer. Nothing changes by it.
    fn excerpt(&self, _worker: WorkerId, _flow: Option<FlowKey>) -> Option<Excerpt> {
        None
    }

    /// The captures that run.
    fn taps(&self) -> Vec<TapRow> {
        Vec::new()
    }

    /// Copies of frames that captures lost, since the start.
    fn tap_losses(&self) -> u64 {
        0
    }
}
