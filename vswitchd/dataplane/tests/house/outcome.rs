//! What came of the frames that a test put in.

use std::net::Ipv4Addr;

use dataplane::{DropReason, Event};
use packet::{Frame, ipv4};

use super::underlay::on_the_wire;

/// A way out of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The pod with this address.
    Pod(Ipv4Addr),
    /// The host kernel of this node, through `tunl0`.
    Host(usize),
}

/// A frame that left the switch for a pod or a host.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub place: Place,
    pub frame: Frame,
}

/// Everything that happened until the house was quiet again.
#[derive(Default, Debug)]
pub struct Outcome {
    pub delivered: Vec<Delivery>,
    /// Node and reason, whether or not an ICMP error went back.
    pub dropped: Vec<(usize, DropReason)>,
    /// Node and worker that ended each walk.
    pub ended_at: Vec<(usize, usize)>,
    /// Walks that began: frames that came in at any node's port.
    pub walks: usize,
    /// Frames that were kept or consumed without a way out.
    pub absorbed: usize,
    /// Packets lost on the underlay, or for no node there.
    pub lost: usize,
    /// Walks that went out by the kernel's raw socket.
    pub by_kernel: usize,
    /// Walks whose packet was cut.
    pub cut: usize,
    /// What the control plane of each node was told.
    pub events: Vec<(usize, Event)>,
}

impl Outcome {
    /// The packets that left at `place`, as its kernel sees them.
    pub fn at(&self, place: Place) -> Vec<Vec<u8>> {
        let here = self
            .delivered
            .iter()
            .filter(|delivery| delivery.place == place);
        here.flat_map(|delivery| on_the_wire(&delivery.frame))
            .collect()
    }

    /// The one packet that left the house, at `place`.
    ///
    /// # Panics
    /// When there is none, or another one, or anything was dropped.
    #[track_caller]
    pub fn only_at(&self, place: Place) -> Vec<u8> {
        assert_eq!(self.dropped, [], "{self:?}");
        self.answer_at(place)
    }

    /// As [`Outcome::only_at`], but drops are fine: the packet is the answer to one.
    #[track_caller]
    pub fn answer_at(&self, place: Place) -> Vec<u8> {
        let packets = self.at(place);
        assert_eq!((packets.len(), self.delivered.len()), (1, 1), "{self:?}");
        packets.into_iter().next().unwrap()
    }

    /// The one packet that left the house, at a pod.
    #[track_caller]
    pub fn only_at_pod(&self, pod: Ipv4Addr) -> Vec<u8> {
        self.only_at(Place::Pod(pod))
    }

    /// The one packet that left the house, at a host.
    #[track_caller]
    pub fn only_at_host(&self, node: usize) -> Vec<u8> {
        self.only_at(Place::Host(node))
    }

    /// Nothing left the house; one frame died, of `reason`, on `node`.
    #[track_caller]
    pub fn died_of(&self, node: usize, reason: DropReason) {
        assert_eq!(self.dropped, [(node, reason)], "{self:?}");
        assert_eq!(self.delivered.len(), 0, "{self:?}");
    }
}

/// The header of a packet.
#[track_caller]
pub fn header(packet: &[u8]) -> ipv4::Header {
    ipv4::Header::parse(packet).expect("a valid IPv4 packet")
}

/// The payload of a packet.
#[track_caller]
pub fn payload(packet: &[u8]) -> &[u8] {
    header(packet).payload(packet)
}
