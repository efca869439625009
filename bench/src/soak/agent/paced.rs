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
        let mut volley = Volley {
            plan: self,
            flows,
            fired: 0,
            start: Instant::now(),
        };
        if self.in_bursts {
            volley.in_bursts();
        } else {
            volley.evenly();
        }
        Ok(volley.flows.into_iter().map(|flow| flow.sent).collect())
    }
}

/// The sending itself.
struct Volley<'a> {
    plan: &'a Paced,
    flows: Vec<Flow>,
    /// Datagrams so far.
    fired: u64,
    start: Instant,
}

impl Volley<'_> {
    /// What is due is sent, also what a busy machine has put off.
    fn evenly(&mut self) {
        while let Some(elapsed) = self.running() {
            self.fire((elapsed.as_secs_f64() * self.plan.rate as f64) as u64);
            thread::sleep(TICK);
        }
    }

    /// A second in which the burst before it has not ended brings none: what a slow machine has missed is not made up for.
    fn in_bursts(&mut self) {
        while self.running().is_some() {
            self.fire(self.fired + self.plan.rate);
            let elapsed = self.start.elapsed();
            thread::sleep(
                next_second(elapsed)
                    .min(self.length())
                    .saturating_sub(elapsed),
            );
        }
    }

    /// Sends until so many have been, or the time is over.
    fn fire(&mut self, until: u64) {
        while self.fired < until && self.running().is_some() {
            let turn = self.fired as usize;
            let length = self.plan.payloads[turn % self.plan.payloads.len()];
            let flow = turn % self.flows.len();
            self.flows[flow].send(length.clamp(datagram::HEADER_LEN, datagram::LARGEST));
            self.fired += 1;
        }
    }

    fn running(&self) -> Option<Duration> {
        let elapsed = self.start.elapsed();
        (elapsed < self.length()).then_some(elapsed)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.plan.seconds)
    }
}

/// The first whole second that is still to come.
fn next_second(elapsed: Duration) -> Duration {
    Duration::from_secs(elapsed.as_secs() + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(in_bursts: bool) -> u64 {
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let Ok(std::net::SocketAddr::V4(to)) = sink.local_addr() else {
            panic!("{sink:?}");
        };
        let paced = Paced {
            to,
            seconds: 0.05,
            rate: ENDLESS,
            in_bursts,
            first_flow: 1,
            flows: 2,
            payloads: vec![18],
        };
        let flows = paced.run().unwrap();
        flows.iter().map(|flow| flow.datagrams + flow.refused).sum()
    }

    /// Nothing sends as many in a second, nor in an hour.
    const ENDLESS: u64 = 100_000_000_000;

    #[test]
    fn the_end_comes_also_when_the_machine_cannot_keep_up() {
        for in_bursts in [false, true] {
            let sent = sent(in_bursts);
            assert!(sent > 2 && sent < ENDLESS / 100, "{sent}");
        }
    }

    #[test]
    fn a_burst_that_took_longer_than_a_second_skips_those_it_missed() {
        for (elapsed, next) in [(0.1, 1), (1.0, 2), (3.7, 4)] {
            let elapsed = Duration::from_secs_f64(elapsed);
            assert_eq!(next_second(elapsed), Duration::from_secs(next));
        }
    }
}
