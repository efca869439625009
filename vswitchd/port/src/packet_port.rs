//! A packet socket on one interface: workload ports (the host end of a pod's veth) and the uplink.
//!
//! `AF_PACKET`, every ethertype, virtio-net headers both ways, batched system calls, only frames that arrive (see
//! packet(7)). The socket is deaf until its filter stands and its fan-out is joined, so it never hears a frame that
//! is not its own.

mod receive;
mod send;
mod setup;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use packet::frame::Frame;

use crate::sys::interface;
use crate::sys::option;
use crate::sys::rx_vectors::RxVectors;
use crate::{Encapsulator, Error, Fanout, Filter, Link, Losses, PortIo};

use receive::Receiver;
use send::Sender;

/// How to open a [`PacketPort`].
#[derive(Clone, Debug)]
pub struct PacketConfig<'a> {
    /// An interface in the network namespace of the opening thread.
    pub interface: &'a str,
    /// Which frames to receive.
    pub filter: Filter,
    /// Hear IPv4 alone, and that after tc's ingress hook instead of before it: not what a program there takes for itself.
    /// A frame whose 802.1Q tag names no VLAN of the host's arrives without the tag, unless that program refuses it.
    pub behind_tc: bool,
    /// Share the interface with other sockets; `None` = receive everything that passes the filter.
    pub fanout: Option<Fanout>,
    /// Send past the queueing discipline (`PACKET_QDISC_BYPASS`): faster, but a `tbf` on the interface is not
    /// obeyed and a full device drops (`ENOBUFS`) instead of saying that it is full.
    pub qdisc_bypass: bool,
    /// Sends super-segments in IPIP whole with the help of this program on the same interface; `None` = they are cut in
    /// user space. It does not see what goes past the queueing discipline, so not with `qdisc_bypass`.
    pub encapsulator: Option<Arc<Encapsulator>>,
    /// Most frames in one system call, each way; at least 1.
    pub batch: usize,
}

/// A packet socket bound to one interface.
///
/// Its receive buffer takes 16 MiB of frames (`SO_RCVBUFFORCE`: with CAP_NET_ADMIN past net.core.rmem_max, else
/// as much as that allows), about 200 super-segments of 64 KiB; the send buffer 4 MiB. The kernel counts its own
/// overhead in both, and takes no memory before frames are there.
///
/// Frames of an interface without a link header ([`Link::Ip`]) work as well. A frame that came with an 802.1Q tag,
/// which the kernel strips, is handed out with its tag and without offload.
///
/// A port that goes through the queueing discipline should not send before its interface is running (operstate
/// `UP`): just after the other end comes up, the kernel still has a `noop` discipline there, which takes frames and
/// drops them without a word.
///
/// Super-segments are handed to the kernel whole, but for those it does not take: GSO under an IPIP header without an
/// [`Encapsulator`] (it answers `ENOBUFS` or `ENOMEM`, or drops it later without a word), and UDP GSO on kernels before 6.2
/// (`EINVAL`, noticed at the first one). [`packet::segment`] cuts these; headers are gathered from scratch memory, payload from the frame itself, and
/// checksums stay partial.
pub struct PacketPort {
    name: String,
    socket: OwnedFd,
    link: Link,
    mtu_bytes: usize,
    receiver: Receiver,
    sender: Sender,
    kernel_drops: u64,
}

impl PacketPort {
    /// Opens the port in the thread's network namespace; it stays there, whatever the thread does next.
    ///
    /// # Errors
    /// [`Error::Interface`]: no such interface. [`Error::Hardware`]: neither Ethernet nor bare IP.
    /// [`Error::Packet`]: the step that failed; `EPERM` without CAP_NET_RAW, `EINVAL` at the fan-out step when the
    /// group exists with other settings or on another interface.
    pub fn open(config: &PacketConfig<'_>) -> Result<Self, Error> {
        let interface = |source| Error::Interface {
            interface: config.interface.to_owned(),
            source,
        };
        let index = nix::net::if_::if_nametoindex(config.interface)
            .map_err(|errno| interface(errno.into()))?;
        let mtu_bytes = interface::mtu(config.interface).map_err(interface)?;
        let link = Link::of(config.interface)?;
        let socket = setup::socket(config, index)?;
        let batch = config.batch.max(1);
        Ok(Self {
            name: config.interface.to_owned(),
            socket,
            link,
            mtu_bytes,
            receiver: Receiver::new(RxVectors::new(batch), link),
            sender: Sender::new(batch, config.encapsulator.clone()),
            kernel_drops: 0,
        })
    }

    /// Asks the interface for its MTU, in the thread's network namespace, and remembers it.
    ///
    /// # Errors
    /// `ENODEV`: the interface is gone.
    pub fn refresh_mtu(&mut self) -> io::Result<usize> {
        self.mtu_bytes = interface::mtu(&self.name)?;
        Ok(self.mtu_bytes)
    }
}

impl PortIo for PacketPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn link(&self) -> Link {
        self.link
    }

    fn mtu_bytes(&self) -> usize {
        self.mtu_bytes
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn rx_batch(&mut self, frames: &mut [Frame]) -> io::Result<usize> {
        self.receiver.receive(self.socket.as_fd(), frames)
    }

    fn tx_batch(&mut self, frames: &[Frame]) -> io::Result<usize> {
        self.sender.send(self.socket.as_fd(), frames)
    }

    fn kernel_drops(&mut self) -> u64 {
        // Reading fails on no open packet socket; then nothing is added.
        let since = option::packet_statistics(self.socket.as_fd()).unwrap_or_default();
        self.kernel_drops += u64::from(since.drops);
        self.kernel_drops
    }

    fn losses(&self) -> Losses {
        Losses {
            segments: self.sender.lost_segments(),
            ..self.receiver.losses()
        }
    }
}
