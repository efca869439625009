//! What the bench runs inside the namespaces: generators and sinks, one process each (`vswitch-bench agent ...`).
//!
//! Servers write `ready` when they listen and end with their standard input, or after [`LONGEST`]. Clients send for a bounded
//! time and write one JSON object. Nothing here knows what is being measured.

pub mod blast;
pub mod connect;
pub mod echo;
pub mod naive;
pub mod pump;
pub mod request;
pub mod sink;

use std::{
    io::{self, BufRead, Write},
    net::SocketAddrV4,
    thread,
    time::Duration,
};

use clap::Subcommand;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde::Serialize;

/// No agent lives longer, whoever forgets it, except the forwarders.
pub const LONGEST: Duration = Duration::from_secs(120);

/// What an agent does.
#[derive(Clone, Debug, Subcommand)]
pub enum Agent {
    /// Counts datagrams; each line on standard input is answered with the count so far.
    Sink {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddrV4,
    },
    /// Sends datagrams, as fast as it can or at a rate.
    Blast(blast::Blast),
    /// Answers requests over TCP, UDP and new connections.
    Echo {
        /// Where to listen; see [`echo`] for the ports beside it.
        #[arg(long)]
        listen: SocketAddrV4,
        /// The CPU to stay on.
        #[arg(long)]
        cpu: Option<usize>,
    },
    /// Asks and waits for the answer, over and over.
    Request(request::Request),
    /// Opens, uses and closes connections.
    Connect(connect::Connect),
    /// Carries packets between a TUN device and a UDP socket, one system call each.
    Naive(naive::Naive),
    /// Carries frames between two interfaces, and looks at none.
    Pump(pump::Pump),
}

/// Does it.
///
/// # Errors
/// A socket or device cannot be had; the sentence is the system's.
pub fn run(agent: Agent) -> io::Result<()> {
    match agent {
        Agent::Sink { listen } => sink::run(listen),
        Agent::Blast(blast) => say(&blast.run()?),
        Agent::Echo { listen, cpu } => {
            stay_on(cpu)?;
            echo::run(listen)
        }
        Agent::Request(request) => {
            stay_on(request.cpu)?;
            say(&request.run()?)
        }
        Agent::Connect(connect) => say(&connect.run()?),
        Agent::Naive(naive) => naive.run(),
        Agent::Pump(pump) => pump.run(),
    }
}

/// Keeps this process, and the threads it starts from now on, on one CPU.
fn stay_on(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn say(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

/// Tells the bench that the sockets listen.
fn ready() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"ready\n")?;
    out.flush()
}

/// Hands each line of standard input to `heard` until it ends; ends the process after [`LONGEST`] in any case.
fn until_end_of_input(mut heard: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    thread::spawn(|| {
        thread::sleep(LONGEST);
        std::process::exit(1);
    });
    for line in io::stdin().lock().lines() {
        line?;
        heard()?;
    }
    Ok(())
}
