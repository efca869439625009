//! From frames into the socket: whole where the kernel takes them, cut where it does not.

mod tunnelled;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use packet::frame::Frame;
use packet::offload::GsoKind;
use packet::segment::{MAX_HEADERS, Segments};

use crate::Encapsulator;
use crate::sys::tx_vectors::{Message, TxVectors};

use tunnelled::{Before, Tunnelled, is_ipip};

/// Messages in one system call at least: a 64 KiB super-segment has 46 segments at an MTU of 1480.
const LEAST_MESSAGES: usize = 64;
/// How often, and how many milliseconds each time, the rest of a super-segment waits for room.
const WAITS: usize = 3;
const WAIT_MS: u8 = 1;

pub(super) struct Sender {
    vectors: TxVectors,
    /// Headers of segments while they are being sent.
    headers: Box<[[u8; MAX_HEADERS]]>,
    /// Until the kernel refuses one.
    takes_udp_gso: bool,
    tunnelled: Tunnelled,
    lost_segments: u64,
}

impl Sender {
    pub(super) fn new(batch: usize, encapsulator: Option<Arc<Encapsulator>>) -> Self {
        let messages = batch.max(LEAST_MESSAGES);
        Self {
            vectors: TxVectors::new(messages),
            headers: vec![[0; MAX_HEADERS]; messages].into(),
            takes_udp_gso: true,
            tunnelled: Tunnelled::new(encapsulator),
            lost_segments: 0,
        }
    }

    pub(super) fn lost_segments(&self) -> u64 {
        self.lost_segments
    }

    /// See [`crate::PortIo::tx_batch`].
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>, frames: &[Frame]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(first) = frames.get(taken) {
            let step = if self.must_cut(first) {
                self.send_cut(fd, first)
            } else {
                self.send_whole(fd, &frames[taken..])
            };
            match step {
                Ok(0) => break,
                Ok(sent) => taken += sent,
                Err(error) if self.learns(first, &error) => {}
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    fn must_cut(&self, frame: &Frame) -> bool {
        match frame.offload.gso {
            None => false,
            Some(_) if is_ipip(frame) => !self.tunnelled.takes(frame),
            Some(gso) => gso.kind == GsoKind::UdpL4 && !self.takes_udp_gso,
        }
    }

    /// Whether this error means that from now on such frames must be cut.
    fn learns(&mut self, frame: &Frame, error: &io::Error) -> bool {
        let refused = error.raw_os_error() == Some(libc::EINVAL)
            && self.takes_udp_gso
            && !is_ipip(frame)
            && frame
                .offload
                .gso
                .is_some_and(|gso| gso.kind == GsoKind::UdpL4);
        self.takes_udp_gso &= !refused;
        refused
    }

    /// Sends the frames up to the first that must be cut; 0 when the device is full.
    fn send_whole(&mut self, fd: BorrowedFd<'_>, frames: &[Frame]) -> io::Result<usize> {
        let count = frames
            .iter()
            .take_while(|frame| !self.must_cut(frame))
            .count();
        let whole = |frame| Message {
            virtio: Frame::virtio_header(frame),
            head: Frame::bytes(frame),
            body: &[],
        };
        let before = self.tunnelled.before();
        let sent = self
            .vectors
            .load(frames[..count].iter().map(whole))
            .send(fd);
        match sent {
            Ok(sent) => {
                self.count_unseen(before, &frames[..sent]);
                Ok(sent)
            }
            Err(error) if is_full(&error) => Ok(0),
            Err(error) if is_tunnelled(&frames[0]) && self.tunnelled.is_refusal(before, &error) => {
                let sent = self.send_cut(fd, &frames[0])?;
                if sent > 0 {
                    self.tunnelled.cutting_helped(error);
                }
                Ok(sent)
            }
            Err(error) => Err(error),
        }
    }

    /// Counts what left past the program. Where it saw some of them, those it did not see are taken to be the last ones: it
    /// was detached.
    fn count_unseen(&mut self, before: Before, sent: &[Frame]) {
        let tunnelled = sent.iter().rev().filter(|frame| is_tunnelled(frame));
        let count = tunnelled.clone().count();
        if count == 0 {
            return;
        }
        let unseen = self.tunnelled.unseen(before, count as u32);
        let segments = |frame| Segments::of(frame).map_or(1, |cut| cut.remaining());
        let lost = tunnelled.take(unseen as usize).map(segments);
        self.lost_segments += lost.sum::<usize>() as u64;
    }

    /// Sends one super-segment as segments: 1 when at least the first is gone, 0 when the device is full.
    fn send_cut(&mut self, fd: BorrowedFd<'_>, frame: &Frame) -> io::Result<usize> {
        let uncuttable = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut segments = Segments::of(frame).map_err(uncuttable)?;
        if !has_room(fd, PollTimeout::ZERO) {
            return Ok(0);
        }
        let mut waits = 0;
        let mut begun = false;
        while segments.remaining() > 0 {
            let cut = self
                .headers
                .iter_mut()
                .map_while(|headers| next_message(&mut segments, headers));
            let mut loaded = self.vectors.load(cut);
            while loaded.remaining() > 0 {
                match loaded.send(fd) {
                    Ok(_) => begun = true,
                    Err(error) if !begun => return full_is_zero(Err(error)),
                    Err(error) if is_full(&error) && waits < WAITS => {
                        waits += 1;
                        has_room(fd, PollTimeout::from(WAIT_MS));
                    }
                    // Full for good, or this one segment failed: it is lost, TCP sends it again.
                    Err(_) => {
                        loaded.skip_one();
                        self.lost_segments += 1;
                    }
                }
            }
        }
        Ok(1)
    }
}

/// A super-segment in IPIP.
fn is_tunnelled(frame: &Frame) -> bool {
    frame.offload.gso.is_some() && is_ipip(frame)
}

fn next_message<'h, 'f: 'h>(
    segments: &mut Segments<'f>,
    headers: &'h mut [u8; MAX_HEADERS],
) -> Option<Message<'h>> {
    let segment = segments.next(headers)?;
    Some(Message {
        virtio: segment.virtio,
        head: &headers[..segment.headers_len],
        body: segment.payload,
    })
}

/// The socket's send buffer is used up. (A queue behind it that overflows says `ENOBUFS`, and has dropped the frame.)
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn full_is_zero(sent: io::Result<usize>) -> io::Result<usize> {
    sent.or_else(|error| if is_full(&error) { Ok(0) } else { Err(error) })
}

/// Whether half the send buffer or more is free: far more than a super-segment takes, so one that is begun is
/// commonly finished.
fn has_room(fd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    // A failing poll says nothing; the next send will.
    !matches!(
        poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], timeout),
        Ok(0)
    )
}

#[cfg(test)]
mod tests;
