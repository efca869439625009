//! Questions about a network interface, by name, in the namespace of the calling thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::{c_int, ifreq};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::check;

/// ARP hardware type (include/uapi/linux/if_arp.h) of Ethernet.
pub(crate) const ARPHRD_ETHER: u16 = libc::ARPHRD_ETHER;
/// ... of loopback, whose frames have an Ethernet header too.
pub(crate) const ARPHRD_LOOPBACK: u16 = libc::ARPHRD_LOOPBACK;
/// ... of devices without a link header: TUN.
pub(crate) const ARPHRD_NONE: u16 = libc::ARPHRD_NONE;

/// An `ifreq` that carries `name`; `EINVAL` when the name is empty, has a NUL or is longer than 15 bytes.
pub(super) fn request(name: &str) -> io::Result<ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|byte| byte == 0) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `ifreq` is a C struct of integers and a union of them; all zeroes is a valid value.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// The MTU in bytes of IP packet.
pub(crate) fn mtu(name: &str) -> io::Result<usize> {
    let answer = ask(name, libc::SIOCGIFMTU)?;
    // SAFETY: SIOCGIFMTU filled the `ifru_mtu` member; an integer has no invalid value.
    let mtu = unsafe { answer.ifr_ifru.ifru_mtu };
    usize::try_from(mtu).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))
}

/// Sets the MTU, bytes of IP packet. Needs CAP_NET_ADMIN.
pub(crate) fn set_mtu(name: &str, mtu: usize) -> io::Result<()> {
    let mut wish = request(name)?;
    wish.ifr_ifru.ifru_mtu =
        c_int::try_from(mtu).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    control(&mut wish, libc::SIOCSIFMTU)
}

/// The ARP hardware type: [`ARPHRD_ETHER`] for veth and friends, 0xfffe (`ARPHRD_NONE`) for a TUN device.
pub(crate) fn hardware_type(name: &str) -> io::Result<u16> {
    let answer = ask(name, libc::SIOCGIFHWADDR)?;
    // SAFETY: SIOCGIFHWADDR filled the `ifru_hwaddr` member; an integer has no invalid value.
    Ok(unsafe { answer.ifr_ifru.ifru_hwaddr.sa_family })
}

fn ask(name: &str, question: libc::Ioctl) -> io::Result<ifreq> {
    let mut answer = request(name)?;
    control(&mut answer, question)?;
    Ok(answer)
}

/// Only for the SIOC[GS]IF* requests above, all of which read and write one `ifreq`.
fn control(request: &mut ifreq, question: libc::Ioctl) -> io::Result<()> {
    let socket: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: `request` is a live, writable `ifreq` with a NUL-terminated name, which is what these requests take.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), question, &raw mut *request) })?;
    Ok(())
}
