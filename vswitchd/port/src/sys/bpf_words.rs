//! Words of 64 bits that BPF programs and this process share, without a system call.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

use super::bpf;

/// A mapped array of values, each of a whole number of words. All words are 0 at first.
pub(crate) struct BpfWords {
    map: OwnedFd,
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, lives as long as this value, and is only used atomically.
unsafe impl Send for BpfWords {}
// SAFETY: as above; what is shared is a slice of atomics.
unsafe impl Sync for BpfWords {}

impl BpfWords {
    /// An array of `entries` values of `words` words each, both at least 1. Errors: see [`bpf::create_array`].
    pub(crate) fn new(words: u16, entries: u16) -> io::Result<Self> {
        let map = bpf::create_array(u32::from(words) * 8, entries.into())?;
        let count = usize::from(words) * usize::from(entries);
        // SAFETY: a new mapping where the kernel likes disturbs no memory of ours. Nobody can shorten a BPF map.
        let mapped = unsafe {
            libc::mmap(
                ptr::null_mut(),
                count * size_of::<AtomicU64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(mapped.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { map, words, count })
    }

    /// What a program names the map by.
    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// The words of all values, one after the other.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `words` is the start of a page; `count` words after it are mapped, readable and writable, until `self` is
        // dropped, which the borrow forbids. An array map lays its values, whose length is a multiple of 8, out without gaps.
        // Any bytes are a valid `AtomicU64`. This process makes no other access; the programs in the kernel change words by
        // atomic operations only.
        unsafe { slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for BpfWords {
    fn drop(&mut self) {
        let bytes = self.count * size_of::<AtomicU64>();
        // SAFETY: the mapping is ours, of this length, and no reference into it outlives `self`. It cannot fail.
        unsafe { libc::munmap(self.words.as_ptr().cast(), bytes) };
    }
}
