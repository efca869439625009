//! Short connections: connect, a few bytes there and as many others back, close.

use std::{
    io,
    net::{SocketAddrV4, TcpStream},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::serve::{Hello, give, take};
use crate::soak::stream::{Stream, mix};

/// Longest that connecting, or one silence, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Errors that are kept by their words.
const KEPT: usize = 5;

/// How to connect.
#[derive(Clone, Debug, Args)]
pub struct Churn {
    /// Servers, taken in turn.
    #[arg(long, value_delimiter = ',', required = true)]
    pub to: Vec<SocketAddrV4>,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Connections at most.
    #[arg(long, default_value_t = u64::MAX)]
    pub most: u64,
    /// Connections a second at most.
    #[arg(long, default_value_t = 100)]
    pub rate: u64,
    /// Bytes each way at most.
    #[arg(long, default_value_t = 20_000)]
    pub largest: u64,
    /// Where lengths and bytes come from.
    #[arg(long)]
    pub seed: u64,
}

/// What became of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Churned {
    /// Exchanges that were whole and right.
    pub count: u64,
    /// Those that were not.
    pub failed: u64,
    /// The first errors.
    pub errors: Vec<String>,
    /// Verified bytes, both ways.
    pub bytes: u64,
    /// The longest wait for a connection.
    pub slowest_connect_ms: f64,
}

impl Churn {
    /// Connects for the time given.
    #[must_use]
    pub fn run(&self) -> Churned {
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.seconds);
        let mut churned = Churned::default();
        for number in 0..self.most {
            let due = start + Duration::from_secs_f64(number as f64 / self.rate.max(1) as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if Instant::now() >= end {
                break;
            }
            let to = self.to[number as usize % self.to.len()];
            match self.exchange(to, mix(self.seed.wrapping_add(number)), &mut churned) {
                Ok(bytes) => {
                    churned.count += 1;
                    churned.bytes += bytes;
                }
                Err(error) => {
                    churned.failed += 1;
                    let kept = format!("{to}, connection {number}: {error}");
                    churned
                        .errors
                        .extend((churned.errors.len() < KEPT).then_some(kept));
                }
            }
        }
        churned
    }

    fn exchange(&self, to: SocketAddrV4, seed: u64, churned: &mut Churned) -> io::Result<u64> {
        let length = 1 + seed % self.largest.max(1);
        let start = Instant::now();
        let mut stream = TcpStream::connect_timeout(&to.into(), PATIENCE)?;
        let took_ms = start.elapsed().as_secs_f64() * 1e3;
        churned.slowest_connect_ms = churned.slowest_connect_ms.max(took_ms);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let hello = Hello {
            exchange: Some(length),
            seed,
        };
        hello.write(&mut stream)?;
        give(&mut stream, Stream::new(seed), length)?;
        take(&mut stream, hello.answer(), length, |_| {})?;
        Ok(2 * length)
    }
}
