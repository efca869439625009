//! ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2, RFC 1191, RFC 1812 section 4.3): reading it, and making the errors a router
//! sends.

use std::net::Ipv4Addr;

use crate::{Frame, Offload, Protocol, Truncated, checksum, ipv4};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// Bytes of the largest error packet, IP header included (RFC 1812 section 4.3.2.3).
pub const MAX_ERROR_LEN: usize = 576;

/// Type 0.
pub const ECHO_REPLY: u8 = 0;
/// Type 3, destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Type 4, deprecated by RFC 6633.
pub const SOURCE_QUENCH: u8 = 4;
/// Type 5.
pub const REDIRECT: u8 = 5;
/// Type 8, echo request.
pub const ECHO: u8 = 8;
/// Type 11.
pub const TIME_EXCEEDED: u8 = 11;
/// Type 12.
pub const PARAMETER_PROBLEM: u8 = 12;
/// Type 13.
pub const TIMESTAMP: u8 = 13;
/// Type 14.
pub const TIMESTAMP_REPLY: u8 = 14;

/// Code 0 of [`UNREACHABLE`].
pub const NET_UNREACHABLE: u8 = 0;
/// Code 1 of [`UNREACHABLE`].
pub const HOST_UNREACHABLE: u8 = 1;
/// Code 2 of [`UNREACHABLE`].
pub const PROTOCOL_UNREACHABLE: u8 = 2;
/// Code 3 of [`UNREACHABLE`].
pub const PORT_UNREACHABLE: u8 = 3;
/// Code 4 of [`UNREACHABLE`]: fragmentation needed and DF set.
pub const FRAGMENTATION_NEEDED: u8 = 4;
/// Code 13 of [`UNREACHABLE`]: communication administratively prohibited.
pub const ADMIN_PROHIBITED: u8 = 13;

/// An ICMP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Bytes 4 to 7, whose meaning depends on the type; wire order.
    pub rest: [u8; 4],
}

impl Header {
    /// Reads the header at the front of an IP payload. The checksum is not looked at: see [`verify_checksum`].
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer than 8 bytes.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<Self, Truncated> {
        let &[kind, code, _, _, a, b, c, d] = crate::first(payload, "ICMP header")?;
        Ok(Self {
            kind,
            code,
            rest: [a, b, c, d],
        })
    }

    /// The header as it stands on the wire, checksum zero.
    pub const fn emit(&self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.rest;
        [self.kind, self.code, 0, 0, a, b, c, d]
    }

    /// True for the messages that quote a packet: never answered by another error (RFC 1122 section 3.2.2).
    #[inline]
    pub const fn is_error(&self) -> bool {
        matches!(
            self.kind,
            UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
        )
    }

    /// True for echo request and echo reply.
    #[inline]
    pub const fn is_echo(&self) -> bool {
        matches!(self.kind, ECHO | ECHO_REPLY)
    }

    /// Identifier of an echo request or reply.
    #[inline]
    pub const fn echo_id(&self) -> Option<u16> {
        if self.is_echo() {
            Some(u16::from_be_bytes([self.rest[0], self.rest[1]]))
        } else {
            None
        }
    }

    /// Next-hop MTU of a fragmentation-needed message, in bytes; 0 from routers older than RFC 1191.
    #[inline]
    pub const fn next_hop_mtu(&self) -> Option<u16> {
        match (self.kind, self.code) {
            (UNREACHABLE, FRAGMENTATION_NEEDED) => {
                Some(u16::from_be_bytes([self.rest[2], self.rest[3]]))
            }
            _ => None,
        }
    }

    /// The packet that an error quotes, given the IP payload the header was read from.
    #[inline]
    pub fn quoted<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_error() {
            payload.get(HEADER_LEN..)
        } else {
            None
        }
    }
}

/// True when the checksum over the whole ICMP message is right. Linear in the length.
pub fn verify_checksum(payload: &[u8]) -> bool {
    payload.len() >= HEADER_LEN && checksum::verify(payload)
}

/// An error that a router reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// The TTL ran out on the way (11/0).
    TimeExceeded,
    /// The packet is too big and must not be fragmented (3/4, RFC 1191).
    FragmentationNeeded {
        /// Bytes of the largest packet that would pass.
        next_hop_mtu: u16,
    },
    /// No such host (3/1).
    HostUnreachable,
    /// No route (3/0).
    NetUnreachable,
    /// Nobody listens (3/3).
    PortUnreachable,
    /// No such protocol there (3/2).
    ProtocolUnreachable,
    /// Policy forbids it (3/13).
    AdminProhibited,
}

impl Message {
    /// The ICMP header of the message.
    pub const fn header(self) -> Header {
        let (kind, code, mtu) = match self {
            Self::TimeExceeded => (TIME_EXCEEDED, 0, 0),
            Self::FragmentationNeeded { next_hop_mtu } => {
                (UNREACHABLE, FRAGMENTATION_NEEDED, next_hop_mtu)
            }
            Self::HostUnreachable => (UNREACHABLE, HOST_UNREACHABLE, 0),
            Self::NetUnreachable => (UNREACHABLE, NET_UNREACHABLE, 0),
            Self::PortUnreachable => (UNREACHABLE, PORT_UNREACHABLE, 0),
            Self::ProtocolUnreachable => (UNREACHABLE, PROTOCOL_UNREACHABLE, 0),
            Self::AdminProhibited => (UNREACHABLE, ADMIN_PROHIBITED, 0),
        };
        let [high, low] = mtu.to_be_bytes();
        Header {
            kind,
            code,
            rest: [0, 0, high, low],
        }
    }
}

/// Turns the frame's packet, in place, into the ICMP error about it, from `source` to the packet's sender.
///
/// Quotes the IP header and as much of the payload as fits 576 bytes; of a super-segment that is its head. A partial L4
/// checksum stays partial in the quotation, which no receiver minds. TTL 64, DSCP CS6 (tos 0xc0, RFC 1812 section
/// 4.3.2.5), DF. Link header and offload are gone. Whether an error may be sent at all (RFC 1122 section 3.2.2) is the
/// caller's to decide, and so is that the packet parses; without 20 bytes of it nothing happens.
pub fn make_error(frame: &mut Frame, message: Message, source: Ipv4Addr) {
    let Ok(about) = ipv4::Header::parse_quoted(frame.packet()) else {
        return;
    };
    let quoted = about
        .total_len
        .min(MAX_ERROR_LEN - ipv4::HEADER_LEN - HEADER_LEN);
    frame.truncate_packet(quoted);
    frame.offload = Offload::default();
    frame
        .push_packet(HEADER_LEN)
        .copy_from_slice(&message.header().emit());
    let sum = checksum::internet(frame.packet());
    frame.packet_mut()[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = ipv4::Header {
        src: source,
        dst: about.src,
        protocol: Protocol::ICMP,
        ttl: 64,
        tos: 0xc0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset_bytes: 0,
        header_len: ipv4::HEADER_LEN,
        total_len: ipv4::HEADER_LEN + frame.packet_len(),
    };
    frame
        .push_packet(ipv4::HEADER_LEN)
        .copy_from_slice(&header.emit());
}

#[cfg(test)]
mod tests;
