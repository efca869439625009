//! What one writes on a first afternoon: a TUN device, a UDP socket, two threads, one packet a system call.
//!
//! No offloads, no policy, no connection tracking, no route table. It is here as the floor that a user-space switch must beat.

use std::{
    io,
    net::{SocketAddrV4, UdpSocket},
    thread,
};

use clap::Args;
use tun_tap::{Iface, Mode};

/// Largest packet it carries, in bytes.
const LARGEST_BYTES: usize = 2048;

/// Where to carry packets.
#[derive(Clone, Debug, Args)]
pub struct Naive {
    /// Name for the TUN device.
    #[arg(long)]
    pub tun: String,
    /// This node's socket.
    #[arg(long)]
    pub listen: SocketAddrV4,
    /// The other node's.
    #[arg(long)]
    pub peer: SocketAddrV4,
}

impl Naive {
    /// Carries packets until it is killed.
    ///
    /// # Errors
    /// The device or the socket cannot be had.
    pub fn run(&self) -> io::Result<()> {
        let device = Iface::without_packet_info(&self.tun, Mode::Tun)?;
        let socket = UdpSocket::bind(self.listen)?;
        socket.connect(self.peer)?;
        thread::scope(|scope| {
            scope.spawn(|| carry(|buffer| device.recv(buffer), |packet| socket.send(packet)));
            carry(|buffer| socket.recv(buffer), |packet| device.send(packet));
        });
        Ok(())
    }
}

/// A packet that cannot be read or sent (the peer is not up yet, a queue is full) is lost; the next is tried.
fn carry(from: impl Fn(&mut [u8]) -> io::Result<usize>, to: impl Fn(&[u8]) -> io::Result<usize>) {
    let mut buffer = [0; LARGEST_BYTES];
    loop {
        if let Ok(length) = from(&mut buffer) {
            let _ = to(&buffer[..length]);
        }
    }
}
