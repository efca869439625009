//! Reading pcap and pcapng, frame by frame.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::time::Duration;

use packet::frame;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};

use super::{CaptureError, Captured, LINK};

/// The first block of a pcapng file (the Section Header Block's type), the same in both byte orders.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

/// The frames of a file, in its order.
pub struct Reader {
    file: String,
    format: Format,
    number: usize,
}

enum Format {
    Pcap(Box<PcapReader<BufReader<File>>>),
    PcapNg(Box<PcapNgReader<BufReader<File>>>),
}

/// A frame as the file has it.
struct Raw {
    at: Duration,
    interface: Option<String>,
    link: DataLink,
    len: usize,
    bytes: Vec<u8>,
}

impl Reader {
    /// Opens a file of either format.
    ///
    /// # Errors
    /// [`CaptureError::Io`], [`CaptureError::Format`].
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let failed = |source| CaptureError::Io {
            file: file.clone(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut magic = [0; 4];
        reader.read_exact(&mut magic).map_err(failed)?;
        reader.rewind().map_err(failed)?;
        let format = match magic {
            PCAPNG => PcapNgReader::new(reader).map(|reader| Format::PcapNg(Box::new(reader))),
            _ => PcapReader::new(reader).map(|reader| Format::Pcap(Box::new(reader))),
        };
        let format = format.map_err(|source| CaptureError::Format {
            file: file.clone(),
            number: 1,
            source,
        })?;
        Ok(Self {
            file,
            format,
            number: 0,
        })
    }

    fn captured(&self, raw: Raw) -> Result<Captured, CaptureError> {
        let mut bytes = raw.bytes;
        let (is_packet, skip) = match raw.link {
            DataLink::ETHERNET => (false, 0),
            DataLink::RAW | DataLink::IPV4 => (true, 0),
            DataLink::LINUX_SLL => (true, 16),
            DataLink::LINUX_SLL2 => (true, 20),
            other => {
                return Err(CaptureError::LinkType {
                    file: self.file.clone(),
                    found: other.into(),
                });
            }
        };
        bytes.drain(..skip.min(bytes.len()));
        // A frame of a port is at most that long; a file may have or claim anything.
        let most = frame::MAX_PACKET + if is_packet { 0 } else { LINK };
        bytes.truncate(most);
        let claimed = raw.len.saturating_sub(skip).min(most);
        bytes.resize(claimed.max(bytes.len()), 0);
        Ok(Captured {
            number: self.number,
            at: raw.at,
            interface: raw.interface,
            is_packet,
            bytes,
        })
    }
}

impl Iterator for Reader {
    type Item = Result<Captured, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = match &mut self.format {
            Format::Pcap(reader) => next_of_pcap(reader)?,
            Format::PcapNg(reader) => next_of_pcapng(reader)?,
        };
        self.number += 1;
        Some(match raw {
            Ok(raw) => self.captured(raw),
            Err(source) => Err(CaptureError::Format {
                file: self.file.clone(),
                number: self.number,
                source,
            }),
        })
    }
}

fn next_of_pcap(reader: &mut PcapReader<BufReader<File>>) -> Option<Result<Raw, PcapError>> {
    let header = reader.header();
    let nanos = match header.ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    // The crate's own reading takes a packet that was longer than the file's snap length for a broken one.
    let packet = reader.next_raw_packet()?;
    Some(packet.map(|packet| Raw {
        at: Duration::from_secs(packet.ts_sec.into())
            + Duration::from_nanos(u64::from(packet.ts_frac) * nanos),
        interface: None,
        link: header.datalink,
        len: packet.orig_len as usize,
        bytes: packet.data.into_owned(),
    }))
}

fn next_of_pcapng(reader: &mut PcapNgReader<BufReader<File>>) -> Option<Result<Raw, PcapError>> {
    loop {
        let (interface, ticks, len, bytes) = match reader.next_block()? {
            Err(error) => return Some(Err(error)),
            // What the crate calls nanoseconds are ticks of the interface's clock.
            Ok(Block::EnhancedPacket(packet)) => (
                packet.interface_id,
                packet.timestamp.as_nanos(),
                packet.original_len as usize,
                packet.data.into_owned(),
            ),
            Ok(Block::SimplePacket(packet)) => {
                (0, 0, packet.original_len as usize, packet.data.into_owned())
            }
            Ok(_) => continue,
        };
        let Some(described) = reader.interfaces().get(interface as usize) else {
            return Some(Err(PcapError::InvalidInterfaceId(interface)));
        };
        return Some(Ok(Raw {
            at: time(described, ticks),
            interface: name(described),
            link: described.linktype,
            len,
            bytes,
        }));
    }
}

fn name(interface: &InterfaceDescriptionBlock<'_>) -> Option<String> {
    interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
        _ => None,
    })
}

/// `if_tsresol`: a power of ten, or with the first bit set a power of two; microseconds without it.
fn time(interface: &InterfaceDescriptionBlock<'_>, ticks: u128) -> Duration {
    let resolution = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    let resolution = resolution.unwrap_or(6);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let per_second = base
        .checked_pow(u32::from(resolution & 0x7f))
        .unwrap_or(SECOND);
    let nanos = ticks.saturating_mul(SECOND) / per_second;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
