//! What the soak runs inside the pods, one process each (`vswitch-soak agent ...`).
//!
//! Servers write `ready` when they listen, answer each line of standard input with a JSON object, and end with it. Clients
//! work for a bounded time and write one JSON object. All of them verify what they receive; none knows of the others.

pub mod answer;
pub mod ask;
pub mod bulk;
pub mod churn;
pub mod datagram;
pub mod paced;
pub mod serve;
pub mod sink;

use std::{
    io::{self, BufRead, Write},
    net::{SocketAddrV4, UdpSocket},
};

use clap::Subcommand;
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

/// What an agent does.
#[derive(Clone, Debug, Subcommand)]
pub enum Agent {
    /// Takes streams and short connections, and verifies them.
    Serve(serve::Serve),
    /// Sends one verified stream over TCP.
    Bulk(bulk::Bulk),
    /// Opens short connections, exchanges verified bytes, closes them.
    Churn(churn::Churn),
    /// Sends numbered datagrams at a rate.
    Paced(paced::Paced),
    /// Receives and verifies numbered datagrams.
    Sink(sink::Sink),
    /// Sends every datagram back.
    Answer {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddrV4,
    },
    /// For each line of standard input, asks who answers once from several new ports.
    Ask(ask::Ask),
}

/// Does it.
///
/// # Errors
/// A socket cannot be had; the sentence is the system's.
pub fn run(agent: Agent) -> io::Result<()> {
    match agent {
        Agent::Serve(serve) => serve.run(),
        Agent::Bulk(bulk) => say(&bulk.run()),
        Agent::Churn(churn) => say(&churn.run()),
        Agent::Paced(paced) => say(&paced.run()?),
        Agent::Sink(sink) => sink.run(),
        Agent::Answer { listen } => answer::run(listen),
        Agent::Ask(ask) => ask.run(),
    }
}

fn say(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Tells the soak that the sockets listen.
fn ready() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"ready\n")?;
    out.flush()
}

/// Calls `heard` for each line of standard input until it ends.
fn until_end_of_input(mut heard: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        line?;
        heard()?;
    }
    Ok(())
}

/// A UDP socket that may hold so many bytes, the kernel's overhead included.
fn udp(listen: SocketAddrV4, receive_buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(listen)?;
    // Beyond net.core.rmem_max only root may go; others get what that allows.
    if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer_bytes).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &receive_buffer_bytes)?;
    }
    Ok(socket)
}
