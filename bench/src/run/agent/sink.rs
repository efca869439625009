//! A UDP sink that costs little: 64 datagrams a system call, of each only the length is looked at.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt};
use serde::{Deserialize, Serialize};

use super::{ready, say, until_end_of_input};

const BATCH: usize = 64;
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// How many.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
}

/// Counts until standard input ends; answers each line of it with a [`Received`].
///
/// # Errors
/// The address is taken.
pub fn run(listen: SocketAddrV4) -> io::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    // Beyond net.core.rmem_max only root may go; others get what that allows.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
    }
    let packets = Arc::new(AtomicU64::new(0));
    let bytes = Arc::new(AtomicU64::new(0));
    let counters = (Arc::clone(&packets), Arc::clone(&bytes));
    thread::spawn(move || receive(&socket, &counters.0, &counters.1));
    ready()?;
    until_end_of_input(|| {
        say(&Received {
            packets: packets.load(Relaxed),
            bytes: bytes.load(Relaxed),
        })
    })
}

fn receive(socket: &UdpSocket, packets: &AtomicU64, bytes: &AtomicU64) {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut buffers = [[0u8; 2048]; BATCH];
    loop {
        let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        );
        // An error here is an ICMP message about nothing we sent; the next datagram is still to come.
        let Ok(received) = received else { continue };
        let (count, length) = received.fold((0, 0), |(count, length), message| {
            (count + 1, length + message.bytes as u64)
        });
        packets.fetch_add(count, Relaxed);
        bytes.fetch_add(length, Relaxed);
    }
}
