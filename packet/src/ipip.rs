//! IP within IP (RFC 2003): push the outer header, strip it again.
//!
//! ECN follows RFC 6040 (normal mode in, its table 4 out), DSCP the uniform model of RFC 2983 (the outer value replaces the
//! inner one), identification RFC 6864 (free to choose on a DF packet).

use std::net::Ipv4Addr;

use crate::{Frame, Protocol, ipv4};

/// TTL of an outer header.
pub const OUTER_TTL: u8 = 64;
/// Bytes that encapsulation adds.
pub const OVERHEAD: usize = ipv4::HEADER_LEN;

const ECN_MASK: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_0: u8 = 0b10;
const ECT_1: u8 = 0b01;
const CE: u8 = 0b11;

/// What the encapsulator chooses about an outer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    /// Address of this node on the underlay.
    pub src: Ipv4Addr,
    /// Address of the peer node on the underlay.
    pub dst: Ipv4Addr,
    /// Identification; of a super-segment that of its first segment.
    pub identification: u16,
}

/// Why a packet is not decapsulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Error {
    /// What the outer header carries is no IPv4 packet.
    #[error("the packet within the outer header: {0}")]
    Inner(#[from] ipv4::Error),
    /// The outer header says congestion experienced, the inner that its sender does not understand ECN: RFC 6040 section
    /// 4.2 says drop.
    #[error("congestion experienced on a packet whose sender does not understand ECN (RFC 6040)")]
    EcnDrop,
}

/// Puts an outer header before the frame's packet, which the caller has parsed: TTL 64, DF, DSCP and ECN from the inner
/// header. The link header is gone.
///
/// Of a super-segment of more than 65 515 bytes the outer length field reads 65 535; cutting it writes the right ones.
#[inline(always)]
pub fn encapsulate(frame: &mut Frame, outer: Outer) {
    let tos = frame.ip_header_mut()[1];
    let header = ipv4::Header {
        src: outer.src,
        dst: outer.dst,
        protocol: Protocol::IPIP,
        ttl: OUTER_TTL,
        tos,
        identification: outer.identification,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset_bytes: 0,
        header_len: ipv4::HEADER_LEN,
        total_len: ipv4::HEADER_LEN + frame.packet_len(),
    };
    frame.push_header(&header.emit());
}

/// Strips the outer header, which the caller has parsed and found to be whole (no fragment) and IPIP, from the frame's packet,
/// along with the link header and Ethernet padding; then carries DSCP and congestion over into the inner header, which is
/// returned as it then stands. On an error the frame is as it was.
///
/// # Errors
/// [`Error::Inner`] when the inner header does not parse, [`Error::EcnDrop`].
#[inline]
pub fn decapsulate(frame: &mut Frame, outer: &ipv4::Header) -> Result<ipv4::Header, Error> {
    let inner = ipv4::Header::parse(outer.payload(frame.packet()))?;
    let inner = marked(outer, &inner).ok_or(Error::EcnDrop)?;
    strip(frame, outer, &inner);
    Ok(inner)
}

/// The inner header as it leaves the tunnel, with the outer header's DSCP and congestion mark; `None` is
/// [`Error::EcnDrop`].
#[inline(always)]
pub fn marked(outer: &ipv4::Header, inner: &ipv4::Header) -> Option<ipv4::Header> {
    let ecn = combine_ecn(outer.tos & ECN_MASK, inner.tos & ECN_MASK)?;
    Some(ipv4::Header {
        tos: outer.tos & !ECN_MASK | ecn,
        ..*inner
    })
}

/// The half of [`decapsulate`] that cannot fail: leaves the packet of `inner`, which [`marked`] has returned.
#[inline(always)]
pub fn strip(frame: &mut Frame, outer: &ipv4::Header, inner: &ipv4::Header) {
    frame.pull_packet(outer.header_len);
    frame.truncate_packet(inner.total_len);
    let header = frame.ip_header_mut();
    if header[1] != inner.tos {
        ipv4::set_tos(header, inner.tos);
    }
}

/// RFC 6040 figure 4: the ECN field that leaves the tunnel; `None` is drop.
#[inline]
const fn combine_ecn(outer: u8, inner: u8) -> Option<u8> {
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

#[cfg(test)]
mod tests;
