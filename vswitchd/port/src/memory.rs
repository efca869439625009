//! Two ports joined in memory: what one sends the other receives. For tests and benchmarks.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use packet::frame::Frame;

use crate::{Link, PortIo, Waker};

/// How to make a pair of memory ports.
#[derive(Clone, Copy, Debug)]
pub struct MemoryConfig {
    /// What frames begin with.
    pub link: Link,
    /// Bytes of IP packet; longer ones (super-segments judged by their segments) are refused with `EMSGSIZE`.
    pub mtu: usize,
    /// Frames that wait in each direction before a port is full, at least 1. About 64 KiB of memory each.
    pub capacity: usize,
}

/// One end of a pair.
pub struct MemoryPort {
    name: String,
    config: MemoryConfig,
    incoming: Arc<Lane>,
    outgoing: Arc<Lane>,
}

impl MemoryPort {
    /// Two joined ports, named as given.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub fn pair(names: [&str; 2], config: MemoryConfig) -> io::Result<[Self; 2]> {
        let forth = Arc::new(Lane::new(config.capacity)?);
        let back = Arc::new(Lane::new(config.capacity)?);
        let port = |name: &str, incoming: &Arc<Lane>, outgoing: &Arc<Lane>| Self {
            name: name.to_owned(),
            config,
            incoming: Arc::clone(incoming),
            outgoing: Arc::clone(outgoing),
        };
        Ok([port(names[0], &back, &forth), port(names[1], &forth, &back)])
    }
}

impl PortIo for MemoryPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn link(&self) -> Link {
        self.config.link
    }

    fn mtu_bytes(&self) -> usize {
        self.config.mtu
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.incoming.readable.fd())
    }

    fn rx_batch(&mut self, frames: &mut [Frame]) -> io::Result<usize> {
        let mut ring = self.incoming.ring();
        let received = frames
            .iter_mut()
            .map_while(|frame| ring.pop(frame).then_some(()))
            .count();
        if received > 0 && ring.waiting == 0 {
            self.incoming.readable.drain();
        }
        Ok(received)
    }

    fn tx_batch(&mut self, frames: &[Frame]) -> io::Result<usize> {
        let mut ring = self.outgoing.ring();
        let was_empty = ring.waiting == 0;
        let fits = |frame: &Frame| frame.wire_packet_len() <= self.config.mtu;
        let taken = frames
            .iter()
            .take_while(|frame| fits(frame) && ring.push(frame))
            .count();
        if taken > 0 && was_empty {
            self.outgoing.readable.wake();
        }
        match frames.first() {
            Some(first) if taken == 0 && !fits(first) => {
                Err(io::Error::from_raw_os_error(libc::EMSGSIZE))
            }
            _ => Ok(taken),
        }
    }
}

/// One direction.
struct Lane {
    ring: Mutex<Ring>,
    /// Readable exactly while frames wait.
    readable: Waker,
}

impl Lane {
    fn new(capacity: usize) -> io::Result<Self> {
        let slots = (0..capacity.max(1)).map(|_| Frame::new()).collect();
        Ok(Self {
            ring: Mutex::new(Ring {
                slots,
                first: 0,
                waiting: 0,
            }),
            readable: Waker::new()?,
        })
    }

    /// A ring is whole between any two of its calls, so a panic of the other side leaves it usable.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames in their order, in memory that is allocated once.
struct Ring {
    slots: Box<[Frame]>,
    first: usize,
    waiting: usize,
}

impl Ring {
    /// Copies the frame in; false when full.
    fn push(&mut self, frame: &Frame) -> bool {
        if self.waiting == self.slots.len() {
            return false;
        }
        let slot = (self.first + self.waiting) % self.slots.len();
        self.slots[slot].copy_from(frame);
        self.waiting += 1;
        true
    }

    /// Swaps the oldest frame out; false when there is none.
    fn pop(&mut self, frame: &mut Frame) -> bool {
        if self.waiting == 0 {
            return false;
        }
        mem::swap(&mut self.slots[self.first], frame);
        self.first = (self.first + 1) % self.slots.len();
        self.waiting -= 1;
        true
    }
}
