//! A worker's side of one port: the device and what waits to be sent by it.

use std::io;
use std::sync::Arc;

use dataplane::{Counters, DropReason, PortCounters};
use packet::Frame;
use port::{Poller, PortIo};

/// Frames queued in one turn at most; then the newest are dropped.
const BACKLOG: usize = 256;
/// The same while the device is full, so that it does not take all buffers.
const STUCK_BACKLOG: usize = 32;
/// How often a full device is asked again at once before the worker goes on
/// with something else.
const RETRIES: usize = 1;

/// One port as one worker serves it.
pub(super) struct Outbox {
    pub(super) io: Box<dyn PortIo>,
    pub(super) counters: Arc<PortCounters>,
    pending: Vec<Frame>,
    /// The device was full at the last flush.
    stuck: bool,
    /// Segments of cut super-segments that found no room, as far as counted.
    segments_lost: u64,
    /// Already in the worker's list of ports to flush.
    pub(super) listed: bool,
}

impl Outbox {
    pub(super) fn new(io: Box<dyn PortIo>, counters: Arc<PortCounters>) -> Self {
        Self {
            io,
            counters,
            pending: Vec::with_capacity(BACKLOG),
            stuck: false,
            segments_lost: 0,
            listed: false,
        }
    }

    /// Queues a frame; gives it back when the backlog is full.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        let limit = if self.stuck { STUCK_BACKLOG } else { BACKLOG };
        if self.pending.len() >= limit {
            return Err(frame);
        }
        self.pending.push(frame);
        Ok(())
    }

    /// Sends what waits. Frames the device took or refused go back to `pool`;
    /// true when the device was full and some still wait.
    pub(super) fn flush(&mut self, counters: &Counters, pool: &mut Vec<Frame>) -> bool {
        let mut done = 0;
        let mut retries = 0;
        while done < self.pending.len() {
            match self.io.tx_batch(&self.pending[done..]) {
                Ok(0) if retries == RETRIES => break,
                Ok(0) => retries += 1,
                Ok(sent) => {
                    self.count(done, sent);
                    done += sent;
                }
                Err(error) => {
                    counters.drop(reason(&error));
                    done += 1;
                }
            }
        }
        pool.extend(self.pending.drain(..done));
        self.stuck = !self.pending.is_empty();
        self.stuck
    }

    /// Says what is wrong with the device. A link that is down comes up again;
    /// anything else would be reported for ever, so it is no longer watched.
    pub(super) fn complain(&self, poller: &Poller, error: &io::Error) {
        let port = self.io.name();
        if error.raw_os_error() == Some(nix::Error::ENETDOWN as i32) {
            return tracing::debug!(port, "link is down");
        }
        tracing::error!(port, %error, "device is gone: the port is silent until it is opened again");
        if let Some(fd) = self.io.poll_fd() {
            // It was watched, or was not: now it is not.
            let _ = poller.remove(fd);
        }
    }

    /// Brings the counts of what the device and the kernel lost up to date: one
    /// system call.
    pub(super) fn count_losses(&mut self, counters: &Counters) {
        let losses = self.io.losses();
        counters.drop_many(DropReason::DeviceFull, losses.segments - self.segments_lost);
        self.segments_lost = losses.segments;
        let missed = self.io.kernel_drops() + losses.unreadable + losses.misfit;
        self.counters.missed.set(missed);
    }

    /// What still waits; the device is closed.
    pub(super) fn into_pending(self) -> Vec<Frame> {
        self.pending
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
        Some(code) if code == nix::Error::ENOBUFS as i32 => DropReason::DeviceFull,
        _ => DropReason::DeviceError,
    }
}
