//! Captures as files: frames read from pcap and pcapng, and written as pcapng.

mod read;
mod write;

use std::path::Path;
use std::time::Duration;

use packet::offload::{Checksum, Gso, GsoKind};
use packet::transport::TcpHeader;
use packet::{EtherType, Frame, Offload, Protocol, ethernet, ipv4};

pub use read::Reader;
pub use write::Writer;

/// MTU of a pod's interface on an Ethernet underlay with IPIP: a file does not say it, and TCP packets
/// that are longer were super-segments.
const MTU_BYTES: usize = 1480;
/// Bytes of the headers that each segment of one begins with.
const SEGMENT_HEADERS: usize = ipv4::HEADER_LEN + TcpHeader::LEN;

/// Why a capture cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened, read or written.
    #[error("{file}: {source}")]
    Io {
        /// Which one.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is neither pcap nor pcapng, or is broken.
    #[error("{file}, packet {number}: expected pcap or pcapng, found: {source}")]
    Format {
        /// The file.
        file: String,
        /// The packet that could not be read, from 1.
        number: usize,
        /// What is wrong.
        source: pcap_file::PcapError,
    },
    /// The frames are of a kind of link that no port has.
    #[error("{file}: expected Ethernet, Linux cooked or raw IP packets, found link type {found}")]
    LinkType {
        /// The file.
        file: String,
        /// Number of the link type.
        found: u32,
    },
    /// The file has fewer packets.
    #[error("{file}: expected a packet {wanted}, found {found} packets")]
    NoSuchPacket {
        /// The file.
        file: String,
        /// The number asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// One frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Its number, from 1.
    pub number: usize,
    /// When it was taken: since 1970.
    pub at: Duration,
    /// The interface, where the file names it.
    pub interface: Option<String>,
    /// There is no link header: the first byte is the IP header's.
    pub is_packet: bool,
    /// The bytes, in their true length: what a snap length has cut off is zeros.
    pub bytes: Vec<u8>,
}

impl Captured {
    /// The bytes, and the virtio-net header they came with: files have none, so a TCP packet larger
    /// than 1480 bytes is taken for a super-segment.
    #[must_use]
    pub fn as_taken(&self) -> (Vec<u8>, Option<[u8; 10]>) {
        let frame = self.frame(!self.is_packet);
        let offload = frame.offload.gso.map(|_| frame.virtio_header());
        (self.bytes.clone(), offload)
    }

    /// Is it ARP?
    #[must_use]
    pub fn is_arp(&self) -> bool {
        self.ethertype() == Some(EtherType::ARP)
    }

    /// Is it IPv4?
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        match self.is_packet {
            true => self.bytes.first().is_some_and(|byte| byte >> 4 == 4),
            false => self.ethertype() == Some(EtherType::IPV4),
        }
    }

    fn ethertype(&self) -> Option<EtherType> {
        let link = ethernet::Header::parse(&self.bytes).ok()?;
        Some(link.ethertype).filter(|_| !self.is_packet)
    }

    /// The frame for a port with or without a link header; one that is missing is left out, one too
    /// many is taken off.
    #[must_use]
    pub fn frame(&self, with_link: bool) -> Frame {
        let mut frame = match self.is_packet {
            true => Frame::from_packet(&self.bytes),
            false => Frame::from_ethernet(&self.bytes),
        };
        if !with_link {
            frame.clear_link();
        }
        frame.offload = super_segment(frame.packet());
        frame
    }
}

/// The offload of a packet that is larger than any MTU.
fn super_segment(packet: &[u8]) -> Offload {
    let none = Offload::default();
    let Ok(header) = ipv4::Header::parse_quoted(packet) else {
        return none;
    };
    if header.protocol != Protocol::TCP || header.is_fragment() || header.total_len <= MTU_BYTES {
        return none;
    }
    Offload {
        checksum: Checksum::Partial {
            start: header.header_len as u16,
            offset: 16,
        },
        gso: Some(Gso {
            kind: GsoKind::Tcp4,
            size: (MTU_BYTES - SEGMENT_HEADERS) as u16,
            ecn: false,
        }),
    }
}

/// The frame with this number, from 1.
///
/// # Errors
/// [`CaptureError`]; the file may have fewer.
pub fn nth(file: &Path, wanted: usize) -> Result<Captured, CaptureError> {
    let mut found = 0;
    for captured in Reader::open(file)? {
        let captured = captured?;
        found = captured.number;
        if found == wanted {
            return Ok(captured);
        }
    }
    Err(CaptureError::NoSuchPacket {
        file: file.display().to_string(),
        wanted,
        found,
    })
}

/// Bytes of the link header.
const LINK: usize = ethernet::HEADER_LEN;

#[cfg(test)]
mod tests;
