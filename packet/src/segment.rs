//! Cuts a super-segment into the packets it stands for, as the kernel's software GSO does (`tcp_gso_segment`,
//! `__udp_gso_segment`, `inet_gso_segment`).
//!
//! The payload is not copied: each [`Segment`] is freshly written headers and a slice of the frame, to be gathered by a
//! device. Each L4 checksum stays partial; the headers hold its pseudo header sum.
//!
//! What changes from segment to segment: lengths, IP identification (one more each, inner and outer), header checksums;
//! TCP's sequence number, FIN and PSH on the last only, CWR on the first only; UDP's length.

use crate::checksum::{self, Sum};
use crate::offload::{Checksum, Gso, GsoKind, VIRTIO_LEN};
use crate::transport::{TcpFlags, header_len};
use crate::{Frame, Offload, Protocol, ipv4};

/// Bytes that the headers of a segment fit in: link header 14, outer IPv4 up to 60, inner up to 60, TCP up to 60, of which
/// an outer header with options and a full TCP header together are refused.
pub const MAX_HEADERS: usize = 192;

/// Why a frame cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame is one packet already.
    #[error("the frame is no super-segment")]
    NotGso,
    /// The outer or the inner IPv4 header is malformed.
    #[error("the super-segment's IPv4 header: {0}")]
    Ipv4(#[from] ipv4::Error),
    /// GSO of a kind, or with a packet, that this module does not cut.
    #[error(
        "cannot cut a {protocol} packet of GSO {kind:?}: expected tcp with Tcp4 or udp with UdpL4, unfragmented"
    )]
    Kind {
        /// The kind as found.
        kind: GsoKind,
        /// Protocol of the innermost packet.
        protocol: Protocol,
    },
    /// The TCP or UDP header is malformed or cut short.
    #[error("the super-segment's {0} header is malformed")]
    Transport(Protocol),
    /// All headers together are longer than [`MAX_HEADERS`].
    #[error("the super-segment has {0} bytes of headers, expected {MAX_HEADERS} or fewer")]
    Headers(usize),
}

/// One IPv4 header that every segment repeats.
#[derive(Debug, Clone, Copy)]
struct Layer {
    /// Where it starts in the frame.
    at: usize,
    /// Identification of the first segment.
    identification: u16,
    /// Sum of its words without identification, total length and checksum.
    sum: Sum,
}

impl Layer {
    fn new(frame: &[u8], at: usize, header: &ipv4::Header) -> Self {
        let bytes = &frame[at..at + header.header_len];
        let sum = Sum::ZERO
            .bytes(&bytes[..2])
            .bytes(&bytes[6..10])
            .bytes(&bytes[12..]);
        Self {
            at,
            identification: header.identification,
            sum,
        }
    }

    /// Writes what differs in the segment of this number, whose packet ends `end` bytes into the frame.
    #[inline]
    fn patch(&self, headers: &mut [u8; MAX_HEADERS], number: u16, end: usize) {
        let total_len = (end - self.at) as u16;
        let identification = self.identification.wrapping_add(number);
        let sum = self.sum.word(total_len).word(identification).checksum();
        put(headers, self.at + 2, total_len);
        put(headers, self.at + 4, identification);
        put(headers, self.at + 10, sum);
    }
}

/// Writes a word in network order.
#[inline]
fn put(headers: &mut [u8; MAX_HEADERS], at: usize, word: u16) {
    headers[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// The segments of a frame still to come.
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    /// Link to L4 header, as in the frame.
    headers: &'a [u8],
    /// L4 payload not handed out yet.
    payload: &'a [u8],
    size: usize,
    outer: Layer,
    inner: Option<Layer>,
    /// Where the L4 header starts in the frame.
    l4: usize,
    protocol: Protocol,
    /// Pseudo header sum without the length.
    pseudo: Sum,
    offload: Offload,
    virtio: [u8; VIRTIO_LEN],
    number: u16,
    done: bool,
}

/// One packet of a super-segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Bytes written to the front of the caller's `headers`: link header, IPv4 header(s), L4 header.
    pub headers_len: usize,
    /// L4 payload, which follows them.
    pub payload: &'a [u8],
    /// A partial checksum, no GSO.
    pub offload: Offload,
    /// The virtio-net header that says the same.
    pub virtio: [u8; VIRTIO_LEN],
}

impl<'a> Segments<'a> {
    /// Prepares to cut a frame, plain or within IPIP. What follows the innermost packet (padding) is left out.
    ///
    /// # Errors
    /// [`Error`] when it is no super-segment or none that can be cut; the frame is untouched in any case.
    pub fn of(frame: &'a Frame) -> Result<Self, Error> {
        let Gso { kind, size, .. } = frame.offload.gso.ok_or(Error::NotGso)?;
        let bytes = frame.bytes();
        let link_len = frame.link().len();
        let mut header = ipv4::Header::parse_quoted(&bytes[link_len..])?;
        let outer = Layer::new(bytes, link_len, &header);
        let mut at = link_len;
        let mut inner = None;
        if header.protocol == Protocol::IPIP && !header.is_fragment() {
            at += header.header_len;
            header = ipv4::Header::parse_quoted(&bytes[at..])?;
            inner = Some(Layer::new(bytes, at, &header));
        }
        let protocol = header.protocol;
        match (kind, protocol) {
            (GsoKind::Tcp4, Protocol::TCP) | (GsoKind::UdpL4, Protocol::UDP)
                if !header.is_fragment() => {}
            _ => return Err(Error::Kind { kind, protocol }),
        }
        let l4 = at + header.header_len;
        let end = at + header.total_len;
        let l4_bytes = bytes.get(l4..end).ok_or(ipv4::Error::TotalLength)?;
        let l4_len = header_len(protocol, l4_bytes).ok_or(Error::Transport(protocol))?;
        if l4 + l4_len > MAX_HEADERS {
            return Err(Error::Headers(l4 + l4_len));
        }
        let (headers, payload) = bytes[..end].split_at(l4 + l4_len);
        let offset = if protocol == Protocol::TCP { 16 } else { 6 };
        let checksum = Checksum::Partial {
            start: (l4 - link_len) as u16,
            offset,
        };
        let offload = Offload {
            checksum,
            gso: None,
        };
        Ok(Self {
            headers,
            payload,
            size: usize::from(size).max(1),
            outer,
            inner,
            l4,
            protocol,
            pseudo: checksum::pseudo_header(header.src, header.dst, protocol, 0),
            offload,
            virtio: offload.to_virtio(link_len, 0),
            number: 0,
            done: false,
        })
    }

    /// How many segments are still to come.
    pub fn remaining(&self) -> usize {
        if self.done {
            0
        } else {
            self.payload.len().div_ceil(self.size).max(1)
        }
    }

    /// Writes the headers of the next segment and returns it; `None` after the last.
    #[inline]
    pub fn next(&mut self, headers: &mut [u8; MAX_HEADERS]) -> Option<Segment<'a>> {
        if self.done {
            return None;
        }
        let (payload, rest) = self.payload.split_at(self.size.min(self.payload.len()));
        self.done = rest.is_empty();
        let headers_len = self.headers.len();
        let end = headers_len + payload.len();
        headers[..headers_len].copy_from_slice(self.headers);
        self.outer.patch(headers, self.number, end);
        if let Some(inner) = &self.inner {
            inner.patch(headers, self.number, end);
        }
        match self.protocol {
            Protocol::TCP => self.patch_tcp(headers, end),
            _ => self.patch_udp(headers, end),
        }
        self.payload = rest;
        self.number = self.number.wrapping_add(1);
        Some(Segment {
            headers_len,
            payload,
            offload: self.offload,
            virtio: self.virtio,
        })
    }

    #[inline]
    fn patch_tcp(&self, headers: &mut [u8; MAX_HEADERS], end: usize) {
        let l4 = self.l4;
        let sent = usize::from(self.number) * self.size;
        let seq = &mut headers[l4 + 4..l4 + 8];
        let first = u32::from_be_bytes([seq[0], seq[1], seq[2], seq[3]]);
        seq.copy_from_slice(&first.wrapping_add(sent as u32).to_be_bytes());
        if self.number != 0 {
            headers[l4 + 13] &= !TcpFlags::CWR.0;
        }
        if !self.done {
            headers[l4 + 13] &= !(TcpFlags::FIN | TcpFlags::PSH).0;
        }
        put(
            headers,
            l4 + 16,
            self.pseudo.word((end - l4) as u16).folded(),
        );
    }

    #[inline]
    fn patch_udp(&self, headers: &mut [u8; MAX_HEADERS], end: usize) {
        let length = (end - self.l4) as u16;
        put(headers, self.l4 + 4, length);
        put(headers, self.l4 + 6, self.pseudo.word(length).folded());
    }
}

#[cfg(test)]
mod tests;
