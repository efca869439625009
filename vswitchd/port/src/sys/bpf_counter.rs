//! A number that a BPF program counts up and this process reads, without a system call.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::bpf;

/// Bytes of the map's value. The kernel maps whole pages; the rest of the page is zeroes.
const LEN: u32 = 8;

/// A mapped array of one value, whose first four bytes are the counter. It wraps.
pub(crate) struct BpfCounter {
    map: OwnedFd,
    value: NonNull<AtomicU32>,
}

// SAFETY: the mapping belongs to the process, not to a thread, lives as long as this value, and is only read, atomically.
unsafe impl Send for BpfCounter {}
// SAFETY: as above; shared readers do not disturb each other.
unsafe impl Sync for BpfCounter {}

impl BpfCounter {
    /// A counter that stands at 0. Errors: see [`bpf::create_array`].
    pub(crate) fn new() -> io::Result<Self> {
        let map = bpf::create_array(LEN, 1)?;
        // SAFETY: a new mapping where the kernel likes disturbs no memory of ours. Nobody can shorten a BPF map.
        let mapped = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LEN as usize,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let value = NonNull::new(mapped.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { map, value })
    }

    /// What a program names the map by.
    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// How far it has counted.
    pub(crate) fn get(&self) -> u32 {
        // SAFETY: `value` is the start of a page, mapped until `self` is dropped; any bytes are a valid `AtomicU32`, and
        // nobody writes there but by atomic operations. The page is read-only: std promises only relaxed loads from one
        // (`std::sync::atomic`, "Atomic accesses to read-only memory"), and there is no other access.
        let value = unsafe { self.value.as_ref() };
        let count = value.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        count
    }
}

impl Drop for BpfCounter {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no reference into it outlives `get`. It cannot fail.
        unsafe { libc::munmap(self.value.as_ptr().cast(), LEN as usize) };
    }
}
