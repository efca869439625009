//! A sender of numbered datagrams over several flows, evenly or a second's worth at once.

use std::{
    io,
    net::{SocketAddrV4, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::datagram;

/// Between looks at what is due.
const TICK: Duration = Duration::from_millis(1);

/// The next hop has answered ARP by then.
const RESOLVED: Duration = Duration::from_millis(500);

/// What to send.
#[derive(Clone, Debug, Args)]
pub struct Paced {
    /// The sink.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Datagrams a second, all flows together.
    #[arg(long)]
    pub rate: u64,
    /// Send what a second brings at its beginning, without a pause.
    #[arg(long)]
    pub in_bursts: bool,
    /// Number of the first flow.
    #[arg(long)]
    pub first_flow: u64,
    /// Source ports.
    #[arg(long, default_value_t = 4)]
    pub flows: u64,
    /// Payload lengths in bytes, taken in turn.
    #[arg(long, value_delimiter = ',', default_value = "18,64,300,1200,1452")]
    pub payloads: Vec<usize>,
}

/// What one flow sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The flow.
    pub flow: u64,
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Datagrams it refused; they are not among the others.
    pub refused: u64,
}

impl Paced {
    /// Sends for the time given.
    ///
    /// # Errors
    /// No socket, or the sink's address cannot be reached.
    pub fn run(&self) -> io::Result<Vec<Sent>> {
        let mut flows = (0..self.flows)
            .map(|number| Flow::open(self.to, self.first_flow + number))
            .collect::<io::Result<Vec<_>>>()?;
        // Before the next hop is resolved the kernel keeps a few hundred datagrams and drops the rest where nobody sees it.
        flows[0].send(datagram::HEADER_LEN);
        thread::sleep(RESOLVED);
        let start = Instant::now();
        let mut fired = 0;
        while start.elapsed().as_secs_f64() < self.seconds {
            let due = self.due(start.elapsed());
            while fired < due {
                let turn = fired as usize;
                let length = self.payloads[turn % self.payloads.len()];
                let flow = turn % flows.len();
                flows[flow].send(length.clamp(datagram::HEADER_LEN, datagram::LARGEST));
                fired += 1;
            }
            thread::sleep(TICK);
        }
        Ok(flows.into_iter().map(|flow| flow.sent).collect())
    }

    fn due(&self, elapsed: Duration) -> u64 {
        if self.in_bursts {
            (elapsed.as_secs() + 1) * self.rate
        } else {
            (elapsed.as_secs_f64() * self.rate as f64) as u64
        }
    }
}

struct Flow {
    socket: UdpSocket,
    sent: Sent,
}

impl Flow {
    fn open(to: SocketAddrV4, flow: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to)?;
        let sent = Sent {
            flow,
            datagrams: 0,
            refused: 0,
        };
        Ok(Self { socket, sent })
    }

    fn send(&mut self, length: usize) {
        let mut bytes = [0; datagram::LARGEST];
        let number = self.sent.datagrams;
        datagram::write(&mut bytes[..length], self.sent.flow, number);
        match self.socket.send(&bytes[..length]) {
            Ok(_) => self.sent.datagrams += 1,
            // Its number goes to the next.
            Err(_) => self.sent.refused += 1,
        }
    }
}
