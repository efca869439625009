//! The ioctls of a TUN queue (include/uapi/linux/if_tun.h).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_int;

use super::{check, interface};

/// Attaches an open `/dev/net/tun` to the TUN device `name` as one of its queues, creating the device if there is
/// none: no packet information header, a virtio-net header before each packet.
pub(crate) fn attach_queue(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let mut request = interface::request(name)?;
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, and `request` is one, live and writable.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(())
}

/// Sets the length of the virtio-net header, bytes (10 is the legacy header without `num_buffers`).
pub(crate) fn set_header_len(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let len = c_int::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: TUNSETVNETHDRSZ reads one int through the pointer, and `len` is one, live during the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) })?;
    Ok(())
}

/// Says which offloads the reader of this queue understands (`TUN_F_*`). `EINVAL` when the kernel does not know one.
pub(crate) fn set_offloads(fd: BorrowedFd<'_>, offloads: u32) -> io::Result<()> {
    let offloads = libc::c_ulong::from(offloads);
    // SAFETY: TUNSETOFFLOAD takes its argument by value; no pointer is passed.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) })?;
    Ok(())
}
