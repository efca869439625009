//! A tap's thread: from the rings to the client.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cni_shim::capture::{Packet, Record, Scope, Stats};
use dataplane::{DropReason, Generation, Time};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use policy::Table;

use super::aim::Aim;
use super::directory;
use super::flight::epoch;
use super::hub::Begun;
use super::sight::{Said, Sight};

/// Out of frames, the rings are looked into again after this many milliseconds.
const NAP_MS: u8 = 2;
/// Bytes gathered before they are written.
const CHUNK: usize = 256 << 10;
/// Statistics are sent so often.
const STATS_EVERY: Duration = Duration::from_secs(1);
/// Policy tables kept for frames that are still in the rings.
const TABLES: usize = 8;

/// A tap that is read.
pub(super) struct Stream {
    tap: Begun,
    connection: UnixStream,
    /// Nanoseconds since 1970 at the zero of the workers' clock.
    epoch: u64,
    tables: VecDeque<(Generation, Arc<Table>)>,
    /// Of the view that the client and the workers were told of.
    told: u64,
    out: Vec<u8>,
    bytes: Vec<u8>,
    note: String,
    stats_due: Instant,
}

impl Stream {
    pub(super) fn new(tap: Begun, connection: UnixStream) -> Self {
        Self {
            epoch: epoch(tap.hub.workers.now()),
            tap,
            connection,
            tables: VecDeque::new(),
            told: 0,
            out: Vec::with_capacity(2 * CHUNK),
            bytes: Vec::new(),
            note: String::new(),
            stats_due: Instant::now() + STATS_EVERY,
        }
    }

    /// Until either side ends. A client that has gone ends it as one that says so does.
    pub(super) fn run(mut self) {
        let id = self.tap.id;
        if let Err(error) = self.serve() {
            tracing::debug!(id, %error, "a capture's client has gone");
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            self.look_around()?;
            let moved = self.drain()?;
            self.report()?;
            self.flush()?;
            if self.is_over(moved)? {
                break;
            }
        }
        self.tap.hub.end(self.tap.id);
        while self.drain()? > 0 {}
        self.stats_due = Instant::now();
        self.report()?;
        self.flush()
    }

    /// Notices new generations: other names, other ports, other rules.
    fn look_around(&mut self) -> io::Result<()> {
        let world = self.tap.hub.workers.snapshot();
        if self
            .tables
            .back()
            .is_none_or(|(known, _)| *known != world.generation)
        {
            self.tables
                .push_back((world.generation, Arc::clone(&world.policy)));
            if self.tables.len() > TABLES {
                self.tables.pop_front();
            }
        }
        let view = self.tap.view.load();
        if std::mem::replace(&mut self.told, view.generation) == view.generation {
            return Ok(());
        }
        let scope = self.tap.hub.row(self.tap.id).map(|row| row.capture.scope);
        // A pod that is gone is waited for: it may come back under its name.
        let aim = Aim::of(&scope.unwrap_or(Scope::All), &view.desired).unwrap_or_default();
        if aim != self.tap.aim {
            self.tap.hub.aim(self.tap.id, &aim);
            self.tap.aim = aim;
        }
        Record::Directory(directory::of(&view.desired)).write(&mut self.out)
    }

    /// Writes what has been seen until now, in the order of time whichever worker saw it; says how many frames.
    fn drain(&mut self) -> io::Result<usize> {
        let until = self.tap.hub.workers.now();
        let mut moved = 0;
        while let Some(worker) = self.next_before(until) {
            let Some(sight) = self.tap.outlets[worker].pop(&mut self.bytes) else {
                break;
            };
            moved += 1;
            self.write(&sight)?;
            if self.out.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(moved)
    }

    /// The worker that has the oldest frame.
    fn next_before(&self, until: Time) -> Option<usize> {
        let outlets = self.tap.outlets.iter().enumerate();
        let waiting = outlets.filter_map(|(worker, outlet)| Some((outlet.oldest()?, worker)));
        let (oldest, worker) = waiting.min()?;
        (oldest <= until).then_some(worker)
    }

    fn write(&mut self, sight: &Sight) -> io::Result<()> {
        self.note.clear();
        let judged = &sight.judged;
        let mut parts = Parts(&mut self.note);
        if let Some(state) = judged.state {
            parts.add(format_args!("conntrack {state}"));
        }
        let table = self.tables.iter().find(|(of, _)| *of == judged.generation);
        if let Some((_, table)) = table {
            for said in judged.said.iter().flatten() {
                parts.add(format_args!("{}", in_words(said, table)));
            }
        }
        let packet = Packet {
            time: self.epoch + sight.time.as_nanos(),
            wire_len: sight.wire_len,
            port: sight.port.0,
            stage: sight.stage,
            reason: sight.reason.map(index),
            gso_size: sight.gso_size,
            note: &self.note,
            bytes: &self.bytes,
        };
        Record::Packet(packet).write(&mut self.out)
    }

    fn report(&mut self) -> io::Result<()> {
        if Instant::now() < self.stats_due {
            return Ok(());
        }
        self.stats_due = Instant::now() + STATS_EVERY;
        let row = self.tap.hub.row(self.tap.id);
        let stats = row.map_or(Stats::default(), |row| row.stats);
        Record::Stats(stats).write(&mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Whether the client has shut its half down. Naps where nothing moves.
    fn is_over(&mut self, moved: usize) -> io::Result<bool> {
        let timeout = match moved {
            0 => PollTimeout::from(NAP_MS),
            _ => PollTimeout::ZERO,
        };
        let mut ask = [PollFd::new(self.connection.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ask, timeout) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.connection.read(&mut [0; 64]) {
            Ok(0) => Ok(true),
            Ok(_) => Ok(false), // nothing that is said now means anything
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The place of a reason in the directory's list.
fn index(reason: DropReason) -> u8 {
    reason as u8
}

/// Words with a separator between them.
struct Parts<'a>(&'a mut String);

impl Parts<'_> {
    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        let separator = if self.0.is_empty() { "" } else { "; " };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{separator}{part}");
    }
}

fn in_words(said: &Said, table: &Table) -> String {
    let answer = match (said.allowed, said.is_kept) {
        (true, _) => "allowed",
        (false, true) => "denied, but the flow is kept",
        (false, false) => "denied",
    };
    let rule = table.describe(said.rule);
    format!("{} {answer}: {rule}", said.direction)
}
