//! A packet as one line.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::Ipv4Addr;

use anstyle::{AnsiColor, Style};
use cni_shim::capture::{Packet, Stage};

use crate::recording::{Book, verdict};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// Prints lines.
pub(super) struct Lines<W> {
    to: W,
    is_coloured: bool,
    line: String,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(to: W, is_coloured: bool) -> Self {
        let line = String::new();
        Self {
            to,
            is_coloured,
            line,
        }
    }

    pub(super) fn packet(&mut self, book: &Book, packet: &Packet<'_>) -> io::Result<()> {
        self.line.clear();
        // Writing to a string does not fail.
        let _ = self.write(book, packet);
        writeln!(self.to, "{}", self.line)
    }

    /// `TIME STAGE PORT WHAT BECAME OF IT  ENDS  PROTOCOL, LENGTH  why`.
    fn write(&mut self, book: &Book, packet: &Packet<'_>) -> std::fmt::Result {
        let style = style(self.is_coloured, packet.stage);
        let dim = dim(self.is_coloured);
        let (interface, owner) = book.port(packet.port);
        let port = match owner {
            "host" | "uplink" => owner,
            _ => interface,
        };
        let (stage, verdict) = (packet.stage, verdict(packet.stage));
        let line = &mut self.line;
        write!(line, "{dim}{}{dim:#} ", Clock(packet.time))?;
        write!(line, "{style}{stage:11} {verdict:9}{style:#} {port:15} ")?;
        let found = book.dissect(packet);
        if let Some((src, dst)) = found.ends {
            let ports = found.ports.map(|(src, dst)| (Some(src), Some(dst)));
            let (src_port, dst_port) = ports.unwrap_or_default();
            end(line, book, src, src_port)?;
            line.push_str(" > ");
            end(line, book, dst, dst_port)?;
            line.push_str("  ");
        }
        write!(line, "{}, {} bytes", found.says, packet.wire_len)?;
        if packet.gso_size > 0 {
            write!(line, " by {}", packet.gso_size)?;
        }
        if let Some((src, dst)) = found.tunnel {
            write!(line, ", ipip {src} > {dst}")?;
        }
        if let Some(reason) = book.reason(packet) {
            write!(line, "  {style}{reason}{style:#}")?;
        }
        if !packet.note.is_empty() {
            write!(line, "  {dim}({}){dim:#}", packet.note)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// `namespace/pod 10.0.0.1:80`.
fn end(line: &mut String, book: &Book, address: Ipv4Addr, port: Option<u16>) -> std::fmt::Result {
    if let Some(name) = book.name(address) {
        write!(line, "{name} ")?;
    }
    write!(line, "{address}")?;
    port.map_or(Ok(()), |port| write!(line, ":{port}"))
}

fn style(is_coloured: bool, stage: Stage) -> Style {
    let colour = match stage {
        Stage::Rx => AnsiColor::Cyan,
        Stage::PostPolicy => AnsiColor::Green,
        Stage::PreEncap => AnsiColor::Magenta,
        Stage::Tx => AnsiColor::Blue,
        Stage::Drop => AnsiColor::Red,
    };
    match is_coloured {
        true => colour.on_default(),
        false => Style::new(),
    }
}

fn dim(is_coloured: bool) -> Style {
    match is_coloured {
        true => Style::new().dimmed(),
        false => Style::new(),
    }
}

/// The time of day, UTC.
struct Clock(u64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, nanos) = (self.0 / SECOND, self.0 % SECOND);
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}.{nanos:09}", seconds % 60)
    }
}
