//! One long stream over TCP: as fast as it goes, every byte verified at the other end.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::serve::{CHUNK, Hello, SILENCE};
use crate::soak::stream::Stream;

/// What to send.
#[derive(Clone, Debug, Args)]
pub struct Bulk {
    /// A server.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// The seed of the stream.
    #[arg(long)]
    pub seed: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Bytes the kernel took.
    pub bytes: u64,
    /// Bytes the server has verified.
    pub verified_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// What ended it early.
    pub error: Option<String>,
}

impl Bulk {
    /// Sends for the time given.
    #[must_use]
    pub fn run(&self) -> Sent {
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.seconds);
        let mut bytes = Stream::new(self.seed);
        let verified = self.send(&mut bytes, end);
        Sent {
            bytes: bytes.position(),
            verified_bytes: verified.as_ref().copied().unwrap_or(0),
            seconds: start.elapsed().as_secs_f64(),
            error: verified.err().map(|error| error.to_string()),
        }
    }

    fn send(&self, bytes: &mut Stream, end: Instant) -> io::Result<u64> {
        let mut stream = TcpStream::connect_timeout(&self.to.into(), SILENCE)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let hello = Hello {
            exchange: None,
            seed: self.seed,
        };
        hello.write(&mut stream)?;
        let mut chunk = vec![0; CHUNK];
        while Instant::now() < end {
            bytes.fill(&mut chunk);
            stream.write_all(&chunk)?;
        }
        stream.shutdown(Shutdown::Write)?;
        let mut verified = [0; 8];
        stream.read_exact(&mut verified)?;
        Ok(u64::from_be_bytes(verified))
    }
}
