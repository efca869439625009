//! One key for both directions of a flow.

use std::net::Ipv4Addr;

use packet::flow::FlowKey;
use packet::protocol::Protocol;

/// A [`FlowKey`] with its ends in numeric order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The lower end: its address in the upper 32 of 48 bits, its port in the lower, both
    /// as they stand on the wire, so that nothing is turned on the way.
    pub(super) low: u64,
    /// The same of the higher end, below `protocol << 56`.
    high: u64,
}

impl Key {
    /// The canonical key, and whether the flow's source is the lower end.
    #[inline]
    pub(super) fn of(flow: &FlowKey) -> (Self, bool) {
        let src = end(flow.src, flow.src_port);
        let dst = end(flow.dst, flow.dst_port);
        let from_low = src <= dst;
        let (low, high) = if from_low { (src, dst) } else { (dst, src) };
        let high = high | u64::from(flow.protocol.0) << 56;
        (Self { low, high }, from_low)
    }

    /// The key as a packet from the lower (or the higher) end carries it.
    pub(super) fn to_flow(self, from_low: bool) -> FlowKey {
        let (src, dst) = if from_low {
            (self.low, self.high)
        } else {
            (self.high, self.low)
        };
        FlowKey {
            src: Ipv4Addr::from(((src >> 16) as u32).to_ne_bytes()),
            dst: Ipv4Addr::from(((dst >> 16) as u32).to_ne_bytes()),
            src_port: u16::from_be(src as u16),
            dst_port: u16::from_be(dst as u16),
            protocol: Protocol((self.high >> 56) as u8),
        }
    }

    /// A hash keyed by a secret, so that no pod can aim at one bucket.
    #[inline]
    pub(super) fn hash(&self, seed: [u64; 2]) -> u32 {
        fold(fold(self.low ^ seed[0], self.high ^ seed[1]), seed[0] | 1) as u32
    }
}

#[inline]
fn end(address: Ipv4Addr, port: u16) -> u64 {
    u64::from(u32::from_ne_bytes(address.octets())) << 16 | u64::from(port.to_be())
}

/// Multiply to 128 bits and fold the halves together.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}
