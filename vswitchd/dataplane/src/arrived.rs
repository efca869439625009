//! A packet between the two halves of its walk.

use packet::ipv4;

use crate::ids::{PortId, WorkerId};
use crate::stage::flow_of::FlowOf;

/// A packet that has passed everything that needs no flow state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrived {
    /// The port it came in by.
    pub port: PortId,
    pub(crate) header: ipv4::Header,
    pub(crate) flow: FlowOf,
}

impl Arrived {
    /// The worker that owns the packet's flow: the one the kernel's fan-out
    /// gives its ordinary packets to. Fragments and ICMP errors may arrive
    /// elsewhere.
    #[inline]
    pub fn owner(&self, workers: u16) -> WorkerId {
        WorkerId((self.flow.hash % u32::from(workers)) as u16)
    }
}
