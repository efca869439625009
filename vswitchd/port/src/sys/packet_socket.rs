//! A packet socket: created deaf, bound when its filter stands.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::{sockaddr_ll, socklen_t};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::check;

/// A raw packet socket of protocol 0: it receives nothing until [`bind`]. Non-blocking, closed on exec.
/// `EPERM` without CAP_NET_RAW in the user namespace that owns the thread's network namespace.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, SockType::Raw, flags, None)?)
}

/// Binds to one interface and one protocol, `ETH_P_*` (`ETH_P_ALL` for every frame, before tc's ingress hook; any other
/// one after it): from here on frames arrive.
pub(crate) fn bind(
    fd: BorrowedFd<'_>,
    interface_index: u32,
    protocol: libc::c_int,
) -> io::Result<()> {
    let address = sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (protocol as u16).to_be(),
        sll_ifindex: interface_index as libc::c_int,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let address_ptr: *const libc::sockaddr = (&raw const address).cast();
    // SAFETY: `address` is a live `sockaddr_ll` of exactly the length given; the kernel only reads it.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            address_ptr,
            size_of::<sockaddr_ll>() as socklen_t,
        )
    })?;
    Ok(())
}
