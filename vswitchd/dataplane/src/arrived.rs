//! A packet between the two halves of its walk.

use std::net::Ipv4Addr;

use packet::ipv4;

use crate::ids::{PeerId, PortId, WorkerId};
use crate::stage::flow_of::FlowOf;

/// A packet that has passed everything that needs no flow state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrived {
    /// The port it came in by.
    pub port: PortId,
    /// The node whose tunnel it came by, under the snapshot it arrived under.
    pub(crate) sent_by: PeerId,
    pub(crate) dst: Ipv4Addr,
    /// That port is the host's.
    pub(crate) from_host: bool,
    pub(crate) flow: FlowOf,
}

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct From {
    pub(crate) port: PortId,
    /// That port is the host's.
    pub(crate) is_host: bool,
    /// The node whose tunnel it came by.
    pub(crate) peer: PeerId,
}

impl From {
    /// A workload's port.
    pub(crate) fn port(port: PortId) -> Self {
        Self::peer(port, PeerId::NONE)
    }

    /// The host's port.
    pub(crate) fn host(port: PortId) -> Self {
        Self {
            is_host: true,
            ..Self::port(port)
        }
    }

    /// The uplink.
    pub(crate) fn peer(port: PortId, peer: PeerId) -> Self {
        Self {
            port,
            is_host: false,
            peer,
        }
    }
}

impl Arrived {
    pub(crate) fn new(from: From, header: &ipv4::Header, flow: FlowOf) -> Self {
        Self {
            port: from.port,
            sent_by: from.peer,
            dst: header.dst,
            from_host: from.is_host,
            flow,
        }
    }

    /// The worker that owns the packet's flow: the one the kernel's fan-out
    /// gives its ordinary packets to. Fragments and ICMP errors may arrive
    /// elsewhere.
    pub fn owner(&self, workers: u16) -> WorkerId {
        self.flow.owner(workers)
    }
}
