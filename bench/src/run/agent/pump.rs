//! What packet sockets cost: frames from one interface to another and back, nothing looked at.
//!
//! The same port code, batches and threads as vswitchd's workers have, always spinning after a frame, and no data plane between them. It is
//! the simplest switch that moves frames this way: what vswitchd loses against it is vswitchd's own cost. It is no ceiling: vswitchd joins
//! segments and looks where answers come, which may save more than its checks cost.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use clap::Args;
use packet::Frame;
use port::{Fanout, Filter, PacketConfig, PacketPort, Poller, PortIo};

/// Frames in one system call.
const BATCH: usize = 64;
/// How long it looks for more frames before it sleeps.
const SPIN: Duration = Duration::from_micros(50);
/// How often a full device is asked again.
const RETRIES: usize = 4;

/// Which interfaces to join.
#[derive(Clone, Debug, Args)]
pub struct Pump {
    /// The two interfaces.
    #[arg(long = "port", num_args = 1, required = true)]
    pub ports: Vec<String>,
}

impl Pump {
    /// Carries frames until it is killed, on as many threads as there are CPUs.
    ///
    /// # Errors
    /// Not two interfaces, or one of them cannot be had.
    pub fn run(&self) -> io::Result<()> {
        let [a, b] = &self.ports[..] else {
            let found = self.ports.len();
            return Err(io::Error::other(format!(
                "expected two ports, found {found}"
            )));
        };
        let members = u16::try_from(thread::available_parallelism()?.get()).unwrap_or(1);
        // One member after the other: the kernel's fan-out numbers them so.
        let lanes: Vec<Lane> = (0..members)
            .map(|_| Lane::open([a, b], members))
            .collect::<io::Result<_>>()?;
        thread::scope(|scope| {
            for mut lane in lanes {
                scope.spawn(move || lane.run());
            }
        });
        Ok(())
    }
}

/// One thread's ends of both interfaces.
struct Lane {
    ports: [PacketPort; 2],
    poller: Poller,
    frames: Vec<Frame>,
}

impl Lane {
    fn open(interfaces: [&str; 2], members: u16) -> io::Result<Self> {
        let open = |interface: &str, group| {
            let fanout = (members > 1).then_some(Fanout { group, members });
            PacketPort::open(&PacketConfig {
                interface,
                filter: Filter::Everything,
                behind_tc: false,
                fanout,
                qdisc_bypass: false,
                encapsulator: None,
                batch: BATCH,
            })
            .map_err(io::Error::other)
        };
        let ports = [open(interfaces[0], 1)?, open(interfaces[1], 2)?];
        let poller = Poller::new()?;
        for (token, port) in (0..).zip(&ports) {
            if let Some(fd) = port.poll_fd() {
                poller.add(fd, token)?;
            }
        }
        Ok(Self {
            ports,
            poller,
            frames: vec![Frame::new(); BATCH],
        })
    }

    fn run(&mut self) {
        let mut ready = Vec::with_capacity(2);
        let mut last = Instant::now();
        loop {
            let patience = match last.elapsed() < SPIN {
                true => Duration::ZERO,
                false => Duration::from_secs(1),
            };
            if self.poller.wait(&mut ready, Some(patience)).is_err() {
                return;
            }
            if ready.is_empty() {
                thread::yield_now();
                continue;
            }
            for &from in &ready {
                self.carry(from as usize);
            }
            last = Instant::now();
        }
    }

    /// One batch from a port to the other. What finds no room is lost.
    fn carry(&mut self, from: usize) {
        let Ok(taken) = self.ports[from].rx_batch(&mut self.frames) else {
            return;
        };
        let (mut sent, mut refused) = (0, 0);
        while sent < taken && refused < RETRIES {
            match self.ports[1 - from].tx_batch(&self.frames[sent..taken]) {
                Ok(0) => refused += 1,
                Ok(more) => sent += more,
                Err(_) => sent += 1,
            }
        }
    }
}
