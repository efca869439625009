//! A packet between the two halves of its walk.

use std::net::Ipv4Addr;

use packet::ipv4;

use crate::ids::{PortId, WorkerId};
use crate::stage::flow_of::FlowOf;

/// A packet that has passed everything that needs no flow state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrived {
    /// The port it came in by.
    pub port: PortId,
    pub(crate) dst: Ipv4Addr,
    pub(crate) hop: Hop,
    pub(crate) flow: FlowOf,
}

/// What the last step must know of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hop {
    /// It came in by the host's port.
    pub(crate) from_host: bool,
    pub(crate) ttl: u8,
    pub(crate) dont_fragment: bool,
}

impl Arrived {
    pub(crate) fn new(port: PortId, from_host: bool, header: &ipv4::Header, flow: FlowOf) -> Self {
        Self {
            port,
            dst: header.dst,
            hop: Hop::new(from_host, header),
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

impl Hop {
    #[inline(always)]
    pub(crate) fn new(from_host: bool, header: &ipv4::Header) -> Self {
        Self {
            from_host,
            ttl: header.ttl,
            dont_fragment: header.dont_fragment,
        }
    }
}
