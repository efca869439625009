//! The headers of TCP (RFC 9293), UDP (RFC 768) and SCTP (RFC 9260), as far as a switch reads them.

use std::fmt;
use std::ops::BitOr;

use crate::{Protocol, Truncated};

/// Source and destination port, in host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

/// The ports of a TCP, UDP or SCTP payload; `None` for other protocols and for fewer than four bytes. The caller has made
/// sure that it is not a later fragment.
#[inline]
pub fn ports(protocol: Protocol, payload: &[u8]) -> Option<Ports> {
    match payload {
        &[a, b, c, d, ..] if protocol.has_ports() => Some(Ports {
            src: u16::from_be_bytes([a, b]),
            dst: u16::from_be_bytes([c, d]),
        }),
        _ => None,
    }
}

/// Bytes of the L4 header at the front of `payload`, for TCP and UDP, if they are all there.
#[inline]
pub fn header_len(protocol: Protocol, payload: &[u8]) -> Option<usize> {
    let len = match protocol {
        Protocol::TCP => usize::from(payload.get(12)? >> 4) * 4,
        Protocol::UDP => UdpHeader::LEN,
        _ => return None,
    };
    let least = if protocol == Protocol::TCP {
        TcpHeader::LEN
    } else {
        len
    };
    (least..=payload.len()).contains(&len).then_some(len)
}

/// The control bits of a TCP header, CWR to FIN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo, RFC 3168.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced, RFC 3168.
    pub const CWR: Self = Self(0x80);

    /// True when every bit of `flags` is set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// True when any bit of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let mut set = NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.0 >> bit & 1 != 0)
            .map(|(_, name)| name);
        f.write_str(set.next().unwrap_or(&"none"))?;
        set.try_for_each(|name| write!(f, "|{name}"))
    }
}

/// Why bytes are not a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TcpError {
    /// The bytes end before the header does.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The data offset says less than 20 bytes.
    #[error("expected a TCP header of 20 bytes or more, found a data offset of {found} bytes")]
    DataOffset {
        /// Header length as found, in bytes.
        found: usize,
    },
}

/// A TCP header without its options and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte (of SYN, if set).
    pub seq: u32,
    /// Next sequence number expected from the other side.
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Bytes of the header, options included: 20 to 60.
    pub header_len: usize,
    /// Receive window, unscaled.
    pub window: u16,
}

impl TcpHeader {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;

    /// Reads the header at the front of an IP payload. The options must be there, too.
    ///
    /// # Errors
    /// [`TcpError`].
    #[inline(always)]
    pub fn parse(payload: &[u8]) -> Result<Self, TcpError> {
        let b: &[u8; Self::LEN] = crate::first(payload, "TCP header")?;
        let header_len = usize::from(b[12] >> 4) * 4;
        if header_len < Self::LEN {
            return Err(TcpError::DataOffset { found: header_len });
        }
        if header_len > payload.len() {
            return Err(Truncated {
                what: "TCP options",
                expected: header_len,
                found: payload.len(),
            }
            .into());
        }
        Ok(Self {
            src_port: u16::from_be_bytes([b[0], b[1]]),
            dst_port: u16::from_be_bytes([b[2], b[3]]),
            seq: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            ack: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
            flags: TcpFlags(b[13]),
            header_len,
            window: u16::from_be_bytes([b[14], b[15]]),
        })
    }

    /// The header as it stands on the wire, without options, checksum and urgent pointer zero.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        b[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        b[4..8].copy_from_slice(&self.seq.to_be_bytes());
        b[8..12].copy_from_slice(&self.ack.to_be_bytes());
        b[12] = 0x50;
        b[13] = self.flags.0;
        b[14..16].copy_from_slice(&self.window.to_be_bytes());
        b
    }
}

/// A UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Bytes of header and payload, as the sender says.
    pub length: u16,
    /// Checksum; 0 is none.
    pub checksum: u16,
}

impl UdpHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Reads the header at the front of an IP payload. The length field is not compared with the payload.
    ///
    /// # Errors
    /// [`Truncated`].
    #[inline(always)]
    pub fn parse(payload: &[u8]) -> Result<Self, Truncated> {
        let &[s0, s1, d0, d1, l0, l1, c0, c1] = crate::first(payload, "UDP header")?;
        Ok(Self {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            length: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        })
    }

    /// The header as it stands on the wire.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let [[s0, s1], [d0, d1], [l0, l1], [c0, c1]] =
            [self.src_port, self.dst_port, self.length, self.checksum].map(u16::to_be_bytes);
        [s0, s1, d0, d1, l0, l1, c0, c1]
    }
}

/// An SCTP common header and the type of its first chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Verification tag.
    pub tag: u32,
    /// Type of the first chunk (0 DATA, 1 INIT, ...), when there is one.
    pub first_chunk_type: Option<u8>,
}

impl SctpHeader {
    /// Bytes of the common header.
    pub const LEN: usize = 12;

    /// Reads the header at the front of an IP payload. The CRC32c is not looked at.
    ///
    /// # Errors
    /// [`Truncated`].
    #[inline(always)]
    pub fn parse(payload: &[u8]) -> Result<Self, Truncated> {
        let b: &[u8; Self::LEN] = crate::first(payload, "SCTP header")?;
        Ok(Self {
            src_port: u16::from_be_bytes([b[0], b[1]]),
            dst_port: u16::from_be_bytes([b[2], b[3]]),
            tag: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            first_chunk_type: payload.get(Self::LEN).copied(),
        })
    }
}

#[cfg(test)]
mod tests;
