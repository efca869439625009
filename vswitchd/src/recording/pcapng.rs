//! Writes pcapng (draft-ietf-opsawg-pcapng): one interface a port and stage, nanoseconds, a comment a packet.
//!
//! A file written to a pipe is read while it is written, so each packet is whole in itself: interfaces are described before
//! their first packet, and nothing written before is gone back to.

use std::io::{self, Write};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// Reads as itself in the byte order of the writer.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
/// Option codes: of every block, then of each kind.
const COMMENT: u16 = 1;
const SECTION_OS: u16 = 3;
const SECTION_APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const PACKET_FLAGS: u16 = 2;
const RECEIVED: u16 = 4;
const DROPPED: u16 = 5;
/// `if_tsresol`: a unit of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// One interface of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface<'a> {
    /// Its short name.
    pub(crate) name: &'a str,
    /// What it is, in a sentence.
    pub(crate) description: &'a str,
    /// The filter that packets have passed; may be empty.
    pub(crate) filter: &'a str,
    /// Bytes kept of a packet at most.
    pub(crate) snap_len: u32,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// The number of its interface in the file.
    pub(crate) interface: u32,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// Bytes of the whole.
    pub(crate) wire_len: u32,
    /// The first of them.
    pub(crate) bytes: &'a [u8],
    /// Bits 0 and 1 of `epb_flags`: 1 = inbound, 2 = outbound, 0 = not known.
    pub(crate) direction: u32,
    /// For people; may be empty.
    pub(crate) comment: &'a str,
}

/// A file that is being written.
pub(crate) struct Writer<W> {
    to: W,
    block: Vec<u8>,
    interfaces: u32,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Writing fails, as in every method.
    pub(crate) fn new(to: W) -> io::Result<Self> {
        let mut writer = Self {
            to,
            block: Vec::new(),
            interfaces: 0,
            written: 0,
        };
        writer.block.extend(BYTE_ORDER.to_le_bytes());
        writer.block.extend([1, 0, 0, 0]); // version 1.0
        writer.block.extend(u64::MAX.to_le_bytes()); // length of the section: not known yet
        writer.option(SECTION_OS, b"Linux");
        let application = concat!("vswitchctl ", env!("CARGO_PKG_VERSION"));
        writer.option(SECTION_APPLICATION, application.as_bytes());
        writer.end(SECTION)?;
        Ok(writer)
    }

    /// Describes the next interface, and says its number.
    pub(crate) fn interface(&mut self, interface: &Interface<'_>) -> io::Result<u32> {
        self.block.extend(ETHERNET.to_le_bytes());
        self.block.extend([0, 0]);
        self.block.extend(interface.snap_len.to_le_bytes());
        self.option(IF_NAME, interface.name.as_bytes());
        self.option(IF_DESCRIPTION, interface.description.as_bytes());
        self.option(IF_TSRESOL, &[NANOSECONDS]);
        if !interface.filter.is_empty() {
            // The first byte says that it is a string of libpcap's.
            self.option(IF_FILTER, &[&[0], interface.filter.as_bytes()].concat());
        }
        self.end(INTERFACE)?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet.
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.block.extend(packet.interface.to_le_bytes());
        self.time(packet.time);
        self.block.extend((packet.bytes.len() as u32).to_le_bytes());
        self.block.extend(packet.wire_len.to_le_bytes());
        self.block.extend(packet.bytes);
        self.pad();
        if packet.direction != 0 {
            self.option(PACKET_FLAGS, &packet.direction.to_le_bytes());
        }
        if !packet.comment.is_empty() {
            self.option(COMMENT, packet.comment.as_bytes());
        }
        self.end(PACKET)
    }

    /// Says at the end how many packets an interface had, how many were lost if that is known, and a word about it.
    pub(crate) fn statistics(
        &mut self,
        interface: u32,
        time: u64,
        packets: u64,
        lost: Option<u64>,
        comment: &str,
    ) -> io::Result<()> {
        self.block.extend(interface.to_le_bytes());
        self.time(time);
        self.option(RECEIVED, &packets.to_le_bytes());
        if let Some(lost) = lost {
            self.option(DROPPED, &lost.to_le_bytes());
        }
        if !comment.is_empty() {
            self.option(COMMENT, comment.as_bytes());
        }
        self.end(STATISTICS)
    }

    /// Bytes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Gives what is buffered to whoever reads.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// A time is two words, the high one first.
    fn time(&mut self, time: u64) {
        self.block.extend(((time >> 32) as u32).to_le_bytes());
        self.block.extend((time as u32).to_le_bytes());
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.block.extend(value);
        self.pad();
    }

    fn pad(&mut self) {
        let padded = self.block.len().next_multiple_of(4);
        self.block.resize(padded, 0);
    }

    /// Writes the block with its end of options, its kind, and its length at both ends.
    fn end(&mut self, kind: u32) -> io::Result<()> {
        self.block.extend([0; 4]);
        let len = self.block.len() + 12;
        let len_bytes = (len as u32).to_le_bytes();
        self.to.write_all(&kind.to_le_bytes())?;
        self.to.write_all(&len_bytes)?;
        self.to.write_all(&self.block)?;
        self.to.write_all(&len_bytes)?;
        self.block.clear();
        self.written += len as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn what_was_lost_is_a_count_of_the_interface() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let interface = writer.interface(&Interface {
            name: "web:rx",
            description: "web",
            filter: "",
            snap_len: 0,
        });
        writer
            .statistics(interface.unwrap(), 0, 5, Some(3), "")
            .unwrap();
        let mut reader = PcapNgReader::new(writer.to.as_slice()).unwrap();
        let mut found = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::InterfaceStatistics(block) = block.unwrap() {
                found.extend(
                    block
                        .options
                        .into_iter()
                        .map(InterfaceStatisticsOption::into_owned),
                );
            }
        }
        let expected = [
            InterfaceStatisticsOption::IsbIfRecv(5),
            InterfaceStatisticsOption::IsbIfDrop(3),
        ];
        assert_eq!(found, expected);
    }
}
