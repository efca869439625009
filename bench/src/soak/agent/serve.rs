//! The TCP server: takes streams and exchanges, verifies every byte.
//!
//! A connection begins with a [`Hello`] of the client. A stream goes on until the client closes its half, and is answered
//! with the count of bytes that were as they should be. An exchange is as many bytes as said, answered with as many of another seed.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{ready, say, until_end_of_input};
use crate::soak::stream::Stream;

/// Bytes of one read or write.
pub const CHUNK: usize = 64 << 10;
/// A connection that is silent for longer is broken.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Where to serve.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// TCP ports, on every address.
    #[arg(long, value_delimiter = ',', required = true)]
    pub ports: Vec<u16>,
}

/// What a server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes that were as they should be.
    pub verified_bytes: u64,
    /// Connections in which a byte was not.
    pub corrupted: u64,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Bytes each way; none: a stream until the client has no more.
    pub exchange: Option<u64>,
    /// The seed of the client's bytes.
    pub seed: u64,
}

impl Hello {
    const LEN: usize = 24;

    /// Sends it.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn write(self, stream: &mut TcpStream) -> io::Result<()> {
        let kind = u64::from(self.exchange.is_some());
        let words = [kind, self.seed, self.exchange.unwrap_or(0)];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        stream.write_all(&bytes)
    }

    fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = [0; Self::LEN];
        stream.read_exact(&mut bytes)?;
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        let [kind, seed, length] = words;
        Ok(Self {
            exchange: (kind == 1).then_some(length),
            seed,
        })
    }

    /// What the server answers an exchange with.
    #[must_use]
    pub fn answer(self) -> Stream {
        Stream::new(!self.seed)
    }
}

#[derive(Default)]
struct Tally {
    connections: AtomicU64,
    verified_bytes: AtomicU64,
    corrupted: AtomicU64,
}

impl Serve {
    /// Serves until standard input ends; each line of it is answered with a [`Served`].
    ///
    /// # Errors
    /// A port is taken.
    pub fn run(&self) -> io::Result<()> {
        let tally = Arc::new(Tally::default());
        for port in &self.ports {
            let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port))?;
            let tally = Arc::clone(&tally);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let tally = Arc::clone(&tally);
                    thread::spawn(move || tally.serve(stream));
                }
            });
        }
        ready()?;
        until_end_of_input(|| {
            say(&Served {
                connections: tally.connections.load(Relaxed),
                verified_bytes: tally.verified_bytes.load(Relaxed),
                corrupted: tally.corrupted.load(Relaxed),
            })
        })
    }
}

impl Tally {
    /// A connection that breaks is the client's to report.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        self.connections.fetch_add(1, Relaxed);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let hello = Hello::read(&mut stream)?;
        let length = hello.exchange.unwrap_or(u64::MAX);
        let taken = take(&mut stream, Stream::new(hello.seed), length, |count| {
            self.verified_bytes.fetch_add(count as u64, Relaxed);
        });
        if taken
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
        {
            self.corrupted.fetch_add(1, Relaxed);
        }
        let taken = taken?;
        match hello.exchange {
            None => stream.write_all(&taken.to_be_bytes()),
            Some(_) => give(&mut stream, hello.answer(), length),
        }
    }
}

/// Receives and verifies `length` bytes, or what comes until the end; says how many.
///
/// # Errors
/// `InvalidData`: a byte is not as it should be. `UnexpectedEof`: the connection ended before a length that was said.
pub fn take(
    stream: &mut TcpStream,
    mut expected: Stream,
    length: u64,
    mut verified: impl FnMut(usize),
) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    while expected.position() < length {
        let want = (length - expected.position()).min(CHUNK as u64) as usize;
        match stream.read(&mut chunk[..want])? {
            0 if length == u64::MAX => break,
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                let checked = expected.check(&chunk[..count]);
                checked.map_err(|at| {
                    let sentence = format!(
                        "byte {at} of the stream, or one of the next 7, is not as it was sent"
                    );
                    io::Error::new(io::ErrorKind::InvalidData, sentence)
                })?;
                verified(count);
            }
        }
    }
    Ok(expected.position())
}

/// Sends `length` bytes.
///
/// # Errors
/// The connection is gone or stuck.
pub fn give(stream: &mut TcpStream, mut bytes: Stream, length: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while bytes.position() < length {
        let count = (length - bytes.position()).min(CHUNK as u64) as usize;
        bytes.fill(&mut chunk[..count]);
        stream.write_all(&chunk[..count])?;
    }
    Ok(())
}
