//! A worker's side of one port: the device and what waits to be sent by it.
//!
//! TCP segments that follow each other are joined while they wait, so that a device is given few large frames for many
//! small ones. They wait for the end of the turn in any case: nothing is held for it, and nothing overtakes.
//!
//! A device that does not take a frame says one of two things. It is full (`EAGAIN`): frames wait here, few of them, and
//! the newest find no room. Or the kernel's queue behind it dropped the frame (`ENOBUFS`): that is tried again for
//! [`PATIENCE`] at most, with all behind it, so that a queue that is full by design stays the one that decides. Meanwhile
//! the worker goes on with other ports. Frames that wait for such devices are given up when buffers run short.

mod heads;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{Counters, DropReason, PortCounters, PortId, Time};
use packet::Frame;
use packet::coalesce::{self, Kind};
use port::{Poller, PortIo};

use super::clock::Clock;
use super::command::End;
use crate::tap::Taps;
use heads::Heads;

/// Frames queued in one turn at most; then the newest are dropped.
const BACKLOG: usize = 256;
/// The same while the device is full, so that it does not take all buffers.
const STUCK_BACKLOG: usize = 32;
/// How often a full device is asked again at once before the worker goes on
/// with something else.
const RETRIES: usize = 1;
/// For how long frames that the kernel's queue drops are tried again: enough
/// for a softirq to empty it, little for a queue that drops on purpose.
const PATIENCE: Duration = Duration::from_millis(2);
/// So much longer than it has waited a port goes without waiting: what is
/// refused on purpose, a frame here and there, must not stop the others.
const IMPATIENCE: u32 = 100;
/// Free buffers that frames waiting for full devices must leave to others.
const RESERVE: usize = 128;

/// One port as one worker serves it.
pub(super) struct Outbox {
    pub(super) io: Box<dyn PortIo>,
    /// Where those frames come from that `io` does not hear.
    pub(super) aside: Option<Box<dyn PortIo>>,
    /// Frames may come marked.
    pub(super) is_relayed: bool,
    pub(super) counters: Arc<PortCounters>,
    pending: Vec<Frame>,
    /// Those of `pending` that the next segment may be appended to.
    heads: Heads,
    /// The device was full at the last flush.
    stuck: bool,
    /// When the kernel's queue began to drop what still waits.
    refused: Option<Time>,
    /// From then on it may be waited again for the kernel's queue.
    patient_from: Time,
    /// Segments of cut super-segments that found no room, as far as counted.
    segments_lost: u64,
    /// Already in the worker's list of ports to flush.
    pub(super) listed: bool,
}

/// What became of a frame that is to be sent.
pub(super) enum Queued {
    /// It waits for the next flush.
    Waits,
    /// Its payload is part of a frame that waits; the buffer is free again.
    Joined(Frame),
    /// The backlog is full.
    Full(Frame),
}

impl Outbox {
    pub(super) fn new(end: End, counters: Arc<PortCounters>) -> Self {
        Self {
            io: end.io,
            aside: end.aside,
            is_relayed: end.relayed.is_some(),
            counters,
            pending: Vec::with_capacity(BACKLOG),
            heads: Heads::default(),
            stuck: false,
            refused: None,
            patient_from: Time::default(),
            segments_lost: 0,
            listed: false,
        }
    }

    /// Queues a frame, whichever port it came from: traffic of this node comes
    /// in frames too large to be joined, which is seen at once.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame) -> Queued {
        let kind = Kind::of(&frame);
        if self.joins(kind, &frame) {
            self.counters.tx_coalesced.add(1);
            return Queued::Joined(frame);
        }
        let limit = if self.stuck { STUCK_BACKLOG } else { BACKLOG };
        if self.pending.len() >= limit {
            return Queued::Full(frame);
        }
        if let Kind::Tcp(connection) = kind
            && coalesce::can_grow(&frame)
        {
            self.heads.open(connection, self.pending.len());
        }
        self.pending.push(frame);
        Queued::Waits
    }

    /// Appends the frame to the last one of its connection, if it may be. If
    /// not, that one is closed: what comes later must not overtake this frame.
    #[inline]
    fn joins(&mut self, kind: Kind, frame: &Frame) -> bool {
        match kind {
            Kind::Other => false,
            Kind::Unclear => {
                self.heads.close_all();
                false
            }
            Kind::Tcp(connection) => self.heads.find(connection).is_some_and(|head| {
                let waiting = &mut self.pending[head.at];
                let joined = coalesce::append(waiting, frame).is_ok();
                if !joined {
                    self.heads.close(head);
                }
                joined
            }),
        }
    }

    /// Sends what waits. Frames the device took or refused go back to `pool`;
    /// true when the device was full and some still wait.
    pub(super) fn flush(
        &mut self,
        id: PortId,
        clock: Clock,
        counters: &Counters,
        pool: &mut Vec<Frame>,
        taps: &mut Taps,
    ) -> bool {
        self.heads.close_all();
        let mut done = 0;
        let mut retries = 0;
        let mut is_refused = false;
        while done < self.pending.len() {
            match self.io.tx_batch(&self.pending[done..]) {
                Ok(0) if retries == RETRIES => break,
                Ok(0) => retries += 1,
                Ok(sent) => {
                    self.count(done, sent);
                    if taps.may_see(id) {
                        taps.sent(clock.now(), id, &self.pending[done..done + sent]);
                    }
                    done += sent;
                }
                Err(error) => match reason(&error) {
                    DropReason::KernelQueueFull if self.is_patient(clock.now()) => {
                        is_refused = true;
                        break;
                    }
                    reason => {
                        self.lose(counters, reason, 1);
                        if !taps.is_empty() {
                            taps.unsent(clock.now(), id, reason, &self.pending[done]);
                        }
                        done += 1;
                    }
                },
            }
        }
        pool.extend(self.pending.drain(..done));
        let room = match (pool.len() < RESERVE, is_refused) {
            (true, _) => 0,
            (false, true) => BACKLOG,
            (false, false) => STUCK_BACKLOG,
        };
        let kept = room.min(self.pending.len());
        let given_up = (self.pending.len() - kept) as u64;
        self.lose(counters, DropReason::DeviceFull, given_up);
        if !taps.is_empty() {
            for frame in &self.pending[kept..] {
                taps.unsent(clock.now(), id, DropReason::DeviceFull, frame);
            }
        }
        pool.extend(self.pending.drain(kept..));
        self.stuck = !self.pending.is_empty();
        if !is_refused && let Some(since) = self.refused.take() {
            let now = clock.now();
            self.patient_from = now + now.since(since).min(PATIENCE) * IMPATIENCE;
        }
        self.stuck
    }

    /// Whether a frame that the kernel's queue has dropped is to be sent again.
    fn is_patient(&mut self, now: Time) -> bool {
        match self.refused {
            Some(since) => now.since(since) < PATIENCE,
            None if now < self.patient_from => false,
            None => {
                self.refused = Some(now);
                true
            }
        }
    }

    /// Says what is wrong with the device. A link that is down comes up again;
    /// anything else would be reported for ever, so it is no longer watched.
    pub(super) fn complain(&self, poller: &Poller, error: &io::Error) {
        let port = self.io.name();
        if error.raw_os_error() == Some(nix::Error::ENETDOWN as i32) {
            return tracing::debug!(port, "link is down");
        }
        tracing::error!(port, %error, "device is gone: the port is silent until it is opened again");
        for io in [Some(&self.io), self.aside.as_ref()].into_iter().flatten() {
            if let Some(fd) = io.poll_fd() {
                // It was watched, or was not: now it is not.
                let _ = poller.remove(fd);
            }
        }
    }

    /// Brings the counts of what the device and the kernel lost up to date: one
    /// system call.
    pub(super) fn count_losses(&mut self, counters: &Counters) {
        let losses = self.io.losses();
        let segments = losses.segments - self.segments_lost;
        self.lose(counters, DropReason::DeviceFull, segments);
        self.segments_lost = losses.segments;
        let missed = self.io.kernel_drops() + losses.unreadable + losses.misfit;
        let aside = self.aside.as_mut().map_or(0, |aside| {
            let losses = aside.losses();
            aside.kernel_drops() + losses.unreadable + losses.misfit
        });
        self.counters.missed.set(missed + aside);
    }

    /// What still waits, and the device, which is still open.
    pub(super) fn into_parts(self) -> (Vec<Frame>, impl Send + use<>) {
        (self.pending, (self.io, self.aside))
    }

    /// Counts frames that the device did not take. Where they came from is not
    /// known here: of a frame that segments were joined to, it is many frames.
    fn lose(&self, counters: &Counters, reason: DropReason, n: u64) {
        counters.drop_many(reason, n);
        self.counters.drops.toward(reason).add(n);
    }

    fn count(&self, first: usize, sent: usize) {
        let frames = &self.pending[first..first + sent];
        let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
        self.counters.tx_frames.add(sent as u64);
        self.counters.tx_bytes.add(bytes as u64);
    }
}

fn reason(error: &io::Error) -> DropReason {
    match error.raw_os_error() {
        Some(code) if code == nix::Error::ENOBUFS as i32 => DropReason::KernelQueueFull,
        _ => DropReason::DeviceError,
    }
}

#[cfg(test)]
mod tests;
