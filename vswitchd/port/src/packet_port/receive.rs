//! From the socket into frames.

use std::io;
use std::os::fd::BorrowedFd;

use packet::frame::Frame;
use packet::offload::{Checksum, Offload};

use crate::sys::rx_vectors::{Received, RxVectors, VlanTag};
use crate::{Link, Losses};

/// How many failing receives in a row one call puts up with before it lets the worker see to others.
const FAILURES_IN_A_ROW: usize = 16;
/// While frames come one at a time, every so many calls offer more buffers, to find out whether more wait.
const PROBE_EVERY: u8 = 8;
/// Buffers offered by such a call.
const PROBE: usize = 4;
/// Where SCTP's checksum stands in its header; no other protocol with a partial checksum has it there.
const SCTP_CHECKSUM_OFFSET: u16 = 8;

pub(super) struct Receiver {
    vectors: RxVectors,
    link: Link,
    /// Buffers offered to the next call. One that stays empty costs as much as a small system call, so the window
    /// follows the load, down to a single one.
    window: usize,
    /// Calls with a window of one since the last probe.
    singles: u8,
    losses: Losses,
}

impl Receiver {
    pub(super) fn new(vectors: RxVectors, link: Link) -> Self {
        Self {
            vectors,
            link,
            window: PROBE,
            singles: 0,
            losses: Losses::default(),
        }
    }

    pub(super) fn losses(&self) -> Losses {
        self.losses
    }

    /// See [`crate::PortIo::rx_batch`].
    pub(super) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        frames: &mut [Frame],
    ) -> io::Result<usize> {
        for _ in 0..FAILURES_IN_A_ROW {
            let window = self.window.min(frames.len());
            let link_len = self.link.header_len();
            let buffers = frames[..window]
                .iter_mut()
                .map(|frame| frame.rx_buffer(link_len));
            match self.vectors.receive(fd, buffers) {
                Ok(received) => {
                    self.adapt(received);
                    let good = self.accept(&mut frames[..received]);
                    if good > 0 || received == 0 {
                        return Ok(good);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                // One frame has a GSO type that virtio-net cannot name; the kernel has dropped it and reports it
                // here, or in the next call if others were received before it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.losses.unreadable += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    fn adapt(&mut self, received: usize) {
        if self.window == 1 {
            self.singles += 1;
            if self.singles == PROBE_EVERY {
                self.window = PROBE;
            }
            return;
        }
        self.singles = 0;
        if received >= self.window {
            self.window *= 2;
        } else if received <= 1 {
            self.window = 1;
        } else if received * 4 < self.window {
            self.window /= 2;
        }
        self.window = self.window.min(self.vectors.capacity());
    }

    /// Completes the frames that can be read, moves them to the front and returns how many they are.
    fn accept(&mut self, frames: &mut [Frame]) -> usize {
        let mut good = 0;
        for slot in 0..frames.len() {
            match complete(
                &mut frames[slot],
                self.link.header_len(),
                self.vectors.received(slot),
            ) {
                Ok(()) => {
                    frames.swap(good, slot);
                    good += 1;
                }
                Err(Unusable::Misfit) => self.losses.misfit += 1,
                Err(Unusable::Unreadable) => self.losses.unreadable += 1,
            }
        }
        good
    }
}

enum Unusable {
    Misfit,
    Unreadable,
}

/// Tells the frame what was written into it.
fn complete(frame: &mut Frame, link_len: usize, received: Received<'_>) -> Result<(), Unusable> {
    if received.len < link_len || received.len > frame.rx_buffer(link_len).len() {
        return Err(Unusable::Misfit);
    }
    if let Some(tag) = received.vlan {
        return restore_tag(frame, link_len, received.len, tag);
    }
    let offload =
        Offload::from_virtio(received.virtio, link_len).map_err(|_| Unusable::Unreadable)?;
    frame.received(link_len, received.len, offload);
    // Devices sum for TCP and UDP; a CRC32c that the sender left out nobody after us would fill in.
    if matches!(
        offload.checksum,
        Checksum::Partial {
            offset: SCTP_CHECKSUM_OFFSET,
            ..
        }
    ) {
        frame.finish_checksum();
    }
    Ok(())
}

/// Puts the 802.1Q tag back behind the MAC addresses, where the sender had it.
fn restore_tag(
    frame: &mut Frame,
    link_len: usize,
    len: usize,
    tag: VlanTag,
) -> Result<(), Unusable> {
    const TAG_AT: usize = 12;
    let buffer = frame.rx_buffer(link_len);
    if link_len < TAG_AT || len + 4 > buffer.len() {
        return Err(Unusable::Misfit);
    }
    buffer.copy_within(TAG_AT..len, TAG_AT + 4);
    buffer[TAG_AT..TAG_AT + 2].copy_from_slice(&tag.tpid.to_be_bytes());
    buffer[TAG_AT + 2..TAG_AT + 4].copy_from_slice(&tag.tci.to_be_bytes());
    frame.received(link_len, len + 4, Offload::default());
    Ok(())
}
