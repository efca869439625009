//! The project's only unsafe code: system calls for which no neighbour has a safe wrapper.
//!
//! One file per noun. Every function here is safe to call with any arguments: pointers never cross this
//! module's border, lengths come from the slices they belong to, and the kernel copies whatever it is handed
//! before the call returns. What nix already wraps (epoll, eventfd, poll, readv, writev) is not repeated.
#![allow(unsafe_code)]

pub(crate) mod bpf;
pub(crate) mod bpf_hash;
pub(crate) mod bpf_words;
pub(crate) mod clock;
pub(crate) mod ethtool;
pub(crate) mod interface;
pub(crate) mod option;
pub(crate) mod packet_socket;
pub(crate) mod raw_socket;
pub(crate) mod rx_vectors;
pub(crate) mod tun;
pub(crate) mod tx_vectors;

use std::io;

/// Turns the C convention (-1 and `errno`) into a result.
fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
