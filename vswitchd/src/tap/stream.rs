//! A tap's thread: from the rings to the client.

use std::collections::VecDeque;
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
use super::sight::Sight;
use super::words;

/// Out of frames, the rings are looked into again after this many milliseconds.
const NAP_MS: u8 = 2;
/// A client that does not read is waited for so many milliseconds at once.
const MOMENT_MS: u8 = 100;
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
    /// Of the view that the workers were told of.
    aimed: u64,
    /// Of the view that the client was told of.
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
            aimed: 0,
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
        // A client that does not read is waited for in `flush`, which looks around meanwhile.
        self.connection.set_nonblocking(true)?;
        loop {
            self.look_around();
            self.tell()?;
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

    /// Notices new generations: other rules, and other ports of the same name.
    fn look_around(&mut self) {
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
        if std::mem::replace(&mut self.aimed, view.generation) == view.generation {
            return;
        }
        let scope = self.tap.hub.row(self.tap.id).map(|row| row.capture.scope);
        // A pod that is gone is waited for: it may come back under its name.
        let aim = Aim::of(&scope.unwrap_or(Scope::All), &view.desired).unwrap_or_default();
        if aim != self.tap.aim {
            self.tap.hub.aim(self.tap.id, &aim);
            self.tap.aim = aim;
        }
    }

    /// Tells the client who is who now.
    fn tell(&mut self) -> io::Result<()> {
        let view = self.tap.view.load();
        if std::mem::replace(&mut self.told, view.generation) == view.generation {
            return Ok(());
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
        let mut tables = self.tables.iter();
        let table = tables.find(|(of, _)| *of == sight.judged.generation);
        words::write(
            &mut self.note,
            &sight.judged,
            table.map(|(_, table)| &**table),
        );
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
        let mut written = 0;
        while let Some(rest) = self.out.get(written..).filter(|rest| !rest.is_empty()) {
            match self.connection.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_reader()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        Ok(())
    }

    /// Until the client reads on, or for a moment; what changes meanwhile is noticed.
    fn wait_for_reader(&mut self) -> io::Result<()> {
        let mut ask = [PollFd::new(self.connection.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut ask, PollTimeout::from(MOMENT_MS)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.look_around();
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
            Err(error) if is_nothing(error.kind()) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

/// The place of a reason in the directory's list.
fn index(reason: DropReason) -> u8 {
    reason as u8
}
