//! A raw IPv4 socket of a protocol that nix's list of protocols does not name.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::check;

/// `socket(AF_INET, SOCK_RAW, protocol)`, non-blocking, closed on exec. `EPERM` without CAP_NET_RAW.
pub(crate) fn open(protocol: u8) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed; any integers are a valid call.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, libc::c_int::from(protocol)) })?;
    // SAFETY: the kernel has just returned this descriptor and nobody else knows it, so it is ours to close.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
