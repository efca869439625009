//! Packets into pcapng: a file, a pipe, or a row of files.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use cni_shim::capture::{Packet, Stage, Stats};

use super::book::Book;
use super::pcapng::{self, Interface, Writer};

/// Where to, and when the next file begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// `None`: standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_after: Option<Duration>,
    /// Only the newest so many are kept.
    pub(crate) keep: Option<usize>,
    pub(crate) snap_len: u32,
    pub(crate) filter: String,
}

/// Writes packets.
pub(crate) struct Files {
    plan: Plan,
    writer: Writer<Box<dyn Write>>,
    interfaces: HashMap<(u16, String, Stage), Seen>,
    /// When the first packet of the file was seen.
    began: Option<u64>,
    last: u64,
    /// Files there are, oldest first.
    files: VecDeque<PathBuf>,
    number: usize,
}

/// An interface of the file at hand.
struct Seen {
    id: u32,
    packets: u64,
}

impl Files {
    /// Begins the first file.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn begin(plan: Plan) -> anyhow::Result<Self> {
        let mut files = VecDeque::new();
        let writer = open(&plan, 1, &mut files)?;
        Ok(Self::new(plan, writer, files))
    }

    /// One file that its owner has made, with everything in it.
    ///
    /// # Errors
    /// Writing fails.
    pub(crate) fn onto(file: File, snap_len: u32) -> anyhow::Result<Self> {
        let plan = Plan {
            path: None,
            rotate_bytes: None,
            rotate_after: None,
            keep: None,
            snap_len,
            filter: String::new(),
        };
        let writer = buffered(Box::new(file))?;
        Ok(Self::new(plan, writer, VecDeque::new()))
    }

    fn new(plan: Plan, writer: Writer<Box<dyn Write>>, files: VecDeque<PathBuf>) -> Self {
        Self {
            plan,
            writer,
            interfaces: HashMap::new(),
            began: None,
            last: 0,
            files,
            number: 1,
        }
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// Writing fails.
    pub(crate) fn packet(&mut self, book: &Book, packet: &Packet<'_>) -> anyhow::Result<()> {
        if self.is_full(packet.time) {
            self.rotate()?;
        }
        self.began.get_or_insert(packet.time);
        self.last = packet.time;
        let interface = self.interface(book, packet)?;
        let comment = book.comment(packet);
        self.writer.packet(&pcapng::Packet {
            interface,
            time: packet.time,
            wire_len: packet.wire_len,
            bytes: packet.bytes,
            direction: direction(packet.stage),
            comment: &comment,
        })?;
        Ok(())
    }

    fn is_full(&self, now: u64) -> bool {
        let limit = self.plan.rotate_bytes;
        let age = now.saturating_sub(self.began.unwrap_or(now));
        let after = self.plan.rotate_after;
        self.began.is_some()
            && (limit.is_some_and(|limit| self.writer.written() >= limit)
                || after.is_some_and(|after| u128::from(age) >= after.as_nanos()))
    }

    fn rotate(&mut self) -> anyhow::Result<()> {
        self.close(None, "")?;
        self.number += 1;
        self.writer = open(&self.plan, self.number, &mut self.files)?;
        self.interfaces.clear();
        self.began = None;
        while self.plan.keep.is_some_and(|keep| self.files.len() > keep) {
            if let Some(oldest) = self.files.pop_front() {
                fs::remove_file(&oldest)
                    .with_context(|| format!("removing {}", oldest.display()))?;
            }
        }
        Ok(())
    }

    /// The number of the packet's interface, described before its first packet.
    fn interface(&mut self, book: &Book, packet: &Packet<'_>) -> io::Result<u32> {
        let (interface, owner) = book.port(packet.port);
        let key = (packet.port, owner.to_owned(), packet.stage);
        if let Some(seen) = self.interfaces.get_mut(&key) {
            seen.packets += 1;
            return Ok(seen.id);
        }
        let stage = packet.stage;
        let id = self.writer.interface(&Interface {
            name: &format!("{owner}:{stage}"),
            description: &format!("{} of {owner}, {}", interface, what(stage)),
            filter: &self.plan.filter,
            snap_len: self.plan.snap_len,
        })?;
        self.interfaces.insert(key, Seen { id, packets: 1 });
        Ok(id)
    }

    /// Gives what is buffered to whoever reads.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Ends the last file.
    ///
    /// # Errors
    /// Writing fails.
    pub(crate) fn finish(&mut self, stats: Stats) -> io::Result<()> {
        let comment = format!(
            "the whole capture: {} matched, {} lost by the tap",
            stats.matched, stats.lost
        );
        self.close(Some(stats.lost), &comment)
    }

    /// What was lost is known of the whole capture only: the file's first interface says it, so that the sum is right.
    fn close(&mut self, mut lost: Option<u64>, comment: &str) -> io::Result<()> {
        let mut seen: Vec<&Seen> = self.interfaces.values().collect();
        seen.sort_by_key(|seen| seen.id);
        for seen in seen {
            self.writer
                .statistics(seen.id, self.last, seen.packets, lost.take(), comment)?;
        }
        self.writer.flush()
    }
}

fn open(
    plan: &Plan,
    number: usize,
    files: &mut VecDeque<PathBuf>,
) -> anyhow::Result<Writer<Box<dyn Write>>> {
    let to: Box<dyn Write> = match &plan.path {
        None => Box::new(io::stdout().lock()),
        Some(path) => {
            let rotates = plan.rotate_bytes.is_some() || plan.rotate_after.is_some();
            let path = if rotates {
                numbered(path, number)
            } else {
                path.clone()
            };
            let file = File::create(&path);
            let file = file.with_context(|| format!("making {}", path.display()))?;
            files.push_back(path);
            Box::new(file)
        }
    };
    Ok(buffered(to)?)
}

fn buffered(to: Box<dyn Write>) -> io::Result<Writer<Box<dyn Write>>> {
    Writer::new(Box::new(BufWriter::with_capacity(256 << 10, to)))
}

/// `name_00001.pcapng` for `name.pcapng`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or("pcapng".as_ref());
    let name = format!("{stem}_{number:05}.{}", extension.to_string_lossy());
    path.with_file_name(name)
}

/// As `epb_flags` has it: seen from the switch.
fn direction(stage: Stage) -> u32 {
    match stage {
        Stage::Rx => 1,
        Stage::Tx => 2,
        Stage::PostPolicy | Stage::PreEncap | Stage::Drop => 0,
    }
}

fn what(stage: Stage) -> &'static str {
    match stage {
        Stage::Rx => "as the port gave it to the switch",
        Stage::PostPolicy => "after policy has let it pass",
        Stage::PreEncap => "before it is put into IPIP",
        Stage::Tx => "as the port's device took it",
        Stage::Drop => "as it was when it was dropped",
    }
}
