//! IPv4 headers (RFC 791, RFC 2474 for the DS field, RFC 3168 for ECN), read once into a small struct.

use std::net::Ipv4Addr;

use crate::{Protocol, checksum};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;

/// First byte of a header without options: version 4, five words.
const PLAIN: u8 = 0x45;
/// The word of flags and fragment offset (RFC 791 section 3.1).
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Option kinds of loose and strict source routes (RFC 791 section 3.1).
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// An IPv4 header, without its options and without its checksum, which is made when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// What the packet carries.
    pub protocol: Protocol,
    /// Hops left.
    pub ttl: u8,
    /// DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Names the datagram a fragment belongs to.
    pub identification: u16,
    /// The DF bit.
    pub dont_fragment: bool,
    /// The MF bit: this is not the last fragment.
    pub more_fragments: bool,
    /// Where this fragment's payload stands in the datagram's, in bytes; a multiple of 8.
    pub fragment_offset_bytes: u16,
    /// Bytes of the header, options included: 20 to 60.
    pub header_len: usize,
    /// Bytes of header and payload. The buffer may be longer (Ethernet padding).
    pub total_len: usize,
}

/// Why bytes are not an IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Error {
    /// The bytes end before the header does.
    #[error("the bytes end before the IPv4 header does")]
    Truncated,
    /// The version field is not 4.
    #[error("expected IP version 4")]
    NotVersion4,
    /// The header length field says less than 20 bytes.
    #[error("expected an IPv4 header length of 20 bytes or more")]
    HeaderLength,
    /// The total length is less than the header or more than the bytes there are.
    #[error("the IPv4 total length does not fit the header and the bytes")]
    TotalLength,
    /// The header checksum is wrong.
    #[error("the IPv4 header checksum is wrong")]
    Checksum,
}

impl Header {
    /// Reads and verifies the header at the front of `packet`: version, both lengths, checksum.
    ///
    /// # Errors
    /// The first [`Error`] found, in the order of its variants.
    #[inline(always)]
    pub fn parse(packet: &[u8]) -> Result<Self, Error> {
        let header = Self::parse_quoted(packet)?;
        if header.total_len > packet.len() {
            return Err(Error::TotalLength);
        }
        let adds_up = match packet.first_chunk() {
            Some(fixed) if !header.has_options() => checksum::verify_header(fixed),
            _ => verify_with_options(&packet[..header.header_len]),
        };
        if !adds_up {
            return Err(Error::Checksum);
        }
        Ok(header)
    }

    /// As [`Header::parse`] for what most packets are: whole ones without options. `None` for every other packet, valid or
    /// not.
    #[inline(always)]
    pub fn parse_plain(packet: &[u8]) -> Option<Self> {
        let b: &[u8; HEADER_LEN] = packet.first_chunk()?;
        let of_fragments = u16::from_be(MORE_FRAGMENTS | FRAGMENT_OFFSET);
        if b[0] != PLAIN || u16::from_ne_bytes([b[6], b[7]]) & of_fragments != 0 {
            return None;
        }
        let header = Self::read(b, HEADER_LEN);
        if header.total_len < HEADER_LEN
            || header.total_len > packet.len()
            || !checksum::verify_header(b)
        {
            return None;
        }
        // Known by now; said once more for the sake of who asks next.
        Some(Self {
            more_fragments: false,
            fragment_offset_bytes: 0,
            ..header
        })
    }

    /// Reads the header of a packet quoted in an ICMP error: as [`Header::parse`], but the payload may be cut short and
    /// the checksum is not looked at (RFC 1812 section 4.3.2.3 lets routers quote a header they already edited).
    ///
    /// # Errors
    /// Every [`Error`] but `Checksum`.
    #[inline(always)]
    pub fn parse_quoted(packet: &[u8]) -> Result<Self, Error> {
        let b: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(Error::Truncated)?;
        let header_len = match b[0] {
            PLAIN => HEADER_LEN,
            unusual => unusual_header_len(unusual, packet.len())?,
        };
        match Self::read(b, header_len) {
            header if header.total_len < header_len => Err(Error::TotalLength),
            header => Ok(header),
        }
    }

    /// The fields, unchecked.
    #[inline(always)]
    fn read(b: &[u8; HEADER_LEN], header_len: usize) -> Self {
        let fragment = u16::from_be_bytes([b[6], b[7]]);
        let (words, _) = b.as_chunks::<4>();
        Self {
            src: words[3].into(),
            dst: words[4].into(),
            protocol: Protocol(b[9]),
            ttl: b[8],
            tos: b[1],
            identification: u16::from_be_bytes([b[4], b[5]]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset_bytes: (fragment & FRAGMENT_OFFSET) << 3,
            header_len,
            total_len: usize::from(u16::from_be_bytes([b[2], b[3]])),
        }
    }

    /// The header as it stands on the wire, checksum filled in, without options: `header_len` is taken as 20, a
    /// `total_len` above 65 535 is written as 65 535.
    #[inline(always)]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let total_len = u16::try_from(self.total_len).unwrap_or(u16::MAX);
        let fragment = u16::from(self.dont_fragment) << 14
            | u16::from(self.more_fragments) << 13
            | self.fragment_offset_bytes >> 3;
        let mut words = [
            0x4500_0000 | u32::from(self.tos) << 16 | u32::from(total_len),
            u32::from(self.identification) << 16 | u32::from(fragment),
            u32::from(self.ttl) << 24 | u32::from(self.protocol.0) << 16,
            self.src.to_bits(),
            self.dst.to_bits(),
        ];
        let sum = words.iter().map(|word| u64::from(*word)).sum();
        words[2] |= u32::from(!checksum::fold(sum));
        let mut bytes = [0; HEADER_LEN];
        let (chunks, _) = bytes.as_chunks_mut::<4>();
        for (chunk, word) in chunks.iter_mut().zip(words) {
            *chunk = word.to_be_bytes();
        }
        bytes
    }

    /// True for every piece of a fragmented datagram.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset_bytes != 0
    }

    /// True for the piece that holds the L4 header.
    #[inline]
    pub const fn is_first_fragment(&self) -> bool {
        self.more_fragments && self.fragment_offset_bytes == 0
    }

    /// True when options follow the first 20 bytes.
    #[inline]
    pub const fn has_options(&self) -> bool {
        self.header_len > HEADER_LEN
    }

    /// Bytes after the header.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.total_len - self.header_len
    }

    /// The bytes after the header, without Ethernet padding; fewer than [`Header::payload_len`] when the packet is a
    /// truncated quotation.
    #[inline]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet
            .get(self.header_len..self.total_len.min(packet.len()))
            .unwrap_or(&[])
    }
}

/// The length that another first byte than [`PLAIN`] gives the header of a packet of `len` bytes.
#[cold]
fn unusual_header_len(first: u8, len: usize) -> Result<usize, Error> {
    if first >> 4 != 4 {
        return Err(Error::NotVersion4);
    }
    match usize::from(first & 0x0f) * 4 {
        ..HEADER_LEN => Err(Error::HeaderLength),
        header_len if header_len > len => Err(Error::Truncated),
        header_len => Ok(header_len),
    }
}

/// Headers with options are rare: kept out of the way of the others.
#[cold]
fn verify_with_options(header: &[u8]) -> bool {
    checksum::verify(header)
}

/// Replaces the 16-bit word at `at` (even) of a header and updates the header checksum (RFC 1624).
#[inline]
fn replace_word(header: &mut [u8; HEADER_LEN], at: usize, new: u16) {
    let old = u16::from_be_bytes([header[at], header[at + 1]]);
    let sum = u16::from_be_bytes([header[10], header[11]]);
    header[at..at + 2].copy_from_slice(&new.to_be_bytes());
    header[10..12].copy_from_slice(&checksum::update_u16(sum, old, new).to_be_bytes());
}

/// The fixed part of a header that the caller has parsed.
#[inline]
fn fixed(packet: &mut [u8]) -> &mut [u8; HEADER_LEN] {
    packet
        .first_chunk_mut()
        .expect("a parsed IPv4 packet has 20 bytes")
}

/// The TTL of a header.
#[inline(always)]
pub const fn ttl(header: &[u8; HEADER_LEN]) -> u8 {
    header[8]
}

/// Takes one hop off the TTL and updates the checksum. The caller has parsed the packet and found a TTL of 2 or more.
#[inline(always)]
pub fn decrement_ttl(packet: &mut [u8]) {
    let header = fixed(packet);
    header[8] = header[8].wrapping_sub(1);
    // RFC 1624 equation 3: the word shrinks by 0x0100, so the checksum grows by it, and the carry comes round. One that
    // would be 0xffff is 0. Such a sum does not depend on byte order.
    let grown_by = u32::from(u16::from_be(0x0100));
    let sum = u32::from(u16::from_ne_bytes([header[10], header[11]])) + grown_by;
    let sum = (sum + u32::from(sum >= 0xffff)) as u16;
    [header[10], header[11]] = sum.to_ne_bytes();
}

/// Replaces the DSCP and ECN byte and updates the checksum. The caller has parsed the packet.
#[inline]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let header = fixed(packet);
    let word = u16::from_be_bytes([header[0], tos]);
    replace_word(header, 0, word);
}

/// Replaces the identification and updates the checksum. The caller has parsed the packet.
#[inline]
pub fn set_identification(packet: &mut [u8], identification: u16) {
    replace_word(fixed(packet), 4, identification);
}

/// Replaces the total length and updates the checksum. The caller has parsed the packet.
#[inline]
pub fn set_total_len(packet: &mut [u8], total_len: u16) {
    replace_word(fixed(packet), 2, total_len);
}

/// Computes the header checksum, options included, and writes it. Bytes too few for the header are left alone.
#[inline]
pub fn fill_checksum(packet: &mut [u8]) {
    let header_len = packet.first().map_or(0, |b| usize::from(b & 0x0f) * 4);
    let Some(header) = packet.get_mut(..header_len.max(HEADER_LEN)) else {
        return;
    };
    header[10..12].fill(0);
    let sum = checksum::internet(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Walks the options of a packet. A malformed option ends the walk.
pub fn options<'a>(packet: &'a [u8], header: &Header) -> Options<'a> {
    options_of(packet.get(HEADER_LEN..header.header_len).unwrap_or(&[]))
}

/// Walks these options.
pub(crate) const fn options_of(rest: &[u8]) -> Options<'_> {
    Options { rest }
}

/// Iterator over IPv4 options: kind, and the whole option (kind and length bytes included; one byte for no-operation). The
/// end-of-options byte ends it and is not yielded.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = match *self.rest {
            [] | [0, ..] => return None,
            [1, ..] => 1,
            [_, len, ..] if len >= 2 => usize::from(len),
            _ => return None,
        };
        let (option, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some((option[0], option))
    }
}

/// True when the packet carries a loose or strict source route (RFC 7126 section 4.3: drop by default).
pub fn has_source_route(packet: &[u8], header: &Header) -> bool {
    header.has_options() && options(packet, header).any(|(kind, _)| SOURCE_ROUTES.contains(&kind))
}

#[cfg(test)]
mod tests;
