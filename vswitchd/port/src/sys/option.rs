//! Socket options: integers, classic BPF programs and packet statistics.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_void, sock_filter, sock_fprog, socklen_t};

use super::check;

/// `struct tpacket_stats` of include/uapi/linux/if_packet.h. Reading it sets both back to zero.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct PacketStatistics {
    /// Frames that passed the filter, dropped ones included.
    pub(crate) packets: u32,
    /// Frames dropped because the receive buffer was full.
    pub(crate) drops: u32,
}

/// Sets an integer option, in host byte order.
pub(crate) fn set_int(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    let value_ptr: *const c_void = (&raw const value).cast();
    // SAFETY: `value` lives until the end of this function and is `size_of::<c_int>()` bytes long; the kernel
    // only reads it, and only during the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value_ptr,
            size_of::<c_int>() as socklen_t,
        )
    })?;
    Ok(())
}

/// Hands the kernel a classic BPF program (`SO_ATTACH_FILTER`, `PACKET_FANOUT_DATA`). `EINVAL` when the kernel's
/// checker refuses it or it is longer than 4096 instructions.
pub(crate) fn set_program(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    program: &[sock_filter],
) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let fprog = sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    let fprog_ptr: *const c_void = (&raw const fprog).cast();
    // SAFETY: `fprog` points at `len` instructions of a live slice; the kernel copies them in and writes to
    // neither (the pointer is mutable only because the C struct has no const).
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            fprog_ptr,
            size_of::<sock_fprog>() as socklen_t,
        )
    })?;
    Ok(())
}

/// Reads and resets `PACKET_STATISTICS`.
pub(crate) fn packet_statistics(fd: BorrowedFd<'_>) -> io::Result<PacketStatistics> {
    let mut statistics = PacketStatistics::default();
    let mut len = size_of::<PacketStatistics>() as socklen_t;
    // SAFETY: `statistics` is a live repr(C) pair of integers, valid for any bytes; the kernel writes at most
    // `len` bytes to it.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            ptr::from_mut(&mut statistics).cast(),
            &raw mut len,
        )
    })?;
    Ok(statistics)
}
