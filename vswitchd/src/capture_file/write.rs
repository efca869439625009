//! Writing pcapng: one interface a port, nanoseconds, a comment where there is something to say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use packet::Frame;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};

use super::CaptureError;

/// `if_tsresol` of nanoseconds.
const NANOSECONDS: u8 = 9;

/// A file that frames are written to.
pub struct Writer {
    file: String,
    writer: PcapNgWriter<BufWriter<File>>,
    /// The interfaces that have been described, by name.
    interfaces: BTreeMap<String, u32>,
    written: usize,
}

impl Writer {
    /// Creates the file, over one of that name.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let created = File::create(path).map_err(|source| CaptureError::Io {
            file: file.clone(),
            source,
        })?;
        match PcapNgWriter::new(BufWriter::new(created)) {
            Ok(writer) => Ok(Self {
                file,
                writer,
                interfaces: BTreeMap::new(),
                written: 0,
            }),
            Err(source) => Err(failed(&file, 0, source)),
        }
    }

    /// Writes a frame that left by this port.
    ///
    /// # Errors
    /// [`CaptureError`]: the disk is full, or the like.
    pub fn write(
        &mut self,
        at: Duration,
        port: &str,
        frame: &Frame,
        comment: Option<&str>,
    ) -> Result<(), CaptureError> {
        self.written += 1;
        self.put(at, port, frame, comment)
            .map_err(|source| failed(&self.file, self.written, source))
    }

    fn put(
        &mut self,
        at: Duration,
        port: &str,
        frame: &Frame,
        comment: Option<&str>,
    ) -> Result<(), PcapError> {
        let link = match frame.link().is_empty() {
            true => DataLink::RAW,
            false => DataLink::ETHERNET,
        };
        let interface_id = match self.interfaces.get(port) {
            Some(id) => *id,
            None => self.describe(port, link)?,
        };
        let comment = comment.map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text)));
        self.writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: at,
            original_len: frame.bytes().len() as u32,
            data: Cow::Borrowed(frame.bytes()),
            options: comment.into_iter().collect(),
        })?;
        Ok(())
    }

    fn describe(&mut self, port: &str, linktype: DataLink) -> Result<u32, PcapError> {
        self.writer.write_pcapng_block(InterfaceDescriptionBlock {
            linktype,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(port.to_owned())),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        })?;
        let id = self.interfaces.len() as u32;
        self.interfaces.insert(port.to_owned(), id);
        Ok(id)
    }
}

fn failed(file: &str, number: usize, source: PcapError) -> CaptureError {
    let file = file.to_owned();
    match source {
        PcapError::IoError(source) => CaptureError::Io { file, source },
        source => CaptureError::Format {
            file,
            number,
            source,
        },
    }
}
