//! Bytes: Ethernet, ARP, IPv4, ICMPv4, TCP/UDP/SCTP headers, IPIP, checksums and frames.
//!
//! Pure: no I/O, no clock, no allocation except where a [`Frame`] is made. One file per protocol.
//!
//! - Headers are small `Copy` structs read once ([`ethernet::Header`], [`ipv4::Header`], ...). Numbers are in host
//!   order in the structs and in network order on the wire.
//! - A [`Frame`] owns the bytes, has headroom for pushes and carries the [`Offload`] it arrived with, so that a
//!   64 KiB TCP super-segment is one frame.
//! - [`segment`] cuts such a frame where no device will, [`coalesce`] joins what was cut; [`fragment`] cuts a packet as RFC
//!   791 says.

#![forbid(unsafe_code)]

pub mod arp;
pub mod bpf;
#[cfg(any(test, feature = "build"))]
pub mod build;
pub mod checksum;
pub mod coalesce;
pub mod ethernet;
pub mod flow;
pub mod fragment;
pub mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod icmpv4;
pub mod ipip;
pub mod ipv4;
pub mod offload;
pub mod protocol;
pub mod reset;
pub mod segment;
pub mod transport;

pub use ethernet::{EtherType, MacAddr};
pub use flow::FlowKey;
pub use frame::Frame;
pub use offload::Offload;
pub use protocol::Protocol;

/// The bytes end before the header that should be there does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} needs {expected} bytes, found {found}")]
pub struct Truncated {
    /// The header that was being read.
    pub what: &'static str,
    /// The least number of bytes it takes.
    pub expected: usize,
    /// The number of bytes there were.
    pub found: usize,
}

/// The first `N` bytes as an array: the one bounds check of a parser.
#[inline]
fn first<'a, const N: usize>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<&'a [u8; N], Truncated> {
    bytes.first_chunk().ok_or(Truncated {
        what,
        expected: N,
        found: bytes.len(),
    })
}
