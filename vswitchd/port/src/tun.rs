//! A TUN device, one [`TunPort`] for each of its queues: the host's own way into the pod network.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::uio::{readv, writev};
use packet::frame::Frame;
use packet::offload::{Checksum, Offload, VIRTIO_LEN};

use crate::sys::{interface, tun};
use crate::{Error, Link, Losses, PortIo};

const DEVICE: &str = "/dev/net/tun";
const ABSENT: &str = "the kernel's tun driver or its device node is missing: `modprobe tun`, or `mkdir -p /dev/net && mknod /dev/net/tun c 10 200`";
const FORBIDDEN: &str =
    "this user may not open it: run as root, or have the administrator `chmod 0666 /dev/net/tun`";
const UNPRIVILEGED: &str =
    ": run with CAP_NET_ADMIN (as root, or in a user namespace that owns this network)";
const OTHER_KIND: &str = ": a device of that name and another kind exists (the kernel's ipip module makes a tunl0: `rmmod ipip`, or \
                          choose another name)";
const IN_USE: &str = ": another process holds that device";

/// Where SCTP's checksum stands in its header; see `packet_port`.
const SCTP_CHECKSUM_OFFSET: u16 = 8;
/// Offloads the kernel may leave to us: partial checksums and whole super-segments, TCP's...
const OFFLOADS: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// ... and UDP's, since Linux 6.2.
const UDP_OFFLOADS: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// How to open a TUN device.
#[derive(Clone, Debug)]
pub struct TunConfig<'a> {
    /// Its name, up to 15 bytes: `tunl0`.
    pub name: &'a str,
    /// Bytes of IP packet.
    pub mtu: usize,
    /// How many queues: one for each worker.
    pub queues: usize,
}

/// One queue of a TUN device. Frames are bare IP packets ([`Link::Ip`]).
///
/// The device goes when its last queue is closed. It is made down and without addresses; both are the owner's work.
/// The kernel spreads what it sends over the queues by flow, and prefers the queue that last wrote the flow's
/// other direction. What we write goes up the host's stack before the call returns, so the device is never full,
/// and takes packets longer than its MTU, which binds only the host's sending side.
pub struct TunPort {
    name: String,
    queue: File,
    mtu_bytes: usize,
    losses: Losses,
}

impl TunPort {
    /// Makes the device (or attaches to a multi-queue TUN of that name that nobody holds) in the thread's network
    /// namespace and opens its queues.
    ///
    /// # Errors
    /// [`Error::TunDevice`]: no /dev/net/tun, or not permitted; [`Error::Tun`]: the step that failed. Both say what
    /// to do.
    pub fn open(config: &TunConfig<'_>) -> Result<Vec<Self>, Error> {
        let mut ports = Vec::with_capacity(config.queues);
        for _ in 0..config.queues {
            ports.push(Self {
                name: config.name.to_owned(),
                queue: queue(config.name)?,
                mtu_bytes: config.mtu,
                losses: Losses::default(),
            });
        }
        interface::set_mtu(config.name, config.mtu).map_err(fail(config.name, "set its MTU"))?;
        Ok(ports)
    }
}

fn queue(name: &str) -> Result<File, Error> {
    let file = open_device()?;
    let fd = file.as_fd();
    tun::attach_queue(fd, name).map_err(fail(name, "attach a queue"))?;
    tun::set_header_len(fd, VIRTIO_LEN)
        .map_err(fail(name, "set the virtio-net header's length"))?;
    tun::set_offloads(fd, OFFLOADS | UDP_OFFLOADS)
        .or_else(|_| tun::set_offloads(fd, OFFLOADS))
        .map_err(fail(name, "set its offloads"))?;
    Ok(file)
}

fn open_device() -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(DEVICE)
        .map_err(|source| {
            let advice = match source.kind() {
                io::ErrorKind::PermissionDenied => FORBIDDEN,
                _ => ABSENT,
            };
            Error::TunDevice { advice, source }
        })
}

fn fail(name: &str, step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        let advice = match source.raw_os_error() {
            Some(libc::EPERM) => UNPRIVILEGED,
            Some(libc::EINVAL) => OTHER_KIND,
            Some(libc::EBUSY) => IN_USE,
            _ => "",
        };
        Error::Tun {
            name: name.to_owned(),
            step,
            source,
            advice,
        }
    }
}

impl PortIo for TunPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn link(&self) -> Link {
        Link::Ip
    }

    fn mtu_bytes(&self) -> usize {
        self.mtu_bytes
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.queue.as_fd())
    }

    fn rx_batch(&mut self, frames: &mut [Frame]) -> io::Result<usize> {
        let mut good = 0;
        for _ in 0..frames.len() {
            match self.read(&mut frames[good]) {
                Ok(true) => good += 1,
                Ok(false) => self.losses.unreadable += 1,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                // A GSO type that virtio-net cannot name: the kernel has dropped the packet.
                Err(Errno::EINVAL) => self.losses.unreadable += 1,
                Err(_) if good > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(good)
    }

    fn tx_batch(&mut self, frames: &[Frame]) -> io::Result<usize> {
        for (taken, frame) in frames.iter().enumerate() {
            let header = frame.virtio_header();
            match writev(
                &self.queue,
                &[IoSlice::new(&header), IoSlice::new(frame.bytes())],
            ) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(taken),
                Err(errno) if taken == 0 => return Err(down(errno)),
                Err(_) => return Ok(taken),
            }
        }
        Ok(frames.len())
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}

impl TunPort {
    /// Reads one packet; false when it cannot be used.
    fn read(&self, frame: &mut Frame) -> Result<bool, Errno> {
        let mut header = [0; VIRTIO_LEN];
        let buffer = IoSliceMut::new(frame.rx_buffer(0));
        let len = readv(&self.queue, &mut [IoSliceMut::new(&mut header), buffer])?;
        let (Some(len), Ok(offload)) = (
            len.checked_sub(VIRTIO_LEN),
            Offload::from_virtio(&header, 0),
        ) else {
            return Ok(false);
        };
        frame.received(0, len, offload);
        if matches!(
            offload.checksum,
            Checksum::Partial {
                offset: SCTP_CHECKSUM_OFFSET,
                ..
            }
        ) {
            frame.finish_checksum();
        }
        Ok(true)
    }
}

/// A TUN device that is down says `EIO`; every other device says `ENETDOWN`, and so do we.
fn down(errno: Errno) -> io::Error {
    match errno {
        Errno::EIO => Errno::ENETDOWN.into(),
        other => other.into(),
    }
}
