//! The Internet checksum (RFC 1071), its incremental update (RFC 1624), the pseudo header, and SCTP's CRC32c.
//!
//! Sums are taken over native 32-bit words and turned to network order once at the end: the ones' complement sum does
//! not depend on byte order (RFC 1071 section 2(B)).

use std::net::Ipv4Addr;

use crate::{Protocol, ipv4};

/// A ones' complement sum that is still growing.
///
/// Kept in 64 bits without folding; every piece that is added must have an even length except the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Adds bytes as big-endian 16-bit words; a last odd byte counts as if followed by zero. Linear in the length.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<32>();
        let mut lanes = [0_u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut sum: u64 = lanes.iter().sum();
        let (words, tail) = rest.as_chunks::<4>();
        sum += words
            .iter()
            .map(|word| u64::from(u32::from_ne_bytes(*word)))
            .sum::<u64>();
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        sum += u64::from(u32::from_ne_bytes(last));
        self.word(u16::from_be(fold(sum)))
    }

    /// Adds one 16-bit word given in host order.
    #[inline]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds an IPv4 address.
    #[inline]
    #[must_use]
    pub const fn address(self, address: Ipv4Addr) -> Self {
        Self(self.0 + address.to_bits() as u64)
    }

    /// The folded sum, not complemented: what a partial checksum field holds. Host order.
    #[inline]
    pub const fn folded(self) -> u16 {
        fold(self.0)
    }

    /// The checksum: complement of the folded sum. Host order.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !fold(self.0)
    }
}

/// Folds the carries of a sum of 16-bit words back in.
#[inline(always)]
pub(crate) const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// The Internet checksum of bytes whose checksum field is zero. Host order.
#[inline]
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::ZERO.bytes(bytes).checksum()
}

/// True when bytes that contain their own Internet checksum add up.
#[inline]
pub fn verify(bytes: &[u8]) -> bool {
    Sum::ZERO.bytes(bytes).checksum() == 0
}

/// As [`verify`], for a header of fixed size that is not all zeros: a few instructions.
#[inline(always)]
pub fn verify_header(header: &[u8; ipv4::HEADER_LEN]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    let sum: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    // Five words that are not all zero add up to zero where 0xffff divides their sum (2^16 is 1 modulo 0xffff).
    sum.is_multiple_of(0xffff)
}

/// The checksum after one 16-bit word under it changed: RFC 1624 equation 3. All in host order.
#[inline]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// As [`update_u16`] for two neighbouring words, such as an IPv4 address.
#[inline]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// The sum of the IPv4 pseudo header (RFC 9293 section 3.1, RFC 768). `len` is that of L4 header and payload in bytes.
#[inline]
pub fn pseudo_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, len: usize) -> Sum {
    let Sum(sum) = Sum::ZERO.address(src).address(dst).word(protocol.0.into());
    Sum(sum + len as u64)
}

/// Where the checksum field stands in the L4 header and how long that header is at least, for the protocols whose
/// checksum this crate knows (ICMP included).
#[inline]
pub const fn field(protocol: Protocol) -> Option<(usize, usize)> {
    match protocol {
        Protocol::TCP => Some((16, 20)),
        Protocol::UDP => Some((6, 8)),
        Protocol::SCTP => Some((8, 12)),
        Protocol::ICMP => Some((2, 8)),
        _ => None,
    }
}

/// True when the TCP, UDP or SCTP checksum of an unfragmented packet is right. A UDP checksum of zero (none) passes, and so
/// does a protocol without a checksum known here; a payload shorter than its L4 header does not. Linear in the length.
pub fn verify_transport(packet: &[u8], header: &ipv4::Header) -> bool {
    let Some(l4) = packet.get(header.header_len..header.total_len) else {
        return false;
    };
    let Some((at, least)) = field(header.protocol) else {
        return true;
    };
    if l4.len() < least {
        return false;
    }
    match header.protocol {
        Protocol::SCTP => sctp(l4).to_le_bytes() == l4[8..12],
        Protocol::ICMP => verify(l4),
        Protocol::UDP if l4[at..at + 2] == [0, 0] => true,
        protocol => {
            pseudo_header(header.src, header.dst, protocol, l4.len())
                .bytes(l4)
                .checksum()
                == 0
        }
    }
}

/// Writes the TCP, UDP, SCTP or ICMP checksum of an unfragmented packet. Does nothing for other protocols or for a payload
/// shorter than its L4 header. Linear in the length.
pub fn fill_transport(packet: &mut [u8], header: &ipv4::Header) {
    let Some(l4) = packet.get_mut(header.header_len..header.total_len) else {
        return;
    };
    let Some((at, least)) = field(header.protocol) else {
        return;
    };
    if l4.len() < least {
        return;
    }
    if header.protocol == Protocol::SCTP {
        return fill_sctp(l4);
    }
    l4[at..at + 2].fill(0);
    let start = match header.protocol {
        Protocol::ICMP => Sum::ZERO,
        protocol => pseudo_header(header.src, header.dst, protocol, l4.len()),
    };
    let checksum = match start.bytes(l4).checksum() {
        0 if header.protocol == Protocol::UDP => 0xffff,
        checksum => checksum,
    };
    l4[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Writes SCTP's CRC32c (RFC 9260 section 6.8) into a common header of at least 12 bytes; shorter bytes are left alone.
pub fn fill_sctp(l4: &mut [u8]) {
    if l4.len() >= 12 {
        let crc = sctp(l4);
        l4[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The CRC32c of an SCTP packet of at least 12 bytes, its checksum field taken as zero. It is stored little-endian.
fn sctp(l4: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&l4[..8]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &l4[12..])
}

#[cfg(test)]
mod tests;
