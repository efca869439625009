//! The virtio-net header a frame travels with: which work on it is left to a device.
//!
//! `include/uapi/linux/virtio_net.h`, `struct virtio_net_hdr`: ten bytes, native endian (the legacy form that
//! `PACKET_VNET_HDR` and `IFF_VNET_HDR` use).

use crate::{Protocol, checksum, ipv4};

/// Bytes of the header.
pub const VIRTIO_LEN: usize = 10;
/// Segments that one super-segment may become.
const MAX_SEGMENTS: usize = 2048;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What is known of the L4 checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// The packet holds a full checksum that nobody has verified yet.
    #[default]
    None,
    /// The device has verified it (`VIRTIO_NET_HDR_F_DATA_VALID`).
    Valid,
    /// The field holds the folded pseudo header sum only; the last device adds the rest (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    Partial {
        /// First byte summed: the L4 header, counted from the start of the IP packet.
        start: u16,
        /// Where the two bytes of the checksum go, counted from `start`.
        offset: u16,
    },
}

/// Which protocol a super-segment is cut by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GsoKind {
    /// `VIRTIO_NET_HDR_GSO_TCPV4`.
    Tcp4,
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`: many UDP datagrams of one flow.
    UdpL4,
    /// Another number of the header's `gso_type`, without the ECN bit.
    Other(u8),
}

/// A super-segment: one frame that stands for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gso {
    /// How it is cut.
    pub kind: GsoKind,
    /// L4 payload bytes of each segment but the last, which may be shorter. Not zero.
    pub size: u16,
    /// The TCP segment has CWR set: only the first piece keeps it (`VIRTIO_NET_HDR_GSO_ECN`).
    pub ecn: bool,
}

/// Everything the virtio-net header says, with offsets counted from the IP packet, not from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Offload {
    /// What is known of the L4 checksum.
    pub checksum: Checksum,
    /// Set on a super-segment.
    pub gso: Option<Gso>,
}

/// Why a virtio-net header is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Error {
    /// The checksum starts inside the link header.
    #[error("virtio-net header: csum_start {start} lies inside the {link_len}-byte link header")]
    ChecksumStart {
        /// `csum_start` as found.
        start: u16,
        /// Bytes of the link header.
        link_len: usize,
    },
    /// The checksum would be written outside the packet, over its IP header, or over an L4 field that is not a checksum.
    #[error(
        "virtio-net header: a checksum at {start}+{offset} does not fit the packet's {protocol} header"
    )]
    ChecksumField {
        /// First byte summed, counted from the IP packet.
        start: u16,
        /// The field, counted from there.
        offset: u16,
        /// Protocol of the packet.
        protocol: Protocol,
    },
    /// A super-segment whose segments would have no payload.
    #[error("virtio-net header: gso_size is 0 with gso_type {kind}")]
    GsoSize {
        /// `gso_type` as found.
        kind: u8,
    },
    /// A super-segment of a kind that this crate cannot cut, or whose packet is of another protocol, or a fragment.
    #[error("virtio-net header: GSO {kind:?} does not fit a {protocol} packet")]
    GsoKind {
        /// The kind as found.
        kind: GsoKind,
        /// Protocol of the packet.
        protocol: Protocol,
    },
}

impl Offload {
    /// Reads the header of a frame whose link header has `link_len` bytes. `hdr_len` is a hint and ignored.
    ///
    /// What it says about the packet is unchecked until [`Offload::check`] has compared both.
    ///
    /// # Errors
    /// [`Error::ChecksumStart`], [`Error::GsoSize`].
    #[inline]
    pub fn from_virtio(header: &[u8; VIRTIO_LEN], link_len: usize) -> Result<Self, Error> {
        let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let [flags, gso_type, ..] = *header;
        let checksum = if flags & F_NEEDS_CSUM != 0 {
            let (start, offset) = (word(6), word(8));
            match usize::from(start).checked_sub(link_len) {
                Some(from_packet) => Checksum::Partial {
                    start: from_packet as u16,
                    offset,
                },
                None => return Err(Error::ChecksumStart { start, link_len }),
            }
        } else if flags & F_DATA_VALID != 0 {
            Checksum::Valid
        } else {
            Checksum::None
        };
        let kind = match gso_type & !GSO_ECN {
            GSO_NONE => {
                return Ok(Self {
                    checksum,
                    gso: None,
                });
            }
            GSO_TCPV4 => GsoKind::Tcp4,
            GSO_UDP_L4 => GsoKind::UdpL4,
            other => GsoKind::Other(other),
        };
        match word(4) {
            0 => Err(Error::GsoSize { kind: gso_type }),
            size => Ok(Self {
                checksum,
                gso: Some(Gso {
                    kind,
                    size,
                    ecn: gso_type & GSO_ECN != 0,
                }),
            }),
        }
    }

    /// Writes the header for a frame whose link header has `link_len` bytes and whose headers, link to L4, have `hdr_len`
    /// (used with GSO only).
    #[inline]
    pub fn to_virtio(&self, link_len: usize, hdr_len: usize) -> [u8; VIRTIO_LEN] {
        let (flags, start, offset) = match self.checksum {
            Checksum::None => (0, 0, 0),
            Checksum::Valid => (F_DATA_VALID, 0, 0),
            Checksum::Partial { start, offset } => {
                (F_NEEDS_CSUM, start.saturating_add(link_len as u16), offset)
            }
        };
        let (gso_type, hdr_len, size) = match self.gso {
            None => (GSO_NONE, 0, 0),
            Some(gso) => {
                let kind = match gso.kind {
                    GsoKind::Tcp4 => GSO_TCPV4,
                    GsoKind::UdpL4 => GSO_UDP_L4,
                    GsoKind::Other(other) => other,
                };
                (
                    kind | if gso.ecn { GSO_ECN } else { 0 },
                    hdr_len as u16,
                    gso.size,
                )
            }
        };
        let [[h0, h1], [g0, g1], [s0, s1], [o0, o1]] =
            [hdr_len, size, start, offset].map(u16::to_ne_bytes);
        [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// Compares the offload with the packet it came with; `header` is that of the innermost IPv4 packet and `l4` where its
    /// payload starts, counted from the frame's IP packet, which has `packet_len` bytes.
    ///
    /// A sender chooses these numbers, and a device later writes a checksum where they say: a field that the switch has
    /// judged (addresses, protocol, ports, ICMP type) must never be that place. A checksum deeper in the L4 payload is a
    /// tunnel of the sender's own and is none of our business.
    ///
    /// # Errors
    /// [`Error::ChecksumField`], [`Error::GsoKind`].
    #[inline(always)]
    pub fn check(&self, header: &ipv4::Header, l4: usize, packet_len: usize) -> Result<(), Error> {
        match (self.checksum, self.gso) {
            (Checksum::None | Checksum::Valid, None) => Ok(()),
            _ => self.check_work(header.protocol, header.is_fragment(), l4, packet_len),
        }
    }

    /// [`Offload::check`] where a device has something to do. It is not given the header, so that the caller's may stay in
    /// registers.
    #[inline(never)]
    fn check_work(
        &self,
        protocol: Protocol,
        is_fragment: bool,
        l4: usize,
        packet_len: usize,
    ) -> Result<(), Error> {
        if let Checksum::Partial { start, offset } = self.checksum {
            let field_start = usize::from(start);
            let field = field_start + usize::from(offset);
            let fits = match checksum::field(protocol) {
                Some((at, _)) if field_start == l4 && usize::from(offset) == at => {
                    protocol != Protocol::ICMP
                }
                Some((_, least)) => self.gso.is_none() && field_start >= l4 + least,
                None => self.gso.is_none() && field_start >= l4,
            };
            if !fits || field + 2 > packet_len {
                return Err(Error::ChecksumField {
                    start,
                    offset,
                    protocol,
                });
            }
        }
        match self.gso {
            None => Ok(()),
            // Real stacks stay far below (the smallest MSS is 36): more would make one frame a flood.
            Some(Gso { kind, size, .. }) if packet_len > usize::from(size) * MAX_SEGMENTS => {
                Err(Error::GsoKind { kind, protocol })
            }
            Some(Gso {
                kind: GsoKind::Tcp4,
                ..
            }) if protocol == Protocol::TCP && !is_fragment => Ok(()),
            Some(Gso {
                kind: GsoKind::UdpL4,
                ..
            }) if protocol == Protocol::UDP && !is_fragment => Ok(()),
            Some(Gso { kind, .. }) => Err(Error::GsoKind { kind, protocol }),
        }
    }

    /// Counts the checksum's start from a packet that has grown by `n` bytes at its front.
    #[inline]
    pub(crate) fn shift_up(&mut self, n: usize) {
        if let Checksum::Partial { start, .. } = &mut self.checksum {
            *start = start.saturating_add(n as u16);
        }
    }

    /// Counts the checksum's start from a packet that has lost `n` bytes at its front. If its L4 header was among them, the
    /// offload is forgotten.
    #[inline]
    pub(crate) fn shift_down(&mut self, n: usize) {
        if let Checksum::Partial { start, .. } = &mut self.checksum {
            match usize::from(*start).checked_sub(n) {
                Some(left) => *start = left as u16,
                None => *self = Self::default(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
