//! Where packets go: lines, or files.

use std::io::{BufWriter, StdoutLock};
use std::path::Path;

use cni_shim::capture::{Directory, Packet, Stats};

use super::line::Lines;
use crate::recording::Book;
use crate::recording::{Files, Plan};

/// Takes packets, with the names of the directory before them.
pub(crate) struct Sink {
    book: Book,
    to: To,
}

/// The two kinds.
pub(super) enum To {
    /// For people, on standard output.
    Lines(Lines<BufWriter<StdoutLock<'static>>>),
    /// For Wireshark.
    Files(Box<Files>),
}

impl Sink {
    pub(super) fn new(to: To) -> Self {
        let book = Book::default();
        Self { book, to }
    }

    /// One file, or a named pipe.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn file(path: &Path, snap_len: u32, filter: &str) -> anyhow::Result<Self> {
        let files = Files::begin(Plan {
            path: Some(path.to_owned()),
            rotate_bytes: None,
            rotate_after: None,
            keep: None,
            snap_len,
            filter: filter.to_owned(),
        })?;
        Ok(Self::new(To::Files(Box::new(files))))
    }

    pub(super) fn learn(&mut self, directory: Directory) {
        self.book.learn(directory);
    }

    pub(super) fn packet(&mut self, packet: &Packet<'_>) -> anyhow::Result<()> {
        match &mut self.to {
            To::Lines(lines) => Ok(lines.packet(&self.book, packet)?),
            To::Files(files) => files.packet(&self.book, packet),
        }
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.to {
            To::Lines(lines) => Ok(lines.flush()?),
            To::Files(files) => Ok(files.flush()?),
        }
    }

    pub(super) fn finish(&mut self, stats: Stats) -> anyhow::Result<()> {
        match &mut self.to {
            To::Lines(lines) => Ok(lines.flush()?),
            To::Files(files) => Ok(files.finish(stats)?),
        }
    }
}
