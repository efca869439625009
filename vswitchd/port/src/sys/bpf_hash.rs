//! A table that this process fills and BPF programs look into: keys of one length, each with a number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;

use super::bpf;

const MAP_UPDATE_ELEM: c_int = 2;
const MAP_DELETE_ELEM: c_int = 3;

/// Only a key that is not there yet.
const NOEXIST: u64 = 1;

/// The part of `union bpf_attr` that `BPF_MAP_*_ELEM` read.
#[repr(C)]
struct Element {
    map_fd: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A hash table with keys of `KEY` bytes.
pub(crate) struct BpfHash<const KEY: usize> {
    map: OwnedFd,
}

impl<const KEY: usize> BpfHash<KEY> {
    /// An empty table with room for `entries` keys. Errors: see [`bpf::create_hash`].
    pub(crate) fn new(entries: u32) -> io::Result<Self> {
        let map = bpf::create_hash(KEY as u32, entries)?;
        Ok(Self { map })
    }

    /// What a program names the map by.
    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// Adds a key. `EEXIST` when it is there, `E2BIG` when the table is full.
    pub(crate) fn insert(&self, key: &[u8; KEY], value: u32) -> io::Result<()> {
        let attributes = self.element(key, &value, NOEXIST);
        // SAFETY: the pointers lead to a live key of `KEY` bytes and a live value of four, which are the lengths the map was
        // made with, and the kernel copies both.
        unsafe { bpf::run(MAP_UPDATE_ELEM, &attributes) }.map(drop)
    }

    /// Removes a key. `ENOENT` when it is not there.
    pub(crate) fn remove(&self, key: &[u8; KEY]) -> io::Result<()> {
        let attributes = self.element(key, std::ptr::null(), 0);
        // SAFETY: the pointer leads to a live key of `KEY` bytes, the length the map was made with; no value is read.
        unsafe { bpf::run(MAP_DELETE_ELEM, &attributes) }.map(drop)
    }

    fn element(&self, key: &[u8; KEY], value: *const u32, flags: u64) -> Element {
        Element {
            map_fd: self.map.as_raw_fd().cast_unsigned(),
            unused: 0,
            key: bpf::address(key.as_ptr()),
            value: bpf::address(value),
            flags,
        }
    }
}
