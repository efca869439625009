//! A UDP generator: 32 datagrams a system call over several flows, unlimited or at a rate.
//!
//! At a rate it sends what is due every [`TICK`], so the stream is even down to a fifth of a millisecond, not below.

use std::{
    io::{self, IoSlice},
    net::{SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use serde::{Deserialize, Serialize};

const BATCH: usize = 32;
const TICK: Duration = Duration::from_micros(200);
const LARGEST_BYTES: usize = 1472;

/// What to send.
#[derive(Clone, Debug, Args)]
pub struct Blast {
    /// The sink.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Datagrams a second; absent, as many as go.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Payload lengths in bytes, taken in turn.
    #[arg(long, value_delimiter = ',', default_value = "18")]
    pub payloads: Vec<usize>,
    /// Source ports, taken in turn, one for each batch.
    #[arg(long, default_value_t = 8)]
    pub flows: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Datagrams the kernel took.
    pub packets: u64,
    /// Datagrams it refused (ENOBUFS, an ICMP error on the socket).
    pub refused: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Blast {
    /// Sends for the time given, at most 60 s.
    ///
    /// # Errors
    /// No socket, or the sink's address cannot be reached.
    pub fn run(&self) -> io::Result<Sent> {
        let sockets = (0..self.flows.clamp(1, 64)).map(|_| self.socket());
        let mut gun = Gun {
            sockets: sockets.collect::<io::Result<_>>()?,
            payloads: self
                .payloads
                .iter()
                .map(|length| (*length).min(LARGEST_BYTES))
                .collect(),
            headers: MultiHeaders::preallocate(BATCH, None),
            shots: 0,
            next_payload: 0,
            sent: 0,
            refused: 0,
        };
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.seconds.clamp(0.0, 60.0));
        match self.rate {
            None => gun.unlimited(end),
            Some(rate) => gun.paced(start, end, rate),
        }
        Ok(Sent {
            packets: gun.sent,
            refused: gun.refused,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn socket(&self) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(self.to)?;
        Ok(socket)
    }
}

struct Gun {
    sockets: Vec<UdpSocket>,
    payloads: Vec<usize>,
    headers: MultiHeaders<SockaddrIn>,
    shots: usize,
    next_payload: usize,
    sent: u64,
    refused: u64,
}

impl Gun {
    fn unlimited(&mut self, end: Instant) {
        while Instant::now() < end {
            self.shoot(BATCH);
        }
    }

    fn paced(&mut self, start: Instant, end: Instant, rate: u64) {
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            let due = (now - start).as_secs_f64() * rate as f64;
            let mut missing = (due as u64).saturating_sub(self.sent + self.refused);
            while missing > 0 {
                let batch = missing.min(BATCH as u64);
                self.shoot(batch as usize);
                missing -= batch;
            }
            let spare = (now + TICK).saturating_duration_since(Instant::now());
            if !spare.is_zero() {
                thread::sleep(spare);
            }
        }
    }

    /// Sends a batch of at most [`BATCH`] from the next source port.
    fn shoot(&mut self, batch: usize) {
        let zeros = [0u8; LARGEST_BYTES];
        let turn = self.next_payload;
        let lengths = &self.payloads;
        let slices: [_; BATCH] =
            std::array::from_fn(|i| [IoSlice::new(&zeros[..lengths[(turn + i) % lengths.len()]])]);
        let socket = &self.sockets[self.shots % self.sockets.len()];
        let addresses = [None::<SockaddrIn>; BATCH];
        let taken = sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            &slices[..batch],
            addresses,
            [],
            MsgFlags::empty(),
        )
        .map_or(0, Iterator::count);
        self.sent += taken as u64;
        // sendmmsg stops at the first refusal: that one is counted, the rest of the batch is sent in a later one.
        self.refused += u64::from(taken < batch);
        self.next_payload = (turn + taken) % lengths.len();
        self.shots += 1;
    }
}
