//! New connections: connect, one byte each way, close; four clients at once, each with acceptors of its own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddrV4, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::echo;

const CLIENTS: u16 = 4;

/// How to connect.
#[derive(Clone, Debug, Args)]
pub struct Connect {
    /// The echo server.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// At most so many connections: closed ones stay in connection tables for minutes.
    #[arg(long, default_value_t = 20_000)]
    pub most: u64,
}

/// Connections made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// How many were opened, used and closed.
    pub count: u64,
    /// How many failed.
    pub failed: u64,
    /// In what time.
    pub seconds: f64,
}

impl Connect {
    /// Connects for the time given, at most 60 s.
    ///
    /// # Errors
    /// Not one connection could be made.
    pub fn run(&self) -> io::Result<Connected> {
        let end = Instant::now() + Duration::from_secs_f64(self.seconds.clamp(0.0, 60.0));
        let count = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (count, most, to) = (Arc::clone(&count), self.most, self.to);
                thread::spawn(move || client(to, number, end, &count, most))
            })
            .collect();
        let failures: Vec<io::Error> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap_or_default())
            .collect();
        let connected = Connected {
            count: count.load(Relaxed),
            failed: failures.len() as u64,
            seconds: start.elapsed().as_secs_f64(),
        };
        match failures.into_iter().next() {
            Some(error) if connected.count == 0 => Err(error),
            _ => Ok(connected),
        }
    }
}

/// Connects again and again to its own two acceptors; gives up after 10 failures.
fn client(
    to: SocketAddrV4,
    number: u16,
    end: Instant,
    count: &AtomicU64,
    most: u64,
) -> Vec<io::Error> {
    let mut failures = Vec::new();
    for turn in 0.. {
        if Instant::now() >= end || count.load(Relaxed) >= most || failures.len() >= 10 {
            break;
        }
        match once(echo::acceptor(to, number + CLIENTS * (turn % 2))) {
            Ok(()) => _ = count.fetch_add(1, Relaxed),
            Err(error) => failures.push(error),
        }
    }
    failures
}

fn once(to: SocketAddrV4) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut byte = [1];
    stream.write_all(&byte)?;
    stream.read_exact(&mut byte)
}
