//! Where packets go: lines, or files.

use std::io::{BufWriter, StdoutLock};

use cni_shim::capture::{Directory, Packet, Stats};

use super::book::Book;
use super::files::Files;
use super::line::Lines;

/// Takes packets, with the names of the directory before them.
pub(super) struct Sink {
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
