//! The raw IPIP socket: keeps the kernel quiet about protocol 4, and sends packets by the kernel's own routes.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};

use crate::error::Error;
use crate::filter::DEAF;
use crate::sys::{option, raw_socket};

/// IPIP, RFC 2003.
const PROTOCOL_IPIP: u8 = 4;
/// Socket send buffer, bytes; packets leave here only while a next hop is unresolved.
const SEND_BUFFER: libc::c_int = 1 << 20;

/// A raw protocol-4 socket.
///
/// A kernel without the `ipip` module answers every IPIP packet for this host with ICMP protocol-unreachable (3/2),
/// unless a raw socket of that protocol exists in the network namespace: hold this as long as IPIP is received by
/// other means. It hears nothing itself.
///
/// It also sends: the kernel routes the packet and resolves the next hop, queueing a few packets meanwhile, which is
/// what the first packets toward an unresolved neighbour need.
#[derive(Debug)]
pub struct RawIp {
    socket: OwnedFd,
}

impl RawIp {
    /// Opens the socket in the thread's network namespace.
    ///
    /// # Errors
    /// [`Error::RawIp`]: without CAP_NET_RAW.
    pub fn open() -> Result<Self, Error> {
        let socket = step("open it", raw_socket::open(PROTOCOL_IPIP))?;
        let fd = socket.as_fd();
        step(
            "make it deaf",
            option::set_program(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &DEAF),
        )?;
        step(
            "set IP_HDRINCL",
            option::set_int(fd, libc::IPPROTO_IP, libc::IP_HDRINCL, 1),
        )?;
        step(
            "set its send buffer",
            option::set_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER),
        )?;
        Ok(Self { socket })
    }

    /// Sends an IPv4 packet, header included, to the next hop of `destination` (commonly the packet's own). The
    /// kernel computes the header checksum and total length itself, and picks an identification if it is 0.
    ///
    /// # Errors
    /// `ENETUNREACH`, `EHOSTUNREACH`: no route. `EMSGSIZE`: longer than the route's MTU. `EAGAIN`, `ENOBUFS`: full.
    pub fn send(&self, packet: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        let address = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        sendto(
            self.socket.as_raw_fd(),
            packet,
            &address,
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(())
    }
}

fn step<T>(step: &'static str, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::RawIp { step, source })
}
