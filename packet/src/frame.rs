//! A frame: bytes with headroom, where the packet starts in them, and the offload they came with.
//!
//! ```text
//! 0            start      network                      end        capacity
//! |  headroom  |  link    |  IP packet                  |  unused  |
//! ```
//! Pushing a header moves `start` or `network` towards zero and copies nothing else.

use std::fmt;

use crate::offload::{Checksum, Gso, GsoKind, VIRTIO_LEN};
use crate::{Offload, Protocol, checksum, ethernet, ipv4, offload, transport};

/// Bytes before the place where a device writes: room for an outer IPv4 header (20), an ICMP error's headers (28) and a
/// link header (14) together.
pub const HEADROOM: usize = 64;
/// Bytes of the largest IPv4 packet.
pub const MAX_PACKET: usize = 65_535;
/// Bytes of a frame's buffer: headroom, alignment, link header, packet, rounded up to cache lines.
const CAPACITY: usize = (HEADROOM + 2 + ethernet::HEADER_LEN + MAX_PACKET).next_multiple_of(64);

/// One frame. Cheap to move, costly to make (about 64 KiB): make them once and use them again.
pub struct Frame {
    buffer: Box<[u8; CAPACITY]>,
    start: u32,
    network: u32,
    end: u32,
    /// What is left to a device. Its offsets count from the packet; pushes and pulls keep them right.
    pub offload: Offload,
}

/// Where a device writes a frame with a link header of `link_len` bytes, so that the IP header is aligned to 4.
#[inline]
const fn rx_start(link_len: usize) -> usize {
    HEADROOM + (4 - link_len % 4) % 4
}

impl Frame {
    /// An empty frame. Allocates: for pools and tests.
    pub fn new() -> Self {
        let at = rx_start(0) as u32;
        let buffer = vec![0; CAPACITY].into_boxed_slice();
        Self {
            buffer: buffer.try_into().expect("so many bytes were asked for"),
            start: at,
            network: at,
            end: at,
            offload: Offload::default(),
        }
    }

    /// A frame that holds these Ethernet bytes. Allocates.
    ///
    /// # Panics
    /// When they are more than a frame can hold.
    pub fn from_ethernet(bytes: &[u8]) -> Self {
        Self::from_link(ethernet::HEADER_LEN, bytes)
    }

    /// A frame that holds this IP packet and no link header. Allocates.
    ///
    /// # Panics
    /// When it is more than a frame can hold.
    pub fn from_packet(bytes: &[u8]) -> Self {
        Self::from_link(0, bytes)
    }

    fn from_link(link_len: usize, bytes: &[u8]) -> Self {
        let mut frame = Self::new();
        frame.rx_buffer(link_len)[..bytes.len()].copy_from_slice(bytes);
        frame.received(link_len, bytes.len(), Offload::default());
        frame
    }

    /// Where a device writes a frame whose link header has `link_len` bytes (14 or 0): room for any packet. Say
    /// [`Frame::received`] afterwards.
    #[inline]
    pub fn rx_buffer(&mut self, link_len: usize) -> &mut [u8] {
        &mut self.buffer[rx_start(link_len)..]
    }

    /// Takes over `len` bytes that a device wrote into [`Frame::rx_buffer`]: `link_len` bytes of link header, then the
    /// packet. A frame shorter than its link header has an empty packet and a short [`Frame::link`].
    ///
    /// # Panics
    /// When `len` is more than the buffer holds.
    #[inline]
    pub fn received(&mut self, link_len: usize, len: usize, offload: Offload) {
        let start = rx_start(link_len);
        assert!(
            len <= self.buffer.len() - start,
            "{len} bytes received into a frame of {}",
            self.buffer.len() - start
        );
        self.start = start as u32;
        self.network = (start + link_len.min(len)) as u32;
        self.end = (start + len) as u32;
        self.offload = offload;
    }

    /// Link header and packet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.end as usize]
    }

    /// Link header and packet, to be edited in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start as usize..self.end as usize]
    }

    /// The link header: 14 bytes, or none.
    #[inline(always)]
    pub fn link(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.network as usize]
    }

    /// The IP packet (or what follows the Ethernet header), Ethernet padding included until
    /// [`Frame::truncate_packet`] takes it off.
    #[inline(always)]
    pub fn packet(&self) -> &[u8] {
        &self.buffer[self.network as usize..self.end as usize]
    }

    /// The IP packet, to be edited in place.
    #[inline(always)]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.network as usize..self.end as usize]
    }

    /// The fixed part of the IP header of a packet that the caller has parsed.
    #[inline(always)]
    pub fn ip_header_mut(&mut self) -> &mut [u8; ipv4::HEADER_LEN] {
        self.at(self.network)
    }

    /// Bytes of the packet.
    #[inline(always)]
    pub fn packet_len(&self) -> usize {
        (self.end - self.network) as usize
    }

    /// Puts this link header before the packet, in the place of any other.
    #[inline(always)]
    pub fn set_link(&mut self, header: &[u8; ethernet::HEADER_LEN]) {
        self.start = self.network - ethernet::HEADER_LEN as u32;
        *self.at(self.start) = *header;
    }

    /// So many bytes at a place that leaves room for them, as every place of a header does.
    #[inline(always)]
    fn at<const N: usize>(&mut self, place: u32) -> &mut [u8; N] {
        let bytes = self.buffer[place as usize..].first_chunk_mut();
        bytes.expect("a header lies inside the buffer")
    }

    /// Forgets the link header.
    #[inline(always)]
    pub fn clear_link(&mut self) {
        self.start = self.network;
    }

    /// Grows the packet by `n` bytes at its front and returns them, with whatever they held. The link header is gone.
    ///
    /// # Panics
    /// When all pushes together take more than the headroom.
    #[inline(always)]
    pub fn push_packet(&mut self, n: usize) -> &mut [u8] {
        let network = self.network as usize;
        let pushed = network.checked_sub(n).expect("pushes fit the headroom");
        self.network = pushed as u32;
        self.start = self.network;
        self.offload.shift_up(n);
        &mut self.buffer[pushed..network]
    }

    /// Puts this header before the packet. The link header is gone.
    ///
    /// # Panics
    /// When all pushes together take more than the headroom.
    #[inline(always)]
    pub fn push_header<const N: usize>(&mut self, header: &[u8; N]) {
        self.network = (self.network.checked_sub(N as u32)).expect("pushes fit the headroom");
        self.start = self.network;
        self.offload.shift_up(N);
        *self.at(self.network) = *header;
    }

    /// Strips `n` bytes off the packet's front, or all there are. The link header is gone. If they included the L4 header
    /// of a partial checksum, the offload is forgotten.
    #[inline(always)]
    pub fn pull_packet(&mut self, n: usize) {
        let n = n.min(self.packet_len());
        self.network += n as u32;
        self.start = self.network;
        self.offload.shift_down(n);
    }

    /// Shortens the packet to `len` bytes: takes off Ethernet padding. A shorter packet stays as it is.
    #[inline(always)]
    pub fn truncate_packet(&mut self, len: usize) {
        self.end = self.end.min(self.network + len.min(CAPACITY) as u32);
    }

    /// Grows the packet by these bytes at its end. False, and nothing happens, when the buffer has no room for them.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let end = self.end as usize;
        let Some(room) = self.buffer.get_mut(end..end + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.end += bytes.len() as u32;
        true
    }

    /// Puts another packet in the place of this one. Link header and offload are gone.
    ///
    /// # Panics
    /// When it is more than a frame can hold.
    pub fn replace_packet(&mut self, bytes: &[u8]) {
        self.rx_buffer(0)[..bytes.len()].copy_from_slice(bytes);
        self.received(0, bytes.len(), Offload::default());
    }

    /// Makes this frame a copy of another. Copies the bytes in use only.
    pub fn copy_from(&mut self, other: &Self) {
        let used = other.start as usize..other.end as usize;
        self.buffer[used.clone()].copy_from_slice(&other.buffer[used]);
        (self.start, self.network, self.end) = (other.start, other.network, other.end);
        self.offload = other.offload;
    }

    /// The virtio-net header to give a device with [`Frame::bytes`]: offsets counted from the link header, `hdr_len` up to
    /// the end of the L4 header.
    #[inline]
    pub fn virtio_header(&self) -> [u8; VIRTIO_LEN] {
        let link_len = (self.network - self.start) as usize;
        let hdr_len = match self.offload.gso {
            Some(_) => link_len + self.headers_len().unwrap_or(0),
            None => 0,
        };
        self.offload.to_virtio(link_len, hdr_len)
    }

    /// Bytes of the largest IP packet on the wire once a super-segment is cut: headers and one `gso.size`. Without GSO (or
    /// with a kind that this crate does not cut) the bytes of the packet.
    #[inline(always)]
    pub fn wire_packet_len(&self) -> usize {
        match self.offload.gso {
            None => self.packet_len(),
            Some(_) => self.segment_len(),
        }
    }

    /// It is given nothing, so that a caller's common case does not get it ready.
    #[inline(never)]
    fn segment_len(&self) -> usize {
        let whole = self.packet_len();
        match (self.offload.gso, self.headers_len()) {
            (Some(Gso { kind, size, .. }), Some(headers)) if !matches!(kind, GsoKind::Other(_)) => {
                whole.min(headers + usize::from(size))
            }
            _ => whole,
        }
    }

    /// Compares the offload with the packet, whose header the caller has parsed: see [`Offload::check`]. Call it on the
    /// innermost packet, after decapsulation.
    ///
    /// # Errors
    /// [`offload::Error`] when a device told to act on it would edit what the switch has judged, or could not act.
    #[inline(always)]
    pub fn check_offload(&self, header: &ipv4::Header) -> Result<(), offload::Error> {
        self.offload
            .check(header, header.header_len, self.packet_len())
    }

    /// Completes a partial checksum (SCTP: CRC32c) and marks it [`Checksum::Valid`]. Nothing happens without one, nor on a super-segment, whose
    /// segments each need their own. Linear in the length.
    pub fn finish_checksum(&mut self) {
        let Checksum::Partial { start, offset } = self.offload.checksum else {
            return;
        };
        if self.offload.gso.is_some() {
            return;
        }
        self.offload.checksum = Checksum::Valid;
        let protocol = innermost(self.packet()).map(|(_, protocol)| protocol);
        let Some(l4) = self.packet_mut().get_mut(usize::from(start)..) else {
            return;
        };
        if protocol == Some(Protocol::SCTP) && offset == 8 {
            return checksum::fill_sctp(l4);
        }
        let sum = match checksum::Sum::ZERO.bytes(l4).checksum() {
            0 if protocol == Some(Protocol::UDP) => 0xffff,
            sum => sum,
        };
        if let Some(field) = l4.get_mut(usize::from(offset)..usize::from(offset) + 2) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// Bytes of all headers of the packet, L4 included.
    #[inline]
    fn headers_len(&self) -> Option<usize> {
        let packet = self.packet();
        let (l4, protocol) = innermost(packet)?;
        transport::header_len(protocol, packet.get(l4..)?).map(|len| l4 + len)
    }
}

/// Where the L4 header starts and what it is, through at most one layer of IPIP. Checks no more than it needs.
#[inline]
fn innermost(packet: &[u8]) -> Option<(usize, Protocol)> {
    let header_len = |at: usize| packet.get(at).map(|b| at + usize::from(b & 0x0f) * 4);
    let l4 = header_len(0)?;
    let protocol = Protocol(*packet.get(9)?);
    if protocol != Protocol::IPIP {
        return Some((l4, protocol));
    }
    Some((header_len(l4)?, Protocol(*packet.get(l4 + 9)?)))
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        let mut frame = Self::new();
        frame.copy_from(self);
        frame
    }

    fn clone_from(&mut self, source: &Self) {
        self.copy_from(source);
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("link", &self.link())
            .field("packet", &self.packet())
            .field("offload", &self.offload)
            .finish()
    }
}

/// Two frames are equal when their link headers, packets and offloads are; where they stand in the buffer does not matter.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        (self.link(), self.packet(), self.offload) == (other.link(), other.packet(), other.offload)
    }
}

impl Eq for Frame {}

#[cfg(test)]
mod tests;
