//! Devices: where frames come from and go to. Packet sockets, tuntap and memory behind one trait, [`PortIo`], and
//! what a worker needs to wait for them: [`Poller`] and [`Waker`].
//!
//! A port moves whole frames with the virtio-net header they carry, so a 64 KiB TCP super-segment crosses as one
//! [`packet::Frame`]. It knows nothing of routes, policy or flows. The only unsafe code of the project is this
//! crate's `sys` module.
#![deny(unsafe_code)]

mod bpf;
mod clock;
mod ebpf;
mod encapsulator;
mod error;
mod fanout;
mod filter;
mod memory;
mod packet_port;
mod poll;
mod raw_ip;
mod relay;
mod sys;
mod tun;

use std::io;
use std::os::fd::BorrowedFd;

use packet::frame::Frame;

use sys::interface;

pub use clock::{ClockState, clock_state};
pub use encapsulator::{Encapsulator, EncapsulatorFailure};
pub use error::Error;
pub use fanout::{Fanout, fanout_program};
pub use filter::Filter;
pub use memory::{MemoryConfig, MemoryPort};
pub use packet_port::{PacketConfig, PacketPort};
pub use poll::{Poller, Waker};
pub use raw_ip::RawIp;
pub use relay::{Arrives, LaneSpec, Relay, RelayAttachment, RelayCounts, Side};
pub use tun::{TunConfig, TunPort};

/// What the first bytes of a port's frames are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// A 14-byte Ethernet header, then the packet.
    Ethernet,
    /// The IP packet itself: a TUN device.
    Ip,
}

impl Link {
    /// What an interface's frames begin with.
    pub(crate) fn of(interface: &str) -> Result<Self, Error> {
        let hardware = interface::hardware_type(interface).map_err(|source| Error::Interface {
            interface: interface.to_owned(),
            source,
        })?;
        match hardware {
            interface::ARPHRD_ETHER | interface::ARPHRD_LOOPBACK => Ok(Self::Ethernet),
            interface::ARPHRD_NONE => Ok(Self::Ip),
            found => Err(Error::Hardware {
                interface: interface.to_owned(),
                found,
            }),
        }
    }

    /// Bytes before the packet.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Ethernet => packet::ethernet::HEADER_LEN,
            Self::Ip => 0,
        }
    }
}

/// Frames a port lost on its own, since it was opened. None of them was seen by `rx_batch`'s caller, or, for
/// [`segments`](Losses::segments), they belong to frames that `tx_batch` counted as taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Received frames whose offload the virtio-net header cannot name (SCTP GSO, for one) or names wrongly.
    pub unreadable: u64,
    /// Received frames longer than a [`Frame`] holds, or shorter than their link header.
    pub misfit: u64,
    /// Segments of a super-segment that was cut in user space, when the device stopped taking them half way; and of those
    /// that were sent whole when the [`Encapsulator`] was found missing.
    pub segments: u64,
}

/// A device that frames go in and out of. One thread uses a port; none of its calls waits (except as
/// [`tx_batch`](PortIo::tx_batch) says) or allocates.
pub trait PortIo: Send {
    /// The interface's name, for people.
    fn name(&self) -> &str;

    /// What its frames begin with.
    fn link(&self) -> Link;

    /// The MTU, bytes of IP packet (the link header not counted), as known when the port was opened or last asked.
    fn mtu_bytes(&self) -> usize;

    /// The descriptor that becomes readable when frames wait, level triggered. `None` when there is nothing to
    /// poll and the caller must come by on its own.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Fills the first n of `frames` (bytes, link header and offload) with what has arrived, oldest first, and
    /// returns n. 0 means that nothing waits. An n below `frames.len()` does not mean that nothing more waits:
    /// come again, or poll. Frames after the first n hold rubbish.
    ///
    /// Frames the port cannot read are counted in [`losses`](PortIo::losses) and skipped.
    ///
    /// # Errors
    /// `ENETDOWN`, once, when the interface went down or was removed; a port whose interface comes up again goes
    /// on by itself. Anything else means that the port is of no further use.
    fn rx_batch(&mut self, frames: &mut [Frame]) -> io::Result<usize>;

    /// Hands `frames` to the device, in order, and returns how many it took from the front. When that is fewer
    /// than `frames.len()`, call again with the rest: 0 means that the device is full, an error is about the
    /// first of them.
    ///
    /// A super-segment that the device does not take whole is cut into segments here. It counts as taken as soon
    /// as its first segment is sent: then the port waits for room (some milliseconds at most) rather than send
    /// any segment twice, and what even then finds no room is counted in [`Losses::segments`].
    ///
    /// # Errors
    /// The first frame failed on its own and was not sent; drop it and go on with the next: `EMSGSIZE` (longer
    /// than the MTU), `EINVAL` (offload the device cannot do), `ENOBUFS` (the kernel's queue behind the device
    /// dropped it), `ENETDOWN`, `ENXIO` (the interface is gone).
    fn tx_batch(&mut self, frames: &[Frame]) -> io::Result<usize>;

    /// Frames the kernel dropped because this port was not read in time, since it was opened.
    fn kernel_drops(&mut self) -> u64 {
        0
    }

    /// Frames this port lost on its own, since it was opened.
    fn losses(&self) -> Losses {
        Losses::default()
    }
}
