//! Frames that reached the wrong worker, on their way to the right one.
//!
//! The kernel's fan-out gives a worker the packets of its flows, but it cannot
//! know the flow of a later fragment or of an ICMP error, and a TUN device
//! spreads by a hash of its own. Such frames go through a bounded ring; the
//! buffers come back by another, so that neither side allocates.
//!
//! Who hands over pushes, then wakes; who owns the ring takes back its wakes, then
//! looks. `model/hand_off.rs` checks in every interleaving that so no frame waits
//! for a wake that does not come, none is lost or doubled, and buffers return.

use super::sync::{ArrayQueue, Arrived, Frame, Waker};

/// Frames in the ring toward one worker at most.
const CAPACITY: usize = 256;
/// Empty buffers on their way back at most: as many as a worker has.
const RETURNED: usize = 512;

/// A frame for another worker.
pub(super) struct Handed {
    pub(super) frame: Frame,
    pub(super) arrived: Arrived,
    pub(super) from: usize,
}

/// The rings of one worker.
pub(super) struct Inbox {
    frames: ArrayQueue<Handed>,
    /// Empty buffers that others give back.
    returned: ArrayQueue<Frame>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            frames: ArrayQueue::new(CAPACITY),
            returned: ArrayQueue::new(RETURNED),
            waker,
        }
    }

    /// Puts a frame in; gives it back when the ring is full.
    pub(super) fn push(&self, handed: Handed) -> Result<(), Frame> {
        self.frames.push(handed).map_err(|handed| handed.frame)
    }

    /// Makes the owner look.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// The next frame others have put in.
    pub(super) fn pop(&self) -> Option<Handed> {
        self.frames.pop()
    }

    /// Gives an empty buffer back to the owner; too many are freed.
    pub(super) fn give_back(&self, frame: Frame) {
        drop(self.returned.push(frame));
    }

    /// A buffer that was given back.
    pub(super) fn take_back(&self) -> Option<Frame> {
        self.returned.pop()
    }
}
