//! The server of the request/response and connection measurements.
//!
//! Port 0 beyond the one given answers TCP requests, port 1 UDP requests, ports 10 to 17 one-byte connections.

use std::{
    io::{self, Read, Write},
    net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    thread,
};

use super::{ready, until_end_of_input};

/// Listeners for new connections, so that each has an acceptor of its own and the 4-tuples do not run out.
pub const ACCEPTORS: u16 = 8;

/// The UDP port beside a TCP port.
#[must_use]
pub fn datagrams(server: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*server.ip(), server.port() + 1)
}

/// The port of an acceptor.
#[must_use]
pub fn acceptor(server: SocketAddrV4, number: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*server.ip(), server.port() + 10 + number % ACCEPTORS)
}

/// Serves until standard input ends.
///
/// # Errors
/// A port is taken.
pub fn run(listen: SocketAddrV4) -> io::Result<()> {
    let streams = TcpListener::bind(listen)?;
    thread::spawn(move || {
        for stream in streams.incoming().flatten() {
            thread::spawn(move || repeat(stream));
        }
    });
    let socket = UdpSocket::bind(datagrams(listen))?;
    thread::spawn(move || repeat_datagrams(&socket));
    for number in 0..ACCEPTORS {
        let listener = TcpListener::bind(acceptor(listen, number))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer_once(stream);
            }
        });
    }
    ready()?;
    until_end_of_input(|| Ok(()))
}

/// Sends back whatever arrives until the peer closes.
fn repeat(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0u8; 2048];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

fn repeat_datagrams(socket: &UdpSocket) {
    let mut buffer = [0u8; 2048];
    loop {
        // Errors are ICMP about a client that left: the next client is still to come.
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

/// One byte in, one byte out; the client closes first.
fn answer_once(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    let mut byte = [0u8; 1];
    stream.read_exact(&mut byte)?;
    stream.write_all(&byte)?;
    stream.read(&mut byte).map(drop)
}
