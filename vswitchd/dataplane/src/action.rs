//! The three ways out of the switch.

use crate::arrived::Arrived;
use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, PortId, WorkerId};

/// The three ways out of the switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// The frame is dressed for this port: hand it to the device.
    Transmit(PortId),
    /// Somebody else goes on with it.
    Punt(Punt),
    /// It is gone. Already counted.
    Drop(DropReason),
}

/// Who goes on with a frame that the walk could not finish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Punt {
    /// The worker that owns the flow: give it the frame and call [`crate::resume`].
    Worker(WorkerId, Arrived),
    /// The host kernel, through a raw IP socket: the next hop's MAC address is
    /// not known here. The frame's packet is complete, outer header included.
    Kernel,
    /// The packet is larger than the adjacency's MTU and may be cut: call
    /// [`crate::cut_and_dress`].
    Cut(AdjacencyId),
    /// Nobody: it was kept (an unfinished fragment) or consumed.
    Absorbed,
}
