//! Joins TCP segments that follow each other into a super-segment: what the kernel's GRO does on receive, and what
//! [`crate::segment`] undoes.
//!
//! What is joined here is what `tcp_gro_receive` and `inet_gro_receive` may join, and less: cutting the result gives back
//! the segments that went in, byte for byte, once their checksums are finished. So nobody behind the switch, and no kernel
//! that cuts the frame again on its way, sees anything that was not sent.
//!
//! - Equal: link header; TOS with ECN, TTL, addresses; ports, acknowledgment number, window, urgent pointer, options.
//! - IPv4 without options and padding, whole, DF set, the identification one more each. Under DF it means nothing (RFC 6864
//!   section 4), but GRO asks for it too, and a kernel that cuts again counts the same way.
//! - Flags: ACK alone. PSH ends a super-segment and is kept.
//! - Sequence numbers without a gap; every segment but the last as long as the first.
//! - A complete checksum is verified before its segment is joined, the first one's too, whoever says to have verified it
//!   before: the result has none that a receiver could verify. A segment that fails stays as it is, for the receiver to
//!   count. A partial checksum (a sender on this machine) has to hold the right pseudo header sum.

use std::net::Ipv4Addr;

use crate::checksum::{self, Sum};
use crate::offload::{Checksum, Gso, GsoKind};
use crate::transport::{TcpFlags, TcpHeader};
use crate::{Frame, Offload, Protocol, ipv4};

/// Bytes of link header and packet of the largest frame made here: the kernel hands longer ones to no device whole
/// (`gso_features_check`, `GSO_LEGACY_MAX_SIZE`).
pub const MAX_FRAME: usize = 65_535;
/// Payload bytes of a segment that others are appended to, at least. Shorter ones are not worth it, and very many of them in
/// one frame are what [`Offload::check`] calls a flood.
pub const LEAST_PAYLOAD: usize = 64;
/// Payload bytes of a frame that is appended, at most: copying more takes longer than sending it by itself.
pub const MOST_COPIED: usize = 16 << 10;

/// Where the TCP header stands in a packet without IPv4 options, and its checksum in that.
const L4: usize = ipv4::HEADER_LEN;
const CHECKSUM: usize = 16;

/// Why a frame is not appended to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a TCP segment with payload in an IPv4 packet without options.
    #[error("expected a TCP segment with payload, without IPv4 options and padding")]
    Shape,
    /// A fragment, or a packet that may be fragmented.
    #[error("expected a whole packet with DF set")]
    NotAtomic,
    /// A flag besides ACK and PSH.
    #[error("expected no TCP flags but ACK and PSH")]
    Flags,
    /// Offload other than a partial TCP checksum, alone or with TCP GSO.
    #[error("the frame's offload is not that of TCP")]
    Offload,
    /// The frame before is finished: PSH, or a last segment shorter than the first.
    #[error("the frame before is finished")]
    Finished,
    /// Some field that all segments of a frame share differs.
    #[error("the headers differ from those of the frame before")]
    Headers,
    /// The sequence number or the identification is not the next one.
    #[error("sequence number or identification do not follow the frame before")]
    Gap,
    /// Longer than the segments of the frame before, or too short for a first one.
    #[error("the segment's size does not go with the frame before")]
    Size,
    /// The frame before would become too long.
    #[error("the frame before has no room for it")]
    Full,
    /// A checksum of either is wrong.
    #[error("an IPv4 or TCP checksum is wrong")]
    Checksum,
}

/// One direction of a TCP connection, to find the frame that another may be appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    addresses: u64,
    ports: u32,
}

/// What a frame is to those before it in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No TCP: goes past.
    Other,
    /// A segment of this connection, whether it can be joined or not: the next ones must not overtake it.
    Tcp(Connection),
    /// TCP whose ports stand elsewhere or nowhere (options, fragments): nothing may overtake it.
    Unclear,
}

impl Kind {
    /// Looks at a few bytes of the frame. Anything but IPv4 is [`Kind::Other`] or, by chance, [`Kind::Unclear`].
    #[inline]
    pub fn of(frame: &Frame) -> Self {
        let packet = frame.packet();
        if packet.get(9) != Some(&Protocol::TCP.0) {
            return Self::Other;
        }
        match *packet {
            [
                0x45,
                _,
                _,
                _,
                _,
                _,
                f0,
                f1,
                _,
                _,
                _,
                _,
                s0,
                s1,
                s2,
                s3,
                d0,
                d1,
                d2,
                d3,
                p0,
                p1,
                q0,
                q1,
                ..,
            ] if f0 & 0x3f == 0 && f1 == 0 => Self::Tcp(Connection {
                addresses: u64::from_ne_bytes([s0, s1, s2, s3, d0, d1, d2, d3]),
                ports: u32::from_ne_bytes([p0, p1, q0, q1]),
            }),
            _ => Self::Unclear,
        }
    }
}

/// The headers of a frame that can be joined.
struct Segment<'a> {
    ip: &'a [u8; L4],
    /// TCP header with its options.
    tcp: &'a [u8],
    payload: &'a [u8],
    /// Payload bytes of each of its segments but the last.
    size: usize,
    checksum: Checksum,
}

impl<'a> Segment<'a> {
    #[inline]
    fn of(frame: &'a Frame) -> Result<Self, Refusal> {
        let packet = frame.packet();
        let (ip, l4) = packet.split_first_chunk().ok_or(Refusal::Shape)?;
        let tcp_len = l4.get(12).map_or(0, |b| usize::from(b >> 4) * 4);
        let is_tcp = ip[0] == 0x45 && ip[9] == Protocol::TCP.0 && tcp_len >= TcpHeader::LEN;
        if !is_tcp || l4.len() <= tcp_len || usize::from(word(ip, 2)) != packet.len() {
            return Err(Refusal::Shape);
        }
        if word(ip, 6) != 0x4000 {
            return Err(Refusal::NotAtomic);
        }
        let (tcp, payload) = l4.split_at(tcp_len);
        if tcp[12] & 0x0f != 0 || tcp[13] & !TcpFlags::PSH.0 != TcpFlags::ACK.0 {
            return Err(Refusal::Flags);
        }
        let Offload { checksum, gso } = frame.offload;
        let is_partial = checksum == partial();
        let size = match gso {
            None if is_partial || !matches!(checksum, Checksum::Partial { .. }) => payload.len(),
            Some(Gso {
                kind: GsoKind::Tcp4,
                size: size @ 1..,
                ecn: false,
            }) if is_partial => size.into(),
            _ => return Err(Refusal::Offload),
        };
        Ok(Self {
            ip,
            tcp,
            payload,
            size,
            checksum,
        })
    }

    fn seq(&self) -> u32 {
        u32::from_be_bytes([self.tcp[4], self.tcp[5], self.tcp[6], self.tcp[7]])
    }

    /// How many segments it stands for.
    fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size)
    }

    /// Whether the next segment may follow this one, checksums apart.
    #[inline]
    fn precedes(&self, next: &Self) -> Result<(), Refusal> {
        let (ip, tcp) = (next.ip, next.tcp);
        if self.tcp[13] & TcpFlags::PSH.0 != 0 || !self.payload.len().is_multiple_of(self.size) {
            return Err(Refusal::Finished);
        }
        let same_ip = self.ip[1] == ip[1] && self.ip[8] == ip[8] && self.ip[12..] == ip[12..];
        let same_tcp = self.tcp.len() == tcp.len()
            && self.tcp[..4] == tcp[..4]
            && self.tcp[8..12] == tcp[8..12]
            && self.tcp[14..CHECKSUM] == tcp[14..CHECKSUM]
            && self.tcp[CHECKSUM + 2..] == tcp[CHECKSUM + 2..];
        if !same_ip || !same_tcp {
            return Err(Refusal::Headers);
        }
        let follows = self.seq().wrapping_add(self.payload.len() as u32) == next.seq();
        let counts = word(self.ip, 4).wrapping_add(self.count() as u16) == word(ip, 4);
        if !follows || !counts {
            return Err(Refusal::Gap);
        }
        let fits = if next.payload.len() > next.size {
            next.size == self.size
        } else {
            next.payload.len() <= self.size
        };
        if !fits || self.size < LEAST_PAYLOAD || next.payload.len() > MOST_COPIED {
            return Err(Refusal::Size);
        }
        Ok(())
    }

    /// The pseudo header's sum, `len` bytes of TCP header and payload.
    fn pseudo(&self, len: usize) -> Sum {
        let address = |at: usize| {
            Ipv4Addr::new(
                self.ip[at],
                self.ip[at + 1],
                self.ip[at + 2],
                self.ip[at + 3],
            )
        };
        checksum::pseudo_header(address(12), address(16), Protocol::TCP, len)
    }

    /// Whether both checksums are right, and written as a sender writes them: 0xffff says the same as 0, but cutting would
    /// not give it back. Linear in the length when TCP's is complete.
    #[inline]
    fn is_intact(&self) -> bool {
        let pseudo = self.pseudo(self.tcp.len() + self.payload.len());
        let field = word(self.tcp, CHECKSUM);
        let tcp_is_right = match self.checksum {
            Checksum::Partial { .. } => field == pseudo.folded(),
            Checksum::None | Checksum::Valid => {
                let sum = pseudo.bytes(self.tcp).bytes(self.payload);
                sum.checksum() == 0 && field != 0xffff
            }
        };
        tcp_is_right && checksum::verify_header(self.ip) && word(self.ip, 10) != 0xffff
    }
}

/// The offload of a TCP checksum left to the device.
const fn partial() -> Checksum {
    Checksum::Partial {
        start: L4 as u16,
        offset: CHECKSUM as u16,
    }
}

/// The word at `at`, in host order.
#[inline]
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Appends a TCP segment to the one before it, which then is a super-segment with a partial checksum. Both are frames that
/// are ready to leave by the same device. Either may be a super-segment already.
///
/// Costs a look at the headers when they do not go together; else a copy of the payload and a sum over it, and over that of
/// `head` the first time.
///
/// # Errors
/// [`Refusal`], and `head` is as it was.
#[inline]
pub fn append(head: &mut Frame, next: &Frame) -> Result<(), Refusal> {
    let tail = Segment::of(next)?;
    let first = Segment::of(head)?;
    if head.bytes().len() + tail.payload.len() > MAX_FRAME {
        return Err(Refusal::Full);
    }
    if head.link() != next.link() {
        return Err(Refusal::Headers);
    }
    first.precedes(&tail)?;
    if !tail.is_intact() || !first.is_intact() {
        return Err(Refusal::Checksum);
    }
    let flags = tail.tcp[13];
    let l4_len = first.tcp.len() + first.payload.len() + tail.payload.len();
    let pseudo = first.pseudo(l4_len).folded();
    let size = first.size as u16;
    if !head.append(tail.payload) {
        return Err(Refusal::Full);
    }
    head.offload = Offload {
        checksum: partial(),
        gso: Some(Gso {
            kind: GsoKind::Tcp4,
            size,
            ecn: false,
        }),
    };
    let packet = head.packet_mut();
    ipv4::set_total_len(packet, (L4 + l4_len) as u16);
    packet[L4 + 13] |= flags;
    packet[L4 + CHECKSUM..L4 + CHECKSUM + 2].copy_from_slice(&pseudo.to_be_bytes());
    Ok(())
}

/// Whether anything can be appended to this frame: so much of [`append`] as can be said without the other.
#[inline]
pub fn can_grow(frame: &Frame) -> bool {
    Segment::of(frame).is_ok_and(|segment| {
        segment.tcp[13] & TcpFlags::PSH.0 == 0
            && segment.size >= LEAST_PAYLOAD
            && segment.payload.len().is_multiple_of(segment.size)
            && frame.bytes().len() < MAX_FRAME
    })
}

#[cfg(test)]
mod tests;
