//! Sends every datagram back: the one behind the door that policy opens and closes.

use std::{io, net::SocketAddrV4, thread};

use super::{ready, udp, until_end_of_input};

const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Answers until standard input ends.
///
/// # Errors
/// The address is taken.
pub fn run(listen: SocketAddrV4) -> io::Result<()> {
    let socket = udp(listen, RECEIVE_BUFFER_BYTES)?;
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        loop {
            // Errors are ICMP about an asker that has gone on to its next port.
            if let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..length], from);
            }
        }
    });
    ready()?;
    until_end_of_input(|| Ok(()))
}
