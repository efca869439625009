//! The vectors of a batched send: each message gathers a virtio-net header and up to two slices.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr, msghdr};

use super::rx_vectors::VIRTIO_LEN;

/// One frame to send: header, then `head`, then `body`, as one unbroken frame on the device.
pub(crate) struct Message<'a> {
    pub(crate) virtio: [u8; VIRTIO_LEN],
    pub(crate) head: &'a [u8],
    /// Empty when `head` is all there is.
    pub(crate) body: &'a [u8],
}

/// Message headers and virtio-net headers of one batch.
pub(crate) struct TxVectors {
    virtio: Box<[[u8; VIRTIO_LEN]]>,
    parts: Box<[[iovec; 3]]>,
    messages: Box<[mmsghdr]>,
}

// SAFETY: the raw pointers inside are dereferenced only by the kernel within `Loaded::send`, and a `Loaded` borrows
// both these vectors and the bytes its messages point at; without a `Loaded` they are dead numbers.
unsafe impl Send for TxVectors {}

impl TxVectors {
    pub(crate) fn new(batch: usize) -> Self {
        let nowhere = iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Self {
            virtio: vec![[0; VIRTIO_LEN]; batch].into(),
            parts: vec![[nowhere; 3]; batch].into(),
            messages: (0..batch).map(|_| empty_message()).collect(),
        }
    }

    /// Loads messages, at most the batch size; the rest of the iterator is not touched.
    pub(crate) fn load<'v, 'a>(
        &'v mut self,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> Loaded<'v, 'a> {
        let mut end = 0;
        for (slot, message) in (0..self.messages.len()).zip(messages) {
            self.aim(slot, &message);
            end += 1;
        }
        Loaded {
            vectors: self,
            next: 0,
            end,
            bytes: PhantomData,
        }
    }

    fn aim(&mut self, slot: usize, message: &Message<'_>) {
        self.virtio[slot] = message.virtio;
        self.parts[slot] = [
            part(&self.virtio[slot]),
            part(message.head),
            part(message.body),
        ];
        let header = &mut self.messages[slot].msg_hdr;
        header.msg_iov = self.parts[slot].as_mut_ptr();
        header.msg_iovlen = if message.body.is_empty() { 2 } else { 3 };
    }
}

/// Messages on their way: borrows the vectors and, for `'a`, every byte to be sent.
pub(crate) struct Loaded<'v, 'a> {
    vectors: &'v mut TxVectors,
    next: usize,
    end: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl Loaded<'_, '_> {
    /// How many messages have been neither sent nor skipped.
    pub(crate) fn remaining(&self) -> usize {
        self.end - self.next
    }

    /// Gives up the next message.
    pub(crate) fn skip_one(&mut self) {
        self.next = self.end.min(self.next + 1);
    }

    /// Sends as many as the device takes now; returns how many. An error is about the first remaining message:
    /// nothing was sent.
    pub(crate) fn send(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let left = &mut self.vectors.messages[self.next..self.end];
        // SAFETY: `left` are live message headers; each was aimed by `load` at a header in `vectors` and at slices
        // that 'a keeps alive and unchanged, and since then nothing else could touch them: `self` borrows both.
        // The kernel only reads those bytes, writes `msg_len` of each header, and keeps no pointer.
        let sent = unsafe {
            let messages = left.as_mut_ptr();
            libc::sendmmsg(
                fd.as_raw_fd(),
                messages,
                left.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        let sent = super::check(sent)? as usize;
        self.next += sent;
        Ok(sent)
    }
}

fn part(bytes: &[u8]) -> iovec {
    iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

/// A message that points nowhere.
pub(super) fn empty_message() -> mmsghdr {
    // SAFETY: `msghdr` is a C struct of pointers and integers; null pointers and zero lengths are valid values.
    let msg_hdr: msghdr = unsafe { std::mem::zeroed() };
    mmsghdr {
        msg_hdr,
        msg_len: 0,
    }
}
